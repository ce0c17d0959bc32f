//! Express and Redis, as everybody writes it.

use std::process::Command;

use anyhow::{Result, ensure};

use super::{Stage, Started, redis};
use crate::process::free_address;

pub fn start(stage: &Stage, program: &str) -> Result<Started> {
    ensure!(
        stage.express.join("node_modules").is_dir(),
        "its packages are not installed: make bench-setup"
    );
    let (redis_address, redis) = redis::start(stage)?;
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
