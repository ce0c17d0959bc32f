//! Judges a request against the record that stands under its key. Pure: record, request and the store's time in,
//! judgement out. Only this file decides; stores compare and set, the engine carries out.

use crate::clock::Timestamp;
use crate::fingerprint::{Comparability, Fingerprint};
use crate::record::{Phase, Record};

/// What a record means for a request.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "callers must handle every judgement"
)]
pub enum Judgement {
    /// Retention has ended. Not compared: a tombstone answers everybody alike.
    Expired,
    /// The fingerprints cannot be compared: another version or another hash key made the record's. Neither a
    /// mismatch nor an execution would be honest.
    Incomparable,
    /// Same key, different request.
    Mismatch,
    /// The outcome is stored.
    Completed,
    /// The first execution is still running.
    InFlight,
    /// It may have run.
    Unknown,
}

/// Judges in the order of the contract: expired, mismatch, completed, in flight, unknown.
#[must_use]
pub fn judge(record: &Record, request: &Fingerprint, now: Timestamp) -> Judgement {
    let phase = record.phase(now);
    if phase == Phase::Expired {
        return Judgement::Expired;
    }
    if record.fingerprint.comparability(request) != Comparability::Comparable {
        return Judgement::Incomparable;
    }
    if !record.fingerprint.same_request(request) {
        return Judgement::Mismatch;
    }
    match phase {
        Phase::Completed => Judgement::Completed,
        Phase::InFlight => Judgement::InFlight,
        Phase::Unknown => Judgement::Unknown,
        Phase::Expired => Judgement::Expired,
    }
}
