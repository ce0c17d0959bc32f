//! An API that nobody here wrote, in another language, with clients that nobody here wrote: a stateful stand-in for
//! Stripe in Python, curl, and Python's usual HTTP clients with retries of their own.
//!
//! What counts is the customers that the API lists. A relay cuts connections after the request was executed.

use std::path::Path;

use serde_json::Value;

use crate::harness::{Cut, Proxy, Python, Relay, Stage, get, program, run, send};

/// A request that is executed, and whose answer is lost, is what clients retry: without us that is two customers.
#[tokio::test]
async fn a_retry_without_a_proxy_creates_a_second_customer() {
    let stage = Stage::new().await;
    let python = Python::ready().await;
    let stripe = python.localstripe().await;
    let relay = Relay::before(stripe.address()).await;
    relay.cut([Cut::BeforeAnswer]);
    python.client("urllib3", relay.address(), "python-1").await;
    assert_eq!(customers(stripe.address(), "python-1").await.len(), 2);
    drop(stage);
}

/// M-10, M-11, M-14: the real curl, cut off before the answer and in the middle of it.
#[tokio::test]
async fn curl_with_retries_creates_one_customer_per_key() {
    let stage = Stage::new().await;
    let python = Python::ready().await;
    let stripe = python.localstripe().await;
    let proxy = stage
        .proxy_before(&format!("http://{}", stripe.address()))
        .start()
        .await;
    let relay = Relay::before(proxy.listen).await;
    let cuts: [(&str, &[Cut]); 4] = [
        ("curl-whole", &[]),
        ("curl-lost", &[Cut::BeforeAnswer]),
        ("curl-half", &[Cut::BeforeEnd(40)]),
        (
            "curl-unlucky",
            &[Cut::BeforeAnswer, Cut::BeforeEnd(1), Cut::BeforeAnswer],
        ),
    ];
    for (key, cuts) in cuts {
        relay.cut(cuts.iter().copied());
        let file = stage.folder().join(key);
        let created = curl(&relay, key, &file).await;
        assert_eq!(relay.left(), 0, "{key}: every cut was made");
        one_customer(&proxy, key, &created).await;
    }
}

/// M-10, M-11, M-14: urllib3 and requests, whose own retries are told to retry a POST.
#[tokio::test]
async fn pythons_usual_clients_create_one_customer_per_key() {
    let stage = Stage::new().await;
    let python = Python::ready().await;
    let stripe = python.localstripe().await;
    let proxy = stage
        .proxy_before(&format!("http://{}", stripe.address()))
        .start()
        .await;
    let relay = Relay::before(proxy.listen).await;
    let runs: [(&str, &str, &[Cut]); 5] = [
        ("urllib3", "python-whole", &[]),
        ("urllib3", "python-lost", &[Cut::BeforeAnswer]),
        ("urllib3", "python-half", &[Cut::BeforeEnd(40)]),
        ("requests", "python-requests", &[Cut::BeforeAnswer]),
        (
            "requests",
            "python-unlucky",
            &[Cut::BeforeAnswer, Cut::BeforeAnswer],
        ),
    ];
    for (library, key, cuts) in runs {
        relay.cut(cuts.iter().copied());
        let answer = python.client(library, relay.address(), key).await;
        assert_eq!(relay.left(), 0, "{key}: every cut was made");
        assert_eq!(answer["status"], 200, "{answer}");
        assert_eq!(answer["replayed"], !cuts.is_empty(), "{answer}");
        let created: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        one_customer(&proxy, key, &created).await;
    }
}

/// What curl has in its hands in the end.
async fn curl(relay: &Relay, key: &str, file: &Path) -> Value {
    let mut command = program("curl");
    command
        .args([
            "-sS",
            "--fail",
            "--retry",
            "6",
            "--retry-all-errors",
            "--retry-delay",
            "1",
        ])
        .args(["--max-time", "30", "-u", "sk_test_12345:", "-o"])
        .arg(file)
        .args([
            "-H",
            &format!("Idempotency-Key: {key}"),
            "-d",
            &format!("email={key}@example.test"),
        ])
        .arg(format!("http://{}/v1/customers", relay.address()));
    let ended = run(command).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// There is one customer of this name, and it is the one that the client was told of.
async fn one_customer(proxy: &Proxy, key: &str, created: &Value) {
    let listed = customers(proxy.listen, key).await;
    assert_eq!(listed.len(), 1, "{key}: {listed:?}");
    assert_eq!(listed[0]["id"], created["id"], "{key}");
}

pub(crate) async fn customers(at: std::net::SocketAddr, key: &str) -> Vec<Value> {
    // sk_test_12345 without a password.
    let list = get("/v1/customers?limit=100").header("Authorization", "Basic c2tfdGVzdF8xMjM0NTo=");
    let answer = send(at, &list).await;
    assert_eq!(answer.code(), 200, "{answer:?}");
    let email = format!("{key}@example.test");
    let data = answer.json()["data"].as_array().unwrap().clone();
    data.into_iter()
        .filter(|customer| customer["email"] == email.as_str())
        .collect()
}
