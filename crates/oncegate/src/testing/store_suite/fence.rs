//! Rules of fence and revision: the one grows whenever a record changes hands, the other with every write.

use super::{
    DAY, Harness, KEPT, LEASE, SECOND, UNKNOWN, applied, complete, id, owner, renew,
    settle_completed,
};
use crate::record::Fence;
use crate::store::Change;

/// Not even a clock that stands still lets two claims have one fence.
pub async fn a_fence_grows_over_release_and_insert_even_if_time_stands_still(harness: Harness) {
    let mut last = Fence::default();
    for n in 0..100 {
        let record = harness.in_flight(id(1), owner(n)).await;
        assert!(
            record.fence > last,
            "claim {n}: {} after {last}",
            record.fence
        );
        last = record.fence;
        harness.write(&record, Change::Release).await;
    }
}

/// A take-over, and a take-over of that.
pub async fn a_fence_grows_over_every_take_over(harness: Harness) {
    let mut record = harness.in_flight(id(1), owner(0)).await;
    for n in 1..20 {
        harness.advance(LEASE + SECOND);
        let taken = harness.taken_over(&record, owner(n)).await;
        assert!(taken.fence > record.fence, "take-over {n}: {taken:?}");
        record = taken;
    }
}

/// Take-overs without any time between them, then a release and an insert: still no way back.
pub async fn a_fence_that_ran_ahead_of_the_clock_never_goes_back(harness: Harness) {
    let mut record = harness.marked_unknown(id(1), owner(0)).await;
    for n in 1..100 {
        record = harness.taken_over(&record, owner(n)).await;
    }
    harness.write(&record, Change::Release).await;
    let next = harness.in_flight(id(1), owner(100)).await;
    assert!(
        next.fence > record.fence,
        "{} after {}",
        next.fence,
        record.fence
    );
}

/// Purged, then claimed anew: the upstream must still be able to tell old from new.
pub async fn a_fence_grows_over_the_purge_of_a_record(harness: Harness) {
    let completed = harness.completed(id(1), owner(1), b"paid").await;
    harness.advance(KEPT.live + KEPT.tombstone + SECOND);
    harness.purge_all().await;
    let next = harness.in_flight(id(1), owner(2)).await;
    assert!(
        next.fence > completed.fence,
        "{} after {}",
        next.fence,
        completed.fence
    );
}

/// A fence is at least the store's time, so that it grows even over a store that forgot everything.
pub async fn a_fence_is_never_below_the_stores_time_in_microseconds(harness: Harness) {
    let before = harness.now().await;
    let record = harness.in_flight(id(1), owner(1)).await;
    assert!(
        record.fence.number() >= before.as_micros(),
        "{} at {before}",
        record.fence
    );
    harness.advance(DAY);
    let before = harness.now().await;
    let taken = harness.taken_over(&record, owner(2)).await;
    assert!(
        taken.fence.number() >= before.as_micros(),
        "{} at {before}",
        taken.fence
    );
}

/// The upstream sees one fence for one execution.
pub async fn a_fence_stays_while_a_record_keeps_its_owner(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    harness.advance(SECOND);
    for change in [
        renew(),
        Change::MarkUnknown { unknown: UNKNOWN },
        complete(b"paid"),
    ] {
        let written = applied(harness.write(&record, change.clone()).await);
        assert_eq!(written.fence, record.fence, "{change:?} changed the fence");
    }
}

/// By every write, renewals included; by repeats and refusals not.
pub async fn a_revision_is_raised_by_every_write(harness: Harness) {
    let mut last = harness.in_flight(id(1), owner(1)).await;
    for change in [renew(), renew(), Change::MarkUnknown { unknown: UNKNOWN }] {
        let written = applied(harness.write(&last, change.clone()).await);
        assert!(
            written.revision > last.revision,
            "{change:?} did not raise the revision"
        );
        last = written;
    }
    let taken = harness.taken_over(&last, owner(2)).await;
    assert!(
        taken.revision > last.revision,
        "a take-over did not raise the revision"
    );
    let settled = applied(
        harness
            .write_seen(&taken, settle_completed(owner(3), b"found"))
            .await,
    );
    assert!(
        settled.revision > taken.revision,
        "a settlement did not raise the revision"
    );
    let other = harness.in_flight(id(2), owner(4)).await;
    let completed = applied(harness.write(&other, complete(b"paid")).await);
    assert!(
        completed.revision > other.revision,
        "a completion did not raise the revision"
    );
}
