//! Leases: renewed while an execution runs, apart from retention, and judged by the store's clock.

use std::time::Duration;

use oncegate::policy::OnUnknown;
use oncegate::record::Phase;
use oncegate::testing::{Fault, StoreMethod};
use oncegate::{Policy, StoreErrorKind};

use crate::handler::Handler;
use crate::harness::{Bench, pay, seconds, settle};

/// Whoever finds a lapsed lease executes again: what a lease is for shows at once.
fn eager() -> Policy {
    Policy {
        lease: seconds(3),
        on_unknown: OnUnknown::Reexecute,
        ..Policy::default()
    }
}

/// M-20: a lease says nothing of retention: an execution outlives both, and retention counts from its end.
#[tokio::test(start_paused = true)]
async fn retention_counts_from_completion_whatever_the_lease() {
    let (handler, gate) = Handler::gated();
    let policy = Policy {
        retention: seconds(2),
        lease: seconds(3),
        ..Policy::default()
    };
    let bench = Bench::under(policy, handler).await;
    let first = bench.start(pay("k"));
    gate.entered().await;
    bench.pass_time(seconds(10)).await;
    gate.open();
    first.await.unwrap().is_executed("payment 1");
    bench.clock.advance(Duration::from_millis(1_900));
    bench.send(pay("k")).await.is_replayed("payment 1");
    bench.clock.advance(Duration::from_millis(100));
    bench.send(pay("k")).await.is_refused(410, "key-expired");
}

/// M-20: retention that is longer than the lease holds although nobody renews any more.
#[tokio::test(start_paused = true)]
async fn a_completed_record_outlives_its_lease() {
    let bench = Bench::under(eager(), Handler::paying()).await;
    bench.send(pay("k")).await.is_executed("payment 1");
    bench.clock.advance(seconds(3_600));
    bench.send(pay("k")).await.is_replayed("payment 1");
}

/// M-21: an execution five leases long stays the only one.
#[tokio::test(start_paused = true)]
async fn an_execution_five_leases_long_stays_single() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::under(eager(), handler).await;
    let first = bench.start(pay("k"));
    gate.entered().await;
    for _ in 0..15 {
        bench.pass_time(seconds(1)).await;
        bench.send(pay("k")).await.is_refused(409, "in-flight");
    }
    gate.open();
    first.await.unwrap().is_executed("payment 1");
    assert_eq!(bench.handler.calls(), 1);
    // Renewed every third of a lease, and not more often.
    let updates = bench.counting.count(StoreMethod::Update);
    assert!((15..=17).contains(&updates), "{updates}");
}

/// M-21: renewals that fail, or hang, are tried again before the lease lapses.
#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_or_hangs_is_tried_again_in_time() {
    let unavailable = Fault::FailBefore(StoreErrorKind::Unavailable);
    for fault in [
        unavailable,
        Fault::LoseReply,
        Fault::HangBefore,
        Fault::HangAfter,
    ] {
        let (handler, gate) = Handler::gated();
        let bench = Bench::under(eager(), handler).await;
        let first = bench.start(pay("k"));
        gate.entered().await;
        bench.faulty.plan(StoreMethod::Update, 1, fault);
        for _ in 0..10 {
            bench.pass_time(seconds(1)).await;
            let duplicate = bench.send(pay("k")).await;
            assert_eq!(duplicate.slug(), "in-flight", "{fault:?}");
        }
        gate.open();
        first.await.unwrap().is_executed("payment 1");
    }
}

/// M-20: a lapsed lease is unknown, although nobody wrote it; the holder's late outcome is the truth all the same.
#[tokio::test(start_paused = true)]
async fn a_lapsed_lease_is_unknown_until_the_late_truth_comes() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::new(handler).await;
    let first = bench.start(pay("k"));
    gate.entered().await;
    // Only the store's clock moves: to everybody else the holder stands still.
    bench.clock.advance(bench.policy.lease);
    bench
        .send(pay("k"))
        .await
        .is_refused(409, "outcome-unknown");
    assert_eq!(bench.phase("k").await, Some(Phase::Unknown));
    gate.open();
    first.await.unwrap().is_executed("payment 1");
    bench.send(pay("k")).await.is_replayed("payment 1");
    assert_eq!(bench.handler.calls(), 1);
}

/// M-20: whoever got its claim late asks for a renewal before it executes. Forced by a store that holds the claim's
/// answer back for longer than a lease can be trusted.
#[tokio::test(start_paused = true)]
async fn a_claim_that_came_late_is_renewed_before_it_executes() {
    let policy = Policy {
        lease: Duration::from_millis(300),
        ..Policy::default()
    };
    let bench = Bench::under(policy, Handler::paying()).await;
    bench.faulty.plan(StoreMethod::Insert, 1, Fault::HangAfter);
    let first = bench.start(pay("k"));
    settle().await;
    bench.pass_time(Duration::from_millis(280)).await;
    bench.faulty.release_hung();
    first.await.unwrap().is_executed("payment 1");
    // One renewal, one completion.
    assert_eq!(bench.counting.count(StoreMethod::Update), 2);
}

/// M-20: if that renewal fails nothing executes, and the key is free.
#[tokio::test(start_paused = true)]
async fn a_claim_that_came_late_and_cannot_be_renewed_executes_nothing() {
    let policy = Policy {
        lease: Duration::from_millis(300),
        ..Policy::default()
    };
    let bench = Bench::under(policy, Handler::paying()).await;
    bench.faulty.plan(StoreMethod::Insert, 1, Fault::HangAfter);
    let unavailable = Fault::FailBefore(StoreErrorKind::Unavailable);
    bench.faulty.plan(StoreMethod::Update, 1, unavailable);
    let first = bench.start(pay("k"));
    settle().await;
    bench.pass_time(Duration::from_millis(280)).await;
    bench.faulty.release_hung();
    first.await.unwrap().is_refused(503, "overloaded");
    assert_eq!(bench.handler.calls(), 0);
    assert_eq!(bench.phase("k").await, None);
}
