//! The peers that are this program in another role.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Result;

use super::{Stage, Started, redis};
use crate::process::{Process, free_address};

/// The origin, under test.
pub fn origin(stage: &Stage) -> Result<Started> {
    let address = free_address()?;
    let listen = address.to_string();
    let command = role(&["origin", "--listen", &listen])?;
    let under_test = stage.under_test(command, address, "origin.log")?;
    Ok(alone(address, under_test))
}

/// The origin, behind what is under test.
pub fn upstream(stage: &Stage) -> Result<(SocketAddr, Process)> {
    let address = free_address()?;
    let listen = address.to_string();
    let command = role(&["origin", "--listen", &listen])?;
    let process = stage.beside(command, address, "upstream.log")?;
    Ok((address, process))
}

/// The bare hyper proxy.
pub fn proxy(stage: &Stage) -> Result<Started> {
    let (upstream, origin) = upstream(stage)?;
    let address = free_address()?;
    let (listen, before) = (address.to_string(), upstream.to_string());
    let command = role(&["proxy", "--listen", &listen, "--upstream", &before])?;
    Ok(Started {
        address,
        under_test: stage.under_test(command, address, "proxy.log")?,
        beside: None,
        counter: upstream,
        origin: Some(origin),
    })
}

/// The handler under a layer whose records are in a Redis.
pub fn layered_over_redis(stage: &Stage, layer: &str) -> Result<Started> {
    let (address, redis) = redis::start(stage)?;
    let url = format!("redis://{address}");
    let mut started = layered(stage, layer, &["--redis", &url])?;
    started.beside = Some(redis);
    Ok(started)
}

/// The handler under a layer whose records are in memory, unless the arguments say otherwise.
pub fn layered(stage: &Stage, layer: &str, arguments: &[&str]) -> Result<Started> {
    let address = free_address()?;
    let listen = address.to_string();
    let mut command = role(&["layered", "--listen", &listen, "--layer", layer])?;
    command.args(arguments);
    let under_test = stage.under_test(command, address, "layered.log")?;
    Ok(alone(address, under_test))
}

fn alone(address: SocketAddr, under_test: Process) -> Started {
    Started {
        address,
        under_test,
        beside: None,
        counter: address,
        origin: None,
    }
}

fn role(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments);
    Ok(command)
}
