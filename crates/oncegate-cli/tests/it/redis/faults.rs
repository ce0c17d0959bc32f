//! A Redis that hangs, dies, or is not there: callers are told in time, nothing runs, and no restart is needed.

use super::server::Redis;
use crate::faults::{must_be_refused, once_back};
use crate::harness::{Act, Gate, Stage, get, pay, post};

/// M-25: stopped, the Redis takes requests and answers none.
#[tokio::test]
async fn a_redis_that_hangs_is_refused_in_time_and_nothing_runs() {
    let stage = Stage::new().await;
    let redis = Redis::start(stage.folder()).await;
    let setup = redis.under(stage.proxy()).set("store_timeout=300ms");
    let proxy = setup.start().await;
    let old = proxy.send(&pay("old")).await;
    old.must_be_executed();

    redis.signal("STOP").await;
    for key in ["new", "other", "old"] {
        must_be_refused(&proxy.send(&pay(key)).await);
    }
    assert_eq!(proxy.ask("/ready").await.code(), 503);
    assert_eq!(proxy.ask("/live").await.code(), 200);
    // What has no key does not need a store.
    assert_eq!(proxy.send(&post("/payments", "{}")).await.code(), 201);
    assert_eq!(proxy.send(&get("/payments/1")).await.code(), 200);
    assert_eq!(stage.origin.executions("new"), 0);
    assert_eq!(stage.origin.executions("other"), 0);

    redis.signal("CONT").await;
    for key in ["new", "other"] {
        once_back(&proxy, key).await.must_be_executed();
        assert_eq!(stage.origin.executions(key), 1);
    }
    once_back(&proxy, "old").await.must_replay(&old);
    assert_eq!(proxy.ask("/ready").await.code(), 200);
}

/// M-26: the Redis hangs while the upstream works: the caller gets the true answer, marked, and the outcome is recorded
/// once the Redis goes on.
#[tokio::test]
async fn an_outcome_that_a_hung_redis_cannot_take_is_unrecorded_and_recorded_later() {
    let stage = Stage::new().await;
    let redis = Redis::start(stage.folder()).await;
    let setup = redis
        .under(stage.proxy())
        .set("store_timeout=300ms")
        .set("complete_timeout=300ms");
    let proxy = setup.start().await;
    let gate = Gate::default();
    stage.origin.plan("slow", [Act::CreateBehind(gate.clone())]);
    let request = pay("slow");
    let asking = proxy.send(&request);
    let hanging = async {
        stage.origin.executed("slow").await;
        redis.signal("STOP").await;
        gate.open();
    };
    let (answer, ()) = tokio::join!(asking, hanging);
    assert_eq!(
        (answer.code(), answer.became()),
        (201, "unrecorded"),
        "{answer:?}"
    );
    redis.signal("CONT").await;
    let retry = once_back(&proxy, "slow").await;
    assert_eq!((retry.became(), retry.body()), ("replayed", answer.body()));
    assert_eq!(stage.origin.executions("slow"), 1);
}

/// It comes back with nothing in its memory, as one without persistence does: what it forgot executes again, as the
/// guarantees say, and everything after that once.
#[tokio::test]
async fn a_redis_that_died_is_used_again_without_a_restart() {
    let stage = Stage::new().await;
    let mut redis = Redis::start(stage.folder()).await;
    let proxy = redis.under(stage.proxy()).start().await;
    proxy.send(&pay("before")).await.must_be_executed();
    redis.kill().await;
    must_be_refused(&proxy.send(&pay("during")).await);
    assert_eq!(stage.origin.executions("during"), 0);
    redis.start_again().await;
    let first = once_back(&proxy, "during").await;
    first.must_be_executed();
    proxy.send(&pay("during")).await.must_replay(&first);
    assert_eq!(stage.origin.executions("during"), 1);
}

/// The memory goes while the upstream works. Late truth beats not knowing: nothing else stands there.
#[tokio::test]
async fn an_outcome_whose_record_the_redis_forgot_is_entered_anew() {
    let stage = Stage::new().await;
    let mut redis = Redis::start(stage.folder()).await;
    let proxy = redis.under(stage.proxy()).start().await;
    let gate = Gate::default();
    stage.origin.plan("slow", [Act::CreateBehind(gate.clone())]);
    let request = pay("slow");
    let asking = proxy.send(&request);
    let forgetting = async {
        stage.origin.executed("slow").await;
        redis.kill().await;
        redis.start_again().await;
        gate.open();
    };
    let (answer, ()) = tokio::join!(asking, forgetting);
    answer.must_be_executed();
    once_back(&proxy, "slow").await.must_replay(&answer);
    assert_eq!(stage.origin.executions("slow"), 1);
}

#[tokio::test]
async fn a_proxy_does_not_start_without_its_redis_and_says_where_it_looked() {
    let stage = Stage::new().await;
    let mut redis = Redis::start(stage.folder()).await;
    let url = redis.url().replace("redis://", "redis://me:hunter2@");
    redis.kill().await;
    let ended = stage.proxy().flag("--store", &url).fail().await;
    let shown = url.replace("hunter2", "***");
    ended.must_fail(
        69,
        &["cannot open the store", &format!("cannot use {shown}")],
    );
    assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
}

#[tokio::test]
async fn a_password_is_neither_logged_nor_printed() {
    let stage = Stage::new().await;
    let redis = Redis::start(stage.folder()).await;
    redis.says("CONFIG SET requirepass hunter2").await;
    let url = redis.url().replace("redis://", "redis://:hunter2@");
    let setup = stage.proxy().flag("--store", &url).log("trace");
    let proxy = setup.start().await;
    proxy.send(&pay("kept")).await.must_be_executed();
    let printed = crate::harness::oncegate(&["serve", "--store", &url, "--print-config"]).await;
    assert!(printed.stdout.contains("redis://:***@"), "{printed:?}");
    for said in [proxy.logged(), printed.stdout, printed.stderr] {
        assert!(!said.contains("hunter2"), "{said}");
    }
}
