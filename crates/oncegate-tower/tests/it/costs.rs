//! What a request costs at the seam. One round trip is a network away: these numbers are part of the contract.

use oncegate::Policy;
use oncegate::testing::StoreMethod;

use crate::handler::Handler;
use crate::harness::{Bench, pay, unkeyed, with_body};

/// M-10: a first request costs two round trips: the claim and the outcome.
#[tokio::test(start_paused = true)]
async fn a_first_request_costs_two_round_trips() {
    for status in [201, 503, 504] {
        let bench = Bench::new(Handler::with_status(status)).await;
        bench.send(pay("k")).await;
        assert_eq!(bench.counting.count(StoreMethod::Insert), 1);
        assert_eq!(bench.counting.count(StoreMethod::Update), 1);
        assert_eq!(bench.counting.take_round_trips(), 2);
    }
}

/// M-11: a replay costs one round trip.
#[tokio::test(start_paused = true)]
async fn a_replay_costs_one_round_trip() {
    let bench = Bench::new(Handler::paying()).await;
    bench.send(pay("k")).await;
    bench.counting.take_round_trips();
    bench.send(pay("k")).await.is_replayed("payment 1");
    assert_eq!(bench.counting.take_round_trips(), 1);
}

/// M-16: a duplicate in flight costs one round trip.
#[tokio::test(start_paused = true)]
async fn a_duplicate_in_flight_costs_one_round_trip() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::new(handler).await;
    let first = bench.start(pay("k"));
    gate.entered().await;
    bench.counting.take_round_trips();
    bench.send(pay("k")).await.is_refused(409, "in-flight");
    assert_eq!(bench.counting.take_round_trips(), 1);
    gate.open();
    first.await.unwrap().is_executed("payment 1");
}

/// M-17: a mismatch costs one round trip, and writes nothing.
#[tokio::test(start_paused = true)]
async fn a_mismatch_costs_one_round_trip() {
    let bench = Bench::new(Handler::paying()).await;
    bench.send(pay("k")).await;
    bench.counting.take_round_trips();
    bench
        .send(with_body(pay("k"), "{}"))
        .await
        .is_refused(422, "mismatch");
    assert_eq!(bench.counting.count(StoreMethod::Insert), 1);
    assert_eq!(bench.counting.take_round_trips(), 1);
}

/// M-07: a request without a key costs nothing.
#[tokio::test(start_paused = true)]
async fn a_request_without_a_key_costs_nothing() {
    let bench = Bench::new(Handler::paying()).await;
    bench.send(unkeyed()).await;
    assert_eq!(bench.counting.take_round_trips(), 0);
    assert_eq!(bench.counting.count(StoreMethod::Watch), 0);
}

/// M-39: a large body costs one look more, so that it is not taken in for nothing.
#[tokio::test]
async fn a_spooled_request_costs_one_look_more() {
    let policy = Policy {
        buffer_bytes_max: 8,
        ..Policy::default()
    };
    let bench = Bench::under(policy, Handler::paying()).await;
    bench.send(pay("k")).await.is_executed("payment 1");
    assert_eq!(bench.counting.count(StoreMethod::Get), 1);
    assert_eq!(bench.counting.take_round_trips(), 3);
}
