//! Stores that fail and handlers that panic: what runs, what is recorded, and what the caller is told.

use http::Response;
use oncegate::policy::{OnUnknown, StoreDown};
use oncegate::record::Phase;
use oncegate::testing::{Fault, StoreMethod};
use oncegate::{Policy, StoreErrorKind};
use oncegate_tower::Body;
use tokio::time::Instant;

use crate::handler::{Handler, HandlerError, paid, respond};
use crate::harness::{Bench, Setup, pay, seconds, settle, unkeyed};

const UNAVAILABLE: Fault = Fault::FailBefore(StoreErrorKind::Unavailable);

/// M-14: the caller does not see the answer before the outcome is durable. Forced by a store that holds the
/// completion, or its confirmation, back.
#[tokio::test(start_paused = true)]
async fn the_outcome_is_durable_before_the_caller_sees_the_answer() {
    for fault in [Fault::HangBefore, Fault::HangAfter] {
        let bench = Bench::new(Handler::paying()).await;
        bench.faulty.plan(StoreMethod::Update, 1, fault);
        let first = bench.start(pay("k"));
        bench.pass_time(seconds(4)).await;
        assert_eq!((bench.handler.calls(), bench.faulty.hung()), (1, 1));
        assert!(!first.is_finished(), "{fault:?}");
        bench.faulty.release_hung();
        first.await.unwrap().is_executed("payment 1");
        assert_eq!(bench.phase("k").await, Some(Phase::Completed));
    }
}

/// M-25: a store that cannot be reached at the claim: 503, nothing runs, and the key is as free as before.
#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_at_the_claim_runs_nothing() {
    let bench = Bench::new(Handler::paying()).await;
    bench.faulty.set_down(true);
    let refused = bench.send(pay("k")).await;
    refused.is_refused(503, "store-unavailable");
    assert_eq!(refused.became(), "refused");
    assert!(refused.retry_after().is_some());
    assert_eq!(bench.handler.calls(), 0);
    // Without a key nothing depends on the store.
    assert_eq!(bench.send(unkeyed()).await.text(), "payment 1");

    bench.faulty.set_down(false);
    bench.pass_time(seconds(1)).await;
    bench.send(pay("k")).await.is_executed("payment 2");
}

/// M-25: each way in which a store refuses a claim ends in 503, and runs nothing.
#[tokio::test(start_paused = true)]
async fn whatever_the_store_fails_with_at_the_claim_runs_nothing() {
    for (kind, slug) in [
        (StoreErrorKind::Unavailable, "store-unavailable"),
        (StoreErrorKind::Overloaded, "overloaded"),
        (StoreErrorKind::Full, "store-unavailable"),
        (StoreErrorKind::Corrupt, "store-unavailable"),
        (StoreErrorKind::Incompatible, "store-unavailable"),
        (StoreErrorKind::Unfit, "store-unavailable"),
    ] {
        let bench = Bench::new(Handler::paying()).await;
        let fault = Fault::FailBefore(kind);
        bench.faulty.plan(StoreMethod::Insert, 1, fault);
        bench.send(pay("k")).await.is_refused(503, slug);
        assert_eq!(bench.handler.calls(), 0, "{kind:?}");
        settle().await;
        bench.send(pay("k")).await.is_executed("payment 1");
    }
}

/// M-25: a store that does not answer is given `store_timeout`, no more.
#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_waited_for_no_longer_than_its_time() {
    for fault in [Fault::HangBefore, Fault::HangAfter] {
        let bench = Bench::new(Handler::paying()).await;
        bench.faulty.plan(StoreMethod::Insert, 1, fault);
        let begun = Instant::now();
        let refused = bench.send(pay("k")).await;
        refused.is_refused(503, "store-unavailable");
        assert_eq!(begun.elapsed(), bench.policy.store_timeout);
        settle().await;
        assert_eq!(bench.phase("k").await, None, "{fault:?}");
        assert_eq!(bench.handler.calls(), 0);
        bench.send(pay("k")).await.is_executed("payment 1");
    }
}

/// M-25: a claim whose reply was lost is given back until the store says that it is: the key becomes free again.
#[tokio::test(start_paused = true)]
async fn a_claim_whose_reply_was_lost_is_given_back() {
    let bench = Bench::new(Handler::paying()).await;
    bench.faulty.plan(StoreMethod::Insert, 1, Fault::LoseReply);
    for nth in 1..=3 {
        bench.faulty.plan(StoreMethod::Update, nth, UNAVAILABLE);
    }
    let refused = bench.send(pay("k")).await;
    refused.is_refused(503, "store-unavailable");
    assert_eq!(bench.phase("k").await, Some(Phase::InFlight));
    bench.send(pay("k")).await.is_refused(409, "in-flight");
    bench.pass_time(seconds(1)).await;
    assert_eq!(bench.phase("k").await, None);
    assert_eq!(bench.handler.calls(), 0);
    bench.send(pay("k")).await.is_executed("payment 1");
}

/// M-26: an outcome that the store does not take at first is stored on a later try, and the caller gets it then.
#[tokio::test(start_paused = true)]
async fn a_completion_that_fails_is_tried_again() {
    for failures in 1..=7 {
        let bench = Bench::new(Handler::paying()).await;
        for nth in 1..=failures {
            let kind = [StoreErrorKind::Unavailable, StoreErrorKind::Overloaded][nth % 2];
            let fault = Fault::FailBefore(kind);
            bench.faulty.plan(StoreMethod::Update, nth, fault);
        }
        bench.send(pay("k")).await.is_executed("payment 1");
        bench.send(pay("k")).await.is_replayed("payment 1");
        assert_eq!(bench.handler.calls(), 1);
    }
}

/// M-26: a completion whose reply was lost is recorded once, and its repeat is as good as the first.
#[tokio::test(start_paused = true)]
async fn a_completion_whose_reply_was_lost_is_recorded_once() {
    let bench = Bench::new(Handler::paying()).await;
    bench.faulty.plan(StoreMethod::Update, 1, Fault::LoseReply);
    bench.send(pay("k")).await.is_executed("payment 1");
    bench.send(pay("k")).await.is_replayed("payment 1");
    assert_eq!(bench.handler.calls(), 1);
}

/// M-26: after `complete_timeout` the caller gets the true answer, marked `unrecorded`; retries go on behind, and
/// nothing executes silently meanwhile.
#[tokio::test(start_paused = true)]
async fn an_outcome_that_cannot_be_recorded_in_time_is_told_and_recorded_later() {
    let (handler, gate) = Handler::gated();
    let policy = Policy {
        on_unknown: OnUnknown::Reexecute,
        ..Policy::default()
    };
    let bench = Bench::under(policy, handler).await;
    let first = bench.start(pay("k"));
    gate.entered().await;
    bench.faulty.set_down(true);
    gate.open();
    settle().await;
    let begun = Instant::now();
    let answer = first.await.unwrap();
    assert_eq!(begun.elapsed(), bench.policy.complete_timeout);
    assert_eq!(
        (answer.became(), answer.text()),
        ("unrecorded", "payment 1")
    );
    assert_eq!(answer.status(), 201);

    bench
        .send(pay("k"))
        .await
        .is_refused(503, "store-unavailable");
    bench.faulty.set_down(false);
    bench.send(pay("k")).await.is_refused(409, "in-flight");
    bench.pass_time(seconds(2)).await;
    bench.send(pay("k")).await.is_replayed("payment 1");
    assert_eq!(bench.handler.calls(), 1);
}

/// M-26: the lease is renewed while a completion is tried again. Forced by a store that fails every completion, but
/// takes renewals, for longer than a lease.
#[tokio::test(start_paused = true)]
async fn the_lease_is_renewed_while_a_completion_is_tried_again() {
    let policy = Policy {
        lease: seconds(3),
        on_unknown: OnUnknown::Reexecute,
        ..Policy::default()
    };
    let bench = Bench::under(policy, Handler::paying()).await;
    // Tries and renewals take turns.
    for nth in (1..=41).step_by(2) {
        bench.faulty.plan(StoreMethod::Update, nth, UNAVAILABLE);
    }
    let first = bench.start(pay("k"));
    for _ in 0..9 {
        bench.pass_time(seconds(1)).await;
        bench.send(pay("k")).await.is_refused(409, "in-flight");
    }
    assert_eq!(first.await.unwrap().became(), "unrecorded");
    bench.pass_time(seconds(15)).await;
    bench.send(pay("k")).await.is_replayed("payment 1");
    assert_eq!(bench.handler.calls(), 1);
}

/// M-26: a completion that hangs does not let the lease lapse behind it: nobody else executes meanwhile.
#[tokio::test(start_paused = true)]
async fn the_lease_is_renewed_while_a_completion_hangs() {
    let policy = Policy {
        lease: seconds(3),
        on_unknown: OnUnknown::Reexecute,
        ..Policy::default()
    };
    let bench = Bench::under(policy, Handler::paying()).await;
    bench.faulty.plan(StoreMethod::Update, 1, Fault::HangBefore);
    let first = bench.start(pay("k"));
    for _ in 0..9 {
        bench.pass_time(seconds(1)).await;
        let duplicate = bench.send(pay("k")).await;
        assert_ne!(duplicate.became(), "executed");
    }
    assert_eq!(first.await.unwrap().text(), "payment 1");
    bench.faulty.release_hung();
    settle().await;
    bench.send(pay("k")).await.is_replayed("payment 1");
    assert_eq!(bench.handler.calls(), 1);
}

/// M-26: a renewal that hangs between two tries does not hold up the next try.
#[tokio::test(start_paused = true)]
async fn a_renewal_that_hangs_does_not_hold_a_completion_up() {
    let bench = Bench::new(Handler::paying()).await;
    bench.faulty.plan(StoreMethod::Update, 1, UNAVAILABLE);
    bench.faulty.plan(StoreMethod::Update, 2, Fault::HangBefore);
    bench.send(pay("k")).await.is_executed("payment 1");
    bench.send(pay("k")).await.is_replayed("payment 1");
}

/// M-26: a store without room for the answer keeps the fact that it ran; the caller gets the answer, a retry is told.
#[tokio::test(start_paused = true)]
async fn a_full_store_keeps_the_fact_without_the_body() {
    let setup = Setup {
        bytes_max: 16 * 1024,
        ..Setup::default()
    };
    let large = "x".repeat(64 * 1024);
    let answer = large.clone();
    let handler = Handler::answering(move |_| {
        let mut response = respond(201, answer.clone());
        let location = http::HeaderValue::from_static("/payments/1");
        response.headers_mut().insert("location", location);
        response
    });
    let bench = setup.bench(handler).await;
    let first = bench.send(pay("k")).await;
    first.is_executed(&large);
    assert_eq!(first.parameter("kept"), Some("?0"));

    let retry = bench.send(pay("k")).await;
    retry.is_refused(410, "response-not-kept");
    assert_eq!(retry.header("location"), Some("/payments/1"));
    assert_eq!(bench.handler.calls(), 1);
}

/// M-26: the first time a store has no room it may be another's answer that did not fit beside this one: it is offered
/// once more, whole. The body was dropped at once.
#[tokio::test(start_paused = true)]
async fn only_a_store_that_is_full_twice_costs_the_body() {
    let full = Fault::FailBefore(StoreErrorKind::Full);
    let bench = Bench::new(Handler::paying()).await;
    bench.faulty.plan(StoreMethod::Update, 1, full);
    let first = bench.send(pay("k")).await;
    first.is_executed("payment 1");
    assert_eq!(first.parameter("kept"), None);
    bench.send(pay("k")).await.is_replayed("payment 1");

    let bench = Bench::new(Handler::paying()).await;
    // The second update is a renewal, between two tries.
    bench.faulty.plan(StoreMethod::Update, 1, full);
    bench.faulty.plan(StoreMethod::Update, 3, full);
    let first = bench.send(pay("k")).await;
    first.is_executed("payment 1");
    assert_eq!(first.parameter("kept"), Some("?0"));
    let retry = bench.send(pay("k")).await;
    retry.is_refused(410, "response-not-kept");
}

/// M-26: what the store will never take is not tried for ever: the caller gets the true answer, marked.
#[tokio::test(start_paused = true)]
async fn a_store_that_will_never_take_an_outcome_is_not_asked_again() {
    let bench = Bench::new(Handler::paying()).await;
    let corrupt = Fault::FailBefore(StoreErrorKind::Corrupt);
    bench.faulty.plan(StoreMethod::Update, 1, corrupt);
    let begun = Instant::now();
    let answer = bench.send(pay("k")).await;
    assert_eq!(
        (answer.became(), answer.text()),
        ("unrecorded", "payment 1")
    );
    assert!(begun.elapsed().is_zero());
    bench.clock.advance(bench.policy.lease);
    bench
        .send(pay("k"))
        .await
        .is_refused(409, "outcome-unknown");
}

fn bypassing() -> Policy {
    Policy {
        store_down: StoreDown::Execute,
        ..Policy::default()
    }
}

/// M-25: with `store_down = "execute"` a request runs without a claim, says so, and is recorded if the store is back.
#[tokio::test(start_paused = true)]
async fn with_store_down_execute_a_request_runs_unprotected_and_is_recorded_at_the_end() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::under(bypassing(), handler).await;
    bench.faulty.set_down(true);
    let first = bench.start(pay("k"));
    gate.entered().await;
    assert_eq!(bench.handler.last().header("idempotency-fence"), None);
    bench.faulty.set_down(false);
    gate.open();
    let answer = first.await.unwrap();
    assert_eq!((answer.became(), answer.text()), ("bypassed", "payment 1"));
    assert_eq!(answer.parameter("fence"), None);
    bench.send(pay("k")).await.is_replayed("payment 1");
}

/// M-25: the same if the claim was lost on its way, or its store hangs; and while the store stays down each request
/// runs: that is what the operator asked for.
#[tokio::test(start_paused = true)]
async fn with_store_down_execute_every_kind_of_outage_is_bypassed() {
    for fault in [
        UNAVAILABLE,
        Fault::LoseReply,
        Fault::HangBefore,
        Fault::HangAfter,
    ] {
        let bench = Bench::under(bypassing(), Handler::paying()).await;
        bench.faulty.plan(StoreMethod::Insert, 1, fault);
        let answer = bench.send(pay("k")).await;
        assert_eq!((answer.became(), answer.text()), ("bypassed", "payment 1"));
        bench.send(pay("k")).await.is_replayed("payment 1");
    }
    let bench = Bench::under(bypassing(), Handler::paying()).await;
    bench.faulty.set_down(true);
    for number in 1..=2 {
        let answer = bench.send(pay("k")).await;
        assert_eq!(answer.text(), format!("payment {number}"));
        assert_eq!(answer.became(), "bypassed");
    }
}

/// M-25: a store that says "this cannot be read" is not down: the key may be completed, and nothing runs.
#[tokio::test(start_paused = true)]
async fn with_store_down_execute_a_damaged_record_is_no_outage() {
    for kind in [StoreErrorKind::Corrupt, StoreErrorKind::Incompatible] {
        let bench = Bench::under(bypassing(), Handler::paying()).await;
        let fault = Fault::FailBefore(kind);
        bench.faulty.plan(StoreMethod::Insert, 1, fault);
        bench
            .send(pay("k"))
            .await
            .is_refused(503, "store-unavailable");
        assert_eq!(bench.handler.calls(), 0);
    }
}

/// M-25: a transient outcome of an unprotected execution leaves the key free, even if its claim was lost on the way.
#[tokio::test(start_paused = true)]
async fn a_transient_outcome_of_an_unprotected_execution_leaves_the_key_free() {
    for fault in [UNAVAILABLE, Fault::LoseReply, Fault::HangAfter] {
        let bench = Bench::under(bypassing(), Handler::with_status(503)).await;
        bench.faulty.plan(StoreMethod::Insert, 1, fault);
        assert_eq!(bench.send(pay("k")).await.became(), "bypassed");
        assert_eq!(bench.phase("k").await, None, "{fault:?}");
    }
}

/// M-27: a panic settles the key as unknown at once; nobody waits for a lease to lapse.
#[tokio::test(start_paused = true)]
async fn a_panic_settles_the_key_as_unknown_at_once() {
    let handler = Handler::new(|_| async { panic!("the handler panics") });
    let bench = Bench::new(handler).await;
    let first = bench.send(pay("k")).await;
    first.is_refused(500, "upstream-outcome-unknown");
    assert_eq!(first.became(), "unknown");
    assert_eq!(bench.phase("k").await, Some(Phase::Unknown));
    bench
        .send(pay("k"))
        .await
        .is_refused(409, "outcome-unknown");
    assert_eq!(bench.handler.calls(), 1);
}

/// M-27: so does a panic before the handler's future exists, and one in the body of the answer.
#[tokio::test(start_paused = true)]
async fn a_panic_in_the_call_or_in_the_body_is_a_panic() {
    let in_call = Handler::streaming(|_, request, _| {
        assert!(request.uri().path() == "/", "the handler panics");
        async { Ok(paid(1)) }
    });
    let in_body = Handler::answering(|_| Response::new(panicking_body(false)));
    for handler in [in_call, in_body] {
        let bench = Bench::new(handler).await;
        let first = bench.send(pay("k")).await;
        first.is_refused(500, "upstream-outcome-unknown");
        assert_eq!(bench.phase("k").await, Some(Phase::Unknown));
    }
}

/// M-27: a body that panics after its head went out leaves the message unfinished, and the key unknown.
#[tokio::test(start_paused = true)]
async fn a_panic_in_a_stream_leaves_it_unfinished_and_the_key_unknown() {
    let bench = Bench::new(Handler::answering(|_| {
        let mut answer = Response::new(panicking_body(true));
        let stream = http::HeaderValue::from_static("text/event-stream");
        answer.headers_mut().insert("content-type", stream);
        answer
    }))
    .await;
    let first = bench.send(pay("k")).await;
    assert_eq!((first.text(), first.finished), ("start", false));
    assert_eq!(bench.phase("k").await, Some(Phase::Unknown));
}

fn panicking_body(after_a_frame: bool) -> Body {
    let mut sent = !after_a_frame;
    let frames = futures_util::stream::poll_fn(move |_| {
        assert!(!sent, "the body panics");
        sent = true;
        let start = http_body::Frame::data(bytes::Bytes::from("start"));
        std::task::Poll::Ready(Some(Ok::<_, HandlerError>(start)))
    });
    Body::foreign(http_body_util::StreamBody::new(frames))
}

/// M-27: the handler's own error is handed on as it is; it may have run, so the key is unknown.
#[tokio::test(start_paused = true)]
async fn the_handlers_own_error_is_handed_on_and_leaves_the_key_unknown() {
    let handler = Handler::new(|_| async { Err(HandlerError("no database")) });
    let bench = Bench::new(handler).await;
    let error = bench.try_send(pay("k")).await.unwrap_err();
    assert_eq!(error, HandlerError("no database"));
    assert_eq!(bench.phase("k").await, Some(Phase::Unknown));
    bench
        .send(pay("k"))
        .await
        .is_refused(409, "outcome-unknown");
    assert_eq!(bench.handler.calls(), 1);
}
