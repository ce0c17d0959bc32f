//! The table of section 1 of the contract, line by line: what each event makes of a record.

use super::{
    DAY, Harness, KEPT, LEASE, SECOND, UNKNOWN, applied, body_of, complete, every_change, id,
    new_record, owner, renew, settle_completed, settle_not_executed, take_over,
};
use crate::record::{Phase, RecordState};
use crate::store::{Change, Expect, Insert, Update};

/// in flight, own complete: completed, same fence.
pub async fn a_record_in_flight_is_completed_by_its_owner(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    let completed = applied(harness.write(&record, complete(b"paid")).await);
    assert_eq!(body_of(&completed), b"paid");
    assert_eq!(
        (completed.owner, completed.fence),
        (record.owner, record.fence)
    );
    assert_eq!(completed.fingerprint, record.fingerprint);
    assert_eq!(completed.about, record.about);
    assert_eq!(completed.created_at, record.created_at);
    harness.assert_stands(&completed).await;
}

/// unknown, own complete: completed, same fence. Late truth beats not knowing.
pub async fn an_unknown_record_is_completed_by_its_late_owner(harness: Harness) {
    let unknown = harness.marked_unknown(id(1), owner(1)).await;
    harness.advance(DAY);
    let completed = applied(harness.write(&unknown, complete(b"late")).await);
    assert_eq!(body_of(&completed), b"late");
    assert_eq!(
        (completed.owner, completed.fence),
        (unknown.owner, unknown.fence)
    );
    harness.assert_stands(&completed).await;
}

/// in flight, own release: absent.
pub async fn a_record_in_flight_is_gone_after_its_owners_release(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    assert_eq!(
        harness.write(&record, Change::Release).await,
        Update::Applied(None)
    );
    assert_eq!(harness.get(id(1)).await, None);
}

/// unknown, own release: absent.
pub async fn an_unknown_record_is_gone_after_its_owners_release(harness: Harness) {
    let unknown = harness.marked_unknown(id(1), owner(1)).await;
    assert_eq!(
        harness.write(&unknown, Change::Release).await,
        Update::Applied(None)
    );
    assert_eq!(harness.get(id(1)).await, None);
}

/// in flight, own "outcome unknown": unknown, same fence.
pub async fn a_record_in_flight_is_unknown_once_its_owner_says_so(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    let unknown = applied(
        harness
            .write(&record, Change::MarkUnknown { unknown: UNKNOWN })
            .await,
    );
    assert!(
        matches!(unknown.state, RecordState::Unknown { .. }),
        "not unknown: {unknown:?}"
    );
    assert_eq!((unknown.owner, unknown.fence), (record.owner, record.fence));
    harness.assert_stands(&unknown).await;
}

/// in flight, lease lapses: unknown. No write is needed.
pub async fn a_record_in_flight_is_unknown_once_its_lease_has_lapsed(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    assert_eq!(record.phase(harness.now().await), Phase::InFlight);
    harness.advance(LEASE + SECOND);
    let look = harness.look(id(1)).await;
    let stands = look.value.expect("a lapsed record stands");
    assert_eq!(stands.phase(look.at), Phase::Unknown);
    assert_eq!(stands, record, "a lapse writes nothing");
}

/// unknown, take-over: in flight, new fence, new owner.
pub async fn an_unknown_record_that_is_taken_over_is_in_flight_under_a_new_fence(harness: Harness) {
    let unknown = harness.marked_unknown(id(1), owner(1)).await;
    let before = harness.now().await;
    let taken = harness.taken_over(&unknown, owner(2)).await;
    let RecordState::InFlight { lease_expires_at } = taken.state else {
        panic!("not in flight: {taken:?}");
    };
    assert!(
        lease_expires_at >= before.after(LEASE),
        "the new lease starts now"
    );
    assert_eq!(taken.owner, owner(2));
    assert!(
        taken.fence > unknown.fence,
        "the fence did not grow: {taken:?}"
    );
    assert_eq!(taken.fingerprint, unknown.fingerprint);
    assert_eq!(taken.created_at, unknown.created_at);
    harness.assert_stands(&taken).await;
}

/// The same for one that became unknown by its lapsed lease.
pub async fn a_record_whose_lease_lapsed_can_be_taken_over(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    harness.advance(LEASE + SECOND);
    let taken = harness.taken_over(&record, owner(2)).await;
    assert!(
        taken.fence > record.fence,
        "the fence did not grow: {taken:?}"
    );
    assert_eq!(taken.phase(harness.now().await), Phase::InFlight);
    let completed = applied(harness.write(&taken, complete(b"second")).await);
    assert_eq!(completed.fence, taken.fence);
}

/// A take-over names owner *and* revision.
pub async fn a_take_over_without_a_revision_has_no_effect(harness: Harness) {
    let unknown = harness.marked_unknown(id(1), owner(1)).await;
    let refused = harness.write(&unknown, take_over(owner(2))).await;
    assert_eq!(refused, Update::Refused(Some(unknown.clone())));
    harness.assert_stands(&unknown).await;
}

/// The owner alone is not enough either way round: the right revision of somebody else's record is refused.
pub async fn a_take_over_that_names_the_wrong_owner_has_no_effect(harness: Harness) {
    let unknown = harness.marked_unknown(id(1), owner(1)).await;
    let expect = Expect {
        owner: owner(3),
        revision: Some(unknown.revision),
    };
    let refused = harness.update(id(1), expect, take_over(owner(2))).await;
    assert_eq!(refused, Update::Refused(Some(unknown.clone())));
    harness.assert_stands(&unknown).await;
}

/// Its holder woke up and renewed between the look and the take-over: the holder keeps it.
pub async fn a_take_over_loses_to_a_renewal_that_it_did_not_see(harness: Harness) {
    let seen = harness.in_flight(id(1), owner(1)).await;
    harness.advance(LEASE + SECOND);
    let renewed = applied(harness.write(&seen, renew()).await);
    let refused = harness.write_seen(&seen, take_over(owner(2))).await;
    assert_eq!(refused, Update::Refused(Some(renewed.clone())));
    harness.assert_stands(&renewed).await;
}

/// unknown, operator says "this was the outcome": completed, new fence, new owner.
pub async fn an_unknown_record_that_is_settled_as_completed_has_a_new_owner_and_fence(
    harness: Harness,
) {
    let unknown = harness.marked_unknown(id(1), owner(1)).await;
    let settled = applied(
        harness
            .write_seen(&unknown, settle_completed(owner(2), b"found"))
            .await,
    );
    assert_eq!(body_of(&settled), b"found");
    assert_eq!(settled.owner, owner(2));
    assert!(
        settled.fence > unknown.fence,
        "the fence did not grow: {settled:?}"
    );
    harness.assert_stands(&settled).await;
}

/// unknown, operator says "not executed": absent, and the next insert has a new fence.
pub async fn an_unknown_record_that_is_settled_as_not_executed_is_gone(harness: Harness) {
    let unknown = harness.marked_unknown(id(1), owner(1)).await;
    let settled = harness
        .write_seen(&unknown, settle_not_executed(owner(2)))
        .await;
    assert_eq!(settled, Update::Applied(None));
    assert_eq!(harness.get(id(1)).await, None);
    let next = harness.in_flight(id(1), owner(3)).await;
    assert!(
        next.fence > unknown.fence,
        "the fence did not grow: {next:?}"
    );
}

/// A settlement names owner *and* revision, like a take-over.
pub async fn a_settlement_without_a_revision_has_no_effect(harness: Harness) {
    let unknown = harness.marked_unknown(id(1), owner(1)).await;
    for settle in [
        settle_completed(owner(2), b"found"),
        settle_not_executed(owner(2)),
    ] {
        let refused = harness.write(&unknown, settle).await;
        assert_eq!(refused, Update::Refused(Some(unknown.clone())));
        harness.assert_stands(&unknown).await;
    }
}

/// The late owner came first: its truth stands, the operator is told.
pub async fn a_settlement_loses_to_a_completion_that_it_did_not_see(harness: Harness) {
    let unknown = harness.marked_unknown(id(1), owner(1)).await;
    let completed = applied(harness.write(&unknown, complete(b"late")).await);
    for settle in [
        settle_completed(owner(2), b"guessed"),
        settle_not_executed(owner(2)),
    ] {
        let refused = harness.write_seen(&unknown, settle).await;
        assert_eq!(refused, Update::Refused(Some(completed.clone())));
    }
    harness.assert_stands(&completed).await;
}

/// The revision counts for every change, if it is named.
pub async fn a_write_that_names_an_old_revision_has_no_effect(harness: Harness) {
    let seen = harness.in_flight(id(1), owner(1)).await;
    let renewed = applied(harness.write(&seen, renew()).await);
    for change in [renew(), complete(b"x"), Change::Release] {
        let refused = harness.write_seen(&seen, change).await;
        assert_eq!(refused, Update::Refused(Some(renewed.clone())));
    }
    harness.assert_stands(&renewed).await;
}

/// Money: what is completed is never rewritten, not even by its owner.
pub async fn a_completed_record_is_closed_to_every_other_change(harness: Harness) {
    let completed = harness.completed(id(1), owner(1), b"paid").await;
    let changes = every_change()
        .into_iter()
        .filter(|c| !matches!(c, Change::Complete { .. }));
    for change in changes {
        let refused = harness.write_seen(&completed, change.clone()).await;
        assert_eq!(
            refused,
            Update::Refused(Some(completed.clone())),
            "{change:?} was applied"
        );
    }
    harness.assert_stands(&completed).await;
}

/// A holder that said "unknown" has ended its claim: only the truth, or a release, can follow.
pub async fn a_record_marked_unknown_cannot_be_renewed(harness: Harness) {
    let unknown = harness.marked_unknown(id(1), owner(1)).await;
    let refused = harness.write(&unknown, renew()).await;
    assert_eq!(refused, Update::Refused(Some(unknown.clone())));
    harness.assert_stands(&unknown).await;
}

/// Updates never create. What a release wants is so already.
pub async fn an_update_creates_nothing_where_nothing_stands(harness: Harness) {
    let expect = Expect {
        owner: owner(1),
        revision: Some(1),
    };
    for change in every_change() {
        let answer = harness.update(id(1), expect, change.clone()).await;
        let meant = match change {
            Change::Release => Update::Applied(None),
            Change::Renew { .. }
            | Change::Complete { .. }
            | Change::MarkUnknown { .. }
            | Change::TakeOver { .. }
            | Change::Settle { .. } => Update::Refused(None),
        };
        assert_eq!(answer, meant, "{change:?} where nothing stands");
        assert_eq!(
            harness.get(id(1)).await,
            None,
            "{change:?} created a record"
        );
    }
}

/// Retention counts from the completion, not from the claim.
pub async fn a_completed_record_is_kept_from_its_completion_on(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    harness.advance(DAY);
    let before = harness.now().await;
    let completed = applied(harness.write(&record, complete(b"paid")).await);
    let after = harness.now().await;
    let RecordState::Completed { completed_at, .. } = completed.state else {
        panic!("not completed: {completed:?}");
    };
    assert!(
        before <= completed_at && completed_at <= after,
        "{completed:?}"
    );
    assert_eq!(completed.expires_at, completed_at.after(KEPT.live));
    assert_eq!(
        completed.purge_at,
        completed_at.after(KEPT.live).after(KEPT.tombstone)
    );
}

/// A key is claimed again only through what the table says: while a record stands an insert is told of it.
pub async fn an_insert_is_told_of_the_record_at_every_line_of_the_table(harness: Harness) {
    let in_flight = harness.in_flight(id(1), owner(1)).await;
    let unknown = harness.marked_unknown(id(2), owner(2)).await;
    let completed = harness.completed(id(3), owner(3), b"paid").await;
    let taken = harness.marked_unknown(id(4), owner(4)).await;
    let taken = harness.taken_over(&taken, owner(5)).await;
    for record in [in_flight, unknown, completed, taken] {
        let told = harness.insert(new_record(record.id, owner(6))).await;
        assert_eq!(told, Insert::Exists(record));
    }
}
