//! A record: all we know of one (scope, key), as a plain value.
//!
//! Times are integers on the store's clock, so that a record can be hashed, compared and stepped by a model
//! checker. Nothing here decides anything about a request: that is `decide`. Nothing here writes: that is `Store`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::fingerprint::Fingerprint;
use crate::hash::RecordId;
use crate::key::KeyDigest;
use crate::random::sixteen_bytes;
use crate::response::StoredResponse;

/// Who holds a record: 128 random bits, made before the insert and named by every write.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct OwnerId([u8; 16]);

impl OwnerId {
    /// A new owner that no other process will ever make. Bytes for several are fetched at a time: a process that forks
    /// after its first owner gives some to both halves, so fork before it, or `exec` behind it.
    ///
    /// # Panics
    /// If the operating system has no randomness to give: without it owners could collide, and two holders of
    /// one record would each believe that it is theirs.
    #[must_use]
    pub fn random() -> Self {
        Self(sixteen_bytes())
    }

    /// The owner with these bytes, as a store reads it back.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "OwnerId({:016x}..)",
            u64::from_be_bytes(*self.0.first_chunk().unwrap_or(&[0; 8]))
        )
    }
}

/// A number that grows whenever a record changes hands; it goes to the upstream.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Fence(u64);

impl Fence {
    /// The fence that follows `previous` at the store's time `now`: it never goes back, not even over a release
    /// and a new insert, as long as the store remembers the highest fence it gave.
    #[must_use]
    pub fn following(previous: Self, now: Timestamp) -> Self {
        Self(previous.0.saturating_add(1).max(now.as_micros()))
    }

    /// The fence with this number, as a store reads it back.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The number to store and to send.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How long a state is served, and how long its tombstone stands after that.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Retention {
    /// Until the record expires.
    pub live: Duration,
    /// From then until it is purged: a late retry is refused instead of executed again.
    pub tombstone: Duration,
}

/// What people are shown of a record: enough to recognise it, nothing that is secret.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct About {
    /// Short digest of the key, as logs show it.
    pub key_digest: KeyDigest,
    /// Method and path, without the query; at most [`OPERATION_BYTES_MAX`] bytes. Shared by the
    /// copies of a record, of which every answer of a store is one.
    pub operation: Arc<str>,
}

impl About {
    /// Describes a record by its key's digest and its method and path.
    #[must_use]
    pub fn new(key_digest: KeyDigest, method: &http::Method, path: &str) -> Self {
        let operation = [method.as_str(), " ", path].concat();
        let end = operation.floor_char_boundary(OPERATION_BYTES_MAX);
        Self {
            key_digest,
            operation: operation[..end].into(),
        }
    }
}

/// All we know of one (scope, key).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Record {
    /// Where it is found.
    pub id: RecordId,
    /// Who may write it.
    pub owner: OwnerId,
    /// Grows whenever the record changes hands.
    pub fence: Fence,
    /// Raised by every write, renewals included; a take-over names the one it saw.
    pub revision: u64,
    /// Which request it belongs to.
    pub fingerprint: Fingerprint,
    /// What people are shown.
    pub about: About,
    /// When the first request came, on the store's clock.
    pub created_at: Timestamp,
    /// Where it stands in its life, as it was written; time may have moved it on since: see [`Record::phase`].
    pub state: RecordState,
    /// When it stops being served. For an in-flight record: as if its lease lapsed and nobody settled it.
    pub expires_at: Timestamp,
    /// When it may physically go. Never bound to a lease.
    pub purge_at: Timestamp,
}

/// The states of a record as they are written, in the order of its life.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every store must handle every state"
)]
pub enum RecordState {
    /// A claim was taken, no outcome stored.
    InFlight {
        /// Until then the claim is honoured; after that the record is unknown, no write needed.
        lease_expires_at: Timestamp,
    },
    /// It may have run and nobody recorded the outcome.
    Unknown {
        /// When that became known.
        since: Timestamp,
    },
    /// The outcome is stored.
    Completed {
        /// When it was stored; retention counts from here.
        completed_at: Timestamp,
        /// The outcome.
        response: StoredResponse,
    },
    /// What retention leaves: a tombstone without body.
    Expired,
}

/// Where a record stands at a given instant: its state with time applied.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "callers must handle every phase")]
pub enum Phase {
    /// A holder is at work.
    InFlight,
    /// It may have run; nobody recorded the outcome.
    Unknown,
    /// The outcome is stored and can be replayed.
    Completed,
    /// Retention has ended.
    Expired,
}

impl Phase {
    /// The word used in metrics, listings and filters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InFlight => "in-flight",
            Self::Unknown => "unknown",
            Self::Completed => "completed",
            Self::Expired => "expired",
        }
    }
}

impl Record {
    /// Where the record stands at `now`. A lapsed lease is unknown; expiry is judged by the stored times, not
    /// by physical deletion (M-42).
    #[must_use]
    pub fn phase(&self, now: Timestamp) -> Phase {
        if self.expires_at <= now {
            return Phase::Expired;
        }
        match self.state {
            RecordState::InFlight { lease_expires_at } if lease_expires_at <= now => Phase::Unknown,
            RecordState::InFlight { .. } => Phase::InFlight,
            RecordState::Unknown { .. } => Phase::Unknown,
            RecordState::Completed { .. } => Phase::Completed,
            RecordState::Expired => Phase::Expired,
        }
    }

    /// Whether the record may physically go: the one comparison with time that a store makes.
    #[must_use]
    pub fn is_purgeable(&self, now: Timestamp) -> bool {
        self.purge_at <= now
    }

    /// The bytes it takes in a store that accounts for them: itself and what it points to.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let response = match &self.state {
            RecordState::Completed { response, .. } => response.as_bytes().len(),
            RecordState::InFlight { .. } | RecordState::Unknown { .. } | RecordState::Expired => 0,
        };
        size_of::<Self>() + self.about.operation.len() + response
    }
}

/// The longest method-and-path that a record shows.
pub const OPERATION_BYTES_MAX: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_grows_even_if_the_clock_stands_still_or_goes_back() {
        let first = Fence::following(Fence::default(), Timestamp::from_micros(1_000));
        let second = Fence::following(first, Timestamp::from_micros(1_000));
        let third = Fence::following(second, Timestamp::from_micros(10));
        assert!(first < second && second < third);
    }

    #[test]
    fn two_owners_are_never_alike() {
        assert_ne!(OwnerId::random(), OwnerId::random());
    }
}
