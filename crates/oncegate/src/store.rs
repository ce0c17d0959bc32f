//! The seam: what a store must do, and nothing more.
//!
//! A store compares and sets. It assigns fences, adds durations to its own time, and makes one comparison with
//! time, `purge_at <= now` -> absent. It decides nothing about requests: that is `decide`. Only the engine and
//! the purger write through it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::fingerprint::Fingerprint;
use crate::hash::RecordId;
use crate::record::{About, OwnerId, Phase, Record, Retention};
use crate::response::StoredResponse;

/// A boxed future, so that stores are object-safe. Next to I/O its cost does not show.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a store method answers: a value stamped with the store's time, or a failure of the machinery.
pub type StoreResult<T> = Result<Stamped<T>, StoreError>;

/// Where records live.
///
/// # Contract
/// The store suite (`oncegate::testing::store_suite!`) holds one named test for each of these:
/// * Every method is atomic: it takes effect whole or not at all, and in one order for all callers of all
///   processes that share the store. What was answered as applied survives whatever the store calls durable.
/// * Every answer carries the store's time, by which its records live. That time never goes back, as far as the store
///   has one clock; it is never before what a record that is told with it says has happened.
/// * A record with `purge_at <= now` is absent, whether or not it was physically removed.
/// * `insert` creates only where nothing stands. The same owner inserting again is answered `Created` again.
/// * `update` follows [`transition`](crate::transition): a write by another owner than the record's has no
///   effect and is told what stands there; the same complete, release or mark by the same owner is answered
///   `Applied` again; a take-over or settlement needs owner *and* revision.
/// * A new fence is `max(highest fence ever given for this id + 1, now in microseconds)`, releases included.
///
/// # Cancel safety
/// A future that is dropped may or may not have had its effect. So may one that fails with
/// [`StoreErrorKind::Unavailable`].
///
/// # Wrappers
/// There are no default bodies: a wrapper forwards everything, and says so with
/// `#[deny(clippy::missing_trait_methods)]`.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Creates the record if nothing stands under its id, else answers what stands there.
    fn insert(&self, new: NewRecord) -> BoxFuture<'_, StoreResult<Insert>>;

    /// Changes the record if it is as `expect` says.
    fn update(
        &self,
        id: RecordId,
        expect: Expect,
        change: Change,
    ) -> BoxFuture<'_, StoreResult<Update>>;

    /// What stands under `id`.
    fn get(&self, id: RecordId) -> BoxFuture<'_, StoreResult<Option<Record>>>;

    /// Takes the bodies of expired records and removes purgeable ones: one bounded step, of at most `limit` records
    /// touched. Repeated steps come round to every record.
    fn purge(&self, limit: usize) -> BoxFuture<'_, StoreResult<Purged>>;

    /// Registers, when called, for the next change of `id`. The future may wake for nothing, or never: callers
    /// watch, then look, then await, and poll slowly besides.
    fn watch(&self, id: RecordId) -> BoxFuture<'static, ()>;

    /// Answers if the store can do work now.
    fn ping(&self) -> BoxFuture<'_, StoreResult<()>>;

    /// What the store is, and the salt that it keeps. A store that can lose it looks at it again after each time that
    /// its connection broke, and refuses inserts with [`StoreErrorKind::Resalted`] until the new one was asked for.
    fn info(&self) -> BoxFuture<'_, StoreResult<StoreInfo>>;
}

/// Listing, for people who look after a store. Apart from [`Store`] so that a third-party store stays small.
pub trait Inspect: Store {
    /// Up to `limit` records that match, in the store's own order, behind `after` if that is given.
    fn list(
        &self,
        filter: Filter,
        after: Option<Cursor>,
        limit: usize,
    ) -> BoxFuture<'_, StoreResult<Page>>;
}

/// A value and the store's time at which it was true.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Stamped<T> {
    /// The store's time.
    pub at: Timestamp,
    /// The answer.
    pub value: T,
}

/// What to insert. Durations, not instants: the store adds them to its own time.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct NewRecord {
    /// Where it will be found.
    pub id: RecordId,
    /// Who will hold it; made before the insert, so that a lost answer can be cleared up.
    pub owner: OwnerId,
    /// Which request it belongs to.
    pub fingerprint: Fingerprint,
    /// What people are shown.
    pub about: About,
    /// How long the claim is honoured without renewal.
    pub lease: Duration,
    /// How long it stays unknown if the lease lapses.
    pub unknown: Retention,
}

/// The answer to an insert.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "callers must handle both")]
pub enum Insert {
    /// The record is new (or this same owner's insert was repeated).
    Created(Record),
    /// Another record stands there; nothing was written.
    Exists(Record),
}

/// What a record must look like for a change to apply.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Expect {
    /// Its owner.
    pub owner: OwnerId,
    /// Its revision, where a renewal that the caller did not see must win over the change.
    pub revision: Option<u64>,
}

/// The changes that a record can undergo, in the order of its life.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every store must apply every change"
)]
pub enum Change {
    /// Push the lease's end forward.
    Renew {
        /// From now on.
        lease: Duration,
        /// How long it stays unknown if that lease lapses.
        unknown: Retention,
    },
    /// Store the outcome, end the claim.
    Complete {
        /// The outcome.
        response: StoredResponse,
        /// How long it is replayed, and remembered after that.
        retention: Retention,
    },
    /// Give the claim up, store nothing: the key is free again.
    Release,
    /// Say that the outcome is not known.
    MarkUnknown {
        /// How long it stays so.
        unknown: Retention,
    },
    /// Claim an unknown record under a higher fence. Needs owner and revision in [`Expect`].
    TakeOver {
        /// The new owner.
        owner: OwnerId,
        /// How long the new claim is honoured without renewal.
        lease: Duration,
        /// How long it stays unknown if that lease lapses.
        unknown: Retention,
    },
    /// An operator decides an unknown record. Needs owner and revision in [`Expect`].
    Settle {
        /// A new owner, so that the old holder's late writes are stale.
        owner: OwnerId,
        /// What is decided.
        settlement: Settlement,
    },
}

/// What an operator decides about an unknown record.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "every store must apply both")]
pub enum Settlement {
    /// "This was the outcome."
    Completed {
        /// The outcome to replay.
        response: StoredResponse,
        /// How long it is replayed, and remembered after that.
        retention: Retention,
    },
    /// "It was not executed": the key is free again.
    NotExecuted,
}

/// The answer to an update: whether it applied, and what stands there now.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "callers must handle both")]
pub enum Update {
    /// It took effect, now or when it was first asked for.
    Applied(Option<Record>),
    /// It had no effect.
    Refused(Option<Record>),
}

/// The answer to one step of a purge.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Purged {
    /// Records whose body was taken, leaving a tombstone.
    pub stripped: usize,
    /// Records that were removed.
    pub removed: usize,
    /// Whether this step came to the end of the store.
    pub finished: bool,
}

/// What a store is.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct StoreInfo {
    /// A name for people: `memory`, `file`.
    pub name: &'static str,
    /// Random bytes made when the store was, and kept with it: they key the fingerprints if no secret does.
    pub salt: [u8; 32],
}

impl fmt::Debug for StoreInfo {
    /// Leaves the salt out: it would make of a log what a stolen store is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreInfo({})", self.name)
    }
}

/// Which records to list.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Filter {
    /// Only records in this phase.
    pub phase: Option<Phase>,
    /// Only records whose key has this digest.
    pub key_digest: Option<crate::key::KeyDigest>,
}

impl Filter {
    /// Whether `record` is to be listed at `now`.
    #[must_use]
    pub fn admits(&self, record: &Record, now: Timestamp) -> bool {
        self.phase.is_none_or(|phase| record.phase(now) == phase)
            && self
                .key_digest
                .is_none_or(|digest| record.about.key_digest == digest)
    }
}

/// Where a listing goes on; opaque to callers.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Cursor(pub String);

/// Some records, and where the listing goes on if there may be more.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Page {
    /// The records, in the store's own order.
    pub records: Vec<Record>,
    /// `None` at the end.
    pub next: Option<Cursor>,
}

/// A store that could not do its work.
#[derive(Debug, thiserror::Error)]
#[error("store {store}: {doing} failed ({kind})")]
pub struct StoreError {
    store: &'static str,
    doing: &'static str,
    kind: StoreErrorKind,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a caller must know of a failure: may I try again, and did it take effect?
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// Not reachable, or it failed half-way. May be tried again; **whether the step took effect is unknown**.
    Unavailable,
    /// Too much is queued. May be tried again; nothing took effect.
    Overloaded,
    /// No room. Nothing took effect; trying again helps only after something was purged or freed.
    Full,
    /// What stands there cannot be read. Nothing took effect; trying again does not help.
    Corrupt,
    /// It was written by a newer version. Nothing took effect; trying again does not help.
    Incompatible,
    /// The store lost its salt and has another one now. Nothing took effect, and no insert will until
    /// [`Store::info`] was asked again.
    Resalted,
    /// It is set up so that it would lose records. Nothing took effect, and no insert will until that is mended.
    Unfit,
}

impl fmt::Display for StoreErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "unavailable",
            Self::Overloaded => "overloaded",
            Self::Full => "full",
            Self::Corrupt => "corrupt",
            Self::Incompatible => "written by a newer version",
            Self::Resalted => "the salt has changed",
            Self::Unfit => "set up so that it would lose records",
        })
    }
}

impl StoreErrorKind {
    /// Whether the store is down, rather than what stands there unreadable: the same step may succeed later.
    #[must_use]
    pub const fn may_pass(self) -> bool {
        match self {
            Self::Unavailable | Self::Overloaded | Self::Full | Self::Unfit => true,
            Self::Corrupt | Self::Incompatible | Self::Resalted => false,
        }
    }
}

impl StoreError {
    /// A failure of `store` while `doing` something.
    #[must_use]
    pub const fn new(kind: StoreErrorKind, store: &'static str, doing: &'static str) -> Self {
        Self {
            store,
            doing,
            kind,
            source: None,
        }
    }

    /// The same failure with what caused it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What a caller must know.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// Whether the step may have taken effect all the same.
    #[must_use]
    pub fn may_have_taken_effect(&self) -> bool {
        self.kind == StoreErrorKind::Unavailable
    }
}

#[expect(
    dead_code,
    reason = "asserts at compile time that the traits are object-safe"
)]
fn traits_are_object_safe(_: &dyn Store, _: &dyn Inspect) {}
