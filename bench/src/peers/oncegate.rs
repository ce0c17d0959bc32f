//! Oncegate as it comes: default configuration, logging on, one store or another.

use std::process::Command;

use anyhow::Result;

use super::{Stage, Started, own, postgres, redis};
use crate::process::free_address;

/// Over a Redis.
pub fn over_redis(stage: &Stage) -> Result<Started> {
    let (address, redis) = redis::start(stage)?;
    let mut started = start(stage, &format!("redis://{address}"))?;
    started.beside = Some(redis);
    Ok(started)
}

/// Over a PostgreSQL.
pub fn over_postgres(stage: &Stage) -> Result<Started> {
    let (address, postgres) = postgres::start(stage)?;
    let url = format!("postgres://postgres@{address}/postgres?sslmode=disable");
    let mut started = start(stage, &url)?;
    started.beside = Some(postgres);
    Ok(started)
}

/// Over a store that needs no server.
pub fn start(stage: &Stage, store: &str) -> Result<Started> {
    let (upstream, origin) = own::upstream(stage)?;
    let address = free_address()?;
    let mut command = Command::new(&stage.oncegate);
    command
        .args(["serve", "--admin", "off", "--store", store])
        .args(["--listen", &address.to_string()])
        .args(["--upstream", &format!("http://{upstream}")])
        .current_dir(&stage.folder);
    Ok(Started {
        address,
        under_test: stage.under_test(command, address, "oncegate.log")?,
        beside: None,
        counter: upstream,
        origin: Some(origin),
    })
}
