//! Several proxies on one server are as one: what one of them executed, the others replay.

use tokio::task::JoinSet;

use super::StoreServer;
use crate::harness::{Act, Answer, Gate, Proxy, Stage, pay, poll_until, send};

/// Two proxies that share a server, with these settings besides.
async fn two_proxies<S: StoreServer>(server: &S, stage: &Stage, settings: &[&str]) -> [Proxy; 2] {
    let setup = settings
        .iter()
        .fold(server.under(stage.proxy()), |setup, setting| {
            setup.set(setting)
        });
    [setup.start().await, setup.start().await]
}

/// Eight who ask for the same at once.
fn eight_callers(proxy: &Proxy, key: &'static str) -> JoinSet<Answer> {
    let to = proxy.listen;
    let asks = |_| async move { send(to, &pay(key)).await };
    (0..8).map(asks).collect()
}

pub(crate) async fn what_one_proxy_executed_every_other_replays<S: StoreServer>() {
    let stage = Stage::new().await;
    let server = S::start(stage.folder()).await;
    let [one, two] = two_proxies(&server, &stage, &[]).await;
    let first = one.send(&pay("shared")).await;
    first.must_be_executed();
    two.send(&pay("shared")).await.must_replay(&first);
    // Another request under the same key, to the proxy that has not executed it.
    let other = two.send(&pay("shared").body("{\"amount\":2}")).await;
    other.must_be_problem(422, "mismatch", "no", "new-key");
    assert_eq!(stage.origin.executions("shared"), 1);
    // A proxy that comes later knows all of it, and so does its list of keys.
    let three = server.under(stage.proxy()).start().await;
    three.send(&pay("shared")).await.must_replay(&first);
    assert_eq!(three.only_state().await, "completed");
}

pub(crate) async fn a_duplicate_at_another_proxy_is_told_that_the_first_is_in_flight<
    S: StoreServer,
>() {
    let stage = Stage::new().await;
    let server = S::start(stage.folder()).await;
    let [one, two] = two_proxies(&server, &stage, &[]).await;
    let gate = Gate::default();
    stage.origin.plan("slow", [Act::CreateBehind(gate.clone())]);
    let request = pay("slow");
    let asking = one.send(&request);
    let meanwhile = async {
        stage.origin.executed("slow").await;
        let duplicate = two.send(&pay("slow")).await;
        duplicate.must_be_problem(409, "in-flight", "maybe", "same-key");
        gate.open();
    };
    let (first, ()) = tokio::join!(asking, meanwhile);
    first.must_be_executed();
    two.send(&pay("slow")).await.must_replay(&first);
    assert_eq!(stage.origin.executions("slow"), 1);
}

/// M-10: sixty-four at once, half of them at either proxy.
pub(crate) async fn many_firsts_at_two_proxies_execute_once<S: StoreServer>() {
    let stage = Stage::new().await;
    let server = S::start(stage.folder()).await;
    let [one, two] = two_proxies(&server, &stage, &[]).await;
    let mut callers = JoinSet::new();
    for caller in 0..64 {
        let to = if caller % 2 == 0 {
            one.listen
        } else {
            two.listen
        };
        callers.spawn(async move { send(to, &pay("crowd")).await });
    }
    let answers = callers.join_all().await;
    assert_eq!(stage.origin.executions("crowd"), 1);
    for answer in answers {
        let right = answer.code() == 201 || answer.slug() == "in-flight";
        assert!(right, "{answer:?}");
    }
}

/// The first runs at one proxy, and duplicates wait at the other: they are answered when it ends.
pub(crate) async fn duplicates_that_wait_at_another_proxy_are_replayed_when_the_first_ends<
    S: StoreServer,
>() {
    let stage = Stage::new().await;
    let server = S::start(stage.folder()).await;
    let [one, two] = two_proxies(&server, &stage, WAITING).await;
    let gate = Gate::default();
    stage.origin.plan("slow", [Act::CreateBehind(gate.clone())]);
    let request = pay("slow");
    let asking = one.send(&request);
    let meanwhile = async {
        stage.origin.executed("slow").await;
        let waiting = eight_callers(&two, "slow");
        // Each of them has asked once and found the first in flight; who waits asks again now and then.
        poll_until("eight who wait", || async {
            let metrics = two.ask("/metrics").await.text();
            let asked = "oncegate_store_seconds_count{method=\"insert\"} ";
            let (_, counted) = metrics.split_once(asked)?;
            let counted: u32 = counted.lines().next()?.parse().ok()?;
            (counted >= 8).then_some(())
        })
        .await;
        gate.open();
        waiting.join_all().await
    };
    let (first, waited) = tokio::join!(asking, meanwhile);
    first.must_be_executed();
    for answer in waited {
        answer.must_replay(&first);
    }
    assert_eq!(stage.origin.executions("slow"), 1);
}

/// A first that ran and is not kept frees the key: one of those who wait executes, the others replay what it got.
pub(crate) async fn one_of_those_who_wait_at_another_proxy_executes_after_a_release<
    S: StoreServer,
>() {
    let stage = Stage::new().await;
    let server = S::start(stage.folder()).await;
    let [one, two] = two_proxies(&server, &stage, WAITING).await;
    let gate = Gate::default();
    let fails = Act::status_behind(&gate, "503 Service Unavailable");
    stage.origin.plan("freed", [fails]);
    let request = pay("freed");
    let asking = one.send(&request);
    let meanwhile = async {
        stage.origin.executed("freed").await;
        let waiting = eight_callers(&two, "freed");
        gate.open();
        waiting.join_all().await
    };
    let (first, waited) = tokio::join!(asking, meanwhile);
    assert_eq!(
        (first.code(), first.became()),
        (503, "released"),
        "{first:?}"
    );
    let executed = waited.iter().filter(|answer| answer.became() == "executed");
    assert_eq!(executed.count(), 1, "{waited:?}");
    let replayed = waited.iter().filter(|answer| answer.became() == "replayed");
    assert_eq!(replayed.count(), 7, "{waited:?}");
    assert_eq!(stage.origin.executions("freed"), 2);
}

/// Duplicates wait for the first.
const WAITING: &[&str] = &["in_flight=wait", "wait_timeout=20s"];
