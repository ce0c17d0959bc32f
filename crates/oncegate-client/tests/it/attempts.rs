//! What is sent on each attempt, and when there is another (M-44 to M-47).

use std::sync::Arc;

use oncegate_client::{Advice, Client, FailureKind, Operation, Outcome};

use crate::scripted::{Line, Script, answer, problem};

fn operation() -> Operation {
    Operation::post("http://127.0.0.1/payments")
        .expect("a URL")
        .header("content-type", "application/json")
        .expect("a header")
        .body(r#"{"amount":1200}"#)
        .build()
}

async fn run(lines: impl IntoIterator<Item = Line>) -> (Outcome, Script) {
    let script = Script::of(lines);
    let client = Client::builder()
        .transport(Arc::new(script.clone()))
        .build()
        .expect("a client");
    (client.execute(&operation()).await, script)
}

#[tokio::test(start_paused = true)]
async fn every_attempt_has_the_same_key_and_bytes() {
    let (outcome, script) = run([
        Line::Failure(FailureKind::Broken),
        answer(503, &[], ""),
        answer(201, &[("idempotency-status", "replayed")], "paid"),
    ])
    .await;
    let Outcome::Yes(yes) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(yes.replayed);
    assert_eq!(yes.attempts, 3);
    let sent = script.sent();
    assert_eq!(sent.len(), 3);
    for attempt in &sent {
        assert_eq!(attempt.headers, sent[0].headers);
        assert_eq!(attempt.body, sent[0].body);
        assert_eq!(
            attempt.headers["idempotency-key"].to_str().ok(),
            Some(yes.key.as_str())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_have_run_ends_unknown_and_not_as_no() {
    let (outcome, _script) = run([
        Line::Failure(FailureKind::Broken),
        Line::Failure(FailureKind::Connect),
        Line::Failure(FailureKind::Connect),
    ])
    .await;
    assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn what_never_left_is_a_definite_no_under_a_key_that_may_be_used_again() {
    let lines = || Line::Failure(FailureKind::Connect);
    let (outcome, _script) = run([lines(), lines(), lines()]).await;
    let Outcome::No(no) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(no.advice, Advice::Reuse);
}

#[tokio::test(start_paused = true)]
async fn a_mismatch_is_never_retried_and_a_doubt_before_it_stays() {
    let (outcome, script) = run([problem(422, "no", "new-key")]).await;
    let Outcome::No(no) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!((no.advice, script.sent().len()), (Advice::Rotate, 1));

    let doubt = Line::Failure(FailureKind::TimedOut);
    let (outcome, _script) = run([doubt, problem(422, "no", "new-key")]).await;
    assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_not_kept_is_a_definite_yes() {
    let (outcome, _script) = run([problem(410, "yes", "none")]).await;
    let Outcome::Yes(yes) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(yes.lost);
    let (outcome, _script) = run([problem(410, "maybe", "none")]).await;
    assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_redirect_keeps_the_key_at_its_origin_and_goes_nowhere_else() {
    let (outcome, script) = run([
        answer(308, &[("location", "/v2/payments")], ""),
        answer(503, &[], ""),
        answer(201, &[], "paid"),
    ])
    .await;
    assert!(matches!(outcome, Outcome::Yes(_)), "{outcome:?}");
    let paths: Vec<_> = script
        .sent()
        .iter()
        .map(|attempt| attempt.url.path().to_owned())
        .collect();
    assert_eq!(paths, ["/payments", "/v2/payments", "/v2/payments"]);

    let elsewhere = [("location", "http://127.0.0.2/payments")];
    let (outcome, script) = run([answer(307, &elsewhere, "")]).await;
    assert!(matches!(outcome, Outcome::No(_)), "{outcome:?}");
    assert_eq!(script.sent().len(), 1);
}
