//! A holder that lost its record: nothing that it writes has an effect, and its caller gets what the record says.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method};
use oncegate::engine::Settled;
use oncegate::policy::{OnUnknown, Reconcile};
use oncegate::record::Phase;
use oncegate::store::Settlement;
use oncegate::testing::{Fault, FaultyStore, StoreMethod};
use oncegate::{Policy, StoredResponse};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::handler::{Feed, Gate, Handler, respond};
use crate::harness::{Answer, Bench, code, pay, settle};

fn reexecute() -> Policy {
    Policy {
        on_unknown: OnUnknown::Reexecute,
        ..Policy::default()
    }
}

/// Two gates, for the first and the second call; the answers are the nth of these statuses.
struct Two {
    bench: Bench,
    gates: [Gate; 2],
    first: JoinHandle<Answer>,
    second: JoinHandle<Answer>,
}

impl Two {
    /// The first stands at its gate, its lease has lapsed, and the second, in another process, has taken over.
    async fn new(statuses: [u16; 2]) -> Self {
        let gates = [Gate::default(), Gate::default()];
        let at = gates.clone();
        let handler = Handler::new(move |call| {
            let at = at[call.number - 1].clone();
            async move {
                at.pass().await;
                let body = format!("payment {}", call.number);
                Ok(respond(statuses[call.number - 1], body))
            }
        });
        let bench = Bench::under(reexecute(), handler).await;
        let first = bench.start(pay("k"));
        gates[0].entered().await;
        bench.clock.advance(bench.policy.lease);
        let second = bench.beside(reexecute()).await.start(pay("k"));
        gates[1].entered().await;
        Self {
            bench,
            gates,
            first,
            second,
        }
    }
}

/// M-22: a holder that was taken over discards its outcome; its caller gets the other one's.
#[tokio::test(start_paused = true)]
async fn the_caller_of_a_holder_that_was_taken_over_gets_the_recorded_outcome() {
    let two = Two::new([201, 201]).await;
    two.gates[1].open();
    let second = two.second.await.unwrap();
    second.is_executed("payment 2");
    two.gates[0].open();
    two.first.await.unwrap().is_replayed("payment 2");
    two.bench.send(pay("k")).await.is_replayed("payment 2");
    assert_eq!(two.bench.handler.calls(), 2);
}

/// M-22: if the other one is not ready yet, the first one's caller is told that it is in flight.
#[tokio::test(start_paused = true)]
async fn the_caller_of_a_holder_that_was_taken_over_is_told_that_the_other_still_runs() {
    let two = Two::new([201, 201]).await;
    two.gates[0].open();
    two.first.await.unwrap().is_refused(409, "in-flight");
    two.gates[1].open();
    two.second.await.unwrap().is_executed("payment 2");
    two.bench.send(pay("k")).await.is_replayed("payment 2");
}

/// M-22: neither does a stale release free the key, nor does a stale "unknown" mark it.
#[tokio::test(start_paused = true)]
async fn a_stale_release_or_mark_has_no_effect() {
    for stale in [503, 504] {
        let two = Two::new([stale, 201]).await;
        let before = two.bench.record("k").await;
        two.gates[0].open();
        two.first.await.unwrap().is_refused(409, "in-flight");
        assert_eq!(two.bench.record("k").await, before);
        two.gates[1].open();
        two.second.await.unwrap().is_executed("payment 2");
    }
}

/// M-22: the fence grows with each change of hands, and each execution sees its own.
#[tokio::test(start_paused = true)]
async fn whoever_takes_over_has_a_higher_fence() {
    let two = Two::new([201, 201]).await;
    two.gates[1].open();
    let second = two.second.await.unwrap();
    let fence = |answer: &Answer| -> u64 {
        let quoted = answer.parameter("fence").unwrap();
        quoted.trim_matches('"').parse().unwrap()
    };
    let seen = two.bench.record("k").await.unwrap().fence;
    assert_eq!(fence(&second), seen.number());
    two.gates[0].open();
    assert_eq!(fence(&two.first.await.unwrap()), seen.number());
    assert_eq!(two.bench.handler.calls(), 2);
}

/// M-22: an operator who settles an unknown key is not overruled by its late holder, whose caller gets what the
/// operator said.
#[tokio::test(start_paused = true)]
async fn the_word_of_an_operator_stands_against_a_late_holder() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::new(handler).await;
    let first = bench.start(pay("k"));
    gate.entered().await;
    bench.clock.advance(bench.policy.lease);
    let none = HeaderMap::new();
    let settlement = Settlement::Completed {
        response: StoredResponse::kept(code(201), &none, None, b"settled", &none),
        retention: bench.policy.completed(),
    };
    let id = bench.record("k").await.unwrap().id;
    let settled = bench.oncegate.engine().settle(id, settlement).await;
    assert_eq!(settled.unwrap(), Settled::Done);
    gate.open();
    first.await.unwrap().is_replayed("settled");
    bench.send(pay("k")).await.is_replayed("settled");
}

/// M-22: an outcome whose record is gone is entered again: late truth beats not knowing. An operator had settled the
/// key as not executed; the holder's outcome went nowhere, and the retry executed a second time.
#[tokio::test(start_paused = true)]
async fn an_outcome_whose_record_is_gone_is_entered_again() {
    let (bench, gate, first) = settled_as_not_executed(Policy::default()).await;
    gate.open();
    first.await.unwrap().is_executed("payment 1");
    bench.send(pay("k")).await.is_replayed("payment 1");
    assert_eq!(bench.handler.calls(), 1);
}

/// M-22: so is one that comes behind the caller's back, because the store did not take it in time.
#[tokio::test(start_paused = true)]
async fn a_late_outcome_whose_record_is_gone_is_entered_again() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::new(handler).await;
    let link = Arc::new(FaultyStore::new(bench.counting.clone()));
    let here = bench.over(link.clone(), Policy::default()).await;
    let first = here.start(pay("k"));
    gate.entered().await;
    link.set_down(true);
    gate.open();
    assert_eq!(first.await.unwrap().became(), "unrecorded");
    settle_as_not_executed(&bench).await;
    link.set_down(false);
    bench.pass_time(Duration::from_secs(2)).await;
    bench.send(pay("k")).await.is_replayed("payment 1");
    assert_eq!(bench.handler.calls(), 1);
}

/// M-22: and that of an answer which is passed on while it comes: a retry is told that it ran.
#[tokio::test(start_paused = true)]
async fn a_relayed_outcome_whose_record_is_gone_is_entered_again() {
    let (feed, body) = Feed::new();
    let body = Arc::new(Mutex::new(Some(body)));
    let handler = Handler::answering(move |_| {
        let mut response = respond(200, "");
        *response.body_mut() = body.lock().take().expect("executed once");
        let stream = HeaderValue::from_static("text/event-stream");
        response.headers_mut().insert("content-type", stream);
        response
    });
    let bench = Bench::new(handler).await;
    let first = bench.start(pay("k"));
    settle().await;
    settle_as_not_executed(&bench).await;
    feed.data("data: 1");
    feed.ended();
    first.await.unwrap().is_executed("data: 1");
    let retry = bench.send(pay("k")).await;
    retry.is_refused(410, "response-not-kept");
}

/// M-22: but not over what stands there by now: nothing is overwritten, and its caller has the true answer, marked.
/// Forced by a store that holds the late entry back until somebody else has begun.
#[tokio::test(start_paused = true)]
async fn an_outcome_whose_record_is_gone_overwrites_nothing() {
    let (bench, gate, first) = settled_as_not_executed(Policy::default()).await;
    bench.faulty.plan(StoreMethod::Insert, 1, Fault::HangBefore);
    gate.open();
    settle().await;
    assert_eq!(bench.faulty.hung(), 1);
    let second = bench.start(pay("k"));
    gate.entered().await;
    bench.faulty.release_hung();
    let answer = first.await.unwrap();
    assert_eq!(
        (answer.became(), answer.text()),
        ("unrecorded", "payment 1")
    );
    gate.open();
    second.await.unwrap().is_executed("payment 2");
    bench.send(pay("k")).await.is_replayed("payment 2");
}

/// M-22: neither is it entered if there is no outcome: an answer that frees the key has nothing to say of it.
#[tokio::test(start_paused = true)]
async fn a_release_whose_record_is_gone_enters_nothing() {
    let policy = Policy {
        transient_statuses: vec![code(201)],
        ..Policy::default()
    };
    let (bench, gate, first) = settled_as_not_executed(policy).await;
    gate.open();
    assert_eq!(first.await.unwrap().text(), "payment 1");
    assert_eq!(bench.phase("k").await, None);
}

/// A holder at its gate, whose lease lapsed and whose key an operator settled as not executed.
async fn settled_as_not_executed(policy: Policy) -> (Bench, Gate, JoinHandle<Answer>) {
    let (handler, gate) = Handler::gated();
    let bench = Bench::under(policy, handler).await;
    let first = bench.start(pay("k"));
    gate.entered().await;
    settle_as_not_executed(&bench).await;
    (bench, gate, first)
}

/// Lets the lease lapse, and has an operator say that nothing ran.
async fn settle_as_not_executed(bench: &Bench) {
    bench.clock.advance(bench.policy.lease);
    let id = bench.record("k").await.unwrap().id;
    let engine = bench.oncegate.engine();
    let settled = engine.settle(id, Settlement::NotExecuted).await;
    assert_eq!(settled.unwrap(), Settled::Done);
}

/// M-22: whoever claimed so late that somebody has taken over meanwhile executes nothing, and its caller gets what
/// stands there. Forced by a store that holds the first claim's answer back.
#[tokio::test(start_paused = true)]
async fn a_claim_that_came_too_late_executes_nothing() {
    let policy = Policy {
        lease: Duration::from_millis(300),
        ..reexecute()
    };
    let bench = Bench::under(policy.clone(), Handler::paying()).await;
    bench.faulty.plan(StoreMethod::Insert, 1, Fault::HangAfter);
    let first = bench.start(pay("k"));
    settle().await;
    bench.pass_time(Duration::from_millis(350)).await;
    let second = bench.beside(policy).await.send(pay("k")).await;
    second.is_executed("payment 1");
    bench.faulty.release_hung();
    first.await.unwrap().is_replayed("payment 1");
    assert_eq!(bench.handler.calls(), 1);
    assert_eq!(bench.phase("k").await, Some(Phase::Completed));
}

/// M-22: whoever took over but may not execute after all leaves the key unknown, not free. Forced by a store that
/// holds the take-over's answer back, and then fails the renewal.
#[tokio::test(start_paused = true)]
async fn a_take_over_that_executes_nothing_leaves_the_key_unknown() {
    let (handler, gate) = Handler::gated();
    let policy = Policy {
        lease: Duration::from_millis(300),
        ..reexecute()
    };
    let bench = Bench::under(policy.clone(), handler).await;
    let first = bench.start(pay("k"));
    gate.entered().await;
    bench.clock.advance(policy.lease);
    let there = bench.beside(policy).await;
    bench.faulty.plan(StoreMethod::Update, 1, Fault::HangAfter);
    let second = there.start(pay("k"));
    settle().await;
    assert_eq!(bench.faulty.hung(), 1);
    // The first one's renewals are refused meanwhile: the record is no longer its own.
    bench.pass_time(Duration::from_millis(280)).await;
    let unavailable = Fault::FailBefore(oncegate::StoreErrorKind::Unavailable);
    bench.faulty.plan(StoreMethod::Update, 1, unavailable);
    bench.faulty.release_hung();
    let answer = second.await.unwrap();
    assert_eq!(answer.became(), "refused");
    assert_eq!(bench.handler.calls(), 1);
    assert_eq!(bench.phase("k").await, Some(Phase::Unknown));
    first.abort();
}

/// A retry that asks the upstream about an unknown outcome, over a link of its own, and stands at the gate with its
/// question; its lease has lapsed, and another process has taken over and executed.
struct Asking {
    bench: Bench,
    link: Arc<FaultyStore>,
    gate: Gate,
    retry: JoinHandle<Answer>,
}

impl Asking {
    async fn new(link_is_down: bool) -> Self {
        let gate = Gate::default();
        let at = gate.clone();
        let handler = Handler::new(move |call| {
            let at = at.clone();
            async move {
                let get = call.parts.method == Method::GET;
                // The second call is the first question.
                if call.number == 2 {
                    at.pass().await;
                }
                let status = if get { 404 } else { 201 };
                let status = if call.number == 1 { 504 } else { status };
                Ok(respond(status, format!("payment {}", call.number)))
            }
        });
        let policy = Policy {
            lease: Duration::from_secs(3),
            on_unknown: OnUnknown::Reconcile(Reconcile {
                get: "/payments/by-key/{key}".to_owned(),
                status: code(201),
            }),
            ..Policy::default()
        };
        let bench = Bench::under(policy.clone(), handler).await;
        bench.send(pay("k")).await;
        let link = Arc::new(FaultyStore::new(bench.counting.clone()));
        let retry = bench.over(link.clone(), policy).await.start(pay("k"));
        gate.entered().await;
        if link_is_down {
            link.set_down(true);
            bench.pass_time(bench.policy.lease).await;
        } else {
            bench.clock.advance(bench.policy.lease);
        }
        Self {
            bench,
            link,
            gate,
            retry,
        }
    }
}

/// M-22: a holder whose claim was taken over while it asked the upstream does not execute afterwards. The claim was
/// made sure of before the question alone, and the question may take longer than the lease.
#[tokio::test(start_paused = true)]
async fn a_holder_that_was_taken_over_while_it_asked_does_not_execute() {
    let asking = Asking::new(false).await;
    let there = asking.bench.send(pay("k")).await;
    // Two questions of its own, after those of the first request and the one at the gate.
    there.is_executed("payment 5");
    asking.gate.open();
    asking.retry.await.unwrap().is_replayed("payment 5");
    // The first one asked once more; its renewal was refused meanwhile.
    assert_eq!(asking.bench.handler.calls(), 6);
    asking.bench.send(pay("k")).await.is_replayed("payment 5");
}

/// M-22: neither does one whose renewals failed for longer than its lease, and who cannot know whether somebody took
/// over.
#[tokio::test(start_paused = true)]
async fn a_holder_that_could_not_renew_while_it_asked_does_not_execute() {
    let asking = Asking::new(true).await;
    let there = asking.bench.send(pay("k")).await;
    there.is_executed("payment 5");
    asking.gate.open();
    asking.bench.pass_time(Duration::from_secs(2)).await;
    assert_eq!(asking.bench.handler.calls(), 6);
    asking.link.set_down(false);
    asking.retry.await.unwrap().is_replayed("payment 5");
    assert_eq!(asking.bench.handler.calls(), 6);
}
