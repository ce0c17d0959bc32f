//! Rules of the insert: it creates where nothing stands, and nowhere else.

use super::{Harness, complete, id, new_record, owner};
use crate::record::RecordState;
use crate::store::{Change, Insert};

/// absent, insert: in flight.
pub async fn an_insert_creates_a_record_in_flight_where_nothing_stands(harness: Harness) {
    let new = new_record(id(1), owner(1));
    assert_eq!(harness.get(id(1)).await, None, "a fresh store is empty");
    let before = harness.now().await;
    let record = harness.in_flight(id(1), owner(1)).await;
    let after = harness.now().await;
    assert_eq!((record.id, record.owner), (new.id, new.owner));
    assert_eq!(record.fingerprint, new.fingerprint);
    assert_eq!(record.about, new.about);
    assert!(
        before <= record.created_at && record.created_at <= after,
        "created at {record:?}"
    );
    assert!(
        matches!(record.state, RecordState::InFlight { .. }),
        "not in flight: {record:?}"
    );
    harness.assert_stands(&record).await;
}

/// The answer to the first insert may have been lost.
pub async fn the_same_owners_insert_again_is_answered_created_and_changes_nothing(
    harness: Harness,
) {
    let first = harness.in_flight(id(1), owner(1)).await;
    let again = harness.insert(new_record(id(1), owner(1))).await;
    assert_eq!(again, Insert::Created(first.clone()));
    harness.assert_stands(&first).await;
}

/// One round trip must do: who is refused needs no second look.
pub async fn another_owners_insert_is_told_what_stands_there(harness: Harness) {
    let first = harness.in_flight(id(1), owner(1)).await;
    let second = harness.insert(new_record(id(1), owner(2))).await;
    assert_eq!(second, Insert::Exists(first.clone()));
    harness.assert_stands(&first).await;
}

/// What stands there is told with its body.
pub async fn an_insert_over_a_completed_record_is_told_the_outcome(harness: Harness) {
    let completed = harness.completed(id(1), owner(1), b"paid").await;
    let retry = harness.insert(new_record(id(1), owner(2))).await;
    assert_eq!(retry, Insert::Exists(completed.clone()));
    harness.assert_stands(&completed).await;
}

/// An unknown record holds its key.
pub async fn an_insert_over_an_unknown_record_is_told_so(harness: Harness) {
    let unknown = harness.marked_unknown(id(1), owner(1)).await;
    let retry = harness.insert(new_record(id(1), owner(2))).await;
    assert_eq!(retry, Insert::Exists(unknown));
}

/// Money: "created" is what allows an execution, so a completed record never answers it.
pub async fn an_owners_insert_after_its_own_completion_does_not_create(harness: Harness) {
    let completed = harness.completed(id(1), owner(1), b"paid").await;
    let again = harness.insert(new_record(id(1), owner(1))).await;
    assert_eq!(again, Insert::Exists(completed));
}

/// A release frees the key for anybody.
pub async fn an_insert_after_a_release_creates_anew(harness: Harness) {
    let first = harness.in_flight(id(1), owner(1)).await;
    harness.write(&first, Change::Release).await;
    let second = harness.in_flight(id(1), owner(2)).await;
    assert_eq!(second.owner, owner(2));
    harness.assert_stands(&second).await;
}

/// Records of other keys are not touched by any write.
pub async fn records_of_different_ids_do_not_touch_each_other(harness: Harness) {
    let first = harness.in_flight(id(1), owner(1)).await;
    // The same owner, so that only the id keeps them apart.
    let second = harness.in_flight(id(2), owner(1)).await;
    harness.write(&second, complete(b"second")).await;
    harness.assert_stands(&first).await;
    let third = harness.in_flight(id(3), owner(1)).await;
    harness.write(&third, Change::Release).await;
    harness.assert_stands(&first).await;
}
