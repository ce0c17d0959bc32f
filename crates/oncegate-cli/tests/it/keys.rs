//! `oncegate keys`: what operators do, as processes of their own against a proxy that runs.

use serde_json::Value;

use crate::harness::{Act, Proxy, Stage, oncegate, pay, poll_until};

/// The way out of unknown: "it was not executed".
#[tokio::test]
async fn a_released_key_executes_again() {
    let stage = Stage::new().await;
    let (proxy, id) = with_an_unknown_key(&stage).await;
    let done = proxy.keys(&["release", &id]).await;
    assert_eq!(
        (done.code, done.stdout),
        (Some(0), format!("settled: {id}\n"))
    );
    let retry = proxy.send(&pay("lost")).await;
    retry.must_be_executed();
    proxy.send(&pay("lost")).await.must_replay(&retry);
    assert_eq!(stage.origin.executions("lost"), 2);
}

/// The way out of unknown: "this was the outcome", which survives a restart like any other.
#[tokio::test]
async fn a_resolved_key_replays_what_the_operator_said() {
    let stage = Stage::new().await;
    let (proxy, id) = with_an_unknown_key(&stage).await;
    let body = r#"{"id":"pay_7"}"#;
    let header = "Content-Type: application/json";
    let arguments = [
        "resolve", &id, "--status", "201", "--body", body, "-H", header, "--json",
    ];
    let done = proxy.keys(&arguments).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(
        serde_json::from_str::<Value>(&done.stdout).unwrap()["settled"],
        id.as_str()
    );
    let proxy = proxy.kill().await.start().await;
    let retry = proxy.send(&pay("lost")).await;
    assert_eq!(
        (retry.code(), retry.became()),
        (201, "replayed"),
        "{retry:?}"
    );
    assert_eq!(
        (retry.text().as_str(), retry.header("content-type")),
        (body, Some("application/json"))
    );
    assert_eq!(stage.origin.executions("lost"), 1);
}

/// A body can come from a file, byte for byte.
#[tokio::test]
async fn a_key_can_be_resolved_from_a_file() {
    let stage = Stage::new().await;
    let (proxy, id) = with_an_unknown_key(&stage).await;
    let file = stage.write("receipt.json", "{\n  \"id\": \"pay_8\"\n}\n");
    let done = proxy
        .keys(&[
            "resolve",
            &id,
            "--status",
            "200",
            "--body-file",
            file.to_str().unwrap(),
        ])
        .await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(
        proxy.send(&pay("lost")).await.text(),
        "{\n  \"id\": \"pay_8\"\n}\n"
    );
}

/// Only what is unknown can be settled: an outcome that is known is never overwritten.
#[tokio::test]
async fn a_completed_key_cannot_be_settled() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let first = proxy.send(&pay("known")).await;
    let id = proxy.only_key().await["id"].as_str().unwrap().to_owned();
    let refusal = "only an unknown key can be settled; this one is completed";
    proxy.keys(&["release", &id]).await.must_fail(1, &[refusal]);
    proxy
        .keys(&["resolve", &id, "--status", "500"])
        .await
        .must_fail(1, &[refusal]);
    proxy.send(&pay("known")).await.must_replay(&first);
    assert_eq!(stage.origin.executions("known"), 1);
}

/// A list says what an operator needs, and never the key itself.
#[tokio::test]
async fn keys_are_listed_and_shown_by_digest() {
    let stage = Stage::new().await;
    let (proxy, id) = with_an_unknown_key(&stage).await;
    let executed = proxy.send(&pay("well-done")).await;
    let table = proxy.keys(&["list"]).await;
    assert_eq!(table.code, Some(0), "{table:?}");
    assert_eq!(table.stdout.lines().count(), 3, "{}", table.stdout);
    assert!(table.stdout.contains("POST /payments"), "{}", table.stdout);
    assert!(!table.stdout.contains("lost") && !table.stdout.contains("well-done"));

    let list = async |arguments: &[&str]| {
        let listed = proxy.keys(&[&["list", "--json"], arguments].concat()).await;
        serde_json::from_str::<Vec<Value>>(&listed.stdout).unwrap_or_else(|_| panic!("{listed:?}"))
    };
    let unknown = list(&["--state", "unknown"]).await;
    assert_eq!(
        (unknown.len(), &unknown[0]["id"]),
        (1, &Value::from(id.as_str()))
    );
    let completed = list(&["--key", "well-done"]).await;
    assert_eq!(
        (completed.len(), &completed[0]["state"]),
        (1, &Value::from("completed"))
    );
    assert_eq!(completed[0]["response"]["status"], 201);
    assert_eq!(
        completed[0]["response"]["body_bytes"],
        executed.body().len()
    );
    assert_eq!(list(&["--key", "\"well-done\""]).await, completed);
    assert_eq!(list(&["--key", "never-sent"]).await, Vec::<Value>::new());
    assert_eq!(list(&["--limit", "1"]).await.len(), 1);

    let shown = proxy.keys(&["show", &id, "--json"]).await;
    let shown: Vec<Value> = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(shown[0]["operation"], "POST /payments");
    proxy
        .keys(&["show", &"0".repeat(64)])
        .await
        .must_fail(1, &["no record has this id"]);
    proxy
        .keys(&["show", "12"])
        .await
        .must_fail(1, &["an id is 64 hex digits"]);
    proxy
        .keys(&["list", "--state", "odd"])
        .await
        .must_fail(1, &["state is in-flight, unknown"]);
}

/// M-42: a purge takes the body of an expired record; what is left still refuses a late retry.
#[tokio::test]
async fn a_purge_leaves_a_tombstone_that_refuses_a_late_retry() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().set("retention=1s").start().await;
    proxy.send(&pay("brief")).await.must_be_executed();
    poll_until("the end of retention", || async {
        (proxy.only_state().await == "expired").then_some(())
    })
    .await;
    let purged = proxy.keys(&["purge", "--json"]).await;
    assert_eq!(purged.code, Some(0), "{purged:?}");
    let purged: Value = serde_json::from_str(&purged.stdout).unwrap();
    // The purger that runs by itself may have been there first.
    assert!(
        purged["stripped"].as_u64().unwrap() <= 1 && purged["removed"] == 0,
        "{purged}"
    );
    assert_eq!(proxy.only_key().await["response"], Value::Null);
    proxy
        .send(&pay("brief"))
        .await
        .must_be_problem(410, "key-expired", "maybe", "none");
    assert_eq!(stage.origin.executions("brief"), 1);
}

/// A proxy that is not there is not a proxy that says no.
#[tokio::test]
async fn a_proxy_that_cannot_be_reached_is_unavailable() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let admin = proxy.admin.to_string();
    proxy.stop().await;
    let asked = oncegate(&["keys", "--admin", &admin, "list"]).await;
    asked.must_fail(69, &[&format!("cannot ask the proxy at {admin}")]);
}

/// A key whose upstream cut the connection after it read the request, and its id.
async fn with_an_unknown_key(stage: &Stage) -> (Proxy, String) {
    let proxy = stage.proxy().start().await;
    stage.origin.plan("lost", [Act::Cut]);
    proxy.send(&pay("lost")).await.must_be_problem(
        502,
        "upstream-outcome-unknown",
        "maybe",
        "same-key",
    );
    let key = proxy.only_key().await;
    assert_eq!(key["state"], "unknown");
    let id = key["id"].as_str().unwrap().to_owned();
    (proxy, id)
}
