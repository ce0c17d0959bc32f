//! SIGKILL at random moments under load, a hundred times, on one store file.
//!
//! Clients go on over all of it, with new keys and with each other's. The origin's own book, and every answer that a
//! client read to its end, are what the proxy is judged by; the seed of a run is printed.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use oncegate::testing::SplitMix64;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::harness::{Act, Answer, Execution, Proxy, Stage, Wire, pay, poll_until, within};

/// M-14, M-10, M-41, M-22: whatever the moment of the kill, no key is executed twice, no answer that was read to its
/// end is ever answered differently, and every key settles.
#[tokio::test]
async fn no_moment_of_a_kill_makes_a_key_run_twice_or_an_answer_change() {
    let seed = seed();
    println!("SEED={seed}");
    let mut random = SplitMix64::new(seed);
    let stage = Stage::with(slow_or_not).await;
    let load = Arc::new(Load::default());
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(client(
            Arc::clone(&load),
            SplitMix64::new(random.next_u64()),
        ));
    }

    let mut setup = stage.proxy();
    for _ in 0..KILLS {
        if random.chance(DIES_YOUNG_PER_MILLE) {
            // In the middle of opening the store, or of making dead holders unknown.
            setup
                .die_young(Duration::from_millis(random.below(YOUNG_MILLIS)))
                .await;
        }
        let proxy = setup.start().await;
        load.phase.send_replace(Phase::At(proxy.listen));
        // Not to wait for something: this is the random moment.
        sleep(Duration::from_millis(random.below(LIFE_MILLIS))).await;
        setup = proxy.kill().await;
    }
    load.phase.send_replace(Phase::Over);
    within("the clients", async {
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
    })
    .await;

    let proxy = setup.start().await;
    let seen = load.seen.lock().clone();
    let settled = settle(&proxy, &seen, &stage).await;
    println!("{} keys: {settled:?}", seen.len());
    assert!(
        seen.values().flatten().count() > 0 && settled.replayed > 0,
        "the load got through"
    );
    assert!(
        settled.unknown > 0,
        "no kill struck an execution: this shows nothing"
    );
}

/// Where the clients are to go.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Phase {
    #[default]
    Before,
    At(SocketAddr),
    Over,
}

/// What all clients share.
#[derive(Default)]
struct Load {
    phase: watch::Sender<Phase>,
    /// Every key that was sent, and the first whole answer to it that says what came of it.
    seen: Mutex<HashMap<String, Option<Answer>>>,
    /// The keys in the order of their first use.
    order: Mutex<Vec<String>>,
}

impl Load {
    /// A new key, one that others are at work with, or an old one.
    fn choose(&self, random: &mut SplitMix64) -> String {
        let mut order = self.order.lock();
        if order.is_empty() || random.chance(NEW_PER_MILLE) {
            let key = format!("key-{}", order.len());
            order.push(key.clone());
            self.seen.lock().insert(key.clone(), None);
            return key;
        }
        let from = if random.chance(OLD_PER_MILLE) {
            0
        } else {
            order.len().saturating_sub(RECENT)
        };
        let among = order.len() - from;
        order[from + random.index(among)].clone()
    }

    fn known(&self, key: &str) -> Option<Answer> {
        self.seen.lock().get(key).cloned().flatten()
    }

    /// Judges a whole answer by what was `known` before its request was sent.
    fn judge(&self, key: &str, known: Option<&Answer>, answer: Answer) {
        if let Some(first) = known {
            return answer.must_replay(first);
        }
        match (answer.code(), answer.became(), answer.slug().as_str()) {
            (201, "executed" | "replayed", "") => {
                let mut seen = self.seen.lock();
                let first = seen
                    .get_mut(key)
                    .unwrap()
                    .get_or_insert_with(|| answer.clone());
                assert_eq!(answer.body(), first.body(), "{key}");
            }
            (409, "refused", "in-flight" | "outcome-unknown") => {}
            _ => panic!("no honest answer to {key}: {answer:?}"),
        }
    }
}

/// Sends on one connection until it breaks, then goes where the next proxy is.
async fn client(load: Arc<Load>, mut random: SplitMix64) {
    let mut phase = load.phase.subscribe();
    let mut before = Phase::Before;
    loop {
        let next = *phase.wait_for(|phase| *phase != before).await.unwrap();
        before = next;
        let Phase::At(address) = next else { return };
        let Ok(mut wire) = Wire::connect(address).await else {
            continue;
        };
        while *phase.borrow() == next {
            let key = load.choose(&mut random);
            let known = load.known(&key);
            if wire.write(pay(&key).bytes()).await.is_err() {
                break;
            }
            match within("an answer or a kill", wire.read_answer()).await {
                Ok(answer) => load.judge(&key, known.as_ref(), Answer(answer)),
                Err(_killed) => break,
            }
        }
    }
}

/// How the keys ended.
#[derive(Debug, Default)]
struct Settled {
    replayed: usize,
    unknown: usize,
    executed: usize,
}

/// Sends each key again, and holds what comes against the origin's book and what clients saw.
async fn settle(proxy: &Proxy, seen: &HashMap<String, Option<Answer>>, stage: &Stage) -> Settled {
    let mut settled = Settled::default();
    let mut ends = HashMap::new();
    for (key, first) in seen {
        let answer = poll_until("a key that settles", || async {
            let answer = proxy.send(&pay(key)).await;
            (answer.slug() != "in-flight").then_some(answer)
        })
        .await;
        if let Some(first) = first {
            answer.must_replay(first);
        }
        match answer.became() {
            "replayed" => settled.replayed += 1,
            "executed" => settled.executed += 1,
            _ => {
                answer.must_be_problem(409, "outcome-unknown", "maybe", "same-key");
                settled.unknown += 1;
            }
        }
        ends.insert(key.as_str(), answer);
    }
    let book = stage.origin.book();
    let mut by_key: HashMap<&str, &Execution> = HashMap::new();
    for execution in &book {
        let key = execution.key.as_deref().unwrap();
        assert!(
            by_key.insert(key, execution).is_none(),
            "{key} was executed twice"
        );
    }
    for (key, answer) in ends.into_iter().filter(|(_, answer)| answer.code() == 201) {
        assert_eq!(answer.body(), by_key[key].answer, "{key}");
    }
    settled
}

/// Some executions are over at once, others take long enough to be struck in the middle.
fn slow_or_not(key: &str) -> Act {
    let number: u64 = key.trim_start_matches("key-").parse().unwrap_or(0);
    match number % 4 {
        0 => Act::Create,
        rest => Act::CreateAfter(Duration::from_millis(number * 7 % 13 * rest)),
    }
}

/// The one that `SEED` names, to see a failure again, or another one each time.
fn seed() -> u64 {
    let given = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| RandomState::new().build_hasher().finish())
}

const KILLS: usize = 100;
const CLIENTS: usize = 6;
const LIFE_MILLIS: u64 = 250;
const DIES_YOUNG_PER_MILLE: u32 = 100;
const YOUNG_MILLIS: u64 = 60;
const NEW_PER_MILLE: u32 = 300;
const OLD_PER_MILLE: u32 = 150;
const RECENT: usize = 8;
