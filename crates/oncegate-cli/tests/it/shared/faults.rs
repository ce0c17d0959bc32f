//! A server that hangs, dies, or is not there: callers are told in time, nothing runs, and no restart is needed.

use super::StoreServer;
use crate::faults::{must_be_refused, once_back};
use crate::harness::{Act, Gate, Stage, get, pay, post};

/// M-25: stopped, the server takes requests and answers none.
pub(crate) async fn a_server_that_hangs_is_refused_in_time_and_nothing_runs<S: StoreServer>() {
    let stage = Stage::new().await;
    let server = S::start(stage.folder()).await;
    let setup = server.under(stage.proxy()).set("store_timeout=300ms");
    let proxy = setup.start().await;
    let old = proxy.send(&pay("old")).await;
    old.must_be_executed();

    server.hang().await;
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

    server.go_on().await;
    for key in ["new", "other"] {
        once_back(&proxy, key).await.must_be_executed();
        assert_eq!(stage.origin.executions(key), 1);
    }
    once_back(&proxy, "old").await.must_replay(&old);
    assert_eq!(proxy.ask("/ready").await.code(), 200);
}

/// M-26: the server hangs while the upstream works: the caller gets the true answer, marked, and the outcome is recorded
/// once the server goes on.
pub(crate) async fn an_outcome_that_a_hung_server_cannot_take_is_unrecorded_and_recorded_later<
    S: StoreServer,
>() {
    let stage = Stage::new().await;
    let server = S::start(stage.folder()).await;
    let setup = server
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
        server.hang().await;
        gate.open();
    };
    let (answer, ()) = tokio::join!(asking, hanging);
    assert_eq!(
        (answer.code(), answer.became()),
        (201, "unrecorded"),
        "{answer:?}"
    );
    server.go_on().await;
    let retry = once_back(&proxy, "slow").await;
    assert_eq!((retry.became(), retry.body()), ("replayed", answer.body()));
    assert_eq!(stage.origin.executions("slow"), 1);
}

/// What it kept meanwhile is the store's own affair. Nothing ran while it was away, and everything after that runs once.
pub(crate) async fn a_server_that_died_is_used_again_without_a_restart<S: StoreServer>() {
    let stage = Stage::new().await;
    let mut server = S::start(stage.folder()).await;
    let proxy = server.under(stage.proxy()).start().await;
    proxy.send(&pay("before")).await.must_be_executed();
    server.kill().await;
    must_be_refused(&proxy.send(&pay("during")).await);
    assert_eq!(stage.origin.executions("during"), 0);
    server.start_again().await;
    let first = once_back(&proxy, "during").await;
    first.must_be_executed();
    proxy.send(&pay("during")).await.must_replay(&first);
    assert_eq!(stage.origin.executions("during"), 1);
}

pub(crate) async fn a_proxy_does_not_start_without_its_server_and_says_where_it_looked<
    S: StoreServer,
>() {
    let stage = Stage::new().await;
    let mut server = S::start(stage.folder()).await;
    let url = server.url_as("me:hunter2");
    server.kill().await;
    let ended = stage.proxy().flag("--store", &url).fail().await;
    let shown = url.replace("hunter2", "***");
    ended.must_fail(
        69,
        &["cannot open the store", &format!("cannot use {shown}")],
    );
    assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
}
