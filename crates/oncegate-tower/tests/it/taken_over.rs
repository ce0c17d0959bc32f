//! A holder that lost its record: nothing that it writes has an effect, and its caller gets what the record says.

use std::time::Duration;

use http::HeaderMap;
use oncegate::engine::Settled;
use oncegate::policy::OnUnknown;
use oncegate::record::Phase;
use oncegate::store::Settlement;
use oncegate::testing::{Fault, StoreMethod};
use oncegate::{Policy, StoredResponse};
use tokio::task::JoinHandle;

use crate::handler::{Gate, Handler, respond};
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

/// M-22: a holder whose record is gone altogether gives its caller the true answer, and says that it stands nowhere.
#[tokio::test(start_paused = true)]
async fn a_holder_whose_record_is_gone_answers_unrecorded() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::new(handler).await;
    let first = bench.start(pay("k"));
    gate.entered().await;
    bench.clock.advance(bench.policy.lease);
    let id = bench.record("k").await.unwrap().id;
    let engine = bench.oncegate.engine();
    let settled = engine.settle(id, Settlement::NotExecuted).await;
    assert_eq!(settled.unwrap(), Settled::Done);
    gate.open();
    let answer = first.await.unwrap();
    assert_eq!(
        (answer.became(), answer.text()),
        ("unrecorded", "payment 1")
    );
    assert_eq!(bench.phase("k").await, None);
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
