//! Thousands of payments over a wire that breaks, by processes that are killed, through a proxy that is killed: each
//! happens once, and what is said of it is true.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use oncegate::key::{IdempotencyKey, KeyRules};
use oncegate::testing::SplitMix64;
use oncegate_client::journal::{Entry, Journal, Listed};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::cuts::{CUTS, Cuts};
use super::payer::{Heard, Keys, Orders, Payer, Report, Said};
use super::verdict::{Kind, act, faults, kind};
use crate::harness::{Execution, Proxy, Stage, post, send};

/// M-44 to M-47, M-10, M-14: whatever breaks, and whoever dies, every operation is executed once under one key, and
/// every outcome that a client reports is true: yes, no, and unknown only where the proxy does not know either.
#[tokio::test]
async fn every_operation_happens_once_whatever_is_cut_and_whoever_is_killed() {
    let ended = Ordeal::run(seed(), OPERATIONS, Keys::PerOperation).await;
    ended.must_be_without_fault();
    ended.must_have_been_an_ordeal();
}

/// The same ordeal finds out a client that makes its keys inside of the loop: without this, the test above shows
/// nothing.
#[tokio::test]
async fn a_client_that_makes_a_key_for_each_attempt_is_found_out() {
    let ended = Ordeal::run(seed(), FEW_OPERATIONS, Keys::PerAttempt).await;
    let twice = ended
        .faults
        .iter()
        .filter(|it| it.contains("was executed 2 times"));
    assert!(twice.count() > 0, "{:?}", ended.tally);
}

/// What runs.
struct Ordeal {
    stage: Stage,
    cuts: Cuts,
    operations: u32,
    keys: Keys,
    heard: Mutex<Tally>,
    over: watch::Sender<bool>,
}

/// What came of it.
struct Ended {
    faults: Vec<String>,
    tally: Tally,
    kept: PathBuf,
}

/// What was heard and done.
#[derive(Debug, Default)]
struct Tally {
    seed: u64,
    reports: Vec<Report>,
    /// Clients that were killed, and what they were executing then.
    kills: usize,
    struck: usize,
    /// Clients that met another one at the same operation.
    met: usize,
    /// Operations that a later process finished.
    resumed: usize,
    proxies_killed: usize,
    /// Operations whose outcome the proxy itself did not know, and an operator settled.
    settled: usize,
    cuts: Vec<usize>,
}

/// When a client is killed.
enum Fate {
    /// Once it has said so much.
    Said(u64),
    /// After so long, wherever it is then.
    After(Duration),
    /// Never.
    Lives,
}

impl Ordeal {
    async fn run(seed: u64, operations: u32, keys: Keys) -> Ended {
        println!("SEED={seed}");
        let mut random = SplitMix64::new(seed);
        let stage = Stage::with(act).await;
        // Without `wait` each duplicate of a slow payment would cost a second of waiting.
        let proxy = stage.proxy().set("in_flight=wait").start().await;
        let ordeal = Self {
            cuts: Cuts::before(proxy.listen, random.next_u64()).await,
            stage,
            operations,
            keys,
            heard: Mutex::new(Tally {
                seed,
                ..Tally::default()
            }),
            over: watch::Sender::new(false),
        };
        let run = ordeal.through_it(proxy, &mut random);
        let proxy = timeout(ORDEAL_MAX, run).await.expect("the ordeal ends");
        let unexplained = ordeal.settle(&proxy).await;
        ordeal.end(unexplained).await
    }

    /// Until every operation was heard of.
    async fn through_it(&self, proxy: Proxy, random: &mut SplitMix64) -> Proxy {
        let killing = SplitMix64::new(random.next_u64());
        let clients = (0..CLIENTS).map(|_| self.keep_paying(SplitMix64::new(random.next_u64())));
        let clients = async {
            join_all(clients).await;
            self.over.send_replace(true);
        };
        let (proxy, ()) = tokio::join!(self.keep_killing(proxy, killing), clients);
        self.cuts.heal();
        proxy
    }

    /// One client after the other, each killed at some moment.
    async fn keep_paying(&self, mut random: SplitMix64) {
        while let Some(operations) = self.choose(&mut random) {
            let fate = if random.chance(500) {
                Fate::Said(random.below(SAID_MAX))
            } else {
                Fate::After(Duration::from_millis(random.below(LIFE_MILLIS)))
            };
            let resume = random.chance(RESUMING_PER_MILLE);
            self.pay(operations, resume, fate).await;
        }
    }

    /// The proxy dies every now and then, in the middle of what it does.
    async fn keep_killing(&self, mut proxy: Proxy, mut random: SplitMix64) -> Proxy {
        let mut executed = 0;
        let mut over = self.over.subscribe();
        loop {
            executed += 50 + random.index(150);
            tokio::select! {
                _ = over.wait_for(|over| *over) => return proxy,
                () = self.stage.origin.executed_in_all(executed) => {}
            }
            proxy = proxy.kill().await.start().await;
            self.cuts.lead_to(proxy.listen);
            self.heard.lock().proxies_killed += 1;
        }
    }

    /// The next that nobody has been told of, in any order, and some of which all is known. Clients that run at the
    /// same time get the same ones.
    fn choose(&self, random: &mut SplitMix64) -> Option<Vec<u32>> {
        let heard = self.last_words();
        let unheard = (0..self.operations).filter(|it| !heard.contains_key(it));
        let mut chosen: Vec<u32> = unheard.take(WINDOW).collect();
        if chosen.is_empty() {
            return None;
        }
        for _ in 0..chosen.len() / 8 {
            let any = random.below(u64::from(self.operations));
            chosen.push(u32::try_from(any).unwrap());
        }
        for at in (1..chosen.len()).rev() {
            chosen.swap(at, random.index(at + 1));
        }
        Some(chosen)
    }

    /// A client that executes these, unless it dies.
    async fn pay(&self, operations: Vec<u32>, resume: bool, fate: Fate) {
        let orders = Orders {
            journal: self.journal(),
            to: self.cuts.address(),
            operations,
            keys: self.keys,
            resume,
        };
        let mut payer = Payer::spawn(&orders, &self.stage.folder().join("clients.log"));
        let (most, until) = match fate {
            Fate::Said(most) => (most, Instant::now() + ORDEAL_MAX),
            Fate::After(life) => (u64::MAX, Instant::now() + life),
            Fate::Lives => (u64::MAX, Instant::now() + ORDEAL_MAX),
        };
        let mut at_work = Vec::new();
        let mut said = 0;
        let mut alive = true;
        loop {
            tokio::select! {
                heard = payer.hear() => {
                    let Some(heard) = heard else { break };
                    said = u64::saturating_add(said, 1);
                    self.note(heard, &mut at_work);
                }
                () = sleep_until(until), if alive => said = most,
            }
            if alive && said >= most {
                alive = false;
                payer.kill().await;
            }
        }
        let status = payer.ended().await;
        let mut tally = self.heard.lock();
        if status.success() {
            assert!(at_work.is_empty(), "{at_work:?} came to no end");
        } else {
            assert!(!alive, "a client fell: {}", self.complaints());
            tally.kills += 1;
            tally.struck += at_work.len();
        }
    }

    fn note(&self, said: Said, at_work: &mut Vec<u32>) {
        let mut tally = self.heard.lock();
        match said {
            Said::Trying(number) => at_work.push(number),
            Said::InUse(number) => {
                tally.met += 1;
                at_work.retain(|it| *it != number);
            }
            Said::Ended(report) => {
                at_work.retain(|it| *it != report.operation);
                tally.resumed += usize::from(report.resumed);
                tally.reports.push(report);
            }
        }
    }

    /// What is unknown to the last is what the proxy does not know. An operator looks into the origin's book and
    /// settles it; then every operation has its end. Gives back what was unknown for no reason.
    async fn settle(&self, proxy: &Proxy) -> Vec<String> {
        let all: Vec<u32> = (0..self.operations).collect();
        self.pay(all.clone(), true, Fate::Lives).await;
        let mut at_proxy = unknown_at(proxy).await;
        let book = self.stage.origin.book();
        let mut unexplained = Vec::new();
        for (number, said) in self.last_words() {
            if said.outcome != Heard::Unknown || kind(number) == Kind::Busy {
                continue;
            }
            let Some(id) = at_proxy.remove(&key_digest(&said.key)) else {
                unexplained.push(format!("unknown, and the proxy knows it: {said:?}"));
                continue;
            };
            let ran = book.iter().find(|it| it.key.as_ref() == Some(&said.key));
            let request = match ran {
                Some(execution) => {
                    let status = if kind(number) == Kind::Declined {
                        402
                    } else {
                        201
                    };
                    let body = String::from_utf8_lossy(&execution.answer);
                    let outcome = json!({"status": status, "headers": {}, "body": body});
                    post(&format!("/keys/{id}/resolve"), outcome.to_string())
                }
                None => post(&format!("/keys/{id}/release"), "{}"),
            };
            let settled = send(proxy.admin, &request.header("Host", "localhost")).await;
            assert_eq!(settled.code(), 200, "{settled:?}");
            self.heard.lock().settled += 1;
        }
        self.pay(all, true, Fate::Lives).await;
        unexplained
    }

    async fn end(self, unexplained: Vec<String>) -> Ended {
        let book = self.stage.origin.book();
        let entries = entries(&self.journal()).await;
        let mut tally = self.heard.into_inner();
        let made = self.cuts.made();
        tally.cuts = CUTS
            .iter()
            .map(|cut| made.get(cut).copied().unwrap_or(0))
            .collect();
        let mut found = unexplained;
        found.extend(faults(self.operations, &book, &tally.reports, &entries));
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ordeal-{}", tally.seed));
        if !found.is_empty() {
            keep(&kept, self.stage.folder(), &found, &book, &tally);
        }
        println!("{tally}");
        Ended {
            faults: found,
            tally,
            kept,
        }
    }

    fn last_words(&self) -> HashMap<u32, Report> {
        let tally = self.heard.lock();
        let reports = tally.reports.iter();
        reports.map(|it| (it.operation, it.clone())).collect()
    }

    fn journal(&self) -> PathBuf {
        self.stage.folder().join("payments.journal")
    }

    fn complaints(&self) -> String {
        std::fs::read_to_string(self.stage.folder().join("clients.log")).unwrap()
    }
}

impl Ended {
    #[track_caller]
    fn must_be_without_fault(&self) {
        let some: Vec<_> = self.faults.iter().take(10).collect();
        let (many, seed) = (self.faults.len(), self.tally.seed);
        assert!(
            self.faults.is_empty(),
            "SEED={seed}: {many} faults, all books in {}: {some:#?}",
            self.kept.display()
        );
    }

    /// What did not happen shows nothing.
    #[track_caller]
    fn must_have_been_an_ordeal(&self) {
        let tally = &self.tally;
        assert!(tally.cuts.iter().all(|made| *made >= CUTS_MIN), "{tally}");
        assert!(
            tally.kills >= KILLS_MIN && tally.struck >= STRUCK_MIN,
            "{tally}"
        );
        assert!(tally.met > 0 && tally.resumed > 0, "{tally}");
        assert!(tally.proxies_killed > 1 && tally.settled > 0, "{tally}");
        assert!(tally.replayed() >= REPLAYED_MIN, "{tally}");
    }
}

impl Tally {
    /// Answers that an earlier attempt had made, and the proxy gave again.
    fn replayed(&self) -> usize {
        let replayed = self
            .reports
            .iter()
            .filter(|it| it.replayed && it.attempts > 0);
        replayed.count()
    }

    /// Yes, and no attempt brought the answer home.
    fn lost(&self) -> usize {
        let yes = self.reports.iter().filter(|it| it.outcome == Heard::Yes);
        yes.filter(|it| it.answer.is_none()).count()
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = |outcome| {
            self.reports
                .iter()
                .filter(|it| it.outcome == outcome)
                .count()
        };
        write!(
            f,
            "SEED={}: reports: {} yes ({} replayed, {} without their answer), {} no, {} unknown; cuts {:?}: {:?}; {} clients killed over {} \
             operations, {} finished by a later one, {} met another; {} proxies killed, {} unknown settled",
            self.seed,
            of(Heard::Yes),
            self.replayed(),
            self.lost(),
            of(Heard::No),
            of(Heard::Unknown),
            CUTS,
            self.cuts,
            self.kills,
            self.struck,
            self.resumed,
            self.met,
            self.proxies_killed,
            self.settled
        )
    }
}

/// The ids of what the proxy does not know, by the digests of their keys.
async fn unknown_at(proxy: &Proxy) -> HashMap<String, String> {
    let arguments = ["list", "--json", "--state", "unknown", "--limit", "100000"];
    let listed = proxy.keys(&arguments).await;
    let listed: Vec<Value> = serde_json::from_str(&listed.stdout).unwrap();
    let text = |record: &Value, name: &str| record[name].as_str().unwrap().to_owned();
    let records = listed.iter();
    records
        .map(|it| (text(it, "key_digest"), text(it, "id")))
        .collect()
}

fn key_digest(key: &str) -> String {
    let key = IdempotencyKey::parse(key.as_bytes(), &KeyRules::default()).unwrap();
    key.digest().to_string()
}

async fn entries(journal: &Path) -> Vec<Entry> {
    let listed = Journal::open(journal).unwrap().list().await.unwrap();
    let entries = listed.into_iter().map(|listed| match listed {
        Listed::Sound(entry) => *entry,
        Listed::Damaged { what } => panic!("{what}"),
    });
    entries.collect()
}

/// What a person needs who looks for the fault.
fn keep(folder: &Path, from: &Path, faults: &[String], book: &[Execution], tally: &Tally) {
    std::fs::create_dir_all(folder).unwrap();
    let write = |name, text: String| std::fs::write(folder.join(name), text).unwrap();
    write("faults.txt", faults.join("\n"));
    write("book.txt", format!("{book:#?}"));
    write("reports.txt", format!("{tally:#?}"));
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), folder.join(file.file_name())).unwrap();
        }
    }
}

/// The one that `SEED` names, to see a failure again, or another one each time.
pub(super) fn seed() -> u64 {
    let given = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| RandomState::new().build_hasher().finish())
}

const OPERATIONS: u32 = 2_000;
const FEW_OPERATIONS: u32 = 200;
/// Clients at a time.
const CLIENTS: usize = 3;
/// Operations that a client is given.
const WINDOW: usize = 100;
/// Clients that first finish what is open: all of it, each time.
const RESUMING_PER_MILLE: u32 = 250;
const SAID_MAX: u64 = 150;
const LIFE_MILLIS: u64 = 1_500;
const ORDEAL_MAX: Duration = Duration::from_secs(600);
/// What must have been seen.
const CUTS_MIN: usize = 100;
const KILLS_MIN: usize = 50;
const STRUCK_MIN: usize = 100;
const REPLAYED_MIN: usize = 200;
