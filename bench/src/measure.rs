//! One measurement: start a peer, warm it up, load it, hold its answers and executions against what they must be.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::cell::{Cell, Load};
use crate::load::{Body, Generator, Keys, Latencies};
use crate::peers::{Peer, Stage, Started};
use crate::process::executions;

/// What one measurement found.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Processor time of the process under test for each request.
    pub cpu: Duration,
    /// Processor time of Redis for each request, where there is one.
    pub cpu_beside: Option<Duration>,
    /// Requests in a second.
    pub throughput: f64,
    /// The most memory that the process under test had resident, in bytes.
    pub memory_peak: u64,
}

/// How long a measurement takes.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub warm_up: Duration,
    pub measured: Duration,
}

/// Loads a peer as fast as it can take it.
pub fn saturated(peer: Peer, cell: Cell, times: Times, stage: &Stage) -> Result<Measured> {
    let (started, mut generator) = prepare(peer, cell, stage)?;
    generator.closed_loop(times.warm_up, u64::MAX)?;
    let cpu_before = started.under_test.cpu()?;
    let beside_before = started
        .beside
        .as_ref()
        .map(|beside| beside.cpu())
        .transpose()?;
    let start = Instant::now();
    let answered = generator.closed_loop(times.measured, u64::MAX)?;
    let took = start.elapsed();
    let cpu = started.under_test.cpu()? - cpu_before;
    let beside = started
        .beside
        .as_ref()
        .map(|beside| beside.cpu())
        .transpose()?;
    let cpu_beside = beside
        .zip(beside_before)
        .map(|(after, before)| after - before);
    let memory_peak = started.under_test.memory_peak()?;
    settle(peer, cell, &started, &generator)?;
    let requests = u32::try_from(answered)?;
    Ok(Measured {
        cpu: cpu / requests,
        cpu_beside: cpu_beside.map(|cpu| cpu / requests),
        throughput: f64::from(requests) / took.as_secs_f64(),
        memory_peak,
    })
}

/// Loads a peer at a fixed rate and looks at how long answers take.
pub fn at_rate(
    peer: Peer,
    cell: Cell,
    rate: u32,
    times: Times,
    stage: &Stage,
) -> Result<Latencies> {
    let (started, mut generator) = prepare(peer, cell, stage)?;
    generator.fixed_rate(rate, times.warm_up)?;
    let latencies = generator.fixed_rate(rate, times.measured)?;
    settle(peer, cell, &started, &generator)?;
    Ok(latencies)
}

/// What a process needs when nothing is going on.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// Resident right after the start, in bytes.
    pub started: u64,
    /// Resident with [`IDLE_CONNECTIONS`] open, each of which has made one request, in bytes.
    pub connected: u64,
}

/// Looks at a peer's memory while nothing is going on.
pub fn idle(peer: Peer, stage: &Stage) -> Result<Idle> {
    clear(stage)?;
    let server = peer.start(stage)?;
    let started = server.under_test.memory()?;
    let mark = peer.mark(Load::Unkeyed);
    let mut generator = Generator::open(server.address, 0, Body::Small, Keys::Absent, mark)?;
    generator.open_more(server.address, IDLE_CONNECTIONS, Body::Small)?;
    Ok(Idle {
        started,
        connected: server.under_test.memory()?,
    })
}

/// What so many completed keys cost the file store.
#[derive(Clone, Copy, Debug)]
pub struct ManyKeys {
    /// How many there are.
    pub keys: u64,
    /// Resident when the last was completed, in bytes.
    pub filled: u64,
    /// From starting the process again to its first connection.
    pub reopened_in: Duration,
    /// Resident then, in bytes.
    pub reopened: u64,
}

/// Fills the file store with completed keys, and opens it again.
pub fn many_keys(keys: u64, stage: &Stage) -> Result<ManyKeys> {
    let peer = Peer::OncegateFile;
    let cell = Cell {
        load: Load::Fresh,
        body: Body::Small,
        connections: FILLING_CONNECTIONS,
    };
    let (started, mut generator) = prepare(peer, cell, stage)?;
    generator.closed_loop(FILLING_TIME_MAX, keys)?;
    ensure!(
        generator.sent() == keys,
        "the keys were not stored in {FILLING_TIME_MAX:?}"
    );
    settle(peer, cell, &started, &generator)?;
    let filled = started.under_test.memory()?;
    started.under_test.stop()?;
    let start = Instant::now();
    let again = peer.start(stage)?;
    let reopened_in = start.elapsed();
    // That it is the same store shows in its answers.
    let mark = peer.mark(Load::Replay);
    let mut generator = Generator::open(again.address, 1, cell.body, Keys::Known(keys), mark)?;
    generator.closed_loop(STORING_TIME_MAX, REPLAYED_KEYS)?;
    Ok(ManyKeys {
        keys,
        filled,
        reopened_in,
        reopened: again.under_test.memory()?,
    })
}

/// Counts the instructions of one request: of many, less those of fewer, so that starting does not count.
///
/// The kernel's are not among them.
pub fn instructions(peer: Peer, load: Load, stage: &Stage) -> Result<u64> {
    let fewer = instructions_of(peer, load, COUNTED_REQUESTS, stage)?;
    let more = instructions_of(peer, load, COUNTED_REQUESTS * 3, stage)?;
    let cost = more.checked_sub(fewer).context("more requests cost less")?;
    Ok(cost / (COUNTED_REQUESTS * 2))
}

fn instructions_of(peer: Peer, load: Load, requests: u64, stage: &Stage) -> Result<u64> {
    let said = stage.folder.with_extension("valgrind");
    let counting = [
        "valgrind",
        "--tool=cachegrind",
        "--cache-sim=no",
        "--cachegrind-out-file=/dev/null",
    ];
    let mut under: Vec<String> = counting.map(str::to_owned).to_vec();
    under.push(format!("--log-file={}", said.display()));
    let stage = Stage {
        under,
        ..stage.clone()
    };
    let cell = Cell {
        load,
        body: Body::Small,
        connections: COUNTED_CONNECTIONS,
    };
    let (started, mut generator) = prepare(peer, cell, &stage)?;
    generator.closed_loop(COUNTING_TIME_MAX, requests)?;
    settle(peer, cell, &started, &generator)?;
    started.under_test.stop()?;
    let said = fs::read_to_string(&said)?;
    let line = said
        .lines()
        .find(|line| line.contains(" I ") && line.contains("refs:"));
    let (_, count) = line
        .and_then(|line| line.split_once("refs:"))
        .context("valgrind gave no count")?;
    Ok(count.trim().replace(',', "").parse()?)
}

/// Starts the peer; where the load replays, the keys are stored first.
fn prepare(peer: Peer, cell: Cell, stage: &Stage) -> Result<(Started, Generator)> {
    clear(stage)?;
    let started = peer.start(stage)?;
    let (keys, mark_of_first) = match cell.load {
        Load::Fresh => (Keys::Fresh, peer.mark(Load::Fresh)),
        Load::Replay => (Keys::Known(REPLAYED_KEYS), peer.mark(Load::Fresh)),
        Load::Unkeyed => (Keys::Absent, peer.mark(Load::Unkeyed)),
    };
    let mut generator = Generator::open(
        started.address,
        cell.connections,
        cell.body,
        keys,
        mark_of_first,
    )?;
    if cell.load == Load::Replay {
        generator.closed_loop(STORING_TIME_MAX, REPLAYED_KEYS)?;
        ensure!(
            generator.sent() == REPLAYED_KEYS,
            "the keys were not stored in {STORING_TIME_MAX:?}"
        );
        generator.expect(peer.mark(Load::Replay));
    }
    Ok((started, generator))
}

/// An empty folder for one measurement.
pub fn clear(stage: &Stage) -> Result<()> {
    if stage.folder.exists() {
        fs::remove_dir_all(&stage.folder).context("cannot clear the folder of measurements")?;
    }
    fs::create_dir_all(&stage.folder)?;
    Ok(())
}

/// Every request executed once, or, where the load replays, every key.
fn settle(peer: Peer, cell: Cell, started: &Started, generator: &Generator) -> Result<()> {
    let expected = if peer.executes(cell.load) {
        generator.sent()
    } else {
        REPLAYED_KEYS
    };
    let counted = executions(started.counter).context("cannot read the count of executions")?;
    ensure!(
        counted == expected,
        "the origin executed {counted} times where it must {expected} times"
    );
    Ok(())
}

const REPLAYED_KEYS: u64 = 1_000;
const STORING_TIME_MAX: Duration = Duration::from_secs(20);
/// How many connections the idle figure is for.
pub const IDLE_CONNECTIONS: usize = 10_000;
const COUNTED_REQUESTS: u64 = 500;
const COUNTED_CONNECTIONS: usize = 8;
const COUNTING_TIME_MAX: Duration = Duration::from_secs(60);
const FILLING_CONNECTIONS: usize = 256;
const FILLING_TIME_MAX: Duration = Duration::from_secs(3600);
