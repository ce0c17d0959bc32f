//! One key from many sides at once.

use futures_util::future::join_all;

use crate::harness::{Act, Answer, Gate, Http2, Stage, Wire, pay, within};

/// M-10, M-16: all connections are open before the first byte is sent, so that the requests meet in the proxy.
#[tokio::test]
async fn two_hundred_simultaneous_firsts_execute_once_and_every_answer_is_honest() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let answers = all_at_once(proxy.listen, "one-of-200").await;
    assert_eq!(stage.origin.executions("one-of-200"), 1);
    let fresh: Vec<_> = answers
        .iter()
        .filter(|answer| answer.became() == "executed")
        .collect();
    assert_eq!(fresh.len(), 1);
    fresh[0].must_be_executed();
    for other in answers
        .iter()
        .filter(|answer| answer.became() != "executed")
    {
        if other.code() == 409 {
            other.must_be_problem(409, "in-flight", "maybe", "same-key");
            assert!(other.header("retry-after").is_some());
        } else {
            other.must_replay(fresh[0]);
        }
    }
}

/// M-10, M-16: with `in_flight = "wait"` duplicates get the one answer; those that find no place to wait are told so.
#[tokio::test]
async fn duplicates_that_wait_get_the_answer_of_the_one_execution() {
    let stage = Stage::new().await;
    let proxy = stage
        .proxy()
        .set("in_flight=wait")
        .set("wait_timeout=30s")
        .start()
        .await;
    let answers = all_at_once(proxy.listen, "waited-for").await;
    assert_eq!(stage.origin.executions("waited-for"), 1);
    let fresh = answers
        .iter()
        .find(|answer| answer.became() == "executed")
        .unwrap();
    let mut replayed = 0;
    for other in answers
        .iter()
        .filter(|answer| answer.became() != "executed")
    {
        if other.code() == 409 {
            other.must_be_problem(409, "in-flight", "maybe", "same-key");
        } else {
            other.must_replay(fresh);
            replayed += 1;
        }
    }
    assert!(replayed >= 1, "{} answers", answers.len());
}

/// M-10, M-11: the key counts, not the version of the protocol that it comes over.
#[tokio::test]
async fn an_http1_and_an_http2_client_share_a_key() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let http2 = Http2::connect(proxy.listen).await;

    let gate = Gate::default();
    stage
        .origin
        .plan("shared", [Act::CreateBehind(gate.clone())]);
    let first = http2.pay("shared", r#"{"amount":100}"#).await;
    stage.origin.executed("shared").await;
    proxy
        .send(&pay("shared"))
        .await
        .must_be_problem(409, "in-flight", "maybe", "same-key");
    gate.open();
    let first = first.answer().await;
    first.must_be_executed();
    proxy.send(&pay("shared")).await.must_replay(&first);

    let other = proxy.send(&pay("shared-back")).await;
    http2
        .pay("shared-back", r#"{"amount":100}"#)
        .await
        .answer()
        .await
        .must_replay(&other);
    let mismatch = http2
        .pay("shared", r#"{"amount":999}"#)
        .await
        .answer()
        .await;
    mismatch.must_be_problem(422, "mismatch", "no", "new-key");
    assert_eq!(
        (
            stage.origin.executions("shared"),
            stage.origin.executions("shared-back")
        ),
        (1, 1)
    );
}

/// M-33: the scope is the credential, so that two principals with one key never meet.
#[tokio::test]
async fn two_principals_with_one_key_never_meet() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let ann = pay("same").header("Authorization", "Bearer ann");
    let bob = pay("same").header("Authorization", "Bearer bob");
    let first = proxy.send(&ann).await;
    let second = proxy.send(&bob).await;
    first.must_be_executed();
    second.must_be_executed();
    assert_ne!(first.body(), second.body());
    proxy.send(&ann).await.must_replay(&first);
    proxy.send(&bob).await.must_replay(&second);
    assert_eq!(stage.origin.executions("same"), 2);
}

async fn all_at_once(to: std::net::SocketAddr, key: &str) -> Vec<Answer> {
    let bytes = pay(key).bytes();
    let connected = join_all((0..CLIENTS).map(|_| Wire::connect(to))).await;
    let mut wires: Vec<Wire> = connected.into_iter().collect::<Result<_, _>>().unwrap();
    let exchanges = wires.iter_mut().map(|wire| async {
        wire.write(&bytes).await.unwrap();
        Answer(wire.read_answer().await.unwrap())
    });
    within("many exchanges", join_all(exchanges)).await
}

const CLIENTS: usize = 200;
