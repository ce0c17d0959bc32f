//! PostgreSQL without HTTP: claims and completions through our store, beside pgbench on the same server.
//!
//! pgbench runs the two statements that a claim and a completion need at least, each a transaction of its own, prepared,
//! on as many connections. It keeps no fence and judges nothing, so the comparison favours it.

use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::measure::clear;
use crate::peers::{Stage, postgres};
use crate::process::Core;

/// What was measured with so many at once.
#[derive(Clone, Copy, Debug)]
pub struct Pairs {
    /// pgbench's connections, and our tasks.
    pub clients: usize,
    /// Claims and completions a second, by pgbench.
    pub pgbench: f64,
    /// The same through our store.
    pub store: f64,
}

/// Measures both, one after the other.
pub fn pairs(clients: usize, time: Duration, stage: &Stage) -> Result<Pairs> {
    clear(stage)?;
    let (address, _postgres) = postgres::start(stage)?;
    let url = format!("postgres://postgres@{address}/postgres?sslmode=disable");
    let port = address.port().to_string();
    // Makes the table that both use.
    store(&url, 1, Duration::from_millis(100), stage)?;
    let script = stage.file("pairs.sql");
    std::fs::write(&script, SCRIPT)?;
    let mut pgbench = Command::new(postgres::programs()?.join("pgbench"));
    pgbench
        .args([
            "--host",
            "127.0.0.1",
            "--port",
            &port,
            "--username",
            "postgres",
        ])
        .args(["--no-vacuum", "--protocol", "prepared", "--jobs", "1"])
        .args(["--client", &clients.to_string()])
        .args(["--time", &time.as_secs().max(1).to_string()])
        .arg("--file")
        .arg(&script)
        .arg("postgres");
    let said = pinned(pgbench, stage.core_under_test)?;
    let rate = said
        .lines()
        .find_map(|line| line.strip_prefix("tps = "))
        .and_then(|rest| rest.split_whitespace().next())
        .context("pgbench tells no rate")?;
    Ok(Pairs {
        clients,
        pgbench: rate.parse()?,
        store: store(&url, clients, time, stage)?,
    })
}

fn store(url: &str, tasks: usize, time: Duration, stage: &Stage) -> Result<f64> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["pairs", "--store", url, "--tasks", &tasks.to_string()])
        .args(["--seconds", &time.as_secs_f64().to_string()]);
    let said = pinned(command, stage.core_under_test)?;
    Ok(said.trim().parse()?)
}

/// Runs a command on a core, to its end.
fn pinned(command: Command, core: Core) -> Result<String> {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new("taskset")
        .args(["--cpu-list", &core.0.to_string()])
        .arg(command.get_program())
        .args(command.get_args())
        .output()?;
    ensure!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    Ok(String::from_utf8(stdout)?)
}

const SCRIPT: &str = include_str!("pairs.sql");
