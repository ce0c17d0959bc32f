//! What time does: answers that take long, retention, tombstones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use oncegate::Policy;
use oncegate::clock::{Clock as _, Timestamp};
use oncegate::key::{KeyFormat, KeyRules};
use oncegate::record::{Phase, RecordState};
use oncegate::testing::{Fault, StoreMethod};
use oncegate_tower::{Body, BoxError};
use tokio::time::Instant;

use crate::handler::Handler;
use crate::harness::{Bench, PAYMENT, pay, seconds, settle, with_body, with_header};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// M-26: an answer that takes longer than `answer_timeout` is not waited for; the execution goes on, and its outcome
/// is kept for the retry.
#[tokio::test(start_paused = true)]
async fn an_execution_goes_on_past_answer_timeout_and_its_outcome_is_kept() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::new(handler).await;
    let begun = Instant::now();
    let first = bench.send(pay("k")).await;
    assert_eq!(begun.elapsed(), bench.policy.answer_timeout);
    first.is_refused(504, "still-running");
    assert_eq!(first.became(), "unknown");
    assert!(first.retry_after().is_some());
    bench.send(pay("k")).await.is_refused(409, "in-flight");

    gate.entered().await;
    gate.open();
    settle().await;
    bench.send(pay("k")).await.is_replayed("payment 1");
    assert_eq!(bench.handler.calls(), 1);
}

/// M-21: an execution past `answer_timeout` is renewed; past `upstream_timeout` it is broken off, and unknown.
#[tokio::test(start_paused = true)]
async fn an_execution_past_upstream_timeout_is_unknown() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::new(handler).await;
    let first = bench.start(pay("k"));
    gate.entered().await;
    bench
        .pass_time(bench.policy.upstream_timeout - seconds(10))
        .await;
    first.await.unwrap().is_refused(504, "still-running");
    assert_eq!(bench.phase("k").await, Some(Phase::InFlight));
    bench.pass_time(seconds(11)).await;
    assert_eq!(bench.phase("k").await, Some(Phase::Unknown));
    bench
        .send(pay("k"))
        .await
        .is_refused(409, "outcome-unknown");
    assert_eq!(bench.handler.calls(), 1);
}

/// M-28: if the caller still waits then, it is told that the outcome is unknown.
#[tokio::test(start_paused = true)]
async fn a_caller_that_still_waits_is_told_that_the_outcome_is_unknown() {
    let (handler, _gate) = Handler::gated();
    let policy = Policy {
        upstream_timeout: seconds(20),
        ..Policy::default()
    };
    let bench = Bench::under(policy, handler).await;
    let begun = Instant::now();
    let answer = bench.send(pay("k")).await;
    answer.is_refused(504, "upstream-outcome-unknown");
    assert_eq!(answer.became(), "unknown");
    assert_eq!(begun.elapsed(), seconds(20));
}

/// M-41: retention is 24 hours from completion, on the store's clock, whatever this process's clock says.
#[tokio::test(start_paused = true)]
async fn retention_is_judged_by_the_stores_clock() {
    let bench = Bench::new(Handler::paying()).await;
    bench.send(pay("k")).await.is_executed("payment 1");
    tokio::time::advance(DAY * 2).await;
    bench.send(pay("k")).await.is_replayed("payment 1");
    bench.clock.advance(DAY - seconds(1));
    let last = bench.send(pay("k")).await;
    last.is_replayed("payment 1");
    assert_eq!(last.parameter("ttl"), Some("1"));
    bench.clock.advance(seconds(1));
    bench.send(pay("k")).await.is_refused(410, "key-expired");
    assert_eq!(bench.handler.calls(), 1);
}

/// M-42: expiry is judged by stored times: purged or not, an expired key is refused, and not compared.
#[tokio::test(start_paused = true)]
async fn expiry_is_judged_by_stored_times_and_not_by_deletion() {
    let bench = Bench::new(Handler::paying()).await;
    bench.send(pay("k")).await.is_executed("payment 1");
    bench.clock.advance(DAY);
    let stored = bench.record("k").await.unwrap().state;
    assert!(
        matches!(stored, RecordState::Completed { .. }),
        "not purged"
    );
    let other = || with_body(pay("k"), "{}");
    for request in [pay("k"), other()] {
        bench.send(request).await.is_refused(410, "key-expired");
    }
    let engine = bench.oncegate.engine();
    while !engine.purge(1_000).await.unwrap().finished {}
    assert_eq!(bench.record("k").await.unwrap().state, RecordState::Expired);
    for request in [pay("k"), other()] {
        bench.send(request).await.is_refused(410, "key-expired");
    }
    assert_eq!(bench.handler.calls(), 1);
}

/// M-42: a tombstone stands for its time, and then the key is new, removed or not.
#[tokio::test(start_paused = true)]
async fn a_tombstone_stands_for_its_time() {
    let bench = Bench::new(Handler::paying()).await;
    bench.send(pay("k")).await.is_executed("payment 1");
    bench.clock.advance(DAY * 8 - seconds(1));
    bench.send(pay("k")).await.is_refused(410, "key-expired");
    bench.clock.advance(seconds(1));
    bench.send(pay("k")).await.is_executed("payment 2");
}

/// M-42: an unknown outcome stays unknown for its time, and is refused after that, too.
#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_stays_unknown_for_its_time() {
    let bench = Bench::new(Handler::with_status(504)).await;
    bench.send(pay("k")).await;
    bench.clock.advance(DAY * 30 - seconds(1));
    bench
        .send(pay("k"))
        .await
        .is_refused(409, "outcome-unknown");
    bench.clock.advance(seconds(1));
    bench.send(pay("k")).await.is_refused(410, "key-expired");
    assert_eq!(bench.handler.calls(), 1);
}

/// M-42: a caller that waits to be told to go on (`Expect: 100-continue`) is not told so for a key that has expired:
/// its body is never polled, for that is what tells it.
#[tokio::test(start_paused = true)]
async fn a_caller_that_expects_a_go_ahead_gets_none_for_an_expired_key() {
    let bench = Bench::new(Handler::paying()).await;
    let expecting = || {
        let polled = Arc::new(AtomicBool::new(false));
        let seen = polled.clone();
        let frames = futures_util::stream::once(async move {
            seen.store(true, Ordering::SeqCst);
            Ok::<_, BoxError>(Frame::data(Bytes::from_static(PAYMENT.as_bytes())))
        });
        let body = Body::foreign(StreamBody::new(frames));
        let request = with_header(pay("k"), "expect", "100-continue").map(|_| body);
        (request, polled)
    };
    let (request, polled) = expecting();
    bench.send(request).await.is_executed("payment 1");
    assert!(polled.load(Ordering::SeqCst));
    assert_eq!(bench.handler.last().header("expect"), None);

    bench.clock.advance(bench.policy.retention);
    let (request, polled) = expecting();
    let refused = bench.send(request).await;
    refused.is_refused(410, "key-expired");
    assert!(!polled.load(Ordering::SeqCst));

    bench.faulty.set_down(true);
    let (request, polled) = expecting();
    let refused = bench.send(request).await;
    refused.is_refused(503, "store-unavailable");
    assert!(!polled.load(Ordering::SeqCst));
}

/// A bench whose route looks at the time in a UUIDv7.
async fn by_first_sent(first_sent: bool) -> Bench {
    let policy = Policy {
        first_sent,
        key_rules: KeyRules {
            format: KeyFormat::Uuid7,
            ..KeyRules::default()
        },
        ..Policy::default()
    };
    Bench::under(policy, Handler::paying()).await
}

/// A UUIDv7 that was made then.
fn made_at(made_at: Timestamp) -> String {
    let millis = made_at.as_micros() / 1_000;
    let (high, low) = (millis >> 16, millis & 0xffff);
    format!("{high:08x}-{low:04x}-7000-8000-000000000000")
}

fn before(now: Timestamp, age: Duration) -> Timestamp {
    let micros = u64::try_from(age.as_micros()).unwrap();
    Timestamp::from_micros(now.as_micros() - micros)
}

/// A key that carries its own time is refused even when its tombstone is gone, by the store's clock: no retry is so
/// late that it executes again.
#[tokio::test(start_paused = true)]
async fn a_retry_after_the_tombstone_is_refused_by_the_time_in_its_key() {
    for first_sent in [true, false] {
        let bench = by_first_sent(first_sent).await;
        let key = made_at(bench.clock.now());
        bench.send(pay(&key)).await.is_executed("payment 1");
        bench.send(pay(&key)).await.is_replayed("payment 1");
        bench.clock.advance(DAY * 8);
        while !bench.oncegate.engine().purge(100).await.unwrap().finished {}
        assert_eq!(bench.phase(&key).await, None);
        let late = bench.send(pay(&key)).await;
        if first_sent {
            late.is_refused(410, "key-expired");
            assert_eq!(late.json()["executed"], "maybe");
            assert_eq!((bench.handler.calls(), bench.phase(&key).await), (1, None));
        } else {
            late.is_executed("payment 2");
        }
    }
}

/// The tombstone is seen, and goes before anything else is asked: an insert, held up for as long, would find nothing. A
/// key that old is never inserted.
#[tokio::test(start_paused = true)]
async fn a_tombstone_that_goes_while_it_is_looked_at_lets_nothing_run() {
    let bench = by_first_sent(true).await;
    let key = made_at(before(bench.clock.now(), Duration::from_secs(1)));
    bench.send(pay(&key)).await.is_executed("payment 1");
    // The key is as old as our memory, and its tombstone still has half a second.
    bench.clock.advance(DAY * 8 - Duration::from_millis(500));
    assert_eq!(bench.phase(&key).await, Some(Phase::Expired));
    bench.faulty.plan(StoreMethod::Insert, 1, Fault::HangBefore);
    let late = bench.start(pay(&key));
    settle().await;
    bench.clock.advance(DAY);
    bench.faulty.release_hung();
    late.await.unwrap().is_refused(410, "key-expired");
    assert_eq!(bench.handler.calls(), 1);
}

/// What cannot have been forgotten executes: a key that is younger than our memory, and one from a clock ahead.
#[tokio::test(start_paused = true)]
async fn a_new_key_is_refused_only_if_it_could_have_been_forgotten() {
    let bench = by_first_sent(true).await;
    let now = bench.clock.now();
    let memory = DAY * 8;
    let old = made_at(before(now, memory));
    bench.send(pay(&old)).await.is_refused(410, "key-expired");
    let young = made_at(before(now, memory - Duration::from_millis(1)));
    bench.send(pay(&young)).await.is_executed("payment 1");
    let ahead = made_at(now.after(DAY));
    bench.send(pay(&ahead)).await.is_executed("payment 2");
}

/// The look costs one round trip for a new key, and a store that is down is no reason to execute.
#[tokio::test(start_paused = true)]
async fn the_time_in_a_key_costs_one_look_more() {
    let bench = by_first_sent(true).await;
    let key = made_at(bench.clock.now());
    bench.send(pay(&key)).await.is_executed("payment 1");
    assert_eq!(bench.counting.take_round_trips(), 3);
    bench.faulty.set_down(true);
    let other = made_at(before(bench.clock.now(), DAY));
    let refused = bench.send(pay(&other)).await;
    refused.is_refused(503, "store-unavailable");
    assert_eq!(bench.handler.calls(), 1);
}
