//! The store suite: the contract of [`Store`], one named test for each rule.
//!
//! A store passes by expanding the macros in a test binary of its own:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use oncegate::clock::{ManualClock, Timestamp};
//! use oncegate::testing::store_suite::{SuiteInspect, SuiteStore};
//! use oncegate::{Inspect, MEMORY_BYTES_MAX, MemoryStore, Store};
//!
//! struct Fresh {
//!     clock: Arc<ManualClock>,
//!     store: Arc<MemoryStore>,
//! }
//!
//! impl SuiteStore for Fresh {
//!     fn store(&self) -> Arc<dyn Store> {
//!         self.store.clone()
//!     }
//!     fn advance(&self, by: Duration) {
//!         self.clock.advance(by);
//!     }
//!     fn wakes_watchers(&self) -> bool {
//!         true
//!     }
//! }
//!
//! impl SuiteInspect for Fresh {
//!     fn inspect(&self) -> Arc<dyn Inspect> {
//!         self.store.clone()
//!     }
//! }
//!
//! fn fresh() -> Fresh {
//!     let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_700_000_000_000_000)));
//!     let store = Arc::new(MemoryStore::with(clock.clone(), MEMORY_BYTES_MAX));
//!     Fresh { clock, store }
//! }
//!
//! fn block_on<F: Future>(future: F) -> F::Output {
//!     tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
//! }
//!
//! // Each in a module of its own: they expand to `#[test]` functions named after the rules.
//! mod store {
//!     oncegate::testing::store_suite!(super::fresh(), super::block_on);
//! }
//! mod inspect {
//!     oncegate::testing::inspect_suite!(super::fresh(), super::block_on);
//! }
//! ```
//!
//! The first argument is an expression that makes an *empty* store of its own for each test; it is evaluated inside
//! the executor, so it may `.await`. The second is a function that runs a future to its end on the calling thread;
//! it is called on several threads at once. No rule sleeps: time passes by [`SuiteStore::advance`].
//!
//! What it does not test: durability, and what a store does when it is full or broken. Those are its own business.

use std::fmt;
use std::future::{self, Future};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::clock::Timestamp;
use crate::fingerprint::Fingerprint;
use crate::hash::{Digest, HashKeyId, RecordId};
use crate::key::KeyDigest;
use crate::record::{About, OwnerId, Record, RecordState, Retention};
use crate::response::StoredResponse;
use crate::store::{
    BoxFuture, Change, Expect, Insert, Inspect, NewRecord, Settlement, Stamped, Store, Update,
};

#[doc(hidden)]
pub mod content;
#[doc(hidden)]
pub mod contention;
#[doc(hidden)]
pub mod fence;
#[doc(hidden)]
pub mod insert;
#[doc(hidden)]
pub mod listing;
mod macros;
#[doc(hidden)]
pub mod purge;
#[doc(hidden)]
pub mod repeats;
#[doc(hidden)]
pub mod stale;
#[doc(hidden)]
pub mod table;
#[doc(hidden)]
pub mod time;
#[doc(hidden)]
pub mod watch;

/// A store under test, and the hand on its clock.
pub trait SuiteStore: Send + Sync + 'static {
    /// The store.
    fn store(&self) -> Arc<dyn Store>;

    /// Lets `by` pass on the store's clock, at once. Real time may pass besides.
    fn advance(&self, by: Duration);

    /// Whether a watch wakes whenever its record changes. If so that is tested; a store that says no is not
    /// wrong, since callers poll, but slow to wait on.
    fn wakes_watchers(&self) -> bool;
}

/// A store under test that can list its records.
pub trait SuiteInspect: SuiteStore {
    /// The same store as [`SuiteStore::store`].
    fn inspect(&self) -> Arc<dyn Inspect>;
}

/// Runs a future to its end on the calling thread.
pub type BlockOn = fn(BoxFuture<'static, ()>);

/// One rule's own store, and how to speak to it. Made by the macros.
#[doc(hidden)]
pub struct Harness {
    suite: Box<dyn SuiteStore>,
    store: Arc<dyn Store>,
    block_on: BlockOn,
}

impl fmt::Debug for Harness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl Harness {
    /// Takes a fresh store.
    pub fn new(suite: impl SuiteStore, block_on: BlockOn) -> Self {
        let store = suite.store();
        Self {
            suite: Box::new(suite),
            store,
            block_on,
        }
    }

    fn advance(&self, by: Duration) {
        self.suite.advance(by);
    }

    fn wakes_watchers(&self) -> bool {
        self.suite.wakes_watchers()
    }

    async fn now(&self) -> Timestamp {
        self.store
            .ping()
            .await
            .expect("the store answers a ping")
            .at
    }

    async fn insert(&self, new: NewRecord) -> Insert {
        self.store
            .insert(new)
            .await
            .expect("the store takes an insert")
            .value
    }

    /// A record in flight that was not there before.
    async fn in_flight(&self, id: RecordId, owner: OwnerId) -> Record {
        match self.insert(new_record(id, owner)).await {
            Insert::Created(record) => record,
            Insert::Exists(record) => panic!("the insert found {record:?} where nothing may stand"),
        }
    }

    /// A record that its owner marked unknown.
    async fn marked_unknown(&self, id: RecordId, owner: OwnerId) -> Record {
        let record = self.in_flight(id, owner).await;
        applied(
            self.write(&record, Change::MarkUnknown { unknown: UNKNOWN })
                .await,
        )
    }

    /// A record whose owner completed it with `body`.
    async fn completed(&self, id: RecordId, owner: OwnerId, body: &[u8]) -> Record {
        let record = self.in_flight(id, owner).await;
        applied(self.write(&record, complete(body)).await)
    }

    /// A record whose second owner took it over.
    async fn taken_over(&self, record: &Record, owner: OwnerId) -> Record {
        applied(self.write_seen(record, take_over(owner)).await)
    }

    /// Writes as the owner of `record`.
    async fn write(&self, record: &Record, change: Change) -> Update {
        self.update(
            record.id,
            Expect {
                owner: record.owner,
                revision: None,
            },
            change,
        )
        .await
    }

    /// Writes as somebody who saw `record` as it is given.
    async fn write_seen(&self, record: &Record, change: Change) -> Update {
        let expect = Expect {
            owner: record.owner,
            revision: Some(record.revision),
        };
        self.update(record.id, expect, change).await
    }

    async fn update(&self, id: RecordId, expect: Expect, change: Change) -> Update {
        self.store
            .update(id, expect, change)
            .await
            .expect("the store takes an update")
            .value
    }

    async fn look(&self, id: RecordId) -> Stamped<Option<Record>> {
        self.store.get(id).await.expect("the store answers a get")
    }

    async fn get(&self, id: RecordId) -> Option<Record> {
        self.look(id).await.value
    }

    /// Purges until the store has been gone through whole, however far earlier steps had come.
    async fn purge_all(&self) -> usize {
        let mut touched = 0;
        for _pass in 0..2 {
            touched += self.purge_to_the_end(PURGE_LIMIT).await;
        }
        touched
    }

    /// Purges in steps of `limit` until one says that it came to the end.
    async fn purge_to_the_end(&self, limit: usize) -> usize {
        let mut touched = 0;
        for _step in 0..PURGE_STEPS_MAX {
            let purged = self
                .store
                .purge(limit)
                .await
                .expect("the store takes a purge")
                .value;
            let step = purged.stripped + purged.removed;
            assert!(
                step <= limit,
                "a purge step of at most {limit} touched {step} records"
            );
            touched += step;
            if purged.finished {
                return touched;
            }
        }
        panic!("a purge did not come to an end within {PURGE_STEPS_MAX} steps");
    }

    async fn assert_stands(&self, record: &Record) {
        assert_eq!(
            self.get(record.id).await.as_ref(),
            Some(record),
            "what stands has changed"
        );
    }
}

/// The record that an applied update left.
fn applied(update: Update) -> Record {
    match update {
        Update::Applied(Some(record)) => record,
        Update::Applied(None) => panic!("an applied update must answer with the record it left"),
        Update::Refused(stands) => panic!("an update was refused; there stands {stands:?}"),
    }
}

/// Runs all futures at once on this task and answers when the last has ended.
async fn join<T>(futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut running: Vec<Option<Pin<Box<dyn Future<Output = T> + Send + '_>>>> =
        futures.into_iter().map(Some).collect();
    let mut answers: Vec<Option<T>> = running.iter().map(|_| None).collect();
    future::poll_fn(|context| {
        let mut pending = false;
        for (slot, answer) in running.iter_mut().zip(&mut answers) {
            let Some(future) = slot else { continue };
            match future.as_mut().poll(context) {
                Poll::Ready(value) => {
                    *answer = Some(value);
                    *slot = None;
                }
                Poll::Pending => pending = true,
            }
        }
        if pending {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
    answers.into_iter().flatten().collect()
}

fn new_record(id: RecordId, owner: OwnerId) -> NewRecord {
    NewRecord {
        id,
        owner,
        fingerprint: fingerprint(1),
        about: About::new(
            KeyDigest::from_bytes(*b"digest 1"),
            &Method::POST,
            "/payments",
        ),
        lease: LEASE,
        unknown: UNKNOWN,
    }
}

/// A record id that is like no other `number`'s.
fn id(number: u8) -> RecordId {
    RecordId::from_bytes([number; 32])
}

fn owner(number: u8) -> OwnerId {
    OwnerId::from_bytes([number; 16])
}

fn fingerprint(number: u8) -> Fingerprint {
    let digest = |part: u8| Digest::from_bytes([number.wrapping_add(part); 16]);
    let hash_key = HashKeyId::from_u64(u64::MAX - u64::from(number));
    Fingerprint::new(hash_key, digest(0), digest(1), Some(digest(2)))
}

fn response(body: &[u8]) -> StoredResponse {
    let mut headers = HeaderMap::new();
    headers.insert(header::LOCATION, HeaderValue::from_static("/payments/1"));
    StoredResponse::kept(StatusCode::CREATED, &headers, None, body, &HeaderMap::new())
}

fn complete(body: &[u8]) -> Change {
    Change::Complete {
        response: response(body),
        retention: KEPT,
    }
}

fn take_over(owner: OwnerId) -> Change {
    Change::TakeOver {
        owner,
        lease: LEASE,
        unknown: UNKNOWN,
    }
}

fn settle_completed(owner: OwnerId, body: &[u8]) -> Change {
    let settlement = Settlement::Completed {
        response: response(body),
        retention: KEPT,
    };
    Change::Settle { owner, settlement }
}

fn settle_not_executed(owner: OwnerId) -> Change {
    Change::Settle {
        owner,
        settlement: Settlement::NotExecuted,
    }
}

const fn renew() -> Change {
    Change::Renew {
        lease: LEASE,
        unknown: UNKNOWN,
    }
}

/// Every change there is, as somebody would ask for it who is not the owner (any more).
fn every_change() -> [Change; 7] {
    [
        renew(),
        complete(b"of a stale owner"),
        Change::Release,
        Change::MarkUnknown { unknown: UNKNOWN },
        take_over(owner(99)),
        settle_completed(owner(99), b"of a stale owner"),
        settle_not_executed(owner(99)),
    ]
}

fn body_of(record: &Record) -> Vec<u8> {
    match &record.state {
        RecordState::Completed { response, .. } => response
            .parts()
            .expect("a stored response reads back")
            .body
            .to_vec(),
        RecordState::InFlight { .. } | RecordState::Unknown { .. } | RecordState::Expired => {
            panic!("the record is not completed: {record:?}")
        }
    }
}

const LEASE: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How the suite's records stay unknown.
const UNKNOWN: Retention = Retention {
    live: DAY.saturating_mul(30),
    tombstone: DAY.saturating_mul(7),
};
/// How the suite's completed records are kept.
const KEPT: Retention = Retention {
    live: DAY,
    tombstone: DAY.saturating_mul(7),
};
/// The limit of a purge step where the rule is about something else.
const PURGE_LIMIT: usize = 100;
/// A purge that takes more steps than this for the suite's few records never ends.
const PURGE_STEPS_MAX: usize = 10_000;
