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
