//! Who is measured, how each is started, and what each must answer.

mod express;
mod nginx;
mod oncegate;
mod own;
pub mod postgres;
mod redis;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::cell::Load;
use crate::load::Mark;
use crate::process::{Core, Process};

/// Who is measured.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Peer {
    /// hyper, answering by itself.
    Origin,
    /// nginx as a reverse proxy.
    Nginx,
    /// hyper's server and client.
    HyperProxy,
    /// `oncegate serve` with the memory store.
    OncegateMemory,
    /// `oncegate serve` with the file store.
    OncegateFile,
    /// `oncegate serve` over Redis.
    OncegateRedis,
    /// `oncegate serve` over PostgreSQL.
    OncegatePostgres,
    /// Express and Redis: look the key up, execute, save.
    ExpressGetSet,
    /// Express and Redis: take a lock with SET NX first.
    ExpressSetNx,
    /// An axum handler.
    HandlerBare,
    /// The same under our layer.
    HandlerOncegate,
    /// The same under the layer of the crate `idempotent`.
    HandlerIdempotent,
    /// The handler under our layer, over Redis.
    HandlerOncegateRedis,
    /// The same under the layer of the crate `idempotent`, over Redis.
    HandlerIdempotentRedis,
}

/// Where things are, and which core is whose.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The `oncegate` that is measured.
    pub oncegate: PathBuf,
    /// The folder of the Express programs.
    pub express: PathBuf,
    /// Where files of one measurement go.
    pub folder: PathBuf,
    /// The core of the process under test.
    pub core_under_test: Core,
    /// The core of the load, the origin and the store's server.
    pub core_of_load: Core,
    /// What the process under test runs under, if anything: a program that counts its instructions.
    pub under: Vec<String>,
}

/// A peer that runs.
pub struct Started {
    /// Where requests go.
    pub address: SocketAddr,
    /// What is measured.
    pub under_test: Process,
    /// Redis or PostgreSQL, where there is one: shown apart.
    pub beside: Option<Process>,
    /// Who counts executions.
    pub counter: SocketAddr,
    /// The origin, where it is a process of its own.
    #[expect(
        dead_code,
        reason = "held, so that it lives as long as what forwards to it"
    )]
    pub origin: Option<Process>,
}

/// What a peer does with keys, and how it says so.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Keys {
    /// Nothing.
    Ignored,
    /// As Oncegate does.
    Oncegate,
    /// Replays, and says so with `Idempotent-Replayed`.
    Flagged,
}

impl Peer {
    /// All that stand in a network: proxies, and programs that do it themselves.
    pub const SERVERS: [Self; 9] = [
        Self::Origin,
        Self::Nginx,
        Self::HyperProxy,
        Self::OncegateMemory,
        Self::OncegateFile,
        Self::OncegateRedis,
        Self::OncegatePostgres,
        Self::ExpressGetSet,
        Self::ExpressSetNx,
    ];
    /// All in one process with the handler.
    pub const HANDLERS: [Self; 5] = [
        Self::HandlerBare,
        Self::HandlerOncegate,
        Self::HandlerIdempotent,
        Self::HandlerOncegateRedis,
        Self::HandlerIdempotentRedis,
    ];

    /// As a table says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Origin => "bare hyper origin, no proxy",
            Self::Nginx => "nginx",
            Self::HyperProxy => "bare hyper proxy",
            Self::OncegateMemory => "**Oncegate**, memory",
            Self::OncegateFile => "**Oncegate**, file",
            Self::OncegateRedis => "**Oncegate**, Redis",
            Self::OncegatePostgres => "**Oncegate**, PostgreSQL",
            Self::ExpressGetSet => "Express + Redis, GET then SET",
            Self::ExpressSetNx => "Express + Redis, SET NX",
            Self::HandlerBare => "bare axum handler",
            Self::HandlerOncegate => "**`oncegate-tower`**, memory",
            Self::HandlerIdempotent => "crate `idempotent`, memory",
            Self::HandlerOncegateRedis => "**`oncegate-tower`**, Redis",
            Self::HandlerIdempotentRedis => "crate `idempotent`, Redis",
        }
    }

    /// Whom the figures of this peer are divided by.
    pub const fn reference(self) -> Self {
        match self {
            Self::Origin
            | Self::Nginx
            | Self::HyperProxy
            | Self::OncegateMemory
            | Self::OncegateFile
            | Self::OncegateRedis
            | Self::OncegatePostgres
            | Self::ExpressGetSet
            | Self::ExpressSetNx => Self::Nginx,
            Self::HandlerBare
            | Self::HandlerOncegate
            | Self::HandlerIdempotent
            | Self::HandlerOncegateRedis
            | Self::HandlerIdempotentRedis => Self::HandlerBare,
        }
    }

    /// What its answers must say under this load.
    pub fn mark(self, load: Load) -> Mark {
        match (self.keys(), load) {
            (Keys::Ignored, _) | (Keys::Oncegate, Load::Unkeyed) => Mark::Unmarked,
            (Keys::Oncegate, Load::Fresh) => Mark::Executed,
            (Keys::Oncegate, Load::Replay) => Mark::Replayed,
            (Keys::Flagged, Load::Replay) => Mark::FlagPresent,
            (Keys::Flagged, Load::Fresh | Load::Unkeyed) => Mark::FlagAbsent,
        }
    }

    /// Whether each request of this load is one execution.
    pub fn executes(self, load: Load) -> bool {
        load != Load::Replay || self.keys() == Keys::Ignored
    }

    /// Starts it, and what it needs.
    pub fn start(self, stage: &Stage) -> Result<Started> {
        match self {
            Self::Origin => own::origin(stage),
            Self::Nginx => nginx::start(stage),
            Self::HyperProxy => own::proxy(stage),
            Self::OncegateMemory => oncegate::start(stage, "memory:"),
            Self::OncegateFile => {
                let file = stage.folder.join("oncegate.db");
                oncegate::start(stage, &format!("file:{}", file.display()))
            }
            Self::OncegateRedis => oncegate::over_redis(stage),
            Self::OncegatePostgres => oncegate::over_postgres(stage),
            Self::ExpressGetSet => express::start(stage, "get-then-set.js"),
            Self::ExpressSetNx => express::start(stage, "set-nx.js"),
            Self::HandlerBare => own::layered(stage, "none", &[]),
            Self::HandlerOncegate => own::layered(stage, "oncegate", &[]),
            Self::HandlerIdempotent => own::layered(stage, "idempotent", &[]),
            Self::HandlerOncegateRedis => own::layered_over_redis(stage, "oncegate"),
            Self::HandlerIdempotentRedis => own::layered_over_redis(stage, "idempotent"),
        }
    }

    const fn keys(self) -> Keys {
        match self {
            Self::Origin | Self::Nginx | Self::HyperProxy | Self::HandlerBare => Keys::Ignored,
            Self::OncegateMemory
            | Self::OncegateFile
            | Self::OncegateRedis
            | Self::OncegatePostgres
            | Self::HandlerOncegate
            | Self::HandlerOncegateRedis => Keys::Oncegate,
            Self::ExpressGetSet
            | Self::ExpressSetNx
            | Self::HandlerIdempotent
            | Self::HandlerIdempotentRedis => Keys::Flagged,
        }
    }
}

impl Stage {
    /// Starts what is measured.
    fn under_test(&self, command: Command, address: SocketAddr, log: &str) -> Result<Process> {
        let command = Process::under(&self.under, command);
        Process::start(command, self.core_under_test, address, &self.file(log))
    }

    /// Starts what is needed beside it.
    fn beside(&self, command: Command, address: SocketAddr, log: &str) -> Result<Process> {
        Process::start(command, self.core_of_load, address, &self.file(log))
    }

    /// A file in the folder of this measurement.
    pub fn file(&self, name: &str) -> PathBuf {
        Path::new(&self.folder).join(name)
    }
}
