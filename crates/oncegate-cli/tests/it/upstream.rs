//! An origin that is down, slow, or does anything but answer well.

use std::time::Duration;

use crate::harness::{Act, Gate, Origin, Stage, pay, poll_until};

/// M-28: nothing was sent, so the key is free and the retry executes.
#[tokio::test]
async fn an_upstream_that_is_down_leaves_the_key_free() {
    let stage = Stage::new().await;
    let gone = Origin::start(|_| Act::Create).await;
    let address = gone.address();
    drop(gone);
    let proxy = stage
        .proxy_before(&format!("http://{address}"))
        .start()
        .await;
    poll_until("the end of the listener", || async {
        let answer = proxy.send(&pay("early-bird")).await;
        (answer.code() == 502).then_some(())
    })
    .await;
    let answer = proxy.send(&pay("early-bird")).await;
    answer.must_be_problem(502, "upstream-unreachable", "no", "same-key");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    assert_eq!(proxy.keys(&["list"]).await.stdout, "no keys\n");

    let back = Origin::start_on(address, |_| Act::Create).await;
    let first = proxy.send(&pay("early-bird")).await;
    first.must_be_executed();
    proxy.send(&pay("early-bird")).await.must_replay(&first);
    assert_eq!(back.executions("early-bird"), 1);
}

/// M-28: past `answer_timeout` the caller is told that it runs; the execution goes on and is kept. A duplicate whose
/// look-up takes that long is told the same.
#[tokio::test]
async fn a_slow_upstream_is_still_running_and_then_replayed() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().set("answer_timeout=300ms").start().await;
    let gate = Gate::default();
    stage.origin.plan("slow", [Act::CreateBehind(gate.clone())]);
    let first = proxy.send(&pay("slow")).await;
    first.must_be_problem(504, "still-running", "maybe", "same-key");
    assert!(first.header("retry-after").is_some(), "{first:?}");
    assert_eq!(first.became(), "unknown");
    let answer_but = async |passed_over: &[&str]| {
        poll_until("another answer", || async {
            let answer = proxy.send(&pay("slow")).await;
            (!passed_over.contains(&answer.slug().as_str())).then_some(answer)
        })
        .await
    };
    let duplicate = answer_but(&["still-running"]).await;
    duplicate.must_be_problem(409, "in-flight", "maybe", "same-key");
    gate.open();
    let answer = answer_but(&["still-running", "in-flight"]).await;
    assert_eq!(
        (answer.code(), answer.became()),
        (201, "replayed"),
        "{answer:?}"
    );
    assert_eq!(answer.body(), stage.origin.book()[0].answer);
    assert_eq!(stage.origin.executions("slow"), 1);
}

/// M-28: an execution that takes longer than it may is unknown, and its caller is told so.
#[tokio::test]
async fn an_execution_past_upstream_timeout_is_unknown() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().set("upstream_timeout=1s").start().await;
    stage
        .origin
        .plan("hangs", [Act::CreateBehind(Gate::default())]);
    let answer = proxy.send(&pay("hangs")).await;
    answer.must_be_problem(504, "upstream-outcome-unknown", "maybe", "same-key");
    let retry = proxy.send(&pay("hangs")).await;
    retry.must_be_problem(409, "outcome-unknown", "maybe", "same-key");
    assert_eq!(stage.origin.executions("hangs"), 1);
}

/// M-28, M-30, M-31: whatever breaks after the request was read may have run: it is never sent again, and never
/// taken for an answer.
#[tokio::test]
async fn an_exchange_that_breaks_after_the_request_was_read_is_unknown() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let broken = [
        ("cut", Act::Cut),
        (
            "half-a-head",
            Act::bytes("HTTP/1.1 201 Created\r\nContent-Le"),
        ),
        (
            "short",
            Act::bytes("HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\nonly this"),
        ),
        (
            "cut-between-chunks",
            Act::bytes("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n"),
        ),
        (
            "cut-in-a-chunk",
            Act::bytes("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nFF\r\npart"),
        ),
        (
            "no-last-line",
            Act::bytes(
                "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n0\r\n",
            ),
        ),
        (
            "garbage",
            Act::bytes("\u{1}\u{2}garbage\r\n\r\nHTTP/1.1 201 Created\r\n\r\n"),
        ),
        ("no-http", Act::bytes("220 mail.example ESMTP\r\n")),
        (
            "bad-status",
            Act::bytes("HTTP/1.1 99999 Created\r\nContent-Length: 0\r\n\r\n"),
        ),
        (
            "bad-length",
            Act::bytes("HTTP/1.1 201 Created\r\nContent-Length: minus\r\n\r\n"),
        ),
        (
            "two-lengths",
            Act::bytes(
                "HTTP/1.1 201 Created\r\nContent-Length: 2\r\nContent-Length: 4\r\n\r\nok  ",
            ),
        ),
        (
            "bad-chunk",
            Act::bytes("HTTP/1.1 201 C\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nxx"),
        ),
        ("only-100", Act::bytes("HTTP/1.1 100 Continue\r\n\r\n")),
    ];
    for (key, act) in broken {
        stage.origin.plan(key, [act]);
        let answer = proxy.send(&pay(key)).await;
        assert_eq!(
            answer.slug(),
            "upstream-outcome-unknown",
            "{key}: {answer:?}"
        );
        answer.must_be_problem(502, "upstream-outcome-unknown", "maybe", "same-key");
        assert_eq!(answer.became(), "unknown", "{key}: {answer:?}");
        let retry = proxy.send(&pay(key)).await;
        retry.must_be_problem(409, "outcome-unknown", "maybe", "same-key");
        assert_eq!(stage.origin.executions(key), 1, "{key}");
    }
    let unknown = proxy.keys(&["list", "--state", "unknown", "--json"]).await;
    let unknown: Vec<serde_json::Value> = serde_json::from_str(&unknown.stdout).unwrap();
    assert_eq!(unknown.len(), 13);
}

/// M-28: a gateway's 504 means that it sent the request and got no answer.
#[tokio::test]
async fn a_504_of_the_upstream_is_passed_on_and_unknown() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    stage
        .origin
        .plan("gateway", [Act::status("504 Gateway Timeout")]);
    let answer = proxy.send(&pay("gateway")).await;
    assert_eq!(
        (answer.code(), answer.became()),
        (504, "unknown"),
        "{answer:?}"
    );
    assert_eq!(answer.body(), b"said");
    let retry = proxy.send(&pay("gateway")).await;
    retry.must_be_problem(409, "outcome-unknown", "maybe", "same-key");
    assert_eq!(stage.origin.executions("gateway"), 1);
}

/// M-28: answers that are not kept free the key; answers that are final stay.
#[tokio::test]
async fn an_answer_is_kept_or_released_by_its_status() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    for line in [
        "500 Oops",
        "503 Busy",
        "401 Who",
        "403 No",
        "408 Late",
        "429 Slow",
        "307 There",
    ] {
        stage.origin.plan(line, [Act::status(line)]);
        let first = proxy.send(&pay(&quoted(line))).await;
        assert_eq!(first.became(), "released", "{line}: {first:?}");
        proxy.send(&pay(&quoted(line))).await.must_be_executed();
        assert_eq!(stage.origin.executions(line), 2, "{line}");
    }
    for line in ["400 Bad", "404 None", "409 Taken", "422 Odd", "302 There"] {
        stage.origin.plan(line, [Act::status(line)]);
        let first = proxy.send(&pay(&quoted(line))).await;
        assert_eq!(first.became(), "executed", "{line}: {first:?}");
        proxy.send(&pay(&quoted(line))).await.must_replay(&first);
        assert_eq!(stage.origin.executions(line), 1, "{line}");
    }
}

/// M-28: the upstream knows best, and says so in `Idempotency-Outcome`; a truncated answer is unknown whatever it
/// says.
#[tokio::test]
async fn an_upstream_may_overrule_what_its_status_means() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let said = |status: &str, outcome: &str, length: usize| {
        Act::bytes(format!(
            "HTTP/1.1 {status}\r\nIdempotency-Outcome: {outcome}\r\nContent-Length: {length}\r\n\r\nok"
        ))
    };
    let table = [
        ("final", said("500 Oops", "final", 2), "executed", 1),
        (
            "transient",
            said("201 Created", "transient", 2),
            "released",
            2,
        ),
        ("unknown", said("201 Created", "unknown", 2), "unknown", 1),
        ("truncated", said("201 Created", "final", 20), "unknown", 1),
        ("nonsense", said("201 Created", "perhaps", 2), "executed", 1),
    ];
    for (key, act, became, executions) in table {
        stage.origin.plan(key, [act]);
        let answer = proxy.send(&pay(key)).await;
        assert_eq!(answer.became(), became, "{key}: {answer:?}");
        assert_eq!(answer.header("idempotency-outcome"), None);
        proxy.send(&pay(key)).await;
        assert_eq!(stage.origin.executions(key), executions, "{key}");
    }
    let metrics = proxy.ask("/metrics").await.text();
    assert!(
        metrics.contains("oncegate_outcomes_not_understood_total 1\n"),
        "{metrics}"
    );
}

/// A request without a key gets a plain answer where the upstream gives none.
#[tokio::test]
async fn an_unkeyed_request_that_gets_no_answer_is_a_plain_502() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    stage.origin.plan("", [Act::Cut]);
    let answer = proxy.send(&crate::harness::post("/payments", "{}")).await;
    assert_eq!((answer.code(), answer.became()), (502, ""), "{answer:?}");
    assert_eq!(answer.json()["type"], "about:blank");
    assert_eq!(stage.origin.book().len(), 1);
}

/// M-20, M-21: the lease is renewed while the execution runs. If it were not, `reexecute` would run it once more.
#[tokio::test]
async fn an_execution_five_leases_long_stays_single() {
    let stage = Stage::new().await;
    let setup = stage.proxy().set("lease=2s").set("store_timeout=1500ms");
    let proxy = setup.set("on_unknown=reexecute").start().await;
    stage
        .origin
        .plan("long", [Act::CreateAfter(Duration::from_secs(10))]);
    let request = pay("long");
    let (first, last) = tokio::join!(proxy.send(&request), async {
        stage.origin.executed("long").await;
        poll_until("the end of the execution", || async {
            let duplicate = proxy.send(&request).await;
            // Two cores and a slow disk: not to be judged in time is no judgement.
            let running = matches!(duplicate.slug().as_str(), "in-flight" | "store-unavailable");
            (!running).then_some(duplicate)
        })
        .await
    });
    first.must_be_executed();
    last.must_replay(&first);
    assert_eq!(stage.origin.executions("long"), 1);
}

fn quoted(key: &str) -> String {
    format!("\"{key}\"")
}
