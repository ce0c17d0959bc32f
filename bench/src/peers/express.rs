//! Express and Redis, as everybody writes it. Redis runs beside the load and keeps nothing on disk.

use std::process::Command;

use anyhow::{Result, ensure};

use super::{Stage, Started};
use crate::process::free_address;

pub fn start(stage: &Stage, program: &str) -> Result<Started> {
    ensure!(
        stage.express.join("node_modules").is_dir(),
        "its packages are not installed: make bench-setup"
    );
    let redis_address = free_address()?;
    let mut redis = Command::new("redis-server");
    redis
        .args([
            "--bind",
            "127.0.0.1",
            "--port",
            &redis_address.port().to_string(),
        ])
        .args(["--save", "", "--appendonly", "no"])
        .arg("--dir")
        .arg(&stage.folder);
    let redis = stage.beside(redis, redis_address, "redis.log")?;

    let address = free_address()?;
    let mut node = Command::new("node");
    node.arg(stage.express.join(program))
        .env("NODE_ENV", "production")
        .env("PORT", address.port().to_string())
        .env("REDIS_URL", format!("redis://{redis_address}"));
    Ok(Started {
        address,
        under_test: stage.under_test(node, address, "node.log")?,
        beside: Some(redis),
        counter: address,
        origin: None,
    })
}
