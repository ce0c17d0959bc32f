//! Shutdown: executions end, or are marked unknown; nothing new begins.

use oncegate::Policy;
use oncegate::policy::{InFlight, StoreDown};
use oncegate::record::Phase;
use oncegate::testing::{Fault, StoreMethod};
use oncegate_tower::Drained;
use tokio::time::Instant;

use crate::handler::{Feed, Gate, Handler, respond};
use crate::harness::{Bench, pay, seconds, settle};

/// M-32: a drain waits for executions to end, and nothing new begins meanwhile.
#[tokio::test(start_paused = true)]
async fn a_drain_lets_executions_end_and_begins_nothing_new() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::new(handler).await;
    let first = bench.start(pay("k"));
    gate.entered().await;
    assert_eq!(bench.oncegate.running(), 1);
    let drain = tokio::spawn(bench.oncegate.drain(seconds(30)));
    settle().await;
    bench.send(pay("new")).await.is_refused(503, "overloaded");
    assert!(!drain.is_finished());
    gate.open();
    first.await.unwrap().is_executed("payment 1");
    assert_eq!(drain.await.unwrap(), Drained::Finished);
    assert_eq!(bench.oncegate.running(), 0);
    assert_eq!(bench.handler.calls(), 1);
    assert_eq!(bench.phase("new").await, None);
}

/// M-32: what was executed before is answered while the process drains.
#[tokio::test(start_paused = true)]
async fn duplicates_are_answered_during_a_drain() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::new(handler).await;
    gate.open();
    bench.send(pay("done")).await.is_executed("payment 1");
    gate.entered().await;
    let running = bench.start(pay("running"));
    gate.entered().await;
    let drain = tokio::spawn(bench.oncegate.drain(seconds(30)));
    settle().await;
    bench.send(pay("done")).await.is_replayed("payment 1");
    bench
        .send(pay("running"))
        .await
        .is_refused(409, "in-flight");
    gate.open();
    running.await.unwrap().is_executed("payment 2");
    assert_eq!(drain.await.unwrap(), Drained::Finished);
}

/// M-32: what has not ended when the time is up is marked unknown, and its caller is told so.
#[tokio::test(start_paused = true)]
async fn a_drain_that_runs_out_of_time_marks_the_rest_unknown() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::new(handler).await;
    let started = ["one", "two"].map(|key| bench.start(pay(key)));
    gate.entered().await;
    gate.entered().await;
    let begun = Instant::now();
    let drained = bench.oncegate.drain(seconds(10)).await;
    assert_eq!(drained, Drained::GaveUp { executions: 2 });
    assert_eq!(begun.elapsed(), seconds(10));
    for first in started {
        let answer = first.await.unwrap();
        answer.is_refused(502, "upstream-outcome-unknown");
        assert_eq!(answer.became(), "unknown");
    }
    for key in ["one", "two"] {
        assert_eq!(bench.phase(key).await, Some(Phase::Unknown));
    }
}

/// M-32: a drain that gives up over a store that is down does not hang: the leases lapse to the same.
#[tokio::test(start_paused = true)]
async fn a_drain_over_a_store_that_is_down_ends_in_bounded_time() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::new(handler).await;
    let _first = bench.start(pay("k"));
    gate.entered().await;
    bench.faulty.set_down(true);
    let begun = Instant::now();
    let drained = bench.oncegate.drain(seconds(10)).await;
    assert_eq!(drained, Drained::GaveUp { executions: 1 });
    assert!(begun.elapsed() <= seconds(12));
    bench.faulty.set_down(false);
    bench.clock.advance(bench.policy.lease);
    assert_eq!(bench.phase("k").await, Some(Phase::Unknown));
}

/// M-32: a claim that may have been made, and cannot be given back while the store is down, does not hold up a drain:
/// nothing runs under it. Its giving back was waited for like an execution.
#[tokio::test(start_paused = true)]
async fn a_claim_that_cannot_be_given_back_does_not_hold_a_drain_up() {
    let bench = Bench::new(Handler::paying()).await;
    bench.faulty.set_down(true);
    for key in ["a", "b"] {
        let refused = bench.send(pay(key)).await;
        refused.is_refused(503, "store-unavailable");
    }
    settle().await;
    assert_eq!(bench.oncegate.running(), 2);
    let begun = Instant::now();
    let drained = bench.oncegate.drain(seconds(10)).await;
    assert_eq!(drained, Drained::Finished);
    assert!(begun.elapsed().is_zero());
    assert_eq!(bench.oncegate.running(), 0);
    assert_eq!(bench.handler.calls(), 0);
}

/// M-32: a request whose body comes in while the process drains executes nothing.
#[tokio::test(start_paused = true)]
async fn an_upload_that_ends_during_a_drain_executes_nothing() {
    let bench = Bench::new(Handler::paying()).await;
    let (feed, body) = Feed::new();
    let uploading = bench.start(pay("k").map(|_| body));
    settle().await;
    assert_eq!(bench.oncegate.drain(seconds(1)).await, Drained::Finished);
    feed.ended();
    uploading.await.unwrap().is_refused(503, "overloaded");
    assert_eq!(bench.handler.calls(), 0);
    assert_eq!(bench.phase("k").await, None);
}

/// M-32: a duplicate that waits does not take its turn while the process drains.
#[tokio::test(start_paused = true)]
async fn a_waiter_does_not_take_its_turn_during_a_drain() {
    let gate = Gate::default();
    let at = gate.clone();
    let handler = Handler::new(move |_| {
        let at = at.clone();
        async move {
            at.pass().await;
            Ok(respond(503, "later"))
        }
    });
    let policy = Policy {
        in_flight: InFlight::Wait,
        ..Policy::default()
    };
    let bench = Bench::under(policy, handler).await;
    let first = bench.start(pay("k"));
    gate.entered().await;
    let waiter = bench.start(pay("k"));
    settle().await;
    let drain = tokio::spawn(bench.oncegate.drain(seconds(30)));
    settle().await;
    gate.open();
    assert_eq!(first.await.unwrap().became(), "released");
    waiter.await.unwrap().is_refused(503, "overloaded");
    assert_eq!(drain.await.unwrap(), Drained::Finished);
    assert_eq!(bench.handler.calls(), 1);
}

/// M-32: nothing new begins during a drain, not even unprotected because the store is down or hangs.
#[tokio::test(start_paused = true)]
async fn nothing_runs_unprotected_during_a_drain() {
    let policy = Policy {
        store_down: StoreDown::Execute,
        ..Policy::default()
    };
    let bench = Bench::under(policy, Handler::paying()).await;
    assert_eq!(bench.oncegate.drain(seconds(1)).await, Drained::Finished);
    bench.faulty.plan(StoreMethod::Get, 1, Fault::HangBefore);
    for down in [false, true] {
        bench.faulty.set_down(down);
        let answer = bench.send(pay("k")).await;
        assert_eq!((answer.status(), answer.became()), (503, "refused"));
    }
    assert_eq!(bench.handler.calls(), 0);
}
