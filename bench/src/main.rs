//! The bench: everything that `docs/performance.md` says, measured in one run.
//!
//! One program in several roles: `run` is the driver; `load` loads a server that runs already; the others are servers
//! that the driver starts from this same executable.

mod budget;
mod cell;
mod load;
mod machine;
mod measure;
mod pairs;
mod paper;
mod peers;
mod process;
mod report;
mod results;
mod roles;
mod run;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser;

use crate::cell::Load;
use crate::load::{Body, Generator, Keys, Mark};
use crate::roles::{layered, origin, pairs as store_pairs, proxy};

/// Oncegate beside its peers.
#[derive(Debug, Parser)]
enum Role {
    /// Measure everything and print the tables.
    Run(run::Arguments),
    /// Load a server that runs already, for a profiler to look at.
    Load {
        /// Where it listens.
        #[arg(long)]
        address: SocketAddr,
        /// What the requests ask for.
        #[arg(long, value_enum)]
        load: Load,
        /// How many connections.
        #[arg(long, default_value_t = 32)]
        connections: usize,
        /// For how long.
        #[arg(long, default_value_t = 10.0)]
        seconds: f64,
        /// Send 100 KB instead of 59 bytes.
        #[arg(long)]
        large: bool,
    },
    /// The bare origin.
    Origin {
        #[arg(long)]
        listen: SocketAddr,
    },
    /// The bare hyper proxy.
    Proxy {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        upstream: SocketAddr,
    },
    /// An axum handler under a layer.
    Layered {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long, value_enum)]
        layer: layered::Layer,
        /// Keep records in this Redis.
        #[arg(long)]
        redis: Option<String>,
    },
    /// Claims and completions in a store, without HTTP.
    Pairs {
        #[arg(long)]
        store: String,
        #[arg(long, default_value_t = 32)]
        tasks: u64,
        #[arg(long, default_value_t = 2.0)]
        seconds: f64,
    },
}

fn main() -> ExitCode {
    match play(Role::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn play(role: Role) -> Result<()> {
    match role {
        Role::Run(arguments) => run::run(&arguments),
        Role::Load {
            address,
            load,
            connections,
            seconds,
            large,
        } => load_alone(
            address,
            load,
            connections,
            Duration::from_secs_f64(seconds),
            large,
        ),
        Role::Origin { listen } => origin::run(listen),
        Role::Proxy { listen, upstream } => proxy::run(listen, upstream),
        Role::Layered {
            listen,
            layer,
            redis,
        } => layered::run(listen, layer, redis.as_deref()),
        Role::Pairs {
            store,
            tasks,
            seconds,
        } => store_pairs::run(&store, tasks, Duration::from_secs_f64(seconds)),
    }
}

fn load_alone(
    address: SocketAddr,
    load: Load,
    connections: usize,
    time: Duration,
    large: bool,
) -> Result<()> {
    let keys = match load {
        Load::Fresh => Keys::Fresh,
        Load::Replay => Keys::Known(REPLAYED_KEYS),
        Load::Unkeyed => Keys::Absent,
    };
    let body = if large { Body::Large } else { Body::Small };
    let mut generator = Generator::open(address, connections, body, keys, Mark::Any)?;
    if load == Load::Replay {
        generator.closed_loop(time, REPLAYED_KEYS)?;
    }
    let start = Instant::now();
    let answered = generator.closed_loop(time, u64::MAX)?;
    println!(
        "{answered} requests in {:.2} s",
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

const REPLAYED_KEYS: u64 = 1_000;
