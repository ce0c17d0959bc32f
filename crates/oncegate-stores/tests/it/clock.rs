//! Clocks of servers that are set back, or differ from one server to another: for every store that has a server's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oncegate::Inspect;
use oncegate::record::{Phase, RecordState};
use oncegate::store::{Filter, Insert, Update};

use crate::harness::{LEASE, claim, complete, get, id, new_record, owner, update};

/// One answer from a clock that is ahead, of another server or from before it was set back, once made every lease of
/// this process look lapsed: with `on_unknown = "reexecute"` a duplicate ran beside the first.
pub(crate) async fn no_lease_lapses_by_the_time_of_another_answer(
    store: &dyn Inspect,
    ahead: &Arc<AtomicU64>,
) {
    ahead.store(micros(LEASE * 2), Ordering::Relaxed);
    get(store, 7).await;
    store.ping().await.unwrap();
    ahead.store(0, Ordering::Relaxed);

    claim(store, 1).await;
    let mut duplicate = new_record(1);
    duplicate.owner = owner(9);
    let told = store.insert(duplicate).await.unwrap();
    let Insert::Exists(record) = told.value else {
        panic!("the record is gone");
    };
    assert_eq!(record.phase(told.at), Phase::InFlight);
    let in_flight = Filter {
        phase: Some(Phase::InFlight),
        key_digest: None,
    };
    let page = store.list(in_flight, None, 10).await.unwrap().value;
    assert_eq!(page.records.len(), 1);
}

/// The time of an answer is never before what the record says has happened.
pub(crate) async fn a_record_is_never_told_at_a_time_before_its_own(
    store: &dyn Inspect,
    ahead: &Arc<AtomicU64>,
) {
    ahead.store(micros(LEASE * 2), Ordering::Relaxed);
    let claimed = claim(store, 1).await;
    ahead.store(0, Ordering::Relaxed);
    assert!(store.get(id(1)).await.unwrap().at >= claimed.created_at);
    ahead.store(micros(LEASE * 3), Ordering::Relaxed);
    let completed = update(store, 1, complete(b"paid")).await.unwrap();
    ahead.store(0, Ordering::Relaxed);
    let told = store.get(id(1)).await.unwrap();
    assert_eq!(completed, Update::Applied(told.value.clone()));
    let record = told.value.unwrap();
    assert!(matches!(
        record.state,
        RecordState::Completed { completed_at, .. } if completed_at <= told.at
    ));
}

/// An outcome is not recorded before its claim, though the clock was set back between them.
pub(crate) async fn nothing_is_recorded_before_its_claim(
    store: &dyn Inspect,
    ahead: &Arc<AtomicU64>,
) {
    ahead.store(micros(LEASE * 2), Ordering::Relaxed);
    let claimed = claim(store, 1).await;
    ahead.store(0, Ordering::Relaxed);
    let Update::Applied(Some(record)) = update(store, 1, complete(b"paid")).await.unwrap() else {
        panic!("it was not recorded");
    };
    assert!(matches!(
        record.state,
        RecordState::Completed { completed_at, .. } if completed_at >= claimed.created_at
    ));
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap()
}
