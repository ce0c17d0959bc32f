//! SIGTERM with executions under way.

use crate::harness::{Act, Answer, Gate, Proxy, Stage, Wire, get, pay, poll_until, within};

/// M-32: an execution that ends within `drain_timeout` ends as ever; meanwhile readiness is gone.
#[tokio::test]
async fn an_execution_that_ends_during_the_drain_answers_its_caller() {
    let stage = Stage::new().await;
    let mut proxy = stage.proxy().set("drain_timeout=30s").start().await;
    let (mut wire, gate) = under_way(&stage, &proxy, "draining").await;
    proxy.terminate().await;
    draining(&proxy).await;
    gate.open();
    let answer = Answer(within("the answer", wire.read_answer()).await.unwrap());
    answer.must_be_executed();
    assert_eq!(proxy.ended().await.code(), Some(0), "{}", proxy.logged());
    assert!(
        proxy.logged().contains("every execution came to its end"),
        "{}",
        proxy.logged()
    );

    let proxy = stage.proxy().start().await;
    proxy.send(&pay("draining")).await.must_replay(&answer);
    assert_eq!(stage.origin.executions("draining"), 1);
}

/// M-32: what does not end in time is marked unknown, and the process ends well.
#[tokio::test]
async fn an_execution_that_outlasts_the_drain_is_unknown() {
    let stage = Stage::new().await;
    let mut proxy = stage.proxy().set("drain_timeout=200ms").start().await;
    let (mut wire, _gate) = under_way(&stage, &proxy, "too-long").await;
    proxy.terminate().await;
    // The connection may be cut before the answer is out; if one comes, it is the truth.
    if let Ok(answer) = within("the end of the connection", wire.read_answer()).await {
        Answer(answer).must_be_problem(502, "upstream-outcome-unknown", "maybe", "same-key");
    }
    assert_eq!(proxy.ended().await.code(), Some(0), "{}", proxy.logged());
    assert!(
        proxy.logged().contains("what was left is marked unknown"),
        "{}",
        proxy.logged()
    );

    let proxy = stage.proxy().start().await;
    assert_eq!(proxy.only_state().await, "unknown");
    let retry = proxy.send(&pay("too-long")).await;
    retry.must_be_problem(409, "outcome-unknown", "maybe", "same-key");
    assert_eq!(stage.origin.executions("too-long"), 1);
}

/// M-32: a second signal ends the process at once; that is a crash, and no more than a crash.
#[tokio::test]
async fn a_second_signal_ends_the_process_at_once_and_leaves_an_unknown_key() {
    let stage = Stage::new().await;
    let mut proxy = stage.proxy().set("drain_timeout=10m").start().await;
    let (_wire, _gate) = under_way(&stage, &proxy, "impatient").await;
    proxy.terminate().await;
    draining(&proxy).await;
    proxy.terminate().await;
    assert_eq!(proxy.ended().await.code(), Some(0), "{}", proxy.logged());

    let proxy = stage.proxy().start().await;
    let retry = proxy.send(&pay("impatient")).await;
    retry.must_be_problem(409, "outcome-unknown", "maybe", "same-key");
    assert_eq!(stage.origin.executions("impatient"), 1);
}

/// M-32: while it drains, a proxy takes no new connections, so that another one can be asked.
#[tokio::test]
async fn a_proxy_that_drains_takes_no_new_connections_but_tells_operators() {
    let stage = Stage::new().await;
    let mut proxy = stage.proxy().start().await;
    assert_eq!(proxy.ask("/ready").await.code(), 200);
    let (_wire, gate) = under_way(&stage, &proxy, "held").await;
    proxy.terminate().await;
    draining(&proxy).await;
    assert_eq!(proxy.ask("/live").await.code(), 200);
    assert!(Wire::connect(proxy.listen).await.is_err());
    assert!(
        proxy
            .ask("/metrics")
            .await
            .text()
            .contains("oncegate_executions_running 1\n")
    );
    gate.open();
    assert_eq!(proxy.ended().await.code(), Some(0), "{}", proxy.logged());
    assert!(proxy.try_ask("/live").await.is_err());
}

/// A proxy with nothing to do stops at once, however many quiet connections there are.
#[tokio::test]
async fn quiet_connections_do_not_hold_up_the_end() {
    let stage = Stage::new().await;
    let mut proxy = stage.proxy().set("drain_timeout=10m").start().await;
    let mut used = Wire::connect(proxy.listen).await.unwrap();
    used.write(get("/").bytes()).await.unwrap();
    within("an answer", used.read_answer()).await.unwrap();
    let _fresh = Wire::connect(proxy.listen).await.unwrap();
    proxy.terminate().await;
    assert_eq!(proxy.ended().await.code(), Some(0), "{}", proxy.logged());
}

/// An execution that is held, and the connection of its caller.
async fn under_way(stage: &Stage, proxy: &Proxy, key: &str) -> (Wire, Gate) {
    let gate = Gate::default();
    stage.origin.plan(key, [Act::CreateBehind(gate.clone())]);
    let mut wire = Wire::connect(proxy.listen).await.unwrap();
    wire.write(pay(key).bytes()).await.unwrap();
    stage.origin.executed(key).await;
    (wire, gate)
}

/// Waits until operators are told that the proxy drains.
async fn draining(proxy: &Proxy) {
    poll_until("the drain", || async {
        let ready = proxy.ask("/ready").await;
        (ready.code() == 503 && ready.text() == "draining\n").then_some(())
    })
    .await;
}
