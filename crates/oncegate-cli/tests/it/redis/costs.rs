//! What a request costs at the wire, as the server itself counts.

use super::server::Redis;
use crate::harness::{Act, Gate, Stage, get, pay, post};

#[tokio::test]
async fn a_first_request_takes_two_round_trips_a_replay_one_a_duplicate_in_flight_one_and_no_key_none()
 {
    let stage = Stage::new().await;
    let redis = Redis::start(stage.folder()).await;
    let proxy = redis.under(stage.proxy()).start().await;
    // The scripts are told once.
    proxy.send(&pay("warm")).await.must_be_executed();
    let mut ear = redis.listen().await;

    let first = proxy.send(&pay("counted")).await;
    first.must_be_executed();
    assert_eq!(ear.round_trips().await, 2);
    proxy.send(&pay("counted")).await.must_replay(&first);
    assert_eq!(ear.round_trips().await, 1);

    let gate = Gate::default();
    stage.origin.plan("slow", [Act::CreateBehind(gate.clone())]);
    let request = pay("slow");
    let asking = proxy.send(&request);
    let meanwhile = async {
        stage.origin.executed("slow").await;
        assert_eq!(ear.round_trips().await, 1);
        let duplicate = proxy.send(&pay("slow")).await;
        assert_eq!(
            (duplicate.code(), duplicate.slug().as_str()),
            (409, "in-flight")
        );
        assert_eq!(ear.round_trips().await, 1);
        gate.open();
    };
    let (slow, ()) = tokio::join!(asking, meanwhile);
    slow.must_be_executed();
    assert_eq!(ear.round_trips().await, 1);

    assert_eq!(proxy.send(&post("/payments", "{}")).await.code(), 201);
    assert_eq!(proxy.send(&get("/payments/1")).await.code(), 200);
    assert_eq!(ear.round_trips().await, 0);
}

/// M-37: neither the key nor the credential nor the body's text as it was sent is in the names of what is kept.
#[tokio::test]
async fn the_names_of_what_is_kept_tell_neither_key_nor_credential() {
    let stage = Stage::new().await;
    let redis = Redis::start(stage.folder()).await;
    let proxy = redis.under(stage.proxy()).start().await;
    let mut ear = redis.listen().await;
    let request = pay("order-4711").header("Authorization", "Bearer hunter2");
    proxy.send(&request).await.must_be_executed();
    let heard = ear.heard().await.join("\n");
    assert!(heard.contains("\"oncegate:{"), "{heard}");
    for told in ["order-4711", "hunter2"] {
        assert!(!heard.contains(told), "{heard}");
        assert!(!redis.says("KEYS *").await.contains(told));
    }
}
