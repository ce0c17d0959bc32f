//! `store_down = "execute"` where it does not apply: a store that has answered is not down, whatever fails afterwards.

use oncegate::policy::{OnUnknown, Reconcile, StoreDown};
use oncegate::testing::{Fault, StoreMethod};
use oncegate::{Policy, StoreErrorKind};

use crate::handler::{Handler, respond};
use crate::harness::{Bench, code, pay};

fn eager(on_unknown: OnUnknown) -> Policy {
    Policy {
        store_down: StoreDown::Execute,
        on_unknown,
        ..Policy::default()
    }
}

/// M-25: a store that said "unknown", and failed to write the take-over, is not down: nothing runs. It was taken for
/// an outage, and what might have run before was executed a second time, unprotected.
#[tokio::test(start_paused = true)]
async fn a_take_over_that_fails_is_no_outage_that_may_be_bypassed() {
    let asking = OnUnknown::Reconcile(Reconcile {
        get: "/payments/by-key/{key}".to_owned(),
        status: code(201),
    });
    for on_unknown in [OnUnknown::Reexecute, asking] {
        for fault in [
            Fault::FailBefore(StoreErrorKind::Unavailable),
            Fault::FailBefore(StoreErrorKind::Full),
            Fault::LoseReply,
            // Past `store_timeout`.
            Fault::HangBefore,
            Fault::HangAfter,
        ] {
            let bench = Bench::under(eager(on_unknown.clone()), Handler::with_status(504)).await;
            bench.send(pay("k")).await;
            bench.faulty.plan(StoreMethod::Update, 1, fault);
            let retry = bench.send(pay("k")).await;
            assert_eq!(retry.slug(), "store-unavailable", "{fault:?}");
            assert_eq!((retry.status(), retry.became()), (503, "refused"));
            assert_eq!(bench.handler.calls(), 1, "{fault:?}");
        }
    }
}

/// M-25: nor is one that fails at the second look, after it lost a take-over: it has spoken before. Forced by a
/// take-over that somebody else wins, and an insert that fails after it.
#[tokio::test(start_paused = true)]
async fn a_store_that_fails_after_a_lost_take_over_is_no_outage_that_may_be_bypassed() {
    let handler = Handler::answering(|call| respond(if call.number == 1 { 504 } else { 201 }, ""));
    let bench = Bench::under(eager(OnUnknown::Reexecute), handler).await;
    bench.send(pay("k")).await;
    bench.faulty.plan(StoreMethod::Update, 1, Fault::HangBefore);
    let losing = bench.start(pay("k"));
    crate::harness::settle().await;
    assert_eq!(bench.faulty.hung(), 1);
    bench.send(pay("k")).await.is_executed("");
    let unavailable = Fault::FailBefore(StoreErrorKind::Unavailable);
    bench.faulty.plan(StoreMethod::Insert, 1, unavailable);
    bench.faulty.release_hung();
    let lost = losing.await.unwrap();
    lost.is_refused(503, "store-unavailable");
    assert_eq!(bench.handler.calls(), 2);
    bench.send(pay("k")).await.is_replayed("");
}
