//! A run: the fleet, its store, the clients, and what strikes them; then calm, until every key is settled; then the
//! checker.

use std::fmt::Write;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use oncegate::testing::SplitMix64;
use tokio::time::{Instant, sleep};

use super::checker::{Contract, Finding, Kind, check};
use super::load::{Load, PATHS};
use super::logs::{Logs, Micros};
use super::origin::Origin;
use super::servers::Ground;
use super::tally::Tally;
use crate::harness::{Proxy, Setup, Stage, within};

/// What is tried.
#[derive(Clone, Copy)]
pub(super) struct Fire {
    /// Names the folder that keeps the logs.
    pub(super) name: &'static str,
    pub(super) reexecutes: bool,
    /// How long, at the least: a run in which too little happened goes on, so many times as long at most.
    pub(super) round: Duration,
}

/// What came of it.
pub(super) struct Burnt {
    pub(super) findings: Vec<Finding>,
    lacking: Vec<&'static str>,
    told: String,
}

impl Fire {
    /// Burns on `ground`, which proxies reach at `url`.
    pub(super) async fn burn(self, stage: &Stage, url: &str, ground: impl Ground) -> Burnt {
        let seed = seed();
        println!("SEED={seed}");
        let random = SplitMix64::new(seed);
        let began = Instant::now();
        let origin = Origin::start(began).await;
        let load = Load::on(PROXIES, began);
        let setup = self.setup(stage, url, &origin);
        let fleet = Fleet::start(&setup, Arc::clone(&load)).await;
        self.burning(fleet, ground, &origin, seed, random).await
    }

    async fn burning(
        self,
        mut fleet: Fleet,
        mut ground: impl Ground,
        origin: &Origin,
        seed: u64,
        mut random: SplitMix64,
    ) -> Burnt {
        let load = Arc::clone(&fleet.load);
        let logs = || Logs {
            executions: origin.log(),
            attempts: load.log(),
        };
        let mut strikes = Strikes::default();
        let clients = load.clients(&mut random);
        for _round in 0..ROUNDS_MAX {
            let end = Instant::now() + self.round;
            let store = SplitMix64::new(random.next_u64());
            let (on_fleet, on_store) = tokio::join!(
                fleet.struck(end, &mut random),
                struck(&mut ground, end, store)
            );
            strikes = strikes.and(on_fleet).and(on_store);
            if Tally::of(&logs()).lacks(self.reexecutes).is_empty() {
                break;
            }
        }
        load.end(clients).await;
        load.settle().await;
        let logs = logs();
        let folder = self.folder();
        logs.save(&folder);
        fleet.save(&folder);
        self.judge(&logs, strikes, seed, &folder)
    }

    fn judge(self, logs: &Logs, strikes: Strikes, seed: u64, folder: &Path) -> Burnt {
        let tally = Tally::of(logs);
        let findings = check(logs, &self.contract());
        let mut told = format!(
            "SEED={seed}, logs in {}\n{strikes:?}\n{tally:?}\n",
            folder.display()
        );
        for finding in findings.iter().take(SHOWN_MAX) {
            writeln!(told, "{finding}").unwrap();
        }
        println!("{told}");
        let mut lacking = tally.lacks(self.reexecutes);
        if strikes.killed < PROXIES || strikes.paused == 0 || strikes.restarted == 0 {
            lacking.push("strikes");
        }
        Burnt {
            findings,
            lacking,
            told,
        }
    }

    const fn contract(self) -> Contract {
        Contract {
            reexecutes: self.reexecutes,
            lease: LEASE_MILLIS * 1_000,
            patience: PATIENCE_MILLIS * 1_000,
        }
    }

    fn setup(self, stage: &Stage, url: &str, origin: &Origin) -> Setup {
        let [at_once, waiting] = PATHS;
        let routes = format!(
            "[[route]]\nmatch = 'POST {at_once}'\nkey = 'required'\n\
             [[route]]\nmatch = 'POST {waiting}'\nkey = 'required'\n\
             in_flight = 'wait'\nwait_timeout = '2s'\n"
        );
        let file = stage.write("fleet.toml", &routes);
        let on_unknown = if self.reexecutes {
            "reexecute"
        } else {
            "refuse"
        };
        stage
            .proxy_before(&format!("http://{}", origin.address))
            .flag("--store", url)
            .flag("--config", file.to_str().unwrap())
            .set(&format!("lease={LEASE_MILLIS}ms"))
            .set(&format!("on_unknown={on_unknown}"))
            .set("store_timeout=1s")
            .set("complete_timeout=1s")
            // Some executions take longer, and longer than a lease.
            .set("answer_timeout=2500ms")
    }

    /// Where the logs of the last run of this name are.
    fn folder(self) -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fleet");
        let folder = folder.join(self.name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }
}

impl Burnt {
    /// Nothing is broken, and enough happened to see it.
    #[track_caller]
    pub(super) fn must_be_whole(&self) {
        assert!(self.findings.is_empty(), "{}", self.told);
        let Self { lacking, told, .. } = self;
        assert!(lacking.is_empty(), "too few {lacking:?}\n{told}");
    }

    /// What ran twice, or was answered in two ways, was found.
    #[track_caller]
    pub(super) fn must_be_broken(&self) {
        let grave = [Kind::ExecutedTwice, Kind::TwoAnswers, Kind::Forgotten];
        let found = self.findings.iter().any(|one| grave.contains(&one.kind));
        assert!(found, "{}", self.told);
    }
}

/// What was done to proxies and store.
#[derive(Clone, Copy, Debug, Default)]
struct Strikes {
    killed: usize,
    stopped: usize,
    paused: usize,
    restarted: usize,
}

impl Strikes {
    const fn and(self, other: Self) -> Self {
        Self {
            killed: self.killed + other.killed,
            stopped: self.stopped + other.stopped,
            paused: self.paused + other.paused,
            restarted: self.restarted + other.restarted,
        }
    }
}

/// The proxies, and where clients find them.
struct Fleet {
    proxies: Vec<Proxy>,
    load: Arc<Load>,
    /// What those that are dead have logged.
    logged: String,
}

impl Fleet {
    async fn start(setup: &Setup, load: Arc<Load>) -> Self {
        let mut proxies = Vec::new();
        for place in 0..PROXIES {
            let proxy = setup.start().await;
            load.is_at(place, Some(proxy.listen));
            proxies.push(proxy);
        }
        Self {
            proxies,
            load,
            logged: String::new(),
        }
    }

    /// One after another is killed and started again, or stopped for a while, until `end`.
    async fn struck(&mut self, end: Instant, random: &mut SplitMix64) -> Strikes {
        let mut strikes = Strikes::default();
        while Instant::now() < end {
            // Neither here nor below to wait for something: these are the random moments.
            sleep(Duration::from_millis(random.below(BETWEEN_KILLS_MILLIS))).await;
            let proxy = self.proxies.remove(0);
            let stopped = random.chance(STOPPED_PER_MILLE);
            if stopped {
                strikes.stopped += 1;
                proxy.signal("STOP").await;
                sleep(Duration::from_millis(random.below(STOPPED_MILLIS))).await;
            }
            // Some never go on.
            let proxy = if stopped && random.chance(GOES_ON_PER_MILLE) {
                proxy.signal("CONT").await;
                proxy
            } else {
                strikes.killed += 1;
                self.replaced(proxy).await
            };
            self.proxies.push(proxy);
        }
        strikes
    }

    /// Kills it, and has another one take its place.
    async fn replaced(&mut self, proxy: Proxy) -> Proxy {
        let place = self.load.place_of(proxy.listen);
        self.load.is_at(place, None);
        self.logged.push_str(&proxy.logged());
        let setup = proxy.kill().await;
        let proxy = within("a proxy that starts", async {
            loop {
                // Without its store it does not start.
                match setup.try_start().await {
                    Ok(proxy) => return proxy,
                    Err(log) => self.logged.push_str(&log),
                }
            }
        })
        .await;
        self.load.is_at(place, Some(proxy.listen));
        proxy
    }

    /// Writes what all of them logged into `folder`.
    fn save(&self, folder: &Path) {
        let living: String = self.proxies.iter().map(Proxy::logged).collect();
        let logged = [self.logged.as_str(), &living].concat();
        std::fs::write(folder.join("proxies.log"), logged).unwrap();
    }
}

/// The store is paused and restarted, until `end`; it is up then.
async fn struck(ground: &mut impl Ground, end: Instant, mut random: SplitMix64) -> Strikes {
    let mut strikes = Strikes::default();
    while Instant::now() < end {
        sleep(Duration::from_millis(random.below(BETWEEN_PAUSES_MILLIS))).await;
        ground.turn();
        // One of each comes first: chance alone left out the restarts once in a while.
        let may_restart = strikes.paused > 0;
        let has_to = may_restart && strikes.restarted == 0;
        if !may_restart || (!has_to && random.chance(PAUSED_PER_MILLE)) {
            strikes.paused += 1;
            ground.stop().await;
            sleep(Duration::from_millis(random.below(PAUSED_MILLIS))).await;
            ground.go_on().await;
        } else {
            strikes.restarted += 1;
            ground.restart().await;
        }
    }
    strikes
}

/// The one that `SEED` names, or another one each time.
fn seed() -> u64 {
    let given = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| RandomState::new().build_hasher().finish())
}

const PROXIES: usize = 3;
const ROUNDS_MAX: usize = 3;
const SHOWN_MAX: usize = 20;
const LEASE_MILLIS: Micros = 2_000;
/// Longer than the store is ever paused, and longer than a machine is ever that busy.
const PATIENCE_MILLIS: Micros = 15_000;
const BETWEEN_KILLS_MILLIS: u64 = 1_200;
const STOPPED_PER_MILLE: u32 = 300;
/// Up to about twice a lease.
const STOPPED_MILLIS: u64 = 4_500;
const GOES_ON_PER_MILLE: u32 = 800;
const BETWEEN_PAUSES_MILLIS: u64 = 6_000;
const PAUSED_PER_MILLE: u32 = 600;
const PAUSED_MILLIS: u64 = 3_500;
