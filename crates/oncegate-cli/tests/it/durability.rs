//! What a caller has seen is on the disk: `kill -9` right after changes nothing.

use crate::harness::{Act, Answer, Stage, Wire, pay};

/// M-14, M-11: the client reads the last byte, the process is killed at once, and the retry is the same byte for byte.
#[tokio::test]
async fn an_answer_that_was_read_survives_a_kill_right_after_it() {
    survive("oncegate.db").await;
}

/// M-14: a process that dies takes nothing with it even where a power failure would.
#[tokio::test]
async fn a_store_that_trusts_the_power_survives_a_kill_as_well() {
    survive("oncegate.db?durability=process").await;
}

async fn survive(store: &str) {
    let stage = Stage::new().await;
    let store = format!("file:{}/{store}", stage.folder().display());
    let mut setup = stage.proxy().flag("--store", &store);
    let mut seen: Vec<(String, Answer)> = Vec::new();
    for round in 0..ROUNDS {
        let proxy = setup.start().await;
        let key = format!("read-{round}");
        let mut wire = Wire::connect(proxy.listen).await.unwrap();
        wire.write(pay(&key).bytes()).await.unwrap();
        let answer = Answer(wire.read_answer().await.unwrap());
        setup = proxy.kill().await;
        answer.must_be_executed();
        seen.push((key, answer));
    }
    let proxy = setup.start().await;
    for (key, first) in &seen {
        proxy.send(&pay(key)).await.must_replay(first);
        assert_eq!(stage.origin.executions(key), 1, "{key}");
    }
}

/// M-14, M-11: what is kept is kept as it was: without a body, with bytes that are no text, with a status of failure.
#[tokio::test]
async fn empty_binary_and_failed_answers_survive_a_kill() {
    let stage = Stage::new().await;
    let binary = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n".as_slice(),
        &[0, 255, 13, 10, 10, 0],
    ];
    let answers = [
        ("nothing", Act::bytes("HTTP/1.1 204 No Content\r\n\r\n")),
        (
            "elsewhere",
            Act::bytes("HTTP/1.1 303 See Other\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"),
        ),
        ("bytes", Act::bytes(binary.concat())),
        ("declined", Act::status("402 Payment Required")),
        (
            "chunks",
            Act::bytes(
                "HTTP/1.1 201 C\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            ),
        ),
    ];
    let proxy = stage.proxy().start().await;
    let mut seen = Vec::new();
    for (key, act) in answers {
        stage.origin.plan(key, [act]);
        let answer = proxy.send(&pay(key)).await;
        assert_eq!(answer.became(), "executed", "{answer:?}");
        seen.push((key, answer));
    }
    let proxy = proxy.kill().await.start().await;
    for (key, first) in &seen {
        proxy.send(&pay(key)).await.must_replay(first);
        assert_eq!(stage.origin.executions(key), 1, "{key}");
    }
    assert_eq!(seen[4].1.body(), b"abcde");
}

/// M-40, M-14: an answer too large to keep is passed on whole, and its retry never executes.
#[tokio::test]
async fn an_answer_too_large_to_keep_is_known_to_have_run_after_a_kill() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().set("response_bytes_max=1KiB").start().await;
    let answer = proxy.send(&pay("large")).await;
    let proxy = proxy.kill().await.start().await;
    assert_eq!(
        (answer.code(), answer.became()),
        (201, "executed"),
        "{answer:?}"
    );
    assert!(
        answer
            .header("idempotency-status")
            .unwrap()
            .contains("kept=?0")
    );
    assert_eq!(answer.body(), stage.origin.book()[0].answer);
    let retry = proxy.send(&pay("large")).await;
    retry.must_be_problem(410, "response-not-kept", "yes", "none");
    assert_eq!(retry.json()["original_status"], 201);
    assert_eq!(retry.header("location"), answer.header("location"));
    assert_eq!(stage.origin.executions("large"), 1);
}

/// M-12, M-13: the retry has the headers that belong to the operation, and none that belong to the visit.
#[tokio::test]
async fn a_replay_has_the_headers_of_the_operation_and_not_of_the_visit() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let first = proxy.send(&pay("\"quoted\"")).await;
    first.must_be_executed();
    assert_eq!(first.header("set-cookie"), Some("visit=1"));
    let retry = proxy.send(&pay("quoted")).await;
    retry.must_replay(&first);
    // The key comes back in the form in which it was sent, each time.
    assert_eq!(first.header("idempotency-key"), Some("\"quoted\""));
    assert_eq!(retry.header("idempotency-key"), Some("quoted"));
    let seen = &stage.origin.book()[0].request;
    assert_eq!(seen.header("idempotency-key"), Some("\"quoted\""));
    let fence = seen.header("idempotency-fence").unwrap();
    assert!(first.header("idempotency-status").unwrap().contains(fence));
    assert_eq!(seen.header("accept-encoding"), None);
}

const ROUNDS: usize = 6;
