//! Rules of staleness (M-22): who is not the owner any more has no effect and is told; a lapsed lease alone makes
//! nobody stale.

use super::{
    Harness, LEASE, SECOND, applied, body_of, complete, every_change, id, owner, renew,
    settle_completed,
};
use crate::record::{Phase, Record};
use crate::store::{Change, Expect, Update};

/// Every change by `stale` is refused, and the writer is told of `stands`.
async fn assert_stale(harness: &Harness, stale: &Record, stands: &Record) {
    for change in every_change() {
        for revision in [None, Some(stands.revision), Some(stale.revision)] {
            let expect = Expect {
                owner: stale.owner,
                revision,
            };
            let refused = harness.update(stands.id, expect, change.clone()).await;
            let told = Update::Refused(Some(stands.clone()));
            assert_eq!(refused, told, "{change:?} by a stale owner");
            harness.assert_stands(stands).await;
        }
    }
}

/// any, write by a stale owner: no effect.
pub async fn a_stale_owner_has_no_effect_on_a_record_in_flight(harness: Harness) {
    let unknown = harness.marked_unknown(id(1), owner(1)).await;
    let taken = harness.taken_over(&unknown, owner(2)).await;
    assert_stale(&harness, &unknown, &taken).await;
}

/// any, write by a stale owner: no effect.
pub async fn a_stale_owner_has_no_effect_on_an_unknown_record(harness: Harness) {
    let first = harness.marked_unknown(id(1), owner(1)).await;
    let taken = harness.taken_over(&first, owner(2)).await;
    harness.advance(LEASE + SECOND);
    assert_stale(&harness, &first, &taken).await;
}

/// The late complete after a take-over: the outcome of the new holder stands.
pub async fn a_stale_owner_has_no_effect_on_a_completed_record(harness: Harness) {
    let unknown = harness.marked_unknown(id(1), owner(1)).await;
    let taken = harness.taken_over(&unknown, owner(2)).await;
    let completed = applied(harness.write(&taken, complete(b"second")).await);
    assert_stale(&harness, &unknown, &completed).await;
}

/// Released, claimed by another: the first owner's late writes do not touch the new claim.
pub async fn an_owner_is_stale_after_its_release_and_another_insert(harness: Harness) {
    let first = harness.in_flight(id(1), owner(1)).await;
    harness.write(&first, Change::Release).await;
    let second = harness.in_flight(id(1), owner(2)).await;
    assert_stale(&harness, &first, &second).await;
}

/// The operator decided: the old holder's truth comes too late.
pub async fn an_owner_is_stale_after_a_settlement(harness: Harness) {
    let unknown = harness.marked_unknown(id(1), owner(1)).await;
    let settled = applied(
        harness
            .write_seen(&unknown, settle_completed(owner(2), b"found"))
            .await,
    );
    assert_stale(&harness, &unknown, &settled).await;
}

/// Somebody who never held the record is as powerless.
pub async fn an_owner_that_never_held_the_record_has_no_effect(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    let stranger = Record {
        owner: owner(7),
        ..record.clone()
    };
    assert_stale(&harness, &stranger, &record).await;
}

/// A lapsed lease alone makes nobody stale: a renewal brings it back.
pub async fn a_renewal_by_the_owner_of_a_lapsed_lease_is_applied(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    harness.advance(LEASE * 10);
    let renewed = applied(harness.write(&record, renew()).await);
    assert_eq!((renewed.owner, renewed.fence), (record.owner, record.fence));
    assert_eq!(renewed.phase(harness.now().await), Phase::InFlight);
}

/// A lapsed lease alone makes nobody stale: late truth is taken.
pub async fn a_completion_by_the_owner_of_a_lapsed_lease_is_applied(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    harness.advance(LEASE * 10);
    let completed = applied(harness.write(&record, complete(b"late")).await);
    assert_eq!(body_of(&completed), b"late");
    assert_eq!(completed.fence, record.fence);
}

/// A lapsed lease alone makes nobody stale: it can be given up.
pub async fn a_release_by_the_owner_of_a_lapsed_lease_is_applied(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    harness.advance(LEASE * 10);
    assert_eq!(
        harness.write(&record, Change::Release).await,
        Update::Applied(None)
    );
    assert_eq!(harness.get(id(1)).await, None);
}
