//! Which faults at the seam can lead to what: never to a second execution, never to a lost outcome that was reported
//! as stored.

use std::future::{self, Future};
use std::task::Poll;

use oncegate::engine::BEGIN_ROUNDS_MAX;
use oncegate::store::Settlement;
use oncegate::testing::{Fault, StoreMethod};
use oncegate::{Claim, EngineError, Policy, StoreErrorKind, Verdict};

use crate::harness::{
    Bench, applied, block_on, end, execute, reexecute, refused, replay, request, response,
};

/// M-25: nothing runs, and nothing was written.
#[test]
fn a_store_that_is_down_at_the_claim_is_an_error_and_nothing_stands() {
    block_on(async {
        let bench = Bench::new().await;
        bench.faulty.set_down(true);
        let error = bench.begin_fails(&bench.request("k", "body")).await;
        assert!(
            error.may_have_taken_effect(),
            "the engine cannot know better"
        );
        bench.faulty.set_down(false);
        assert_eq!(bench.record("k").await, None);
    });
}

/// Full and overloaded stores took nothing: there is nothing to disown.
#[test]
fn an_error_says_whether_it_may_have_taken_effect() {
    block_on(async {
        let bench = Bench::new().await;
        let table = [
            (StoreErrorKind::Unavailable, true),
            (StoreErrorKind::Overloaded, false),
            (StoreErrorKind::Full, false),
            (StoreErrorKind::Corrupt, false),
            (StoreErrorKind::Incompatible, false),
        ];
        for (kind, may) in table {
            bench
                .faulty
                .plan(StoreMethod::Insert, 1, Fault::FailBefore(kind));
            let error = bench.begin_fails(&bench.request("k", "body")).await;
            assert_eq!(error.may_have_taken_effect(), may, "{kind}");
        }
    });
}

/// The reply to the insert is lost: the caller is told 503, and the supervisor frees the key.
#[test]
fn an_insert_whose_reply_was_lost_is_freed_by_disowning_it() {
    block_on(async {
        let bench = Bench::new().await;
        let request = bench.request("k", "body");
        bench.faulty.plan(StoreMethod::Insert, 1, Fault::LoseReply);
        let error = bench.begin_fails(&request).await;
        assert!(error.may_have_taken_effect(), "{error}");
        assert!(matches!(
            bench.begin("k", "body").await,
            Verdict::InFlight(_)
        ));
        // The disowning can be lost as well, and is repeated.
        bench.faulty.plan(StoreMethod::Update, 1, Fault::LoseReply);
        bench
            .engine
            .disown(request.id, request.owner)
            .await
            .unwrap_err();
        bench
            .engine
            .disown(request.id, request.owner)
            .await
            .unwrap();
        bench.claim("k", "body").await.release().await.unwrap();
    });
}

/// The same without anybody who disowns it: unknown once the lease is over, never executed under `refuse`.
#[test]
fn an_insert_whose_reply_was_lost_and_that_nobody_disowns_is_unknown() {
    block_on(async {
        let bench = Bench::new().await;
        bench.faulty.plan(StoreMethod::Insert, 1, Fault::LoseReply);
        bench.begin_fails(&bench.request("k", "body")).await;
        bench.clock.advance(Policy::default().lease);
        assert!(matches!(
            bench.begin("k", "body").await,
            Verdict::Unknown(_)
        ));
    });
}

/// Disowning comes late: somebody else has claimed the key meanwhile and keeps it.
#[test]
fn a_late_disowning_does_not_touch_another_owners_claim() {
    block_on(async {
        let bench = Bench::new().await;
        let request = bench.request("k", "body");
        bench.faulty.plan(
            StoreMethod::Insert,
            1,
            Fault::FailBefore(StoreErrorKind::Unavailable),
        );
        bench.begin_fails(&request).await;
        let claim = bench.claim("k", "body").await;
        bench
            .engine
            .disown(request.id, request.owner)
            .await
            .unwrap();
        assert!(matches!(
            bench.begin("k", "body").await,
            Verdict::InFlight(_)
        ));
        applied(end(claim, "paid").await);
    });
}

/// The same attempt begun again after a lost reply is answered its own claim.
#[test]
fn a_begin_that_is_repeated_after_a_lost_reply_claims_its_own_record() {
    block_on(async {
        let bench = Bench::new().await;
        let request = bench.request("k", "body");
        bench.faulty.plan(StoreMethod::Insert, 1, Fault::LoseReply);
        bench.begin_fails(&request).await;
        let claim = execute(
            bench
                .engine
                .begin(&request, &Policy::default())
                .await
                .unwrap(),
        );
        applied(end(claim, "paid").await);
    });
}

/// A caller that leaves while the insert hangs: the insert may still take effect, so it is disowned.
#[test]
fn a_begin_that_was_dropped_after_its_insert_took_effect_is_freed_by_disowning_it() {
    block_on(async {
        let bench = Bench::new().await;
        let request = bench.request("k", "body");
        bench.faulty.plan(StoreMethod::Insert, 1, Fault::HangAfter);
        let policy = Policy::default();
        let mut begin = Box::pin(bench.engine.begin(&request, &policy));
        assert!(is_pending(begin.as_mut()).await);
        assert_eq!(bench.faulty.hung(), 1);
        drop(begin);
        assert!(matches!(
            bench.begin("k", "body").await,
            Verdict::InFlight(_)
        ));
        bench
            .engine
            .disown(request.id, request.owner)
            .await
            .unwrap();
        assert_eq!(bench.record("k").await, None);
    });
}

/// An insert that hung and was let go claims as any other.
#[test]
fn a_begin_that_hung_claims_once_the_store_goes_on() {
    block_on(async {
        let bench = Bench::new().await;
        let request = bench.request("k", "body");
        bench.faulty.plan(StoreMethod::Insert, 1, Fault::HangBefore);
        let policy = Policy::default();
        let mut begin = Box::pin(bench.engine.begin(&request, &policy));
        assert!(is_pending(begin.as_mut()).await);
        assert_eq!(bench.record("k").await, None);
        bench.faulty.release_hung();
        let claim = execute(begin.await.unwrap());
        applied(end(claim, "paid").await);
    });
}

/// M-26: the completion is retried, and what was applied already is applied again.
#[test]
fn a_completion_whose_reply_was_lost_is_applied_when_it_is_retried() {
    block_on(async {
        let bench = Bench::new().await;
        let claim = bench.claim("k", "body").await;
        bench.faulty.plan(StoreMethod::Update, 1, Fault::LoseReply);
        let error = claim
            .complete(response("paid"), Policy::default().completed())
            .await;
        let claim = error.unwrap_err().claim;
        assert_eq!(
            &replay(bench.begin("k", "body").await).response.body[..],
            b"paid"
        );
        let before = bench.record("k").await;
        assert_eq!(applied(end(claim, "paid").await), before);
    });
}

/// M-26: unreachable at the completion gives the claim back; it goes on being renewed.
#[test]
fn a_claim_comes_back_from_a_completion_that_failed_and_can_be_renewed_and_completed() {
    block_on(async {
        let bench = Bench::new().await;
        let claim = bench.claim("k", "body").await;
        bench.faulty.set_down(true);
        let kept = Policy::default().completed();
        let mut claim: Claim = claim
            .complete(response("paid"), kept)
            .await
            .unwrap_err()
            .claim;
        claim.renew().await.unwrap_err();
        bench.faulty.set_down(false);
        claim.renew().await.unwrap();
        applied(end(claim, "paid").await);
        replay(bench.begin("k", "body").await);
    });
}

/// A release and a mark give the claim back too.
#[test]
fn a_claim_comes_back_from_a_release_or_a_mark_that_failed() {
    block_on(async {
        let bench = Bench::new().await;
        let claim = bench.claim("k", "body").await;
        bench.faulty.plan(StoreMethod::Update, 1, Fault::LoseReply);
        let claim = claim.mark_unknown().await.unwrap_err().claim;
        bench.faulty.plan(StoreMethod::Update, 1, Fault::LoseReply);
        let claim = claim.release().await.unwrap_err().claim;
        assert_eq!(applied(claim.release().await.unwrap().value), None);
    });
}

/// M-23: the insert is refused, then the record is gone before the take-over. It begins anew; the execution that
/// follows holds a claim that stands in the store.
#[test]
fn a_record_that_is_gone_before_the_take_over_is_claimed_anew() {
    block_on(async {
        let bench = Bench::new().await;
        let old = bench.claim("k", "body").await;
        bench.clock.advance(Policy::default().lease);
        let (request, policy) = (bench.request("k", "body"), reexecute());
        bench.faulty.plan(StoreMethod::Update, 1, Fault::HangBefore);
        let mut begin = Box::pin(bench.engine.begin(&request, &policy));
        assert!(is_pending(begin.as_mut()).await);
        applied(old.release().await.unwrap().value);
        assert_eq!(bench.record("k").await, None);
        bench.faulty.release_hung();
        let claim = execute(begin.await.unwrap());
        let stands = bench.record("k").await.unwrap();
        assert_eq!((stands.owner, stands.fence), (request.owner, claim.fence()));
        assert!(!claim.is_taken_over());
    });
}

/// The holder wakes up and renews between the look and the take-over: the retry is told that it is in flight.
#[test]
fn a_take_over_that_lost_to_a_renewal_finds_the_request_in_flight() {
    block_on(async {
        let bench = Bench::new().await;
        let mut old = bench.claim("k", "body").await;
        bench.clock.advance(Policy::default().lease);
        let (request, policy) = (bench.request("k", "body"), reexecute());
        bench.faulty.plan(StoreMethod::Update, 1, Fault::HangBefore);
        let mut begin = Box::pin(bench.engine.begin(&request, &policy));
        assert!(is_pending(begin.as_mut()).await);
        old.renew().await.unwrap();
        bench.faulty.release_hung();
        assert!(matches!(begin.await.unwrap(), Verdict::InFlight(_)));
        applied(end(old, "paid").await);
    });
}

/// The take-over's reply is lost: its owner is lost with it, so the record lapses into unknown again.
#[test]
fn a_take_over_whose_reply_was_lost_lapses_into_unknown() {
    block_on(async {
        let bench = Bench::new().await;
        let old = bench.claim("k", "body").await;
        bench.clock.advance(Policy::default().lease);
        bench.faulty.plan(StoreMethod::Update, 1, Fault::LoseReply);
        let request = bench.request("k", "body");
        let error = bench
            .engine
            .begin(&request, &reexecute())
            .await
            .unwrap_err();
        assert!(matches!(error, EngineError::Store(_)));
        // The attempt's own owner holds nothing: disowning it frees nobody's record.
        bench
            .engine
            .disown(request.id, request.owner)
            .await
            .unwrap();
        assert!(matches!(
            bench.begin("k", "body").await,
            Verdict::InFlight(_)
        ));
        refused(end(old, "late").await);
        bench.clock.advance(Policy::default().lease);
        assert!(matches!(
            bench.begin("k", "body").await,
            Verdict::Unknown(_)
        ));
        let claim = execute(bench.begin_under("k", "body", &reexecute()).await);
        applied(end(claim, "paid").await);
    });
}

/// Somebody else is always quicker: there is an end to it, and nothing is executed unclaimed.
#[test]
fn a_record_that_changes_hands_all_the_time_is_contended_in_the_end() {
    block_on(async {
        let bench = Bench::new().await;
        let policy = Policy {
            lease: std::time::Duration::ZERO,
            ..reexecute()
        };
        let _first = execute(bench.begin_under("k", "body", &policy).await);
        let request = bench.request("k", "body");
        let mut begin = Box::pin(bench.engine.begin(&request, &policy));
        for _ in 0..BEGIN_ROUNDS_MAX {
            bench.faulty.plan(StoreMethod::Update, 1, Fault::HangBefore);
            assert!(is_pending(begin.as_mut()).await);
            let _quicker = execute(bench.begin_under("k", "body", &policy).await);
            bench.faulty.release_hung();
        }
        assert!(matches!(begin.await.unwrap_err(), EngineError::Contended));
    });
}

/// A settlement whose reply was lost is not done twice: the second is told what stands there.
#[test]
fn a_settlement_whose_reply_was_lost_is_found_when_it_is_repeated() {
    block_on(async {
        let bench = Bench::new().await;
        let request = request(&bench.engine, "k", "body");
        bench.claim("k", "body").await.mark_unknown().await.unwrap();
        bench.faulty.plan(StoreMethod::Update, 1, Fault::LoseReply);
        bench
            .engine
            .settle(request.id, Settlement::NotExecuted)
            .await
            .unwrap_err();
        let again = bench
            .engine
            .settle(request.id, Settlement::NotExecuted)
            .await
            .unwrap();
        assert_eq!(again, oncegate::engine::Settled::Absent);
    });
}

/// Polls once.
async fn is_pending<F: Future + Unpin>(mut future: F) -> bool {
    let mut future = std::pin::Pin::new(&mut future);
    future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await
}
