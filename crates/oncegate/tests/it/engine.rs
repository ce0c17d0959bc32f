//! The verdicts of the engine over a store that works, and what becomes of a claim.

use std::time::Duration;

use oncegate::engine::{Renewal, Settled};
use oncegate::fingerprint::{FINGERPRINT_BYTES, Fingerprint};
use oncegate::record::{Phase, RecordState};
use oncegate::store::Settlement;
use oncegate::testing::StoreMethod;
use oncegate::{BeginRequest, Engine, EngineError, Policy, Verdict};

use crate::harness::{
    Bench, applied, block_on, end, execute, reexecute, refused, replay, request, response,
};

#[test]
fn a_completed_request_is_replayed_byte_for_byte() {
    block_on(async {
        let bench = Bench::new().await;
        let claim = bench.claim("k", "body").await;
        let fence = claim.fence();
        applied(end(claim, "paid\0\r\n").await);
        bench.clock.advance(Duration::from_secs(60));
        let replay = replay(bench.begin("k", "body").await);
        assert_eq!(&replay.response.body[..], b"paid\0\r\n");
        assert_eq!(replay.response.status, http::StatusCode::CREATED);
        assert_eq!(replay.fence, fence);
        assert_eq!(replay.age, Duration::from_secs(60));
        assert_eq!(replay.ttl, Policy::default().retention - replay.age);
    });
}

#[test]
fn a_duplicate_of_a_request_in_flight_is_told_so_and_how_old_it_is() {
    block_on(async {
        let bench = Bench::new().await;
        let claim = bench.claim("k", "body").await;
        bench.clock.advance(Duration::from_secs(7));
        let Verdict::InFlight(seen) = bench.begin("k", "body").await else {
            panic!("the first is in flight");
        };
        assert_eq!(seen.fence, claim.fence());
        assert_eq!(seen.age, Duration::from_secs(7));
    });
}

#[test]
fn two_keys_and_a_released_key_are_claimed_apart() {
    block_on(async {
        let bench = Bench::new().await;
        let first = bench.claim("k", "body").await;
        let other = bench.claim("l", "body").await;
        assert_ne!(first.id(), other.id());
        applied(first.release().await.unwrap().value);
        bench.claim("k", "body").await.release().await.unwrap();
        applied(end(other, "paid").await);
    });
}

/// M-17, M-18: another body is a mismatch, in flight and after, and the record is as it was.
#[test]
fn a_mismatch_is_judged_before_in_flight_and_leaves_the_record_as_it_was() {
    block_on(async {
        let bench = Bench::new().await;
        let claim = bench.claim("k", "body").await;
        let before = bench.record("k").await;
        assert!(matches!(bench.begin("k", "other").await, Verdict::Mismatch));
        assert_eq!(bench.record("k").await, before);
        let completed = applied(end(claim, "paid").await);
        assert!(matches!(bench.begin("k", "other").await, Verdict::Mismatch));
        assert_eq!(bench.record("k").await, completed);
    });
}

/// A mismatch on an unknown key must not take it over either.
#[test]
fn a_mismatch_on_an_unknown_record_takes_nothing_over() {
    block_on(async {
        let bench = Bench::new().await;
        bench.claim("k", "body").await.mark_unknown().await.unwrap();
        let before = bench.record("k").await;
        let verdict = bench.begin_under("k", "other", &reexecute()).await;
        assert!(matches!(verdict, Verdict::Mismatch), "{verdict:?}");
        assert_eq!(bench.record("k").await, before);
    });
}

/// A tombstone answers everybody alike: the body of the request may not even have been read.
#[test]
fn an_expired_record_is_not_compared() {
    block_on(async {
        let bench = Bench::new().await;
        bench.complete("k", "body", "paid").await;
        bench.clock.advance(Policy::default().retention);
        for body in ["body", "other"] {
            assert!(matches!(bench.begin("k", body).await, Verdict::Expired));
        }
        while !bench.engine.purge(100).await.unwrap().finished {}
        assert!(matches!(bench.begin("k", "body").await, Verdict::Expired));
        bench.clock.advance(Policy::default().tombstones);
        bench.claim("k", "body").await.release().await.unwrap();
    });
}

/// Another secret on another proxy: 503, never 422 and never an execution.
#[test]
fn a_record_of_another_hash_key_is_an_error_never_a_mismatch_or_an_execution() {
    block_on(async {
        let bench = Bench::new().await;
        let other = Engine::open(bench.counting.clone(), Some(b"secret"))
            .await
            .unwrap();
        let own = bench.request("k", "body");
        for policy in [Policy::default(), reexecute()] {
            let claim = bench.claim("k", "body").await;
            let foreign = BeginRequest::new(
                own.id,
                request(&other, "k", "body").fingerprint,
                own.about.clone(),
            );
            let error = other.begin(&foreign, &policy).await.unwrap_err();
            assert!(matches!(error, EngineError::Incomparable), "{error}");
            assert!(!error.may_have_taken_effect());
            // Nor once it is unknown, where `reexecute` would take it over.
            bench.clock.advance(policy.lease);
            let error = other.begin(&foreign, &policy).await.unwrap_err();
            assert!(matches!(error, EngineError::Incomparable), "{error}");
            applied(claim.release().await.unwrap().value);
        }
    });
}

#[test]
fn a_fingerprint_of_a_later_version_is_an_error_never_a_mismatch_or_an_execution() {
    block_on(async {
        let bench = Bench::new().await;
        let mut later = bench.request("k", "body");
        later.fingerprint = Fingerprint::from_bytes([0xfe; FINGERPRINT_BYTES]);
        let claim = execute(
            bench
                .engine
                .begin(&later, &Policy::default())
                .await
                .unwrap(),
        );
        let error = bench.begin_fails(&bench.request("k", "body")).await;
        assert!(matches!(error, EngineError::Incomparable), "{error}");
        applied(claim.release().await.unwrap().value);
    });
}

/// A lapsed lease is unknown, no write needed; `refuse` refuses until somebody settles it.
#[test]
fn an_unknown_outcome_is_refused_under_refuse_whether_marked_or_lapsed() {
    block_on(async {
        let bench = Bench::new().await;
        bench
            .claim("marked", "body")
            .await
            .mark_unknown()
            .await
            .unwrap();
        let lapsed = bench.claim("lapsed", "body").await;
        bench.clock.advance(Policy::default().lease);
        for key in ["marked", "lapsed"] {
            assert!(
                matches!(bench.begin(key, "body").await, Verdict::Unknown(_)),
                "{key}"
            );
        }
        // Late truth beats not knowing.
        applied(end(lapsed, "late").await);
        assert_eq!(
            &replay(bench.begin("lapsed", "body").await).response.body[..],
            b"late"
        );
    });
}

/// M-22: the retry executes under a higher fence; the old holder's outcome is discarded and it is told what stands.
#[test]
fn a_take_over_has_a_higher_fence_and_makes_the_old_holder_stale() {
    block_on(async {
        let bench = Bench::new().await;
        let mut old = bench.claim("k", "body").await;
        bench.clock.advance(Policy::default().lease);
        let new = execute(bench.begin_under("k", "body", &reexecute()).await);
        assert!(new.is_taken_over() && !old.is_taken_over());
        assert!(new.fence() > old.fence());
        assert_eq!(old.renew().await.unwrap(), Renewal::Lost);
        let completed = applied(end(new, "new").await);
        assert_eq!(refused(end(old, "old").await), completed);
        assert_eq!(
            &replay(bench.begin("k", "body").await).response.body[..],
            b"new"
        );
    });
}

/// M-21, M-20: a claim that is renewed in time is never taken over, however long it takes.
#[test]
fn an_execution_five_leases_long_stays_single_under_reexecute() {
    block_on(async {
        let bench = Bench::new().await;
        let mut claim = bench.claim("k", "body").await;
        for _ in 0..15 {
            bench.clock.advance(claim.renew_after());
            let verdict = bench.begin_under("k", "body", &reexecute()).await;
            assert!(matches!(verdict, Verdict::InFlight(_)), "{verdict:?}");
            assert_eq!(claim.renew().await.unwrap(), Renewal::Held);
        }
        applied(end(claim, "paid").await);
        replay(bench.begin_under("k", "body", &reexecute()).await);
    });
}

#[test]
fn a_claim_asks_to_be_renewed_well_before_its_lease_ends() {
    block_on(async {
        let bench = Bench::new().await;
        let claim = bench.claim("k", "body").await;
        assert!(claim.renew_after() * 2 < claim.trusted_for());
        assert!(claim.trusted_for() < Policy::default().lease);
    });
}

/// M-10: two engines, as two processes would have, and 200 tasks on as many threads as there are.
#[test]
fn two_hundred_concurrent_firsts_over_two_engines_execute_once() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let bench = Bench::new().await;
        let second = Engine::open(bench.counting.clone(), None).await.unwrap();
        let attempts: Vec<_> = (0..200)
            .map(|n| {
                let engine = if n % 2 == 0 {
                    bench.engine.clone()
                } else {
                    second.clone()
                };
                tokio::spawn(async move {
                    let request = request(&engine, "k", "body");
                    engine.begin(&request, &Policy::default()).await.unwrap()
                })
            })
            .collect();
        let (mut claims, mut in_flight) = (Vec::new(), 0);
        for attempt in attempts {
            match attempt.await.unwrap() {
                Verdict::Execute(claim) => claims.push(claim),
                Verdict::InFlight(_) => in_flight += 1,
                verdict @ (Verdict::Bypass(_)
                | Verdict::Replay(_)
                | Verdict::Unknown(_)
                | Verdict::Mismatch
                | Verdict::Expired) => panic!("{verdict:?}"),
            }
        }
        assert_eq!((claims.len(), in_flight), (1, 199));
        assert_eq!(bench.counting.count(StoreMethod::Insert), 200);
    });
}

/// 200 retries of an unknown request, all wanting to take it over.
#[test]
fn two_hundred_concurrent_retries_of_an_unknown_request_execute_once() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let bench = Bench::new().await;
        bench.claim("k", "body").await.mark_unknown().await.unwrap();
        let attempts: Vec<_> = (0..200)
            .map(|_| {
                let (engine, request) = (bench.engine.clone(), bench.request("k", "body"));
                tokio::spawn(async move { engine.begin(&request, &reexecute()).await.unwrap() })
            })
            .collect();
        let mut claims = 0;
        for attempt in attempts {
            match attempt.await.unwrap() {
                Verdict::Execute(_) => claims += 1,
                Verdict::InFlight(_) => {}
                verdict @ (Verdict::Bypass(_)
                | Verdict::Replay(_)
                | Verdict::Unknown(_)
                | Verdict::Mismatch
                | Verdict::Expired) => panic!("{verdict:?}"),
            }
        }
        assert_eq!(claims, 1);
    });
}

#[test]
fn a_settled_outcome_is_replayed_and_makes_the_old_holder_stale() {
    block_on(async {
        let bench = Bench::new().await;
        let old = bench.claim("k", "body").await;
        let completed = || Settlement::Completed {
            response: response("found"),
            retention: Policy::default().completed(),
        };
        let id = old.id();
        let early = bench.engine.settle(id, completed()).await.unwrap();
        assert_eq!(early, Settled::NotUnknown(Phase::InFlight));
        bench.clock.advance(Policy::default().lease);
        assert_eq!(
            bench.engine.settle(id, completed()).await.unwrap(),
            Settled::Done
        );
        let found = replay(bench.begin("k", "body").await);
        assert_eq!(&found.response.body[..], b"found");
        assert!(found.fence > old.fence());
        let stands = refused(end(old, "late").await).unwrap();
        assert!(matches!(stands.state, RecordState::Completed { .. }));
        let again = bench.engine.settle(id, completed()).await.unwrap();
        assert_eq!(again, Settled::NotUnknown(Phase::Completed));
    });
}

#[test]
fn a_request_that_was_settled_as_not_executed_can_be_executed_under_a_higher_fence() {
    block_on(async {
        let bench = Bench::new().await;
        let old = bench.claim("k", "body").await;
        bench.clock.advance(Policy::default().lease);
        let settled = bench
            .engine
            .settle(old.id(), Settlement::NotExecuted)
            .await
            .unwrap();
        assert_eq!(settled, Settled::Done);
        let again = bench
            .engine
            .settle(old.id(), Settlement::NotExecuted)
            .await
            .unwrap();
        assert_eq!(again, Settled::Absent);
        let new = bench.claim("k", "body").await;
        assert!(new.fence() > old.fence() && !new.is_taken_over());
        refused(end(old, "late").await);
        applied(end(new, "paid").await);
    });
}

/// An answer that this version cannot read is an error; it is never executed again.
#[test]
fn a_stored_response_that_cannot_be_read_is_an_error_never_an_execution() {
    block_on(async {
        let bench = Bench::new().await;
        let claim = bench.claim("k", "body").await;
        let newer = oncegate::StoredResponse::from_bytes(vec![0xff]);
        let kept = Policy::default().completed();
        applied(claim.complete(newer, kept).await.unwrap().value);
        let error = bench.begin_fails(&bench.request("k", "body")).await;
        assert!(matches!(error, EngineError::Response(_)), "{error}");
    });
}
