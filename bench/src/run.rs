//! The driver: every peer in every cell, again and again, and the tables of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

use crate::cell::{Cell, Load};
use crate::load::Body;
use crate::measure::{Times, at_rate, idle, instructions, many_keys, saturated};
use crate::pairs::pairs;
use crate::peers::{Peer, Stage};
use crate::process::Core;
use crate::results::Results;
use crate::{machine, paper, report};

/// What is measured, and how often.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The `oncegate` to measure.
    #[arg(long, default_value = "target/release/oncegate")]
    oncegate: PathBuf,
    /// The folder of the Express programs, with their packages.
    #[arg(long, default_value = "bench/express")]
    express: PathBuf,
    /// Where files of a measurement go: the file store's speed is that of this disk.
    #[arg(long, default_value = "bench/target/stage")]
    folder: PathBuf,
    /// How often everything is measured; the tables have the medians.
    #[arg(long, default_value_t = 3)]
    reps: usize,
    /// How long a measurement is.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// A smoke test of a minute: once, short, small bodies, 32 connections.
    #[arg(long)]
    quick: bool,
    /// Only these peers, with commas.
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<Peer>,
    /// Only these loads, with commas.
    #[arg(long, value_delimiter = ',', value_enum)]
    loads: Vec<Load>,
    /// Only so many connections, with commas.
    #[arg(long, value_delimiter = ',', default_values_t = [32, 256])]
    connections: Vec<usize>,
    /// The rate of the latency table; 0 leaves it out.
    #[arg(long, default_value_t = 2_000)]
    rate: u32,
    /// Fill the file store with so many keys and open it again; 0 leaves it out. Ten million take some minutes.
    #[arg(long, default_value_t = 0)]
    keys: u64,
    /// The core of the process under test.
    #[arg(long, default_value_t = 1)]
    core: usize,
    /// The core of the load, the origin and Redis.
    #[arg(long, default_value_t = 0)]
    core_of_load: usize,
    /// Write the tables into this paper, between its markers.
    #[arg(long)]
    update: Option<PathBuf>,
}

/// Measures, prints the tables, and fails if a measurement did.
pub fn run(arguments: &Arguments) -> Result<()> {
    let stage = stage(arguments)?;
    let mut cpus = CpuSet::new();
    cpus.set(arguments.core_of_load)?;
    sched_setaffinity(Pid::from_raw(0), &cpus).context("cannot pin the load to its core")?;
    open_files_as_allowed()?;

    let mut results = Results::default();
    let reps = if arguments.quick { 1 } else { arguments.reps };
    for rep in 0..reps {
        eprintln!("repetition {} of {reps}", rep + 1);
        measure_all(arguments, &stage, rep, &mut results);
    }
    if !arguments.quick {
        measure_once(arguments, &stage, &mut results);
    }
    let tables = format!(
        "{}\n{}",
        machine::describe(&stage, reps, times(arguments).measured),
        report::tables(&results, arguments.rate)
    );
    println!("{tables}");
    keep(&tables)?;
    if let Some(file) = &arguments.update {
        paper::write(file, &tables)?;
    }
    let failures = results.failures();
    ensure!(
        failures == 0,
        "{failures} measurements failed: see the tables"
    );
    Ok(())
}

fn measure_all(arguments: &Arguments, stage: &Stage, rep: usize, results: &mut Results) {
    for cell in cells(arguments) {
        for peer in peers(arguments) {
            if !takes_part(peer, cell) {
                continue;
            }
            eprintln!(
                "  {} {} {} {}",
                cell.load.name(),
                cell.body.name(),
                cell.connections,
                peer.name()
            );
            let measured = saturated(peer, cell, times(arguments), stage);
            results.add(rep, peer, cell, measured);
        }
    }
    if peers(arguments).contains(&Peer::OncegatePostgres) {
        for &clients in connections(arguments) {
            eprintln!("  pgbench and the store, {clients} clients");
            results.add_pairs(pairs(clients, times(arguments).measured, stage));
        }
    }
    if arguments.rate == 0 {
        return;
    }
    for cell in cells(arguments)
        .into_iter()
        .filter(|cell| has_latencies(*cell))
    {
        for peer in peers(arguments)
            .into_iter()
            .filter(|peer| Peer::SERVERS.contains(peer))
        {
            eprintln!(
                "  {} at {}/s {}",
                cell.load.name(),
                arguments.rate,
                peer.name()
            );
            let latencies = at_rate(peer, cell, arguments.rate, times(arguments), stage);
            results.add_latencies(peer, cell.load, latencies);
        }
    }
}

/// What does not vary from one repetition to the next.
fn measure_once(arguments: &Arguments, stage: &Stage, results: &mut Results) {
    for peer in peers(arguments)
        .into_iter()
        .filter(|peer| IDLE.contains(peer))
    {
        eprintln!("  idle {}", peer.name());
        results.add_idle(peer, idle(peer, stage));
    }
    if arguments.keys > 0 {
        eprintln!("  {} keys in a file", arguments.keys);
        results.add_many_keys(many_keys(arguments.keys, stage));
    }
    for (peer, load) in COUNTED {
        if peers(arguments).contains(&peer) {
            eprintln!("  instructions {} {}", load.name(), peer.name());
            results.add_instructions(peer, load, instructions(peer, load, stage));
        }
    }
}

/// Handlers are measured with small bodies and few connections: what differs there is the layer, not HTTP.
fn takes_part(peer: Peer, cell: Cell) -> bool {
    Peer::SERVERS.contains(&peer) || cell.body == Body::Small
}

fn has_latencies(cell: Cell) -> bool {
    cell.body == Body::Small && cell.connections == 32
}

fn cells(arguments: &Arguments) -> Vec<Cell> {
    let bodies: &[Body] = if arguments.quick {
        &[Body::Small]
    } else {
        &[Body::Small, Body::Large]
    };
    let mut cells = Vec::new();
    for load in [Load::Fresh, Load::Replay, Load::Unkeyed] {
        if !arguments.loads.is_empty() && !arguments.loads.contains(&load) {
            continue;
        }
        for &body in bodies {
            cells.extend(connections(arguments).iter().map(|&connections| Cell {
                load,
                body,
                connections,
            }));
        }
    }
    cells
}

fn connections(arguments: &Arguments) -> &[usize] {
    if arguments.quick {
        &[32]
    } else {
        &arguments.connections
    }
}

fn peers(arguments: &Arguments) -> Vec<Peer> {
    let all = Peer::SERVERS.into_iter().chain(Peer::HANDLERS);
    all.filter(|peer| arguments.only.is_empty() || arguments.only.contains(peer))
        .collect()
}

fn times(arguments: &Arguments) -> Times {
    if arguments.quick {
        return Times {
            warm_up: Duration::from_millis(200),
            measured: Duration::from_millis(700),
        };
    }
    let measured = Duration::from_secs_f64(arguments.seconds);
    Times {
        warm_up: measured / 4,
        measured,
    }
}

fn stage(arguments: &Arguments) -> Result<Stage> {
    let oncegate = arguments.oncegate.canonicalize();
    let express = arguments.express.canonicalize();
    fs::create_dir_all(&arguments.folder)?;
    Ok(Stage {
        oncegate: oncegate.with_context(|| format!("no {}", arguments.oncegate.display()))?,
        express: express.with_context(|| format!("no {}", arguments.express.display()))?,
        folder: arguments.folder.canonicalize()?,
        core_under_test: Core(arguments.core),
        core_of_load: Core(arguments.core_of_load),
        under: Vec::new(),
    })
}

/// Processes that are started inherit it: nobody is to fail for want of descriptors.
fn open_files_as_allowed() -> Result<()> {
    let (_soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(())
}

/// The tables of the last run, for whoever closed the terminal.
fn keep(tables: &str) -> Result<()> {
    let folder = Path::new("bench/results");
    fs::create_dir_all(folder)?;
    fs::write(folder.join("last.md"), tables)?;
    Ok(())
}

const IDLE: [Peer; 5] = [
    Peer::Nginx,
    Peer::HyperProxy,
    Peer::OncegateMemory,
    Peer::OncegateFile,
    Peer::ExpressSetNx,
];
/// Whose instructions are counted.
const COUNTED: [(Peer, Load); 4] = [
    (Peer::HyperProxy, Load::Unkeyed),
    (Peer::OncegateMemory, Load::Unkeyed),
    (Peer::OncegateMemory, Load::Fresh),
    (Peer::OncegateMemory, Load::Replay),
];
