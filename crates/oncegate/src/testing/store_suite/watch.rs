//! Rules of watching, of the ping and of what a store says it is.
//!
//! A watch is a hint: the truth is what a look shows. So a store that never wakes passes if it says so.

use std::future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use event_listener::{Event, Listener};

use super::{Harness, UNKNOWN, applied, complete, id, owner};
use crate::record::Phase;
use crate::store::{BoxFuture, Change};

/// Order: watch, look, wait. Whether or not the watch wakes, the look finds the completion.
pub async fn a_watcher_sees_a_completion(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    let watch = harness.store.watch(id(1));
    let before = harness.look(id(1)).await;
    assert_eq!(
        before.value.map(|record| record.phase(before.at)),
        Some(Phase::InFlight)
    );
    let completed = applied(harness.write(&record, complete(b"paid")).await);
    assert_wakes(&harness, watch, "a completion").await;
    harness.assert_stands(&completed).await;
}

/// One of those who wait must be able to claim.
pub async fn a_watcher_sees_a_release(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    let watch = harness.store.watch(id(1));
    harness.write(&record, Change::Release).await;
    assert_wakes(&harness, watch, "a release").await;
    assert_eq!(harness.get(id(1)).await, None);
}

/// Waiting on is in vain: the outcome is not known.
pub async fn a_watcher_sees_that_the_outcome_is_unknown(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    let watch = harness.store.watch(id(1));
    harness
        .write(&record, Change::MarkUnknown { unknown: UNKNOWN })
        .await;
    assert_wakes(&harness, watch, "a mark").await;
}

/// Up to 32 wait for one key.
pub async fn all_watchers_of_a_record_wake(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    let watches: Vec<_> = (0..32).map(|_| harness.store.watch(id(1))).collect();
    harness.write(&record, complete(b"paid")).await;
    for watch in watches {
        assert_wakes(&harness, watch, "a completion").await;
    }
}

/// A caller that leaves takes nobody's wake-up with it.
pub async fn a_watcher_that_leaves_does_not_hold_up_the_others(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    let leaving = harness.store.watch(id(1));
    let staying = harness.store.watch(id(1));
    let mut polled = harness.store.watch(id(1));
    // One leaves before it was ever polled, one after.
    let _: Poll<()> = future::poll_fn(|context| Poll::Ready(polled.as_mut().poll(context))).await;
    drop(polled);
    drop(leaving);
    harness.write(&record, complete(b"paid")).await;
    assert_wakes(&harness, staying, "a completion").await;
}

/// A store that cannot be reached must not be taken for one that can.
pub async fn a_ping_is_answered(harness: Harness) {
    let first = harness.now().await;
    let second = harness.now().await;
    assert!(
        first <= second && first.as_micros() > 0,
        "{first}, then {second}"
    );
}

/// The salt keys the fingerprints: one that changed would make every retry incomparable.
pub async fn a_store_says_what_it_is_and_keeps_its_salt(harness: Harness) {
    let first = harness
        .store
        .info()
        .await
        .expect("the store says what it is")
        .value;
    harness.completed(id(1), owner(1), b"paid").await;
    harness.purge_all().await;
    let second = harness
        .store
        .info()
        .await
        .expect("the store says what it is")
        .value;
    assert_eq!(first, second);
    assert!(!first.name.is_empty(), "a store has a name");
    assert!(
        first.salt.iter().any(|byte| *byte != first.salt[0]),
        "that salt is not random"
    );
}

async fn assert_wakes(harness: &Harness, watch: BoxFuture<'static, ()>, what: &str) {
    if !harness.wakes_watchers() {
        return drop(watch);
    }
    assert!(
        within(WAKE_TIMEOUT, watch).await,
        "{what} did not wake a watcher"
    );
}

/// Whether `future` ends in time. A thread keeps the time, because no runtime can be relied on.
async fn within(limit: Duration, future: BoxFuture<'static, ()>) -> bool {
    let (over, ended) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let timeout = over.listen();
    let stop = ended.listen();
    let timer = thread::spawn(move || {
        if stop.wait_timeout(limit).is_none() {
            over.notify(1);
        }
    });
    let (mut future, mut timeout) = (future, pin!(timeout));
    let in_time = future::poll_fn(|context| {
        if future.as_mut().poll(context).is_ready() {
            return Poll::Ready(true);
        }
        timeout.as_mut().poll(context).map(|()| false)
    })
    .await;
    ended.notify(1);
    timer.join().expect("the timer does not panic");
    in_time
}

/// Far more than any wake-up takes; waited out only by a store that breaks the rule.
const WAKE_TIMEOUT: Duration = Duration::from_secs(10);
