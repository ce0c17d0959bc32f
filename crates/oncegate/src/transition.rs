//! The state machine of a record: the table in section 1 of the contract, as pure functions.
//!
//! Stores that run in this process apply these functions; stores with a server repeat them in its language and
//! prove it by the suite. Nothing here judges a request, and nothing here compares times but `purge_at <= now`.

use crate::clock::Timestamp;
use crate::record::{Fence, OwnerId, Record, RecordState, Retention};
use crate::store::{Change, Expect, Insert, NewRecord, Settlement, Update};

/// What a store must write for a transition.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every store must carry out every effect"
)]
#[expect(
    clippy::large_enum_variant,
    reason = "moved once; a box would cost every write an allocation"
)]
pub enum Effect {
    /// Nothing.
    Keep,
    /// This record, in place of what stands there.
    Put(Record),
    /// Its removal.
    Remove,
}

/// What stands there, unless its time has come: then it is absent, removed or not.
#[must_use]
pub fn standing(record: Option<&Record>, now: Timestamp) -> Option<&Record> {
    record.filter(|record| !record.is_purgeable(now))
}

/// Inserts `new` under `fence` where nothing stands.
#[must_use]
pub fn insert(
    stands: Option<&Record>,
    new: NewRecord,
    fence: Fence,
    now: Timestamp,
) -> (Effect, Insert) {
    match standing(stands, now) {
        None => {
            let record = created(new, fence, now);
            (Effect::Put(record.clone()), Insert::Created(record))
        }
        Some(record) if record.owner == new.owner && is_in_flight(record) => {
            (Effect::Keep, Insert::Created(record.clone()))
        }
        Some(record) => (Effect::Keep, Insert::Exists(record.clone())),
    }
}

/// Applies `change` if what stands there is as `expect` says. `fence` is used if the record changes hands.
#[must_use]
pub fn update(
    stands: Option<&Record>,
    expect: Expect,
    change: Change,
    fence: Fence,
    now: Timestamp,
) -> (Effect, Update) {
    let Some(record) = standing(stands, now) else {
        return match change {
            // What a release wants is so already.
            Change::Release => (Effect::Keep, Update::Applied(None)),
            Change::Renew { .. }
            | Change::Complete { .. }
            | Change::MarkUnknown { .. }
            | Change::TakeOver { .. }
            | Change::Settle { .. } => (Effect::Keep, Update::Refused(None)),
        };
    };
    let expected = record.owner == expect.owner
        && expect
            .revision
            .is_none_or(|revision| record.revision == revision);
    let step = if expected {
        step(record, expect, change, fence, now)
    } else {
        Step::Refuse
    };
    match step {
        Step::Refuse => (Effect::Keep, Update::Refused(Some(record.clone()))),
        Step::Repeat => (Effect::Keep, Update::Applied(Some(record.clone()))),
        Step::Remove => (Effect::Remove, Update::Applied(None)),
        Step::Put(mut next) => {
            next.revision = record.revision + 1;
            // Money: a fence that went back would let a stale holder pass at the upstream.
            assert!(next.fence >= record.fence, "a fence never goes back");
            (Effect::Put(next.clone()), Update::Applied(Some(next)))
        }
    }
}

/// What one change does to a record whose owner (and revision, if named) are as expected.
#[expect(
    clippy::large_enum_variant,
    reason = "moved once; a box would cost every write an allocation"
)]
enum Step {
    Refuse,
    Repeat,
    Remove,
    Put(Record),
}

fn step(record: &Record, expect: Expect, change: Change, fence: Fence, now: Timestamp) -> Step {
    let open = matches!(
        record.state,
        RecordState::InFlight { .. } | RecordState::Unknown { .. }
    );
    match change {
        Change::Renew { lease, unknown } if is_in_flight(record) => Step::Put(held(
            record,
            record.owner,
            record.fence,
            now.after(lease),
            unknown,
        )),
        Change::Complete {
            response,
            retention,
        } if open => {
            let state = RecordState::Completed {
                completed_at: now,
                response,
            };
            Step::Put(lasting(record, state, retention, now))
        }
        Change::Complete { .. } if matches!(record.state, RecordState::Completed { .. }) => {
            Step::Repeat
        }
        Change::Release if open => Step::Remove,
        Change::MarkUnknown { unknown } if is_in_flight(record) => Step::Put(lasting(
            record,
            RecordState::Unknown { since: now },
            unknown,
            now,
        )),
        Change::MarkUnknown { .. } if open => Step::Repeat,
        // Without the revision a take-over could win over a renewal that it did not see.
        Change::TakeOver {
            owner,
            lease,
            unknown,
        } if open && expect.revision.is_some() => {
            Step::Put(held(record, owner, fence, now.after(lease), unknown))
        }
        Change::Settle { owner, settlement } if open && expect.revision.is_some() => {
            settled(record, owner, settlement, fence, now)
        }
        Change::Renew { .. }
        | Change::Complete { .. }
        | Change::Release
        | Change::MarkUnknown { .. }
        | Change::TakeOver { .. }
        | Change::Settle { .. } => Step::Refuse,
    }
}

fn is_in_flight(record: &Record) -> bool {
    matches!(record.state, RecordState::InFlight { .. })
}

fn created(new: NewRecord, fence: Fence, now: Timestamp) -> Record {
    let lease_expires_at = now.after(new.lease);
    let expires_at = lease_expires_at.after(new.unknown.live);
    Record {
        id: new.id,
        owner: new.owner,
        fence,
        revision: 1,
        fingerprint: new.fingerprint,
        about: new.about,
        created_at: now,
        state: RecordState::InFlight { lease_expires_at },
        expires_at,
        purge_at: expires_at.after(new.unknown.tombstone),
    }
}

/// The record in flight under `owner` until `lease_expires_at`.
fn held(
    record: &Record,
    owner: OwnerId,
    fence: Fence,
    lease_expires_at: Timestamp,
    unknown: Retention,
) -> Record {
    let expires_at = lease_expires_at.after(unknown.live);
    Record {
        owner,
        fence,
        state: RecordState::InFlight { lease_expires_at },
        expires_at,
        purge_at: expires_at.after(unknown.tombstone),
        ..record.clone()
    }
}

/// The record in `state`, kept from now on for as long as `retention` says.
fn lasting(record: &Record, state: RecordState, retention: Retention, now: Timestamp) -> Record {
    let expires_at = now.after(retention.live);
    Record {
        state,
        expires_at,
        purge_at: expires_at.after(retention.tombstone),
        ..record.clone()
    }
}

fn settled(
    record: &Record,
    owner: OwnerId,
    settlement: Settlement,
    fence: Fence,
    now: Timestamp,
) -> Step {
    match settlement {
        Settlement::NotExecuted => Step::Remove,
        Settlement::Completed {
            response,
            retention,
        } => {
            let state = RecordState::Completed {
                completed_at: now,
                response,
            };
            Step::Put(Record {
                owner,
                fence,
                ..lasting(record, state, retention, now)
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, Method, StatusCode};

    use super::*;
    use crate::fingerprint::{FINGERPRINT_BYTES, Fingerprint};
    use crate::hash::RecordId;
    use crate::key::KeyDigest;
    use crate::record::About;
    use crate::response::StoredResponse;

    /// What a line of the table says becomes of the record.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    enum Becomes {
        InFlight,
        Unknown,
        Completed,
        Absent,
        /// Applied, but nothing is written: it is so already.
        AsItIs,
        Refused,
    }

    const OWN: OwnerId = OwnerId::from_bytes([1; 16]);
    const NEXT: OwnerId = OwnerId::from_bytes([2; 16]);
    const STALE: OwnerId = OwnerId::from_bytes([3; 16]);
    const HOUR: Duration = Duration::from_secs(3600);
    const KEEP: Retention = Retention {
        live: HOUR,
        tombstone: HOUR,
    };
    const FENCE: Fence = Fence::from_number(7);
    const NEW_FENCE: Fence = Fence::from_number(8);
    const REVISION: u64 = 41;

    fn now() -> Timestamp {
        Timestamp::default().after(HOUR * 24)
    }

    fn response() -> StoredResponse {
        let none = HeaderMap::new();
        StoredResponse::kept(StatusCode::OK, &none, None, b"", &none)
    }

    fn record(state: RecordState) -> Record {
        Record {
            id: RecordId::from_bytes([9; 32]),
            owner: OWN,
            fence: FENCE,
            revision: REVISION,
            fingerprint: Fingerprint::from_bytes([9; FINGERPRINT_BYTES]),
            about: About::new(KeyDigest::from_bytes([9; 8]), &Method::POST, "/"),
            created_at: Timestamp::default(),
            state,
            expires_at: now().after(HOUR),
            purge_at: now().after(HOUR * 2),
        }
    }

    fn in_flight() -> Record {
        record(RecordState::InFlight {
            lease_expires_at: now().after(HOUR),
        })
    }

    fn lapsed() -> Record {
        record(RecordState::InFlight {
            lease_expires_at: Timestamp::default(),
        })
    }

    fn unknown() -> Record {
        record(RecordState::Unknown {
            since: Timestamp::default(),
        })
    }

    fn completed() -> Record {
        let completed_at = Timestamp::default();
        record(RecordState::Completed {
            completed_at,
            response: response(),
        })
    }

    fn renew() -> Change {
        Change::Renew {
            lease: HOUR,
            unknown: KEEP,
        }
    }

    fn complete() -> Change {
        Change::Complete {
            response: response(),
            retention: KEEP,
        }
    }

    fn mark() -> Change {
        Change::MarkUnknown { unknown: KEEP }
    }

    fn take_over() -> Change {
        Change::TakeOver {
            owner: NEXT,
            lease: HOUR,
            unknown: KEEP,
        }
    }

    fn settle_completed() -> Change {
        let settlement = Settlement::Completed {
            response: response(),
            retention: KEEP,
        };
        Change::Settle {
            owner: NEXT,
            settlement,
        }
    }

    fn settle_not_executed() -> Change {
        Change::Settle {
            owner: NEXT,
            settlement: Settlement::NotExecuted,
        }
    }

    fn every_change() -> [Change; 7] {
        [
            renew(),
            complete(),
            Change::Release,
            mark(),
            take_over(),
            settle_completed(),
            settle_not_executed(),
        ]
    }

    /// What `change` made of `from`; asserts on the way what holds for every line of the table.
    fn becomes(from: &Record, owner: OwnerId, revision: Option<u64>, change: &Change) -> Becomes {
        let expect = Expect { owner, revision };
        let answer = update(Some(from), expect, change.clone(), NEW_FENCE, now());
        let about = format!("{change:?} by {owner:?}/{revision:?} on {:?}", from.state);
        match answer {
            (Effect::Keep, Update::Refused(stands)) => {
                assert_eq!(stands.as_ref(), Some(from), "{about}: told something else");
                Becomes::Refused
            }
            (Effect::Keep, Update::Applied(stands)) => {
                assert_eq!(stands.as_ref(), Some(from), "{about}: told something else");
                Becomes::AsItIs
            }
            (Effect::Remove, Update::Applied(None)) => Becomes::Absent,
            (Effect::Put(put), Update::Applied(Some(next))) => {
                assert_eq!(put, next, "{about}: told something else than is written");
                assert_eq!(next.revision, REVISION + 1, "{about}");
                let hands = match change {
                    Change::TakeOver { .. } | Change::Settle { .. } => (NEXT, NEW_FENCE),
                    Change::Renew { .. }
                    | Change::Complete { .. }
                    | Change::Release
                    | Change::MarkUnknown { .. } => (OWN, FENCE),
                };
                assert_eq!((next.owner, next.fence), hands, "{about}");
                assert_eq!(next.created_at, from.created_at, "{about}");
                assert!(
                    next.purge_at >= now().after(HOUR * 2),
                    "{about}: {:?}",
                    next.purge_at
                );
                match next.state {
                    RecordState::InFlight { .. } => Becomes::InFlight,
                    RecordState::Unknown { .. } => Becomes::Unknown,
                    RecordState::Completed { .. } => Becomes::Completed,
                    RecordState::Expired => panic!("{about}: no change makes a tombstone"),
                }
            }
            other => panic!("{about}: effect and answer contradict each other: {other:?}"),
        }
    }

    #[test]
    fn an_owner_that_names_the_revision_gets_what_the_table_says() {
        use Becomes::{Absent, AsItIs, Completed, InFlight, Refused, Unknown};
        // renew, complete, release, mark, take over, settle as completed, settle as not executed
        let open = [
            InFlight, Completed, Absent, Unknown, InFlight, Completed, Absent,
        ];
        let table = [
            (in_flight(), open),
            (lapsed(), open),
            (
                unknown(),
                [
                    Refused, Completed, Absent, AsItIs, InFlight, Completed, Absent,
                ],
            ),
            (
                completed(),
                [Refused, AsItIs, Refused, Refused, Refused, Refused, Refused],
            ),
            (record(RecordState::Expired), [Refused; 7]),
        ];
        for (from, line) in table {
            for (change, meant) in every_change().iter().zip(line) {
                let became = becomes(&from, OWN, Some(REVISION), change);
                assert_eq!(became, meant, "{change:?} on {:?}", from.state);
            }
        }
    }

    #[test]
    fn an_owner_that_names_no_revision_can_do_all_but_change_hands() {
        for from in [in_flight(), lapsed(), unknown(), completed()] {
            for change in every_change() {
                let meant = match change {
                    Change::TakeOver { .. } | Change::Settle { .. } => Becomes::Refused,
                    Change::Renew { .. }
                    | Change::Complete { .. }
                    | Change::Release
                    | Change::MarkUnknown { .. } => becomes(&from, OWN, Some(REVISION), &change),
                };
                assert_eq!(becomes(&from, OWN, None, &change), meant, "{change:?}");
            }
        }
    }

    #[test]
    fn a_stale_owner_and_an_old_revision_are_refused_whatever_they_want() {
        for from in [
            in_flight(),
            lapsed(),
            unknown(),
            completed(),
            record(RecordState::Expired),
        ] {
            for change in every_change() {
                for (owner, revision) in [
                    (STALE, None),
                    (STALE, Some(REVISION)),
                    (OWN, Some(REVISION - 1)),
                    (OWN, Some(REVISION + 1)),
                ] {
                    let became = becomes(&from, owner, revision, &change);
                    assert_eq!(
                        became,
                        Becomes::Refused,
                        "{change:?} by {owner:?}/{revision:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_record_past_its_end_is_absent_to_inserts_and_updates() {
        let mut gone = completed();
        gone.purge_at = now();
        let expect = Expect {
            owner: OWN,
            revision: Some(REVISION),
        };
        for change in every_change() {
            let release = matches!(change, Change::Release);
            for stands in [Some(&gone), None] {
                let (effect, answer) = update(stands, expect, change.clone(), NEW_FENCE, now());
                let meant = if release {
                    Update::Applied(None)
                } else {
                    Update::Refused(None)
                };
                assert_eq!((effect, answer), (Effect::Keep, meant), "{change:?}");
            }
        }
        let (effect, answer) = insert(Some(&gone), new(NEXT), NEW_FENCE, now());
        let Insert::Created(created) = answer else {
            panic!("it found {answer:?}")
        };
        assert_eq!(
            (created.owner, created.fence, created.revision),
            (NEXT, NEW_FENCE, 1)
        );
        assert_eq!(effect, Effect::Put(created));
    }

    #[test]
    fn an_insert_is_told_what_stands_there_and_its_own_is_created_again() {
        for from in [in_flight(), lapsed()] {
            let again = insert(Some(&from), new(OWN), NEW_FENCE, now());
            assert_eq!(again, (Effect::Keep, Insert::Created(from.clone())));
        }
        for (from, owner) in [
            (in_flight(), NEXT),
            (lapsed(), NEXT),
            (unknown(), NEXT),
            (completed(), NEXT),
            (record(RecordState::Expired), NEXT),
            // Its own too, once the claim has ended: "created" would be leave to execute.
            (unknown(), OWN),
            (completed(), OWN),
            (record(RecordState::Expired), OWN),
        ] {
            let told = insert(Some(&from), new(owner), NEW_FENCE, now());
            assert_eq!(
                told,
                (Effect::Keep, Insert::Exists(from.clone())),
                "{from:?}"
            );
        }
    }

    fn new(owner: OwnerId) -> NewRecord {
        let Record {
            id,
            fingerprint,
            about,
            ..
        } = in_flight();
        NewRecord {
            id,
            owner,
            fingerprint,
            about,
            lease: HOUR,
            unknown: KEEP,
        }
    }
}
