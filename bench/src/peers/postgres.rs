//! A PostgreSQL of our own for one measurement: beside the load, on its core, as durable as it comes.
//!
//! Its programs refuse to run as root, so a driver that is root gives them to `nobody`.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::unistd::{Gid, Uid, chown};

use super::Stage;
use crate::process::{Process, free_address};

/// Starts one. Its URL is `postgres://postgres@ADDRESS/postgres`.
pub fn start(stage: &Stage) -> Result<(SocketAddr, Process)> {
    let data = stage.folder.join("postgres");
    fs::create_dir_all(&data)?;
    if Uid::effective().is_root() {
        chown(&data, Some(NOBODY), Some(NOGROUP))?;
    }
    let made = as_nobody(&programs()?.join("initdb"))
        .args([
            "--username",
            "postgres",
            "--auth",
            "trust",
            "--encoding",
            "UTF8",
            "--no-locale",
        ])
        .arg("--pgdata")
        .arg(&data)
        .output()
        .context("cannot run initdb")?;
    ensure!(
        made.status.success(),
        "initdb: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    let address = free_address()?;
    let mut postgres = as_nobody(&programs()?.join("postgres"));
    postgres.arg("-D").arg(&data);
    for setting in [
        &format!("port={}", address.port()),
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "shared_buffers=256MB",
        "max_wal_size=4GB",
        "max_connections=300",
    ] {
        postgres.args(["-c", setting]);
    }
    let process = stage.beside(postgres, address, "postgres.log")?;
    Ok((address, process))
}

/// Where the server's programs are: Debian keeps them off the path, in a folder for each version.
pub fn programs() -> Result<PathBuf> {
    let mut versions: Vec<PathBuf> = fs::read_dir(VERSIONS)
        .context("PostgreSQL is not installed: make bench-setup")?
        .map(|entry| entry.map(|entry| entry.path().join("bin")))
        .collect::<std::io::Result<_>>()?;
    versions.retain(|folder| folder.join("initdb").is_file());
    versions.sort();
    versions
        .pop()
        .context("PostgreSQL is not installed: make bench-setup")
}

fn as_nobody(program: &Path) -> Command {
    if !Uid::effective().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args([format!("--reuid={NOBODY}"), format!("--regid={NOGROUP}")])
        // What was told to the one before it, it forgets with its user.
        .args(["--clear-groups", "--pdeathsig", "KILL"])
        .arg(program);
    command
}

const VERSIONS: &str = "/usr/lib/postgresql";
const NOBODY: Uid = Uid::from_raw(65_534);
const NOGROUP: Gid = Gid::from_raw(65_534);
