//! Unknown outcomes where the policy is another than to refuse.

use crate::harness::{Act, Proxy, Setup, Stage, pay};

/// `reconcile`: the origin is asked what became of it, and the caller gets that; nothing runs again.
#[tokio::test]
async fn an_unknown_outcome_that_the_upstream_knows_is_replayed() {
    let stage = Stage::new().await;
    let proxy = lose(&stage, &reconciling(&stage)).await;
    let found = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"id\":\"pay_1\"}";
    stage.origin.plan("", [Act::bytes(found)]);
    let answer = proxy.send(&pay("lost")).await;
    assert_eq!(
        (answer.code(), answer.text().as_str()),
        (201, "{\"id\":\"pay_1\"}"),
        "{answer:?}"
    );
    proxy.send(&pay("lost")).await.must_replay(&answer);
    let asked = &stage.origin.book()[1].request;
    assert_eq!(asked.start, "GET /payments/by-key/lost HTTP/1.1");
    assert_eq!(stage.origin.executions("lost"), 1);
}

/// `reconcile`: the origin has never heard of it, and says so twice, so it is executed now.
#[tokio::test]
async fn an_unknown_outcome_that_never_was_executes() {
    let stage = Stage::new().await;
    let proxy = lose(&stage, &reconciling(&stage)).await;
    stage.origin.plan(
        "",
        [Act::status("404 Not Found"), Act::status("404 Not Found")],
    );
    let answer = proxy.send(&pay("lost")).await;
    answer.must_be_executed();
    proxy.send(&pay("lost")).await.must_replay(&answer);
    assert_eq!(
        (stage.origin.executions("lost"), stage.origin.book().len()),
        (2, 4)
    );
}

/// `reconcile`: an origin that cannot say leaves it as unknown as it was.
#[tokio::test]
async fn an_unknown_outcome_that_nobody_can_tell_stays_unknown() {
    let stage = Stage::new().await;
    let proxy = lose(&stage, &reconciling(&stage)).await;
    stage.origin.plan("", [Act::status("500 Oops"), Act::Cut]);
    for _ in 0..2 {
        let answer = proxy.send(&pay("lost")).await;
        answer.must_be_problem(409, "outcome-unknown", "maybe", "same-key");
        assert_eq!(proxy.only_state().await, "unknown");
    }
    assert_eq!(stage.origin.executions("lost"), 1);
}

/// `reexecute` is for operations that may run twice, and then they do; under a higher fence, for an origin that looks.
#[tokio::test]
async fn an_unknown_outcome_executes_again_if_the_policy_says_so() {
    let stage = Stage::new().await;
    let proxy = lose(&stage, &stage.proxy().set("on_unknown=reexecute")).await;
    let answer = proxy.send(&pay("lost")).await;
    answer.must_be_executed();
    proxy.send(&pay("lost")).await.must_replay(&answer);
    let fences: Vec<u64> = stage
        .origin
        .book()
        .iter()
        .map(|seen| {
            seen.request
                .header("idempotency-fence")
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    assert!(fences.len() == 2 && fences[0] < fences[1], "{fences:?}");
}

fn reconciling(stage: &Stage) -> Setup {
    let config = stage.write(
        "proxy.toml",
        "[[route]]\nmatch = \"POST /payments\"\non_unknown = \"reconcile\"\n\
         reconcile = { get = \"/payments/by-key/{key}\", status = 201 }\n",
    );
    stage.proxy().flag("--config", config.to_str().unwrap())
}

/// A proxy with one key whose outcome was lost.
async fn lose(stage: &Stage, setup: &Setup) -> Proxy {
    let proxy = setup.start().await;
    stage.origin.plan("lost", [Act::Cut]);
    let answer = proxy.send(&pay("lost")).await;
    answer.must_be_problem(502, "upstream-outcome-unknown", "maybe", "same-key");
    proxy
}
