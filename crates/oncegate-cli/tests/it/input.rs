//! Bad input over the wire: each has a clear answer, nothing runs, and the key is as free as before.

use tokio::io::AsyncWriteExt;

use crate::harness::{Answer, Proxy, Request, Stage, Wire, pay, post, within};

/// M-01, M-02, M-04: what cannot be read is refused, never taken for absent.
#[tokio::test]
async fn a_malformed_key_is_refused_and_nothing_runs() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let malformed = [
        "",
        "\"\"",
        "\"open",
        "open\"",
        "\"a\"b",
        "\"a\" \"b\"",
        "\"a\", \"b\"",
        "a,b",
        "two words",
        "back\\slash",
        "\"bad \\x escape\"",
        "caf\u{e9}",
        "\"caf\u{e9}\"",
        "tab\there",
        "a;b",
    ];
    for key in malformed {
        let answer = proxy.send(&pay(key)).await;
        answer.must_be_problem(400, "key-invalid", "no", "fix-request");
        assert_eq!(answer.became(), "refused", "{key:?}");
        assert_eq!(answer.header("idempotency-key"), None, "{key:?}");
    }
    assert_eq!(stage.origin.book().len(), 0);
    assert_eq!(proxy.keys(&["list"]).await.stdout, "no keys\n");
}

/// M-03: two lines are two keys, even where they are the same.
#[tokio::test]
async fn a_doubled_key_is_refused_and_nothing_runs() {
    let stage = Stage::new().await;
    let proxy = stage
        .proxy()
        .set("key_header=[\"Idempotency-Key\", \"X-Request-Key\"]")
        .start()
        .await;
    let doubled = [
        pay("one").header("Idempotency-Key", "two"),
        pay("one").header("idempotency-key", "one"),
        pay("\"one").header("Idempotency-Key", "two\""),
        pay("one").header("X-Request-Key", "one"),
    ];
    for request in doubled {
        proxy
            .send(&request)
            .await
            .must_be_problem(400, "key-invalid", "no", "fix-request");
    }
    assert_eq!(stage.origin.book().len(), 0);
    proxy.send(&pay("one")).await.must_be_executed();
}

/// M-05: one byte more than allowed is refused, the last allowed one is not.
#[tokio::test]
async fn a_key_may_have_255_bytes_and_not_one_more() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let longest = "k".repeat(255);
    let first = proxy.send(&pay(&longest)).await;
    first.must_be_executed();
    proxy
        .send(&pay(&format!("\"{longest}\"")))
        .await
        .must_replay(&first);
    let longer = proxy.send(&pay(&"k".repeat(256))).await;
    longer.must_be_problem(400, "key-invalid", "no", "fix-request");
    let endless = proxy.send(&pay(&"k".repeat(20_000))).await;
    endless.must_be_problem(400, "key-invalid", "no", "fix-request");
    assert_eq!(stage.origin.book().len(), 1);
}

/// M-39: a length that is declared is judged before a byte of the body is there.
#[tokio::test]
async fn an_oversized_declared_body_is_refused_unread() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().set("request_bytes_max=64KiB").start().await;
    let mut wire = Wire::connect(proxy.listen).await.unwrap();
    wire.write(pay("oversized").head("Content-Length: 65537\r\n"))
        .await
        .unwrap();
    let answer = Answer(within("a refusal", wire.read_answer()).await.unwrap());
    answer.must_be_problem(413, "request-too-large", "no", "fix-request");
    executes(&stage, &proxy, &pay("oversized"), "oversized").await;
    let largest = pay("largest").body(vec![b'x'; 65_536]);
    executes(&stage, &proxy, &largest, "largest").await;
    assert_eq!(stage.origin.book()[1].request.body.len(), 65_536);
}

/// M-39: a body that never ends is refused at the bound, while it is still coming.
#[tokio::test]
async fn an_endless_chunked_body_is_refused_at_the_bound() {
    let stage = Stage::new().await;
    let proxy = stage
        .proxy()
        .set("request_bytes_max=64KiB")
        .set("buffer_bytes_max=16KiB")
        .start()
        .await;
    let mut wire = Wire::connect(proxy.listen).await.unwrap();
    wire.write(pay("endless").head("Transfer-Encoding: chunked\r\n"))
        .await
        .unwrap();
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    within("an endless body", async {
        while wire.write(&chunk).await.is_ok() {}
    })
    .await;
    let answer = Answer(within("a refusal", wire.read_answer()).await.unwrap());
    answer.must_be_problem(413, "request-too-large", "no", "fix-request");
    executes(&stage, &proxy, &pay("endless"), "endless").await;
}

/// M-24, M-31: a client that breaks off in mid-upload leaves no trace, whether its body was in memory or on disk.
#[tokio::test]
async fn a_half_sent_body_runs_nothing_and_leaves_the_key_free() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().set("buffer_bytes_max=16KiB").start().await;
    let half = "x".repeat(40_000);
    let sent = [
        (
            "length-close",
            "Content-Length: 80000\r\n",
            half.clone(),
            false,
        ),
        (
            "length-reset",
            "Content-Length: 80000\r\n",
            half.clone(),
            true,
        ),
        (
            "short-reset",
            "Content-Length: 10\r\n",
            "x".to_owned(),
            true,
        ),
        (
            "chunk-close",
            "Transfer-Encoding: chunked\r\n",
            format!("9C40\r\n{half}\r\n"),
            false,
        ),
        (
            "chunk-reset",
            "Transfer-Encoding: chunked\r\n",
            format!("FFFF\r\n{half}"),
            true,
        ),
        ("no-body-yet", "Content-Length: 5\r\n", String::new(), false),
    ];
    for (key, length, body, reset) in sent {
        let mut wire = Wire::connect(proxy.listen).await.unwrap();
        wire.write(pay(key).head(length) + &body).await.unwrap();
        if reset {
            wire.reset();
        } else {
            drop(wire);
        }
        executes(&stage, &proxy, &pay(key), key).await;
    }
    assert_eq!(stage.origin.book().len(), 6);
}

/// M-31: a client that ends its side early, and still listens, is told that nothing ran.
#[tokio::test]
async fn a_body_that_ends_early_is_told_so_if_anybody_listens() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let mut wire = Wire::connect(proxy.listen).await.unwrap();
    wire.write(pay("early").head("Content-Length: 10\r\n") + "x")
        .await
        .unwrap();
    wire.stream.shutdown().await.unwrap();
    let answer = Answer(within("a refusal", wire.read_answer()).await.unwrap());
    answer.must_be_problem(400, "request-incomplete", "no", "same-key");
    executes(&stage, &proxy, &pay("early"), "early").await;
}

/// M-11, M-17: a body too large for memory goes over the disk, whole, and counts to its last byte.
#[tokio::test]
async fn a_body_that_is_spooled_arrives_whole_and_is_compared_whole() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().set("buffer_bytes_max=16KiB").start().await;
    let mut body: Vec<u8> = (0..3_000_000_u32)
        .map(|at| at.to_le_bytes()[at as usize % 4])
        .collect();
    let upload = pay("spooled").content_type("application/octet-stream");
    executes(
        &stage,
        &proxy,
        &upload.clone().body(body.clone()),
        "spooled",
    )
    .await;
    assert!(stage.origin.book()[0].request.body == body);
    *body.last_mut().unwrap() ^= 1;
    proxy
        .send(&upload.body(body))
        .await
        .must_be_problem(422, "mismatch", "no", "new-key");
    assert_eq!(stage.origin.book().len(), 1);
}

/// M-17, M-18, M-19: the same key for something else is refused, and the record stays as it was.
#[tokio::test]
async fn another_request_under_the_same_key_is_a_mismatch() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let first = proxy.send(&pay("mine")).await;
    first.must_be_executed();
    let others = [
        pay("mine").body(r#"{"amount":101}"#),
        post("/payments?dry=1", r#"{"amount":100}"#).header("Idempotency-Key", "mine"),
        post("/refunds", r#"{"amount":100}"#).header("Idempotency-Key", "mine"),
    ];
    for other in others {
        proxy
            .send(&other)
            .await
            .must_be_problem(422, "mismatch", "no", "new-key");
    }
    // The same JSON in another spelling is the same request.
    proxy
        .send(&pay("mine").body("{ \"amount\" : 100 }\n"))
        .await
        .must_replay(&first);
    assert_eq!(stage.origin.book().len(), 1);
}

/// M-34: a credential that the scope does not cover is refused, with the header and the setting.
#[tokio::test]
async fn a_credential_that_the_scope_does_not_cover_is_refused() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let answer = proxy.send(&pay("whose").header("X-Api-Key", "k-1")).await;
    answer.must_be_problem(401, "scope-missing", "no", "fix-request");
    assert!(answer.header("www-authenticate").is_some());
    assert!(
        answer.text().contains("x-api-key") && answer.text().contains("scope"),
        "{answer:?}"
    );
    assert_eq!(stage.origin.book().len(), 0);
}

/// Nothing ran so far under this key, and it is free: the whole request executes.
async fn executes(stage: &Stage, proxy: &Proxy, request: &Request, key: &str) {
    assert_eq!(stage.origin.executions(key), 0, "{key}");
    let first = proxy.send(request).await;
    first.must_be_executed();
    proxy.send(request).await.must_replay(&first);
    assert_eq!(stage.origin.executions(key), 1, "{key}");
}
