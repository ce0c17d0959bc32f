//! One Oncegate behind another: what the one behind says of an outcome is not taken for an outcome.

use crate::harness::{Act, Gate, Proxy, Stage, pay, poll_until};

/// M-10: the front forgets everything, and the one behind still knows.
#[tokio::test]
async fn a_front_that_lost_its_store_gets_the_replay_of_the_one_behind() {
    let stage = Stage::new().await;
    let (behind, front) = chain(&stage, "30s").await;
    let first = front.send(&pay("chained")).await;
    first.must_be_executed();
    front.stop().await;
    let fresh = before(&stage, &behind)
        .flag("--store", "memory:")
        .start()
        .await;
    let retry = fresh.send(&pay("chained")).await;
    assert_eq!(
        (retry.code(), retry.became()),
        (201, "executed"),
        "{retry:?}"
    );
    assert_eq!(retry.body(), first.body());
    assert_eq!(stage.origin.executions("chained"), 1);
}

/// M-28, M-29: `still-running` and `in-flight` from behind are no outcome; the front's key stays free until there is
/// one.
#[tokio::test]
async fn what_is_still_running_behind_is_released_in_front() {
    let stage = Stage::new().await;
    let (_behind, front) = chain(&stage, "200ms").await;
    let gate = Gate::default();
    stage.origin.plan("slow", [Act::CreateBehind(gate.clone())]);
    for slug in ["still-running", "in-flight"] {
        let answer = poll_until("an answer from behind", || async {
            let answer = front.send(&pay("slow")).await;
            (answer.slug() == slug).then_some(answer)
        })
        .await;
        assert_eq!(answer.became(), "released", "{answer:?}");
    }
    gate.open();
    let answer = poll_until("the end of the execution", || async {
        let answer = front.send(&pay("slow")).await;
        (answer.code() == 201).then_some(answer)
    })
    .await;
    assert_eq!(answer.body(), stage.origin.book()[0].answer);
    front.send(&pay("slow")).await.must_replay(&answer);
    assert_eq!(stage.origin.executions("slow"), 1);
}

/// M-28: what nobody behind knows, nobody in front knows either.
#[tokio::test]
async fn what_is_unknown_behind_is_unknown_in_front() {
    let stage = Stage::new().await;
    let (behind, front) = chain(&stage, "30s").await;
    stage.origin.plan("lost", [Act::Cut]);
    let answer = front.send(&pay("lost")).await;
    answer.must_be_problem(502, "upstream-outcome-unknown", "maybe", "same-key");
    assert_eq!(answer.became(), "unknown", "{answer:?}");
    assert_eq!(
        (front.only_state().await, behind.only_state().await),
        ("unknown".into(), "unknown".into())
    );
    front
        .send(&pay("lost"))
        .await
        .must_be_problem(409, "outcome-unknown", "maybe", "same-key");
    assert_eq!(stage.origin.executions("lost"), 1);
}

async fn chain(stage: &Stage, answer_timeout: &str) -> (Proxy, Proxy) {
    let setting = format!("answer_timeout={answer_timeout}");
    let behind = stage.proxy().set(&setting).start().await;
    let front = before(stage, &behind).start().await;
    (behind, front)
}

fn before(stage: &Stage, behind: &Proxy) -> crate::harness::Setup {
    let store = format!("file:{}", stage.folder().join("front.db").display());
    stage
        .proxy_before(&format!("http://{}", behind.listen))
        .flag("--store", &store)
}
