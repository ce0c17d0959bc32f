//! Quotas: who is held up by them, and who never is.

use std::time::Duration;

use http::Request;
use oncegate::Policy;
use oncegate::policy::OnUnknown;
use oncegate::record::Phase;
use oncegate::testing::{Fault, StoreMethod};
use oncegate_tower::{Body, Quota, Quotas, Settings};

use crate::handler::{Handler, respond};
use crate::harness::{Bench, Setup, pay, seconds, settle, with_body, with_header};

const HOUR: Duration = Duration::from_secs(3600);

async fn bench(quotas: Quotas, policy: Policy, handler: Handler) -> Bench {
    let mut settings = Settings::default();
    settings.quotas = quotas;
    settings.client_address = |parts| parts.headers.get("x-from")?.to_str().ok()?.parse().ok();
    let setup = Setup {
        policy,
        settings,
        ..Setup::default()
    };
    setup.bench(handler).await
}

fn in_all(keys_max: u32) -> Quotas {
    Quotas {
        total: Quota::new(keys_max, HOUR),
        ..Quotas::default()
    }
}

fn by(name: &str, key: &str) -> Request<Body> {
    with_header(pay(key), "authorization", &format!("Bearer {name}"))
}

fn from(address: &str, request: Request<Body>) -> Request<Body> {
    with_header(request, "x-from", address)
}

/// M-38: a new key above the quota runs nothing, leaves no record, and is told when to come again; it then executes
/// under the same key.
#[tokio::test(start_paused = true)]
async fn a_new_key_above_the_quota_runs_nothing_and_leaves_no_record() {
    let bench = bench(in_all(2), Policy::default(), Handler::paying()).await;
    bench.send(pay("a")).await.is_executed("payment 1");
    bench.send(pay("b")).await.is_executed("payment 2");
    let refused = bench.send(pay("c")).await;
    refused.is_refused(429, "quota-reached");
    assert_eq!(refused.retry_after(), Some(1_801));
    assert_eq!((bench.handler.calls(), bench.phase("c").await), (2, None));
    bench.pass_time(seconds(1_801)).await;
    bench.send(pay("c")).await.is_executed("payment 3");
}

/// M-38: replays, mismatches, duplicates in flight and take-overs create no record: no quota holds them up, and they
/// use nothing of it.
#[tokio::test(start_paused = true)]
async fn replays_and_judgements_go_on_whatever_the_quota() {
    let policy = Policy {
        on_unknown: OnUnknown::Reexecute,
        ..Policy::default()
    };
    let (handler, gate) = Handler::gated();
    let bench = bench(in_all(2), policy, handler).await;
    let first = bench.start(pay("a"));
    gate.entered().await;
    for _ in 0..3 {
        bench.send(pay("a")).await.is_refused(409, "in-flight");
    }
    gate.open();
    first.await.unwrap().is_executed("payment 1");
    for _ in 0..3 {
        bench.send(pay("a")).await.is_replayed("payment 1");
        let other = with_body(pay("a"), "{}");
        bench.send(other).await.is_refused(422, "mismatch");
    }
    // There is room for one more, and for no third.
    let second = bench.start(pay("b"));
    gate.entered().await;
    bench.send(pay("c")).await.is_refused(429, "quota-reached");
    bench.send(pay("a")).await.is_replayed("payment 1");
    bench.send(pay("b")).await.is_refused(409, "in-flight");
    gate.open();
    second.await.unwrap().is_executed("payment 2");
}

/// M-38: a take-over of an unknown record is not held up.
#[tokio::test(start_paused = true)]
async fn a_take_over_needs_no_quota() {
    let policy = Policy {
        on_unknown: OnUnknown::Reexecute,
        ..Policy::default()
    };
    let handler = Handler::answering(|call| {
        let status = if call.number == 1 { 504 } else { 201 };
        respond(status, "answer")
    });
    let bench = bench(in_all(1), policy, handler).await;
    bench.send(pay("a")).await;
    assert_eq!(bench.phase("a").await, Some(Phase::Unknown));
    bench.send(pay("b")).await.is_refused(429, "quota-reached");
    bench.send(pay("a")).await.is_executed("answer");
    assert_eq!(bench.handler.calls(), 2);
}

/// M-38: one scope's quota is nobody else's; those without a credential share no scope's quota.
#[tokio::test(start_paused = true)]
async fn each_scope_has_a_quota_of_its_own() {
    let quotas = Quotas {
        per_scope: Quota::new(1, HOUR),
        ..Quotas::default()
    };
    let bench = bench(quotas, Policy::default(), Handler::paying()).await;
    bench.send(by("alice", "a")).await.is_executed("payment 1");
    bench
        .send(by("alice", "b"))
        .await
        .is_refused(429, "quota-reached");
    bench.send(by("bob", "b")).await.is_executed("payment 2");
    bench.send(pay("a")).await.is_executed("payment 3");
    bench.send(pay("b")).await.is_executed("payment 4");
}

/// M-38: whoever invents a credential for each request is counted by the address.
#[tokio::test(start_paused = true)]
async fn unverified_scopes_are_counted_by_their_address() {
    let quotas = Quotas {
        per_address: Quota::new(2, HOUR),
        ..Quotas::default()
    };
    let bench = bench(quotas, Policy::default(), Handler::paying()).await;
    let here = "192.0.2.1";
    bench
        .send(from(here, by("a", "k")))
        .await
        .is_executed("payment 1");
    bench
        .send(from(here, pay("k")))
        .await
        .is_executed("payment 2");
    let refused = bench.send(from(here, by("b", "k"))).await;
    refused.is_refused(429, "quota-reached");
    let elsewhere = from("192.0.2.2", by("b", "k"));
    bench.send(elsewhere).await.is_executed("payment 3");
    // Those of whom nothing is known are one.
    bench.send(pay("1")).await.is_executed("payment 4");
    bench.send(pay("2")).await.is_executed("payment 5");
    bench.send(pay("3")).await.is_refused(429, "quota-reached");
}

/// M-38: a store that fails uses nothing up, and what a quota costs where there is room is no step of the store.
#[tokio::test(start_paused = true)]
async fn a_begin_that_fails_uses_up_no_quota() {
    let bench = bench(in_all(1), Policy::default(), Handler::paying()).await;
    bench.faulty.set_down(true);
    for _ in 0..3 {
        bench
            .send(pay("a"))
            .await
            .is_refused(503, "store-unavailable");
    }
    bench.faulty.set_down(false);
    bench.pass_time(seconds(1)).await;
    bench.counting.take_round_trips();
    bench.send(pay("a")).await.is_executed("payment 1");
    assert_eq!(bench.counting.take_round_trips(), 2);
    bench.send(pay("b")).await.is_refused(429, "quota-reached");
    assert_eq!(bench.counting.count(StoreMethod::Get), 1);
    assert_eq!(bench.counting.take_round_trips(), 1);
}

/// M-38: a request that the store has not decided yet may turn out to be a replay. Two of them used to take two keys
/// of the quota until then, and a new key was told to come back in twenty minutes.
#[tokio::test(start_paused = true)]
async fn a_new_key_is_never_told_to_wait_for_what_is_only_undecided() {
    let bench = bench(in_all(3), Policy::default(), Handler::paying()).await;
    bench.send(pay("a")).await.is_executed("payment 1");
    for call in 1..=2 {
        bench
            .faulty
            .plan(StoreMethod::Insert, call, Fault::HangBefore);
    }
    let replays = [bench.start(pay("a")), bench.start(pay("a"))];
    settle().await;
    assert_eq!(bench.faulty.hung(), 2);
    // The quota is not exceeded either: both could be new keys.
    let refused = bench.send(pay("b")).await;
    refused.is_refused(429, "quota-reached");
    assert_eq!(refused.retry_after(), Some(1));
    bench.faulty.release_hung();
    for replay in replays {
        replay.await.unwrap().is_replayed("payment 1");
    }
    bench.send(pay("b")).await.is_executed("payment 2");
    bench.send(pay("c")).await.is_executed("payment 3");
    let refused = bench.send(pay("d")).await;
    assert_eq!(
        (refused.status(), refused.retry_after()),
        (429, Some(1_201))
    );
}
