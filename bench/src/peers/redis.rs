//! A Redis of our own for one measurement: beside the load, on its core. It keeps nothing on disk, for any peer.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Result;

use super::Stage;
use crate::process::{Process, free_address};

/// Starts one.
pub fn start(stage: &Stage) -> Result<(SocketAddr, Process)> {
    let address = free_address()?;
    let mut redis = Command::new("redis-server");
    redis
        .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
        .args(["--save", "", "--appendonly", "no"])
        .arg("--dir")
        .arg(&stage.folder);
    let process = stage.beside(redis, address, "redis.log")?;
    Ok((address, process))
}
