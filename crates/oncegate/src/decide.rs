//! Judges a request against the record that stands under its key. Pure: record, request and the store's time in,
//! judgement out. Only this file decides; stores compare and set, the engine carries out.

use crate::clock::Timestamp;
use crate::fingerprint::{Comparability, Fingerprint};
use crate::policy::Policy;
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

/// Whether a key under which nothing stands is so old that something may have stood there and been forgotten. A record
/// is remembered from its completion, or since it is unknown, so a key that is younger than the shorter of the two
/// cannot have been forgotten; one that comes from a clock ahead of ours is young.
#[must_use]
pub(crate) fn may_be_forgotten(made_at: Timestamp, policy: &Policy, now: Timestamp) -> bool {
    let remembered = policy.retention.min(policy.unknown_retention);
    now.since(made_at) >= remembered.saturating_add(policy.tombstones)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, Method, StatusCode};

    use super::*;
    use crate::fingerprint::FINGERPRINT_BYTES;
    use crate::hash::{Digest, HashKeyId, RecordId};
    use crate::key::KeyDigest;
    use crate::record::{About, Fence, OwnerId, RecordState};
    use crate::response::StoredResponse;

    fn fingerprint(hash_key: u64, raw: u8) -> Fingerprint {
        let digest = |byte| Digest::from_bytes([byte; 16]);
        Fingerprint::new(HashKeyId::from_u64(hash_key), digest(0), digest(raw), None)
    }

    fn at(second: u64) -> Timestamp {
        Timestamp::default().after(Duration::from_secs(second))
    }

    fn completed() -> RecordState {
        let none = HeaderMap::new();
        let response = StoredResponse::kept(StatusCode::OK, &none, None, b"", &none);
        RecordState::Completed {
            completed_at: at(5),
            response,
        }
    }

    /// Leases end at 10, expiry is at 100, purge at 200.
    fn judged(state: RecordState, fingerprint_of_record: Fingerprint, now: Timestamp) -> Judgement {
        let record = Record {
            id: RecordId::from_bytes([1; 32]),
            owner: OwnerId::from_bytes([1; 16]),
            fence: Fence::from_number(1),
            revision: 1,
            fingerprint: fingerprint_of_record,
            about: About::new(KeyDigest::from_bytes([1; 8]), &Method::POST, "/"),
            created_at: at(0),
            state,
            expires_at: at(100),
            purge_at: at(200),
        };
        judge(&record, &fingerprint(1, 1), now)
    }

    /// A record that became unknown is gone after `unknown_retention`, and its key may have run.
    #[test]
    fn a_key_is_too_old_as_soon_as_an_unknown_record_of_it_may_be_gone() {
        let day = Duration::from_secs(24 * 60 * 60);
        for (retention, unknown_retention) in [(45, 30), (1, 30)] {
            let policy = Policy {
                retention: day * retention,
                unknown_retention: day * unknown_retention,
                tombstones: day * 7,
                ..Policy::default()
            };
            let remembered = day * (retention.min(unknown_retention) + 7);
            let forgotten = |age| may_be_forgotten(at(0), &policy, at(0).after(age));
            assert!(forgotten(remembered));
            assert!(!forgotten(remembered - Duration::from_secs(1)));
        }
    }

    #[test]
    fn the_same_request_is_judged_by_the_phase_of_its_record() {
        let in_flight = || RecordState::InFlight {
            lease_expires_at: at(10),
        };
        let unknown = || RecordState::Unknown { since: at(5) };
        let table = [
            (in_flight(), 9, Judgement::InFlight),
            (in_flight(), 10, Judgement::Unknown),
            (in_flight(), 99, Judgement::Unknown),
            (in_flight(), 100, Judgement::Expired),
            (unknown(), 9, Judgement::Unknown),
            (unknown(), 99, Judgement::Unknown),
            (unknown(), 100, Judgement::Expired),
            (completed(), 9, Judgement::Completed),
            (completed(), 99, Judgement::Completed),
            (completed(), 100, Judgement::Expired),
            (RecordState::Expired, 9, Judgement::Expired),
            (RecordState::Expired, 100, Judgement::Expired),
        ];
        for (state, now, meant) in table {
            let judgement = judged(state.clone(), fingerprint(1, 1), at(now));
            assert_eq!(judgement, meant, "{state:?} at {now}");
        }
    }

    /// M-18: 422 before 409, and before a replay.
    #[test]
    fn another_request_is_a_mismatch_in_every_phase_but_expired() {
        let table = [
            (
                RecordState::InFlight {
                    lease_expires_at: at(10),
                },
                9,
                Judgement::Mismatch,
            ),
            (
                RecordState::InFlight {
                    lease_expires_at: at(10),
                },
                10,
                Judgement::Mismatch,
            ),
            (
                RecordState::Unknown { since: at(5) },
                9,
                Judgement::Mismatch,
            ),
            (completed(), 9, Judgement::Mismatch),
            (completed(), 100, Judgement::Expired),
            (RecordState::Expired, 9, Judgement::Expired),
        ];
        for (state, now, meant) in table {
            let judgement = judged(state.clone(), fingerprint(1, 2), at(now));
            assert_eq!(judgement, meant, "{state:?} at {now}");
        }
    }

    /// Neither 422 nor an execution: nobody knows whether it is the same request.
    #[test]
    fn what_cannot_be_compared_is_never_a_mismatch() {
        let foreign = fingerprint(2, 1);
        let later = Fingerprint::from_bytes([0xfe; FINGERPRINT_BYTES]);
        for other in [foreign, later] {
            for state in [
                RecordState::InFlight {
                    lease_expires_at: at(10),
                },
                RecordState::Unknown { since: at(5) },
                completed(),
            ] {
                let judgement = judged(state.clone(), other, at(9));
                assert_eq!(judgement, Judgement::Incomparable, "{state:?}");
            }
            assert_eq!(judged(completed(), other, at(100)), Judgement::Expired);
        }
    }
}
