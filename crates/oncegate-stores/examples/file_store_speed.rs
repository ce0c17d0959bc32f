//! How fast the file store is on this machine: claims and completions at 32 and 256 waiting tasks,
//! and a re-opening.
//!
//! `cargo run --release -p oncegate-stores --example file_store_speed -- [DIRECTORY] [PAIRS]
//! [RECORDS]`; under `taskset -c 0` it has one core, as the proxy has in the bench.
#![expect(clippy::print_stdout, reason = "a measurement is for people to read")]
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that fails has nothing to say"
)]
#![expect(clippy::disallowed_methods, reason = "real time is what is measured")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method, StatusCode};
use oncegate::Store;
use oncegate::fingerprint::{FINGERPRINT_BYTES, Fingerprint};
use oncegate::hash::RecordId;
use oncegate::key::KeyDigest;
use oncegate::record::{About, OwnerId, Retention};
use oncegate::response::StoredResponse;
use oncegate::store::{Change, Expect, NewRecord, Update};
use oncegate_stores::{Durability, FileOptions, FileStore};

/// How many tasks wait at once: the connections of the bench.
const TASKS: [u64; 2] = [32, 256];
const BODY_BYTES: usize = 100;
const KEPT: Retention = Retention {
    live: Duration::from_secs(86_400),
    tombstone: Duration::from_secs(86_400),
};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().unwrap_or_else(|| ".".to_owned());
    let pairs = arguments
        .next()
        .map_or(500_000, |pairs| pairs.parse().unwrap());
    let records = arguments
        .next()
        .map_or(1_000_000, |records| records.parse().unwrap());
    let directory = tempfile::tempdir_in(directory).unwrap();
    for durability in [Durability::Power, Durability::Process] {
        for tasks in TASKS {
            let path = directory.path().join(format!("{durability:?}-{tasks}.db"));
            let store = open(&path, durability);
            let title = format!("claim + complete, {durability:?}, {tasks} waiting");
            run(&store, tasks, pairs, &title);
            replays(&store, tasks, pairs);
        }
    }
    reopening(&directory.path().join("large.db"), records);
}

fn open(path: &Path, durability: Durability) -> Arc<FileStore> {
    let mut options = FileOptions::default();
    options.durability = durability;
    Arc::new(FileStore::open_with(path, options).unwrap())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap()
}

/// Claims and completes `pairs` new keys from so many tasks.
fn run(store: &Arc<FileStore>, tasks: u64, pairs: u64, title: &str) {
    let (commits, cpu, started) = (store.commits(), Cpu::now(), Instant::now());
    let step = usize::try_from(tasks).unwrap();
    runtime().block_on(async {
        let tasks: Vec<_> = (0..tasks)
            .map(|task| {
                let store = Arc::clone(store);
                tokio::spawn(async move {
                    for number in (task..pairs).step_by(step) {
                        pair(&*store, number).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu.since());
    let commits = store.commits() - commits;
    println!(
        "{title}: {:.0} pairs/s, {}, {:.0} commits/s of {:.1} writes",
        pairs as f64 / seconds,
        cpu.each(pairs),
        commits as f64 / seconds,
        2.0 * pairs as f64 / commits as f64,
    );
}

async fn pair(store: &dyn Store, number: u64) {
    let id = id(number);
    let owner = OwnerId::random();
    let new = NewRecord {
        id,
        owner,
        fingerprint: Fingerprint::from_bytes([7; FINGERPRINT_BYTES]),
        about: About::new(KeyDigest::from_bytes([7; 8]), &Method::POST, "/payments"),
        lease: Duration::from_secs(30),
        unknown: KEPT,
    };
    store.insert(new).await.unwrap();
    let headers = HeaderMap::new();
    let body = [7; BODY_BYTES];
    let response = StoredResponse::kept(StatusCode::CREATED, &headers, None, &body, &headers);
    let change = Change::Complete {
        response,
        retention: KEPT,
    };
    let done = store
        .update(
            id,
            Expect {
                owner,
                revision: None,
            },
            change,
        )
        .await
        .unwrap();
    assert!(matches!(done.value, Update::Applied(Some(_))));
}

/// Looks at completed keys from so many tasks.
fn replays(store: &Arc<FileStore>, tasks: u64, pairs: u64) {
    let (cpu, started) = (Cpu::now(), Instant::now());
    let step = usize::try_from(tasks).unwrap();
    runtime().block_on(async {
        let tasks: Vec<_> = (0..tasks)
            .map(|task| {
                let store = Arc::clone(store);
                tokio::spawn(async move {
                    for number in (task..pairs).step_by(step) {
                        assert!(store.get(id(number)).await.unwrap().value.is_some());
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu.since());
    println!(
        "look at a completed one: {:.0}/s, {}",
        pairs as f64 / seconds,
        cpu.each(pairs),
    );
}

fn reopening(path: &Path, records: u64) {
    let store = open(path, Durability::Process);
    run(&store, 256, records, &format!("filling {records} records"));
    let started = Instant::now();
    drop(store);
    println!("closing: {:.3} s", started.elapsed().as_secs_f64());
    let before = resident_kib();
    let (cpu, started) = (Cpu::now(), Instant::now());
    let store = open(path, Durability::Power);
    println!(
        "re-opening {records} records ({} MB): {:.3} s, {}; resident {before} -> {} KiB",
        std::fs::metadata(path).unwrap().len() / 1_000_000,
        started.elapsed().as_secs_f64(),
        cpu.since().each(records),
        resident_kib(),
    );
    drop(store);
}

fn id(number: u64) -> RecordId {
    let mut bytes = [0x5a; 32];
    // As spread as a hash.
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    RecordId::from_bytes(bytes)
}

/// Microseconds of CPU that this process has used, in itself and in the kernel; 0 where there is no
/// `/proc`.
#[derive(Clone, Copy)]
struct Cpu {
    user: f64,
    kernel: f64,
}

impl Cpu {
    fn now() -> Self {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or("")
            .split_whitespace()
            .collect();
        let micros = |at: usize| {
            let ticks = fields.get(at).and_then(|text| text.parse::<f64>().ok());
            ticks.unwrap_or(0.0) * 1e4
        };
        Self {
            user: micros(11),
            kernel: micros(12),
        }
    }

    fn since(self) -> Self {
        let now = Self::now();
        Self {
            user: now.user - self.user,
            kernel: now.kernel - self.kernel,
        }
    }

    fn each(self, times: u64) -> String {
        let (user, kernel) = (self.user / times as f64, self.kernel / times as f64);
        format!(
            "{:.2} us of CPU each, {kernel:.2} of it the kernel's",
            user + kernel
        )
    }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap_or("");
    line.split_whitespace()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}
