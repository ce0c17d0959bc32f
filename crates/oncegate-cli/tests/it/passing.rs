//! What passes through untouched, and the pages that the proxy serves itself.

use oncegate::ProblemKind;

use crate::harness::{Stage, Wire, get, pay, post, within};

/// M-08: a safe method takes no key, and a proxy that answered one from a store would be a cache.
#[tokio::test]
async fn a_get_passes_through_each_time_with_a_key_or_without() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let keyed = get("/payments/1?expand=all").header("Idempotency-Key", "no-meaning");
    for request in [get("/payments/1?expand=all"), keyed.clone(), keyed] {
        let answer = proxy.send(&request).await;
        assert_eq!((answer.code(), answer.became()), (200, ""), "{answer:?}");
        assert!(answer.header("set-cookie").is_some());
    }
    let book = stage.origin.book();
    assert_eq!(book.len(), 3);
    assert!(
        book.iter()
            .all(|seen| seen.request.start == "GET /payments/1?expand=all HTTP/1.1")
    );
}

/// M-07: without a key nothing is looked up and nothing is kept.
#[tokio::test]
async fn a_post_without_a_key_passes_without_a_step_of_the_store() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    for number in 1..=2 {
        let answer = proxy.send(&post("/payments", r#"{"amount":1}"#)).await;
        assert_eq!((answer.code(), answer.became()), (201, ""), "{answer:?}");
        assert_eq!(answer.json()["execution"], number);
    }
    let metrics = proxy.ask("/metrics").await.text();
    assert!(
        metrics.contains("oncegate_store_seconds_count{method=\"insert\"} 0\n"),
        "{metrics}"
    );
    assert_eq!(proxy.keys(&["list"]).await.stdout, "no keys\n");
}

/// M-06, M-07: a route that requires a key refuses without one, however the path is spelled; nothing runs.
#[tokio::test]
async fn a_route_can_require_a_key() {
    let stage = Stage::new().await;
    let config = stage.write(
        "proxy.toml",
        "[[route]]\nmatch = \"POST /payments\"\nkey = \"required\"\n",
    );
    let proxy = stage
        .proxy()
        .flag("--config", config.to_str().unwrap())
        .start()
        .await;
    let missing = proxy.send(&post("/payments", "{}")).await;
    missing.must_be_problem(400, "key-missing", "no", "fix-request");
    let disguised = proxy.send(&post("/a/../%70ayments", "{}")).await;
    disguised.must_be_problem(400, "key-missing", "no", "fix-request");
    assert_eq!(stage.origin.book().len(), 0);
    proxy.send(&post("/elsewhere", "{}")).await;
    proxy.send(&pay("there-is-one")).await.must_be_executed();
    assert_eq!(stage.origin.book().len(), 2);
}

/// M-08: a GET may change protocols, and then bytes flow both ways.
#[tokio::test]
async fn an_upgrade_passes_and_echoes() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let request = get("/echo")
        .header("Connection", "upgrade")
        .header("Upgrade", "x-echo");
    let mut wire = Wire::connect(proxy.listen).await.unwrap();
    wire.write(request.bytes()).await.unwrap();
    let switched = within("an upgrade", wire.read_answer()).await.unwrap();
    assert_eq!(switched.code(), 101, "{switched:?}");
    for word in ["one", "and another"] {
        wire.write(word).await.unwrap();
        let echoed = within("an echo", wire.read_exact(word.len()))
            .await
            .unwrap();
        assert_eq!(echoed, word.as_bytes());
    }
}

/// M-08: on a POST the offer is dropped, and the request is judged as any other.
#[tokio::test]
async fn a_keyed_post_cannot_slip_past_by_an_upgrade() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let request = pay("upgrading")
        .header("Connection", "upgrade")
        .header("Upgrade", "x-echo");
    let first = proxy.send(&request).await;
    first.must_be_executed();
    proxy.send(&request).await.must_replay(&first);
    assert_eq!(stage.origin.executions("upgrading"), 1);
    assert_eq!(stage.origin.book()[0].request.header("upgrade"), None);
}

/// M-43: the link in a refusal leads to a page, and there is one for each kind.
#[tokio::test]
async fn every_problem_has_a_page_for_people_and_for_programs() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    for kind in ProblemKind::ALL {
        let path = format!("/.well-known/idempotency/problems/{}", kind.row().slug);
        let markdown = proxy.send(&get(&path)).await;
        assert_eq!(markdown.code(), 200, "{path}");
        assert_eq!(
            markdown.header("content-type"),
            Some("text/markdown; charset=utf-8")
        );
        assert!(
            markdown
                .text()
                .starts_with(&format!("# {}\n", kind.row().title))
        );
        let html = proxy
            .send(&get(&path).header("Accept", "text/html,*/*;q=0.8"))
            .await;
        assert_eq!(
            html.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert!(html.text().starts_with("<!doctype html>"), "{path}");
        assert!(html.text().contains(kind.row().title), "{path}");
    }
    let twice = pay("a").header("Idempotency-Key", "b");
    let refused = proxy.send(&twice).await;
    let link = refused.json()["type"].as_str().unwrap().to_owned();
    assert_eq!(proxy.send(&get(&link)).await.code(), 200, "{link}");
    assert_eq!(stage.origin.book().len(), 0);
}

/// Who asked, as the upstream reads it: believed from whoever stands before us, or not, as was set.
#[tokio::test]
async fn what_clients_say_of_the_hops_before_them_is_kept_or_replaced_as_was_set() {
    let forged = [
        ("Forwarded", "for=198.51.100.1;proto=https"),
        ("X-Forwarded-For", "198.51.100.1"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Real-IP", "198.51.100.1"),
    ];
    let ours = "for=127.0.0.1;host=shop.example;proto=http";
    let appended = format!("for=198.51.100.1;proto=https, {ours}");
    for (setting, forwarded, x_for, x_host, real_ip) in [
        (
            "forwarded=append",
            appended.as_str(),
            "198.51.100.1, 127.0.0.1",
            "evil.example",
            Some("198.51.100.1"),
        ),
        ("forwarded=replace", ours, "127.0.0.1", "shop.example", None),
    ] {
        let stage = Stage::new().await;
        let proxy = stage.proxy().set(setting).start().await;
        let request = forged.iter().fold(pay("k"), |request, (name, value)| {
            request.header(name, value)
        });
        proxy.send(&request).await.must_be_executed();
        let book = stage.origin.book();
        let seen = |name| book[0].request.header(name);
        assert_eq!(seen("forwarded"), Some(forwarded));
        assert_eq!(seen("x-forwarded-for"), Some(x_for));
        assert_eq!(seen("x-forwarded-host"), Some(x_host));
        assert_eq!(seen("x-real-ip"), real_ip);
    }
}
