//! Rules of repeats: a write whose answer was lost is sent again, and must be safe.

use super::{
    DAY, HOUR, Harness, LEASE, SECOND, UNKNOWN, applied, complete, id, new_record, owner, renew,
};
use crate::store::{Change, Insert, Update};

/// Applied again, and nothing changes: same bytes, same `completed_at`, same everything.
pub async fn a_completion_that_is_repeated_is_applied_and_changes_nothing(harness: Harness) {
    let completed = harness.completed(id(1), owner(1), b"paid").await;
    harness.advance(HOUR);
    let again = harness.write(&completed, complete(b"paid")).await;
    assert_eq!(again, Update::Applied(Some(completed.clone())));
    harness.assert_stands(&completed).await;
}

/// Money: the first outcome may have been replayed already, so it stands whatever a repeat brings.
pub async fn a_completion_that_is_repeated_with_other_bytes_keeps_the_first(harness: Harness) {
    let completed = harness.completed(id(1), owner(1), b"first").await;
    let again = harness.write(&completed, complete(b"other")).await;
    assert_eq!(again, Update::Applied(Some(completed.clone())));
    harness.assert_stands(&completed).await;
}

/// The key is free already.
pub async fn a_release_that_is_repeated_is_applied(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    assert_eq!(
        harness.write(&record, Change::Release).await,
        Update::Applied(None)
    );
    assert_eq!(
        harness.write(&record, Change::Release).await,
        Update::Applied(None)
    );
    assert_eq!(harness.get(id(1)).await, None);
}

/// A mark that is repeated does not start the time of the unknown anew.
pub async fn a_mark_that_is_repeated_is_applied_and_changes_nothing(harness: Harness) {
    let unknown = harness.marked_unknown(id(1), owner(1)).await;
    harness.advance(DAY);
    let again = harness
        .write(&unknown, Change::MarkUnknown { unknown: UNKNOWN })
        .await;
    assert_eq!(again, Update::Applied(Some(unknown.clone())));
    harness.assert_stands(&unknown).await;
}

/// A renewal that is repeated pushes the lease again; that harms nobody.
pub async fn a_renewal_that_is_repeated_is_applied(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    let once = applied(harness.write(&record, renew()).await);
    let twice = applied(harness.write(&record, renew()).await);
    assert_eq!((twice.owner, twice.fence), (record.owner, record.fence));
    assert!(twice.revision > once.revision);
    harness.assert_stands(&twice).await;
}

/// The answer to the insert was lost for longer than the lease: the record is still its owner's.
pub async fn an_insert_that_is_repeated_after_its_lease_is_answered_created(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    harness.advance(LEASE + SECOND);
    let again = harness.insert(new_record(id(1), owner(1))).await;
    assert_eq!(again, Insert::Created(record.clone()));
    harness.assert_stands(&record).await;
}

/// A late repeat of a mark does not undo the completion that overtook it.
pub async fn a_mark_after_the_own_completion_has_no_effect(harness: Harness) {
    let completed = harness.completed(id(1), owner(1), b"paid").await;
    let late = harness
        .write(&completed, Change::MarkUnknown { unknown: UNKNOWN })
        .await;
    assert_eq!(late, Update::Refused(Some(completed.clone())));
    harness.assert_stands(&completed).await;
}

/// Nor does a late release: it would free a key whose outcome may have been replayed.
pub async fn a_release_after_the_own_completion_has_no_effect(harness: Harness) {
    let completed = harness.completed(id(1), owner(1), b"paid").await;
    let late = harness.write(&completed, Change::Release).await;
    assert_eq!(late, Update::Refused(Some(completed.clone())));
    harness.assert_stands(&completed).await;
}
