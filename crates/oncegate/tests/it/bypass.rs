//! `store_down = "execute"`: the one way to run without a claim, and only while the store is down.

use oncegate::policy::OnUnknown;
use oncegate::record::Phase;
use oncegate::testing::{Fault, StoreMethod};
use oncegate::{EngineError, Policy, StoreErrorKind, Verdict};

use crate::harness::{Bench, START, block_on, bypassing, execute, replay, response};

/// `store_down = "execute"` is the one way to run without a claim; the outcome is written if the store is back.
#[test]
fn a_request_is_let_past_only_if_the_policy_says_so_and_its_outcome_is_recorded() {
    block_on(async {
        let bench = Bench::new().await;
        bench.faulty.set_down(true);
        bench.begin_fails(&bench.request("k", "body")).await;
        let Verdict::Bypass(bypass) = bench.begin_under("k", "body", &bypassing()).await else {
            panic!("the policy lets it past");
        };
        bench.faulty.set_down(false);
        bypass
            .record(response("paid"), Policy::default().completed())
            .await
            .unwrap();
        assert_eq!(
            &replay(bench.begin("k", "body").await).response.body[..],
            b"paid"
        );
    });
}

/// A store that answers lets nobody past, whatever the policy.
#[test]
fn a_request_is_not_let_past_a_store_that_answers() {
    block_on(async {
        let bench = Bench::new().await;
        let policy = Policy {
            on_unknown: OnUnknown::Refuse,
            ..bypassing()
        };
        let claim = execute(bench.begin_under("k", "body", &policy).await);
        assert!(matches!(
            bench.begin_under("k", "body", &policy).await,
            Verdict::InFlight(_)
        ));
        claim.mark_unknown().await.unwrap();
        assert!(matches!(
            bench.begin_under("k", "body", &policy).await,
            Verdict::Unknown(_)
        ));
    });
}

/// The record is there, but cannot be read: executing would be a guess about money, so even `execute` does not.
#[test]
fn a_request_is_not_let_past_a_record_that_cannot_be_read() {
    block_on(async {
        let bench = Bench::new().await;
        for kind in [StoreErrorKind::Corrupt, StoreErrorKind::Incompatible] {
            bench
                .faulty
                .plan(StoreMethod::Insert, 1, Fault::FailBefore(kind));
            let request = bench.request("k", "body");
            let error = bench
                .engine
                .begin(&request, &bypassing())
                .await
                .unwrap_err();
            assert!(matches!(error, EngineError::Store(_)), "{kind}");
        }
    });
}

/// M-25: the store said "unknown" before it failed, so it is not down: a take-over that fails is an error, and the
/// request is not let past afterwards either. It was, and what might have run before ran twice.
#[test]
fn a_request_is_not_let_past_a_take_over_that_fails() {
    block_on(async {
        for fault in [
            Fault::FailBefore(StoreErrorKind::Unavailable),
            Fault::LoseReply,
        ] {
            let bench = Bench::new().await;
            let claim = bench.claim("k", "body").await;
            claim.mark_unknown().await.unwrap();
            bench.faulty.plan(StoreMethod::Update, 1, fault);
            let policy = Policy {
                on_unknown: OnUnknown::Reexecute,
                ..bypassing()
            };
            let request = bench.request("k", "body");
            let error = bench.engine.begin(&request, &policy).await.unwrap_err();
            assert!(matches!(error, EngineError::Store(_)), "{fault:?}");
            assert!(bench.engine.bypass(&request, &policy).is_none());
        }
    });
}

/// M-22: a late outcome is entered where nothing stands, and nowhere else: what was claimed or completed meanwhile is
/// not overwritten.
#[test]
fn a_late_outcome_is_entered_only_where_nothing_stands() {
    block_on(async {
        let bench = Bench::new().await;
        let policy = Policy::default();
        let late = |key| (bench.request(key, "body"), response("late"));

        let (request, outcome) = late("free");
        let entered = bench.engine.record_late(&request, &policy, outcome).await;
        assert!(entered.unwrap());
        let stands = replay(bench.begin("free", "body").await);
        assert_eq!(&stands.response.body[..], b"late");

        bench.complete("done", "body", "first").await;
        let claim = bench.claim("claimed", "body").await;
        for key in ["done", "claimed"] {
            let before = bench.record(key).await;
            let (request, outcome) = late(key);
            let entered = bench.engine.record_late(&request, &policy, outcome).await;
            assert!(!entered.unwrap(), "{key}");
            assert_eq!(bench.record(key).await, before);
        }
        claim.release().await.unwrap();
    });
}

/// What stands there came first: the outcome of an unclaimed execution does not overwrite it.
#[test]
fn the_outcome_of_a_bypass_does_not_overwrite_what_stands_there() {
    block_on(async {
        let bench = Bench::new().await;
        bench.complete("k", "body", "first").await;
        bench.faulty.plan(
            StoreMethod::Insert,
            1,
            Fault::FailBefore(StoreErrorKind::Unavailable),
        );
        let Verdict::Bypass(bypass) = bench.begin_under("k", "body", &bypassing()).await else {
            panic!("the policy lets it past");
        };
        bypass
            .record(response("second"), Policy::default().completed())
            .await
            .unwrap();
        assert_eq!(
            &replay(bench.begin("k", "body").await).response.body[..],
            b"first"
        );
    });
}

/// The insert took effect and its reply was lost: the bypass completes that very record.
#[test]
fn a_bypass_after_a_lost_reply_completes_its_own_record() {
    block_on(async {
        let bench = Bench::new().await;
        bench.faulty.plan(StoreMethod::Insert, 1, Fault::LoseReply);
        let Verdict::Bypass(bypass) = bench.begin_under("k", "body", &bypassing()).await else {
            panic!("the policy lets it past");
        };
        bypass
            .record(response("paid"), Policy::default().completed())
            .await
            .unwrap();
        let stands = bench.record("k").await.unwrap();
        assert_eq!(stands.phase(START), Phase::Completed);
    });
}
