//! Callers that leave: their execution goes on, and its outcome is kept for their retry.

use tokio::io::AsyncWriteExt;

use crate::harness::{Act, Answer, Gate, Http2, Proxy, Stage, Wire, pay, poll_until};

/// M-24: the client closes its connection once its body is complete, in the middle of the execution.
#[tokio::test]
async fn a_caller_that_closes_http1_after_its_body_finds_its_outcome() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let gate = hold(&stage, "left");
    let mut wire = Wire::connect(proxy.listen).await.unwrap();
    wire.write(pay("left").bytes()).await.unwrap();
    stage.origin.executed("left").await;
    drop(wire);
    found_once(&stage, &proxy, "left", &gate).await;
}

/// M-24: the same with a reset, which tears the connection down at once.
#[tokio::test]
async fn a_caller_that_resets_http1_after_its_body_finds_its_outcome() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let gate = hold(&stage, "reset");
    let mut wire = Wire::connect(proxy.listen).await.unwrap();
    wire.write(pay("reset").bytes()).await.unwrap();
    stage.origin.executed("reset").await;
    wire.reset();
    found_once(&stage, &proxy, "reset", &gate).await;
}

/// M-24: a client that ends its side once its request is out counts as one that left: its outcome is kept.
#[tokio::test]
async fn a_caller_that_half_closes_after_its_body_finds_its_outcome() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let gate = hold(&stage, "half-closed");
    let mut wire = Wire::connect(proxy.listen).await.unwrap();
    wire.write(pay("half-closed").bytes()).await.unwrap();
    stage.origin.executed("half-closed").await;
    wire.stream.shutdown().await.unwrap();
    found_once(&stage, &proxy, "half-closed", &gate).await;
}

/// M-24: an HTTP/2 client resets one stream; the connection stays.
#[tokio::test]
async fn a_caller_that_resets_an_http2_stream_after_its_body_finds_its_outcome() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let gate = hold(&stage, "stream");
    let http2 = Http2::connect(proxy.listen).await;
    let sent = http2.pay("stream", r#"{"amount":100}"#).await;
    stage.origin.executed("stream").await;
    sent.reset();
    let duplicate = http2
        .pay("stream", r#"{"amount":100}"#)
        .await
        .answer()
        .await;
    duplicate.must_be_problem(409, "in-flight", "maybe", "same-key");
    found_once(&stage, &proxy, "stream", &gate).await;
}

/// M-24: whole HTTP/2 connections that go away in the middle of many executions.
#[tokio::test]
async fn a_connection_that_is_dropped_with_many_streams_cancels_none_of_them() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let keys: Vec<String> = (0..20).map(|number| format!("many-{number}")).collect();
    let gate = Gate::default();
    let http2 = Http2::connect(proxy.listen).await;
    let mut open = Vec::new();
    for key in &keys {
        stage.origin.plan(key, [Act::CreateBehind(gate.clone())]);
        open.push(http2.pay(key, r#"{"amount":100}"#).await);
        stage.origin.executed(key).await;
    }
    drop((open, http2));
    gate.open();
    for key in &keys {
        found_once(&stage, &proxy, key, &gate).await;
    }
}

/// M-24: a client that leaves the moment its last byte is written may be gone before anything began. Whatever
/// became of the request, its retries end in one execution.
#[tokio::test]
async fn a_caller_that_leaves_at_once_never_causes_a_second_execution() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    for number in 0..30 {
        let key = format!("hasty-{number}");
        let mut wire = Wire::connect(proxy.listen).await.unwrap();
        wire.write(pay(&key).bytes()).await.unwrap();
        if number % 2 == 0 {
            wire.reset();
        } else {
            drop(wire);
        }
        let answer = settled(&proxy, &key).await;
        assert_eq!(answer.code(), 201, "{answer:?}");
        assert_eq!(stage.origin.executions(&key), 1, "{key}");
        proxy.send(&pay(&key)).await.must_replay(&answer);
    }
}

fn hold(stage: &Stage, key: &str) -> Gate {
    let gate = Gate::default();
    stage.origin.plan(key, [Act::CreateBehind(gate.clone())]);
    gate
}

/// The retry is in flight until the execution ends, and then gets what the origin answered.
async fn found_once(stage: &Stage, proxy: &Proxy, key: &str, gate: &Gate) {
    gate.open();
    let answer = settled(proxy, key).await;
    assert_eq!(
        (answer.code(), answer.became()),
        (201, "replayed"),
        "{answer:?}"
    );
    let book = stage.origin.book();
    let execution = book
        .iter()
        .find(|execution| execution.key.as_deref() == Some(key))
        .unwrap();
    assert_eq!(answer.body(), execution.answer);
    assert_eq!(stage.origin.executions(key), 1, "{key}");
}

/// The answer to a retry, once it is no longer in flight.
async fn settled(proxy: &Proxy, key: &str) -> Answer {
    poll_until("the end of an execution", || async {
        let answer = proxy.send(&pay(key)).await;
        (answer.slug() != "in-flight").then_some(answer)
    })
    .await
}
