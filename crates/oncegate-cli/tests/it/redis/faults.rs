//! What a Redis alone does: it forgets, and it has a password without a user.

use super::server::Redis;
use crate::faults::once_back;
use crate::harness::{Act, Gate, Stage, pay};

/// The memory goes while the upstream works. Late truth beats not knowing: nothing else stands there.
#[tokio::test]
async fn an_outcome_whose_record_the_redis_forgot_is_entered_anew() {
    let stage = Stage::new().await;
    let mut redis = Redis::start(stage.folder()).await;
    let proxy = redis.under(stage.proxy()).start().await;
    let gate = Gate::default();
    stage.origin.plan("slow", [Act::CreateBehind(gate.clone())]);
    let request = pay("slow");
    let asking = proxy.send(&request);
    let forgetting = async {
        stage.origin.executed("slow").await;
        redis.kill().await;
        redis.start_again().await;
        gate.open();
    };
    let (answer, ()) = tokio::join!(asking, forgetting);
    answer.must_be_executed();
    once_back(&proxy, "slow").await.must_replay(&answer);
    assert_eq!(stage.origin.executions("slow"), 1);
}

#[tokio::test]
async fn a_password_is_neither_logged_nor_printed() {
    let stage = Stage::new().await;
    let redis = Redis::start(stage.folder()).await;
    redis.says("CONFIG SET requirepass hunter2").await;
    let url = redis.url().replace("redis://", "redis://:hunter2@");
    let setup = stage.proxy().flag("--store", &url).log("trace");
    let proxy = setup.start().await;
    proxy.send(&pay("kept")).await.must_be_executed();
    let printed = crate::harness::oncegate(&["serve", "--store", &url, "--print-config"]).await;
    assert!(printed.stdout.contains("redis://:***@"), "{printed:?}");
    for said in [proxy.logged(), printed.stdout, printed.stderr] {
        assert!(!said.contains("hunter2"), "{said}");
    }
}
