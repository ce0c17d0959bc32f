//! Duplicates of a request in flight: refused at once, or held until it ends.

use futures_util::future::join_all;
use oncegate::Policy;
use oncegate::policy::{InFlight, OnUnknown};
use oncegate::record::Phase;
use oncegate::testing::{Fault, StoreMethod};
use oncegate_tower::WAITERS_PER_KEY_MAX;
use tokio::time::Instant;

use crate::handler::{Gate, Handler, respond};
use crate::harness::{Bench, pay, seconds, settle, with_body};

fn waiting() -> Policy {
    Policy {
        in_flight: InFlight::Wait,
        ..Policy::default()
    }
}

/// A handler whose nth call stands at the gate and answers the nth of these statuses; the last one for all others.
fn answering_in_turn(statuses: &'static [u16]) -> (Handler, Gate) {
    let gate = Gate::default();
    let at = gate.clone();
    let handler = Handler::new(move |call| {
        let at = at.clone();
        async move {
            at.pass().await;
            let status = statuses[(call.number - 1).min(statuses.len() - 1)];
            Ok(respond(status, format!("payment {}", call.number)))
        }
    });
    (handler, gate)
}

/// M-16: a duplicate in flight is refused, and told to come back the later the longer the first takes.
#[tokio::test(start_paused = true)]
async fn a_duplicate_in_flight_is_refused_with_a_growing_retry_after() {
    let (handler, gate) = Handler::gated();
    let policy = Policy {
        lease: seconds(3_600),
        ..Policy::default()
    };
    let bench = Bench::under(policy, handler).await;
    let first = bench.start(pay("k"));
    gate.entered().await;
    let mut seen = Vec::new();
    for more in [0, 5, 20, 600] {
        bench.clock.advance(seconds(more));
        let answer = bench.send(pay("k")).await;
        answer.is_refused(409, "in-flight");
        assert_eq!(answer.became(), "refused");
        assert!(answer.parameter("fence").is_some());
        seen.push(answer.retry_after().unwrap());
    }
    assert_eq!(seen, [1, 2, 6, 10]);
    gate.open();
    first.await.unwrap().is_executed("payment 1");
}

/// M-16: a duplicate that waits gets the outcome as soon as the first ends.
#[tokio::test(start_paused = true)]
async fn a_duplicate_that_waits_gets_the_replay_when_the_first_ends() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::under(waiting(), handler).await;
    let first = bench.start(pay("k"));
    gate.entered().await;
    let waiters: Vec<_> = (0..5).map(|_| bench.start(pay("k"))).collect();
    settle().await;
    assert!(waiters.iter().all(|waiter| !waiter.is_finished()));
    let begun = Instant::now();
    gate.open();
    first.await.unwrap().is_executed("payment 1");
    for waiter in join_all(waiters).await {
        waiter.unwrap().is_replayed("payment 1");
    }
    assert!(begun.elapsed().is_zero(), "they are woken, not polled");
    assert_eq!(bench.handler.calls(), 1);
}

/// M-16: a duplicate that waits in another process, or is never woken, finds the truth by itself.
#[tokio::test(start_paused = true)]
async fn a_duplicate_that_nobody_wakes_looks_for_itself() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::under(waiting(), handler).await;
    let first = bench.start(pay("k"));
    gate.entered().await;
    for nth in 1..=20 {
        bench.faulty.plan(StoreMethod::Watch, nth, Fault::Delay);
    }
    let waiter = bench.start(pay("k"));
    settle().await;
    gate.open();
    first.await.unwrap().is_executed("payment 1");
    waiter.await.unwrap().is_replayed("payment 1");
}

/// M-16: who waits is refused once `wait_timeout` has passed.
#[tokio::test(start_paused = true)]
async fn a_duplicate_waits_no_longer_than_its_time() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::under(waiting(), handler).await;
    let first = bench.start(pay("k"));
    gate.entered().await;
    let begun = Instant::now();
    bench.send(pay("k")).await.is_refused(409, "in-flight");
    assert_eq!(begun.elapsed(), bench.policy.wait_timeout);
    gate.open();
    first.await.unwrap().is_executed("payment 1");
}

/// M-16: a mismatch does not wait for an answer that can never be its own.
#[tokio::test(start_paused = true)]
async fn a_mismatch_is_judged_before_it_waits() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::under(waiting(), handler).await;
    let first = bench.start(pay("k"));
    gate.entered().await;
    let begun = Instant::now();
    let other = with_body(pay("k"), "{}");
    bench.send(other).await.is_refused(422, "mismatch");
    assert!(begun.elapsed().is_zero());
    gate.open();
    first.await.unwrap().is_executed("payment 1");
}

/// M-16: at most 32 wait for one key; the next is refused at once. Places come back.
#[tokio::test(start_paused = true)]
async fn those_who_wait_for_one_key_are_bounded() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::under(waiting(), handler).await;
    let first = bench.start(pay("k"));
    gate.entered().await;
    let waiters: Vec<_> = (0..WAITERS_PER_KEY_MAX)
        .map(|_| bench.start(pay("k")))
        .collect();
    settle().await;
    let begun = Instant::now();
    bench.send(pay("k")).await.is_refused(409, "in-flight");
    assert!(begun.elapsed().is_zero());

    waiters[0].abort();
    settle().await;
    let instead = bench.start(pay("k"));
    settle().await;
    assert!(!instead.is_finished());
    gate.open();
    first.await.unwrap().is_executed("payment 1");
    instead.await.unwrap().is_replayed("payment 1");
}

/// M-16: after a release one of those who wait executes, and the others get its outcome.
#[tokio::test(start_paused = true)]
async fn one_of_those_who_wait_executes_after_a_release() {
    let (handler, gate) = answering_in_turn(&[503, 201]);
    let bench = Bench::under(waiting(), handler).await;
    let first = bench.start(pay("k"));
    gate.entered().await;
    let waiters: Vec<_> = (0..5).map(|_| bench.start(pay("k"))).collect();
    settle().await;
    gate.open();
    assert_eq!(first.await.unwrap().became(), "released");
    gate.entered().await;
    settle().await;
    assert_eq!(bench.handler.calls(), 2);
    gate.open();
    let answers: Vec<_> = join_all(waiters)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let executed = answers
        .iter()
        .filter(|answer| answer.became() == "executed");
    assert_eq!(executed.count(), 1);
    assert!(answers.iter().all(|answer| answer.text() == "payment 2"));
    assert_eq!(bench.handler.calls(), 2);
}

/// M-16: a duplicate whose caller left while it waited never executes.
#[tokio::test(start_paused = true)]
async fn a_waiter_whose_caller_left_never_executes() {
    let (handler, gate) = answering_in_turn(&[503, 201]);
    let bench = Bench::under(waiting(), handler).await;
    let first = bench.start(pay("k"));
    gate.entered().await;
    let waiter = bench.start(pay("k"));
    settle().await;
    waiter.abort();
    settle().await;
    gate.open();
    assert_eq!(first.await.unwrap().became(), "released");
    settle().await;
    assert_eq!(bench.handler.calls(), 1);
    assert_eq!(bench.phase("k").await, None);
}

/// M-16: not even if it left while it was claiming: the claim is given back. Forced by a store that holds back the
/// answer to the claim.
#[tokio::test(start_paused = true)]
async fn a_waiter_whose_caller_left_while_it_claimed_gives_the_claim_back() {
    let (handler, gate) = answering_in_turn(&[503, 201]);
    let bench = Bench::under(waiting(), handler).await;
    let first = bench.start(pay("k"));
    gate.entered().await;
    let waiter = bench.start(pay("k"));
    settle().await;
    bench.faulty.plan(StoreMethod::Insert, 1, Fault::HangAfter);
    gate.open();
    assert_eq!(first.await.unwrap().became(), "released");
    settle().await;
    assert_eq!(bench.faulty.hung(), 1);
    assert_eq!(bench.phase("k").await, Some(Phase::InFlight));
    waiter.abort();
    settle().await;
    bench.faulty.release_hung();
    settle().await;
    assert_eq!(bench.handler.calls(), 1);
    assert_eq!(bench.phase("k").await, None);
}

/// M-16: a waiter whose caller left gives back what it took over as what it was: unknown, not free. The execution
/// before it may have run. Forced as above, after a lease that lapsed.
#[tokio::test(start_paused = true)]
async fn a_waiter_whose_caller_left_never_frees_an_unknown_key() {
    let (handler, gate) = answering_in_turn(&[201]);
    let policy = Policy {
        on_unknown: OnUnknown::Reexecute,
        ..waiting()
    };
    let bench = Bench::under(policy, handler).await;
    let first = bench.start(pay("k"));
    gate.entered().await;
    let waiter = bench.start(pay("k"));
    settle().await;
    bench.faulty.plan(StoreMethod::Update, 1, Fault::HangAfter);
    // The first one's process stands still: its lease lapses by the store's clock alone.
    bench.clock.advance(bench.policy.lease);
    tokio::time::advance(seconds(1)).await;
    settle().await;
    assert_eq!(bench.faulty.hung(), 1);
    waiter.abort();
    settle().await;
    bench.faulty.release_hung();
    settle().await;
    assert_eq!(bench.handler.calls(), 1);
    assert_eq!(bench.phase("k").await, Some(Phase::Unknown));
    first.abort();
}
