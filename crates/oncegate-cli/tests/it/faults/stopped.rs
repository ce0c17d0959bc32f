//! A process that is stopped for longer than its leases, and goes on as if nothing had happened.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::once_back;
use crate::harness::{Act, Gate, Stage, pay, send};

/// M-21: callers that came in meanwhile find a lapsed lease before its holder has renewed it, or after. None of them
/// executes; the outcome of the one execution is recorded and replayed.
#[tokio::test]
async fn a_process_that_was_stopped_for_longer_than_a_lease_runs_nothing_twice() {
    let stage = Stage::new().await;
    let proxy = stage
        .proxy()
        .set("store_timeout=900ms")
        .set("lease=1s")
        .start()
        .await;
    let gate = Gate::default();
    stage.origin.plan("slow", [Act::CreateBehind(gate.clone())]);
    let to = proxy.listen;
    let first = tokio::spawn(async move { send(to, &pay("slow")).await });
    stage.origin.executed("slow").await;
    let mut duplicates = JoinSet::new();
    proxy.signal("STOP").await;
    for _ in 0..16 {
        duplicates.spawn(async move { send(to, &pay("slow")).await });
    }
    // The lease must lapse; nothing but time does that.
    sleep(Duration::from_millis(1_500)).await;
    proxy.signal("CONT").await;
    for answer in duplicates.join_all().await {
        let slug = answer.slug();
        assert!(
            ["in-flight", "outcome-unknown"].contains(&slug.as_str()),
            "{answer:?}"
        );
    }
    gate.open();
    let first = first.await.unwrap();
    first.must_be_executed();
    once_back(&proxy, "slow").await.must_replay(&first);
    assert_eq!(stage.origin.executions("slow"), 1);
}
