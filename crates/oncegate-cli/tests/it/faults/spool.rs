//! The disk for large request bodies fails: the request is refused before anything runs, or its outcome is unknown;
//! the store and small bodies do not notice.

use super::shim::{Faults, Operation, What, Where};
use crate::harness::{Request, Stage, pay};

/// No room, no descriptor, a disk that fails: the body was not taken in, and nothing ran.
#[tokio::test]
async fn a_body_that_cannot_be_spooled_runs_nothing_and_leaves_the_key_free() {
    let stage = Stage::new().await;
    let faults = Faults::new(stage.folder());
    let proxy = faults.under(stage.proxy()).start().await;
    for (operation, what) in [
        (Operation::Write, What::Full),
        (Operation::Write, What::Io),
        (Operation::Open, What::TooMany),
        (Operation::Open, What::Full),
    ] {
        let key = format!("large-{operation:?}-{what:?}");
        faults.strike(operation, Where::Spool, what);
        let refused = proxy.send(&large(&key)).await;
        refused.must_be_problem(503, "overloaded", "no", "same-key");
        assert_eq!(stage.origin.executions(&key), 0);
        let small = format!("small-{key}");
        proxy.send(&pay(&small)).await.must_be_executed();
        faults.heal();
        let answer = proxy.send(&large(&key)).await;
        answer.must_be_executed();
        proxy.send(&large(&key)).await.must_replay(&answer);
        assert_eq!(stage.origin.executions(&key), 1);
    }
}

/// Half of it is written at a time: it arrives whole all the same.
#[tokio::test]
async fn a_body_that_is_spooled_by_halves_arrives_whole() {
    let stage = Stage::new().await;
    let faults = Faults::new(stage.folder());
    let proxy = faults.under(stage.proxy()).start().await;
    faults.strike(Operation::Write, Where::Spool, What::Half);
    proxy.send(&large("halves")).await.must_be_executed();
    assert!(faults.struck(Operation::Write) > 1);
    assert_eq!(stage.origin.book()[0].request.body, body());
}

/// M-31: a body that cannot be read back while it is being sent is never sent as a shorter one. Bytes of the request
/// are out, so the outcome is unknown, and nothing runs behind the caller's back.
#[tokio::test]
async fn a_spooled_body_that_cannot_be_read_back_is_never_sent_as_a_whole_one() {
    let stage = Stage::new().await;
    let faults = Faults::new(stage.folder());
    let proxy = faults.under(stage.proxy()).start().await;
    faults.strike(Operation::Read, Where::Spool, What::Io);
    let answer = proxy.send(&large("cut")).await;
    answer.must_be_problem(502, "upstream-outcome-unknown", "maybe", "same-key");
    assert!(faults.struck(Operation::Read) > 0);
    faults.heal();
    let retry = proxy.send(&large("cut")).await;
    retry.must_be_problem(409, "outcome-unknown", "maybe", "same-key");
    assert_eq!(stage.origin.executions("cut"), 0);
}

fn large(key: &str) -> Request {
    pay(key).body(body())
}

fn body() -> Vec<u8> {
    let members = "\"x\":1,".repeat(300_000);
    format!("{{{members}\"end\":true}}").into_bytes()
}
