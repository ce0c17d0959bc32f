//! The admin listener: health, metrics, and who is let in.

use std::collections::HashMap;

use crate::harness::{Act, Proxy, Stage, get, pay, post, send};

/// A process that runs is live; one whose store answers is ready.
#[tokio::test]
async fn live_and_ready_say_so() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    for (path, text) in [("/live", "live\n"), ("/ready", "ready\n")] {
        let answer = proxy.ask(path).await;
        assert_eq!((answer.code(), answer.text().as_str()), (200, text));
    }
    assert_eq!(proxy.ask("/elsewhere").await.code(), 404);
}

/// The counters are what the callers were told, in a form that Prometheus reads.
#[tokio::test]
async fn metrics_count_what_callers_were_told() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    stage.origin.plan("cut", [Act::Cut]);
    stage.origin.plan("oops", [Act::status("500 Oops")]);
    for key in ["a", "b", "a", "a", "cut", "cut", "oops", "\"bad"] {
        proxy.send(&pay(key)).await;
    }
    proxy.send(&pay("a").body("{}")).await;
    proxy.send(&get("/payments")).await;

    let metrics = samples(&proxy).await;
    let requests = |status: &str, problem: &str| {
        metrics[&format!("oncegate_requests_total{{status=\"{status}\",problem=\"{problem}\"}}")]
    };
    assert_eq!(requests("executed", ""), 2.0);
    assert_eq!(requests("replayed", ""), 2.0);
    assert_eq!(requests("released", ""), 1.0);
    assert_eq!(requests("unknown", "upstream-outcome-unknown"), 1.0);
    assert_eq!(requests("refused", "outcome-unknown"), 1.0);
    assert_eq!(requests("refused", "mismatch"), 1.0);
    assert_eq!(requests("refused", "key-invalid"), 1.0);
    let sum: f64 = metrics
        .iter()
        .filter(|(name, _)| name.starts_with("oncegate_requests_total"))
        .map(|(_, value)| value)
        .sum();
    assert_eq!(sum, 9.0);
    assert_eq!(metrics["oncegate_executions_running"], 0.0);
    assert_eq!(metrics["oncegate_store_errors_total"], 0.0);
    assert!(metrics["oncegate_store_seconds_count{method=\"insert\"}"] >= 4.0);
}

/// A page on the web can make a browser send requests to this machine: a foreign name is not let in, and a write
/// needs a content type that a page may not send.
#[tokio::test]
async fn a_browser_cannot_be_made_to_settle_keys() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    stage.origin.plan("cut", [Act::Cut]);
    proxy.send(&pay("cut")).await;
    let id = proxy.only_key().await["id"].as_str().unwrap().to_owned();
    let release = format!("/keys/{id}/release");

    for host in [
        "rebound.example",
        "rebound.example:9090",
        "localhost.evil.example",
    ] {
        let json = post(&release, "{}").header("Host", host);
        assert_eq!(send(proxy.admin, &json).await.code(), 421, "{host}");
        assert_eq!(
            send(proxy.admin, &get("/keys").header("Host", host))
                .await
                .code(),
            421,
            "{host}"
        );
    }
    let host = proxy.admin.to_string();
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        let form = post(&release, "{}")
            .content_type(content_type)
            .header("Host", &host);
        assert_eq!(send(proxy.admin, &form).await.code(), 415, "{content_type}");
    }
    assert_eq!(proxy.only_state().await, "unknown");
    let json = post(&release, "{}").header("Host", "localhost");
    assert_eq!(send(proxy.admin, &json).await.code(), 200);
    assert_eq!(proxy.keys(&["list"]).await.stdout, "no keys\n");
}

/// Nothing of the admin listener is reachable where clients connect.
#[tokio::test]
async fn clients_cannot_reach_what_operators_can() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    proxy.send(&get("/metrics")).await;
    proxy.send(&post("/purge", "{}")).await;
    let seen: Vec<_> = stage
        .origin
        .book()
        .into_iter()
        .map(|seen| seen.request.start)
        .collect();
    assert_eq!(seen, ["GET /metrics HTTP/1.1", "POST /purge HTTP/1.1"]);
}

/// Every line of the exposition is a comment or a sample with a number, and every sample's name was declared.
async fn samples(proxy: &Proxy) -> HashMap<String, f64> {
    let answer = proxy.ask("/metrics").await;
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("text/plain")
    );
    let text = answer.text();
    assert!(text.ends_with('\n'));
    let mut declared: HashMap<&str, &str> = HashMap::new();
    let mut samples = HashMap::new();
    for line in text.lines() {
        if let Some(declaration) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declaration.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(
                declared.insert(name, kind).is_none(),
                "declared twice: {line}"
            );
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let family = name.split('{').next().unwrap();
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| family.strip_suffix(end));
        let known = declared.contains_key(family)
            || base.is_some_and(|base| declared.get(base) == Some(&"histogram"));
        assert!(known, "not declared: {line}");
        let labels = name.strip_prefix(family).unwrap();
        assert!(
            labels.is_empty() || labels.starts_with('{') && labels.ends_with("\"}"),
            "{line}"
        );
        let value: f64 = value.parse().unwrap();
        assert!(
            samples.insert(name.to_owned(), value).is_none(),
            "twice: {line}"
        );
    }
    samples
}
