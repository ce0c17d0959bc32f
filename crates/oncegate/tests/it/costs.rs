//! What a request costs at the seam. One round trip is a network away: these numbers are part of the contract.

use oncegate::Verdict;
use oncegate::testing::StoreMethod;

use crate::harness::{Bench, applied, block_on, end, execute, reexecute, replay};

#[test]
fn a_first_request_costs_two_round_trips() {
    block_on(async {
        let bench = Bench::new().await;
        bench.complete("k", "body", "paid").await;
        assert_eq!(bench.counting.take_round_trips(), 2);
    });
}

#[test]
fn a_replay_costs_one_round_trip() {
    block_on(async {
        let bench = Bench::new().await;
        bench.complete("k", "body", "paid").await;
        bench.counting.take_round_trips();
        replay(bench.begin("k", "body").await);
        assert_eq!(bench.counting.count(StoreMethod::Insert), 1);
        assert_eq!(bench.counting.take_round_trips(), 1);
    });
}

#[test]
fn a_duplicate_in_flight_costs_one_round_trip() {
    block_on(async {
        let bench = Bench::new().await;
        let _claim = bench.claim("k", "body").await;
        bench.counting.take_round_trips();
        assert!(matches!(
            bench.begin("k", "body").await,
            Verdict::InFlight(_)
        ));
        assert_eq!(bench.counting.take_round_trips(), 1);
    });
}

#[test]
fn every_refusal_costs_one_round_trip() {
    block_on(async {
        let bench = Bench::new().await;
        applied(
            bench
                .claim("unknown", "body")
                .await
                .mark_unknown()
                .await
                .unwrap()
                .value,
        );
        bench.complete("k", "body", "paid").await;
        bench.counting.take_round_trips();
        assert!(matches!(
            bench.begin("unknown", "body").await,
            Verdict::Unknown(_)
        ));
        assert_eq!(bench.counting.take_round_trips(), 1);
        assert!(matches!(bench.begin("k", "other").await, Verdict::Mismatch));
        assert_eq!(bench.counting.take_round_trips(), 1);
    });
}

#[test]
fn a_take_over_costs_one_round_trip_more() {
    block_on(async {
        let bench = Bench::new().await;
        applied(
            bench
                .claim("k", "body")
                .await
                .mark_unknown()
                .await
                .unwrap()
                .value,
        );
        bench.counting.take_round_trips();
        let claim = execute(bench.begin_under("k", "body", &reexecute()).await);
        assert_eq!(bench.counting.take_round_trips(), 2);
        applied(end(claim, "paid").await);
        assert_eq!(bench.counting.take_round_trips(), 1);
    });
}

#[test]
fn a_renewal_a_release_and_a_disowning_cost_one_round_trip_each() {
    block_on(async {
        let bench = Bench::new().await;
        let mut claim = bench.claim("k", "body").await;
        bench.counting.take_round_trips();
        claim.renew().await.unwrap();
        assert_eq!(bench.counting.take_round_trips(), 1);
        claim.release().await.unwrap();
        assert_eq!(bench.counting.take_round_trips(), 1);
        let request = bench.request("k", "body");
        bench
            .engine
            .disown(request.id, request.owner)
            .await
            .unwrap();
        assert_eq!(bench.counting.take_round_trips(), 1);
    });
}
