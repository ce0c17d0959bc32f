//! A disk that hangs: callers are told within their time, other traffic goes on, and nothing runs twice once it is
//! released.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::shim::Faults;
use super::{must_be_refused, must_replay_all, once_back};
use crate::harness::{Act, Gate, Stage, get, pay, post, send};

/// M-25: a claim whose sync hangs is refused within `store_timeout`. It may take effect when the disk is released; it
/// is given back then, and the key runs once.
#[tokio::test]
async fn a_claim_that_hangs_is_refused_in_time_and_its_key_runs_once() {
    let stage = Stage::new().await;
    let faults = Faults::new(stage.folder());
    let setup = faults.under(stage.proxy().set("store_timeout=300ms"));
    let proxy = setup.start().await;
    let old = proxy.send(&pay("old")).await;
    old.must_be_executed();

    faults.hang();
    must_be_refused(&proxy.send(&pay("new")).await);
    faults.hangs().await;
    for key in ["new", "other"] {
        must_be_refused(&proxy.send(&pay(key)).await);
        proxy.send(&pay("old")).await.must_replay(&old);
    }
    assert_eq!(proxy.ask("/ready").await.code(), 503);
    assert_eq!(proxy.ask("/live").await.code(), 200);
    for _ in 0..20 {
        assert_eq!(proxy.send(&post("/payments", "{}")).await.code(), 201);
        assert_eq!(proxy.send(&get("/payments/1")).await.code(), 200);
    }
    assert_eq!(stage.origin.executions("new"), 0);

    faults.heal();
    let mut seen = vec![("old".to_owned(), old)];
    for key in ["new", "other"] {
        let answer = once_back(&proxy, key).await;
        answer.must_be_executed();
        seen.push((key.to_owned(), answer));
    }
    must_replay_all(&proxy, &stage, &seen).await;
    let proxy = proxy.kill().await.start().await;
    must_replay_all(&proxy, &stage, &seen).await;
}

/// M-26: an outcome whose sync hangs is told as `unrecorded` within `complete_timeout`; once the disk is released it
/// is recorded, and the retry replays it.
#[tokio::test]
async fn an_outcome_that_hangs_is_unrecorded_and_replayed_once_the_disk_is_released() {
    let stage = Stage::new().await;
    let faults = Faults::new(stage.folder());
    let setup = stage
        .proxy()
        .set("store_timeout=300ms")
        .set("complete_timeout=300ms");
    let proxy = faults.under(setup).start().await;
    let gate = Gate::default();
    stage.origin.plan("slow", [Act::CreateBehind(gate.clone())]);
    let request = pay("slow");
    let asking = proxy.send(&request);
    let hanging = async {
        stage.origin.executed("slow").await;
        faults.hang();
        gate.open();
    };
    let (answer, ()) = tokio::join!(asking, hanging);
    assert_eq!(
        (answer.code(), answer.became()),
        (201, "unrecorded"),
        "{answer:?}"
    );
    faults.hangs().await;
    must_be_refused(&proxy.send(&pay("slow")).await);
    faults.heal();
    let retry = once_back(&proxy, "slow").await;
    assert_eq!(retry.became(), "replayed", "{retry:?}");
    assert_eq!(retry.body(), answer.body());
    let proxy = proxy.kill().await.start().await;
    must_replay_all(&proxy, &stage, &[("slow".to_owned(), retry)]).await;
}

/// M-10, M-21: the process is stopped while a claim is being made durable, and goes on when both `store_timeout` and
/// the claim's lease are over. Others for the same key are queued right behind it, and `reexecute` lets them take over
/// what looks unknown. However they race then, one of them executes.
#[tokio::test]
async fn a_process_that_was_stopped_in_the_middle_of_a_claim_executes_the_key_once() {
    let stage = Stage::new().await;
    let faults = Faults::new(stage.folder());
    let setup = stage.proxy().set("store_timeout=900ms").set("lease=1s");
    let setup = faults.under(setup.set("on_unknown=reexecute"));
    let proxy = setup.start().await;
    faults.hang();
    let mut asking = JoinSet::new();
    let to = proxy.listen;
    for _ in 0..8 {
        asking.spawn(async move { send(to, &pay("late")).await });
    }
    faults.hangs().await;
    proxy.signal("STOP").await;
    faults.heal();
    // The lease must lapse; nothing but time does that.
    sleep(Duration::from_millis(1_300)).await;
    proxy.signal("CONT").await;
    let answers = asking.join_all().await;
    let retry = once_back(&proxy, "late").await;
    assert_eq!(stage.origin.executions("late"), 1, "{answers:?}");
    assert_eq!(retry.body(), stage.origin.book()[0].answer);
    for answer in answers.iter().filter(|answer| answer.code() == 201) {
        assert_eq!(answer.body(), retry.body());
    }
}

/// M-25: while the disk hangs, many callers come and go, for longer than their claims' leases. What waits for the disk
/// stays bounded, and each key runs once when its caller comes back.
#[tokio::test]
async fn callers_that_came_and_went_while_the_disk_hung_leave_no_claim_behind() {
    let stage = Stage::new().await;
    let faults = Faults::new(stage.folder());
    let setup = stage.proxy().set("store_timeout=50ms").set("lease=1s");
    let proxy = faults.under(setup).start().await;
    faults.hang();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let to = proxy.listen;
        callers.spawn(async move {
            for round in 0..ROUNDS {
                must_be_refused(&send(to, &pay(&format!("key-{caller}-{round}"))).await);
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    assert!(stage.origin.book().is_empty());
    faults.heal();
    for caller in 0..CALLERS {
        let key = format!("key-{caller}-0");
        let answer = once_back(&proxy, &key).await;
        answer.must_be_executed();
        assert_eq!(stage.origin.executions(&key), 1);
    }
}

const CALLERS: usize = 32;
const ROUNDS: usize = 25;
