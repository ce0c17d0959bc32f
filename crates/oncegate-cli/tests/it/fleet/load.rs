//! The clients: they ask under colliding keys, at whichever proxy is there, and log every attempt.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use oncegate::testing::SplitMix64;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::logs::{Attempt, Outcome, Told};
use super::origin::micros;
use crate::harness::{Answer, Request, Wire, post, try_send, within};

/// What all clients share.
pub(super) struct Load {
    began: Instant,
    /// Where the proxies are; none while one is dead.
    addresses: Mutex<Vec<Option<SocketAddr>>>,
    log: Mutex<Vec<Attempt>>,
    attempts: AtomicU64,
    keys: AtomicU64,
    is_over: AtomicBool,
}

impl Load {
    pub(super) fn on(proxies: usize, began: Instant) -> Arc<Self> {
        Arc::new(Self {
            began,
            addresses: Mutex::new(vec![None; proxies]),
            log: Mutex::default(),
            attempts: AtomicU64::new(0),
            keys: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        })
    }

    /// Where a proxy is from now on.
    pub(super) fn is_at(&self, proxy: usize, address: Option<SocketAddr>) {
        self.addresses.lock()[proxy] = address;
    }

    /// The place of the proxy that is there.
    pub(super) fn place_of(&self, address: SocketAddr) -> usize {
        let addresses = self.addresses.lock();
        let place = addresses.iter().position(|known| *known == Some(address));
        place.expect("it was told where it is")
    }

    pub(super) fn log(&self) -> Vec<Attempt> {
        self.log.lock().clone()
    }

    /// Clients that ask until it is over, or they have asked often enough.
    pub(super) fn clients(self: &Arc<Self>, random: &mut SplitMix64) -> JoinSet<()> {
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let random = SplitMix64::new(random.next_u64());
            clients.spawn(client(Arc::clone(self), random));
        }
        clients
    }

    /// Lets the clients end what they have begun: what is sent stands in the log.
    pub(super) async fn end(&self, clients: JoinSet<()>) {
        self.is_over.store(true, Ordering::Relaxed);
        within("the clients", clients.join_all()).await;
    }

    /// Asks for each key until it is told something else than that it is in flight, or that the store is not there.
    /// What is never told has its end too: it stands in the log.
    pub(super) async fn settle(self: &Arc<Self>) {
        let keys = self.keys.load(Ordering::Relaxed);
        let next = Arc::new(AtomicU64::new(0));
        let mut settling = JoinSet::new();
        for _ in 0..SETTLERS {
            let (load, next) = (Arc::clone(self), Arc::clone(&next));
            settling.spawn(async move {
                loop {
                    let key = next.fetch_add(1, Ordering::Relaxed);
                    if key >= keys {
                        return;
                    }
                    load.settle_key(key).await;
                }
            });
        }
        settling.join_all().await;
    }

    async fn settle_key(&self, key: u64) {
        let until = Instant::now() + SETTLE_TIMEOUT;
        for turn in 0.. {
            let told = self.ask(turn, key, AMOUNT, Patience::Whole).await;
            let is_open = told.is_none_or(|told| {
                matches!(
                    told.slug.as_str(),
                    "in-flight" | "store-unavailable" | "overloaded"
                )
            });
            if !is_open || Instant::now() > until {
                return;
            }
            sleep(SETTLE_PAUSE).await;
        }
    }

    /// A new key, one that others are at work with, or an old one.
    fn choose(&self, random: &mut SplitMix64) -> u64 {
        if random.chance(NEW_PER_MILLE) {
            return self.keys.fetch_add(1, Ordering::Relaxed);
        }
        let keys = self.keys.load(Ordering::Relaxed).max(1);
        let among = if random.chance(OLD_PER_MILLE) {
            keys
        } else {
            keys.min(RECENT)
        };
        keys - 1 - random.below(among)
    }

    /// One attempt, at one of the proxies that are there, and a line in the log.
    async fn ask(&self, turn: usize, key: u64, amount: u64, patience: Patience) -> Option<Told> {
        let there: Vec<SocketAddr> = self.addresses.lock().iter().flatten().copied().collect();
        let to = *there.get(turn % there.len().max(1))?;
        let number = self.attempts.fetch_add(1, Ordering::Relaxed);
        let body = format!("{{\"amount\":{amount}}}");
        let path = PATHS[usize::try_from(key % 2).unwrap()];
        let request = post(path, body.clone())
            .header("Idempotency-Key", &format!("key-{key}"))
            .header("X-Attempt", &number.to_string());
        let sent_at = micros(self.began);
        let outcome = match patience {
            Patience::Whole => asked(to, &request).await,
            Patience::Leaves(after) => leaves(to, &request, after).await,
        };
        let attempt = Attempt {
            number,
            key: format!("key-{key}"),
            request: body,
            sent_at,
            ended_at: micros(self.began),
            outcome,
        };
        let told = attempt.told().cloned();
        self.log.lock().push(attempt);
        told
    }
}

/// How long a client stays.
#[derive(Clone, Copy)]
enum Patience {
    Whole,
    Leaves(Duration),
}

async fn client(load: Arc<Load>, mut random: SplitMix64) {
    for _ in 0..ATTEMPTS_MAX {
        if load.is_over.load(Ordering::Relaxed) {
            return;
        }
        // Not to wait for something: so many requests in a second.
        sleep(Duration::from_millis(random.below(PAUSE_MILLIS))).await;
        let key = load.choose(&mut random);
        let another = random.chance(MISMATCHES_PER_MILLE);
        let amount = if another { OTHER_AMOUNT } else { AMOUNT };
        let patience = if random.chance(LEAVES_PER_MILLE) {
            Patience::Leaves(Duration::from_millis(random.below(STAYS_MILLIS)))
        } else {
            Patience::Whole
        };
        load.ask(random.index(PROXIES_MAX), key, amount, patience)
            .await;
    }
}

async fn asked(to: SocketAddr, request: &Request) -> Outcome {
    match timeout(ANSWER_TIMEOUT, try_send(to, request)).await {
        Ok(Ok(answer)) => Outcome::Answer(told(&answer)),
        Ok(Err(error)) => Outcome::Broken(error.to_string()),
        Err(_elapsed) => Outcome::Broken("no answer".to_owned()),
    }
}

/// Sends all of it, and goes away.
async fn leaves(to: SocketAddr, request: &Request, after: Duration) -> Outcome {
    let sending = async {
        let mut wire = Wire::connect(to).await?;
        wire.write(request.bytes()).await?;
        sleep(after).await;
        std::io::Result::Ok(())
    };
    match sending.await {
        Ok(()) => Outcome::Left,
        Err(error) => Outcome::Broken(error.to_string()),
    }
}

fn told(answer: &Answer) -> Told {
    let status = answer.header("idempotency-status").unwrap_or_default();
    let fence = status.split(';').find_map(|part| {
        let number = part.trim().strip_prefix("fence=\"")?.strip_suffix('"')?;
        number.parse().ok()
    });
    Told {
        status: answer.code(),
        became: answer.became().to_owned(),
        fence,
        slug: answer.slug(),
        body: answer.text(),
    }
}

/// Duplicates of the second wait: see the configuration of the fleet.
pub(super) const PATHS: [&str; 2] = ["/payments", "/orders"];
const CLIENTS: usize = 32;
/// What a client may ask in all.
const ATTEMPTS_MAX: usize = 3_000;
/// A number for choosing among the proxies that are there.
const PROXIES_MAX: usize = 60;
const PAUSE_MILLIS: u64 = 120;
const NEW_PER_MILLE: u32 = 150;
const OLD_PER_MILLE: u32 = 150;
const RECENT: u64 = 16;
const AMOUNT: u64 = 100;
const OTHER_AMOUNT: u64 = 200;
const MISMATCHES_PER_MILLE: u32 = 15;
const LEAVES_PER_MILLE: u32 = 40;
const STAYS_MILLIS: u64 = 60;
/// Longer than a proxy is stopped for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const SETTLERS: usize = 12;
const SETTLE_PAUSE: Duration = Duration::from_millis(100);
/// Longer than the checker allows a key to be in flight after its holder died.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);
