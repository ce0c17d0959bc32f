//! One name, one key, for as long as it is not known what became of it.

use http::HeaderValue;
use oncegate_client::journal::{NotSent, Stands};
use oncegate_client::{Advice, FailureKind, Outcome};

use super::harness::{HOUR, Place, client, contains, entries, name, payment, yes};
use crate::scripted::{Line, Script, answer, problem};

fn doubt() -> Line {
    Line::Failure(FailureKind::Broken)
}

fn key(script: &Script, attempt: usize) -> String {
    let value = &script.sent()[attempt].headers["idempotency-key"];
    value.to_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_name_whose_outcome_is_unknown_goes_on_under_its_first_key() {
    let place = Place::new();
    let lines = [doubt(), doubt(), doubt(), answer(201, &[], "paid")];
    let (client, script) = place.client(lines);
    let first = payment(1200);
    let concluded = client.execute_named(&name("invoice-42"), &first).await;
    let Outcome::Unknown(unknown) = concluded.unwrap().outcome else {
        panic!("it may have been paid");
    };
    assert_eq!(&unknown.key, first.key());
    // The caller makes another operation, with another key, as after a restart.
    let second = payment(1200);
    assert_ne!(first.key(), second.key());
    let paid = client.execute_named(&name("invoice-42"), &second).await;
    let paid = yes(paid.unwrap());
    assert_eq!(&paid.key, first.key());
    assert_eq!(key(&script, 3), first.key().as_str());
    let entries = entries(client.journal()).await;
    assert_eq!((entries.len(), entries[0].attempts), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn a_name_stands_for_one_request_until_that_did_not_happen() {
    let place = Place::new();
    let lines = [doubt(), doubt(), doubt(), answer(201, &[], "paid")];
    let (client, script) = place.client(lines);
    let invoice = name("invoice-42");
    let first = payment(1200);
    client.execute_named(&invoice, &first).await.unwrap();
    let refused = client.execute_named(&invoice, &payment(9999)).await;
    assert!(
        matches!(&refused, Err(NotSent::OtherRequest { key, decided: false }) if key == first.key()),
        "{refused:?}"
    );
    assert_eq!(script.sent().len(), 3);
    yes(client
        .execute_named(&invoice, &payment(1200))
        .await
        .unwrap());
    let refused = client.execute_named(&invoice, &payment(9999)).await;
    assert!(
        matches!(refused, Err(NotSent::OtherRequest { decided: true, .. })),
        "{refused:?}"
    );
    assert_eq!(script.sent().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_happened_is_answered_from_the_journal_and_not_sent() {
    let place = Place::new();
    let (client, _script) = place.client([answer(201, &[("x-id", "pay_1")], "paid")]);
    let first = payment(1200);
    yes(client
        .execute_named(&name("invoice-42"), &first)
        .await
        .unwrap());
    drop(client);
    let (client, script) = place.client([]);
    let again = client
        .execute_named(&name("invoice-42"), &payment(1200))
        .await;
    let again = yes(again.unwrap());
    let recorded = again.answer.unwrap();
    assert_eq!(&again.key, first.key());
    assert_eq!(
        (again.attempts, again.replayed, again.lost),
        (0, true, false)
    );
    assert_eq!(
        (recorded.status.as_u16(), &recorded.body[..]),
        (201, &b"paid"[..])
    );
    assert_eq!(recorded.headers["x-id"], "pay_1");
    // The same without a name, by its key.
    assert!(script.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_operation_without_a_name_is_known_by_its_key() {
    let place = Place::new();
    let lines = [doubt(), doubt(), doubt(), answer(201, &[], "paid")];
    let (client, script) = place.client(lines);
    let operation = payment(1200);
    let unknown = client.execute(&operation).await.unwrap();
    assert!(matches!(unknown.outcome, Outcome::Unknown(_)));
    yes(client.execute(&operation).await.unwrap());
    let again = yes(client.execute(&operation).await.unwrap());
    assert_eq!((again.attempts, script.sent().len()), (0, 4));
    assert_eq!(entries(client.journal()).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_did_not_happen_may_be_tried_again_under_the_key_that_the_advice_says() {
    let never_left = || Line::Failure(FailureKind::Connect);
    let place = Place::new();
    let (client, script) = place.client([
        never_left(),
        never_left(),
        never_left(),
        answer(400, &[("idempotency-status", "executed")], "no funds"),
        answer(201, &[], "paid"),
    ]);
    let invoice = name("invoice-42");
    let mut advised = Vec::new();
    for amount in [1200, 1200] {
        let concluded = client.execute_named(&invoice, &payment(amount)).await;
        let Outcome::No(no) = concluded.unwrap().outcome else {
            panic!("nothing ran");
        };
        let stands = entries(client.journal()).await[0].stands;
        assert_eq!(stands, Stands::No(no.advice));
        advised.push(no.advice);
    }
    assert_eq!(advised, [Advice::Reuse, Advice::Rotate]);
    // A mended request may have the name, too.
    yes(client.execute_named(&invoice, &payment(800)).await.unwrap());
    assert_eq!(key(&script, 2), key(&script, 3));
    assert_ne!(key(&script, 3), key(&script, 4));
    assert_eq!(entries(client.journal()).await.len(), 1);
}

/// A refusal that speaks of itself alone must not free the name: an earlier process may have paid.
#[tokio::test(start_paused = true)]
async fn a_refusal_after_a_restart_leaves_the_doubt_that_was_there() {
    let place = Place::new();
    let (client, _script) = place.client([doubt(), doubt(), doubt()]);
    client
        .execute_named(&name("invoice-42"), &payment(1200))
        .await
        .unwrap();
    drop(client);
    let (client, _script) = place.client([problem(422, "no", "new-key")]);
    let resumed = client.resume().await.unwrap();
    let outcome = &resumed[0].concluded.as_ref().unwrap().outcome;
    assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
    let stands = entries(client.journal()).await[0].stands;
    assert_eq!(stands, Stands::Open { in_use: false });
}

#[tokio::test(start_paused = true)]
async fn what_the_server_may_have_forgotten_is_not_sent_again() {
    let place = Place::new();
    let (client, script) = place.client([doubt(), doubt(), doubt()]);
    client
        .execute_named(&name("invoice-42"), &payment(1200))
        .await
        .unwrap();
    place.clock.advance(HOUR * 24);
    let late = client
        .execute_named(&name("invoice-42"), &payment(1200))
        .await;
    let resumed = client.resume().await.unwrap();
    for concluded in [&late, &resumed[0].concluded] {
        let outcome = &concluded.as_ref().unwrap().outcome;
        assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
        assert_eq!(outcome.attempts(), 0);
    }
    assert_eq!(script.sent().len(), 3);
    assert_eq!(resumed.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_of_the_request_is_left_once_it_is_decided() {
    let place = Place::new();
    let (client, _script) = place.client([doubt(), doubt(), doubt(), answer(201, &[], "paid")]);
    let operation = oncegate_client::Operation::post("http://127.0.0.1/payments")
        .unwrap()
        .header("authorization", "Bearer sesame")
        .unwrap()
        .body("card 4242")
        .build();
    client.execute(&operation).await.unwrap();
    assert!(contains(&place.on_disk(), b"Bearer sesame"));
    yes(client.execute(&operation).await.unwrap());
    drop(client);
    let bytes = place.on_disk();
    assert!(!contains(&bytes, b"Bearer sesame"));
    assert!(!contains(&bytes, b"card 4242"));
    assert!(contains(&bytes, b"paid"));
}

#[tokio::test(start_paused = true)]
async fn credentials_can_be_left_out_and_are_then_the_callers_to_bring() {
    let place = Place::new();
    let mut options = place.options();
    options.credentials_kept = false;
    let journal = oncegate_client::journal::Journal::open_with(place.path(), options).unwrap();
    let script = Script::of([
        doubt(),
        doubt(),
        doubt(),
        answer(401, &[], ""),
        answer(201, &[], ""),
    ]);
    let client = client(journal, script.clone());
    let operation = oncegate_client::Operation::post("http://127.0.0.1/payments")
        .unwrap()
        .header("authorization", "Bearer sesame")
        .unwrap()
        .body("card 4242")
        .build();
    client.execute_named(&name("a"), &operation).await.unwrap();
    assert!(!contains(&place.on_disk(), b"sesame"));
    // Without them the server refuses, and that says nothing of the first time.
    let resumed = client.resume().await.unwrap();
    let outcome = &resumed[0].concluded.as_ref().unwrap().outcome;
    assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
    assert!(!script.sent()[3].headers.contains_key("authorization"));
    yes(client.execute_named(&name("a"), &operation).await.unwrap());
    assert_eq!(script.sent()[4].headers["authorization"], "Bearer sesame");
}

/// A caller logs what was resumed, and what it ended with: neither may show what only the two ends know.
#[tokio::test(start_paused = true)]
async fn debug_output_of_what_is_resumed_or_answered_holds_no_secret() {
    let place = Place::new();
    let granted = answer(201, &[("set-cookie", "hush")], "hush");
    let (client, _script) = place.client([doubt(), doubt(), doubt(), granted]);
    let operation = oncegate_client::Operation::post("http://user:hush@127.0.0.1/pay?q=hush")
        .unwrap()
        .key("hush")
        .unwrap()
        .build();
    client.execute(&operation).await.unwrap();
    let listed = format!("{:?}", client.journal().list().await.unwrap());
    assert!(!listed.contains("hush"), "{listed}");
    let resumed = format!("{:?}", client.resume().await.unwrap());
    assert!(!resumed.contains("hush"), "{resumed}");
    assert!(resumed.contains("201"), "{resumed}");
}

/// What the first process knew of the server, the second may not know: it was told on the command line, or by an answer.
#[tokio::test(start_paused = true)]
async fn the_retention_that_was_known_when_it_was_sent_holds_for_whoever_resumes() {
    let place = Place::new();
    let script = Script::of([doubt(), doubt(), doubt()]);
    let knowing = |retention| {
        let mut policy = oncegate_client::RetryPolicy::default();
        policy.retention = retention;
        oncegate_client::Client::builder()
            .policy(policy)
            .transport(std::sync::Arc::new(script.clone()))
            .build()
            .unwrap()
            .journaled(place.open())
    };
    let first = knowing(Some(HOUR));
    first
        .execute_named(&name("invoice-42"), &payment(1200))
        .await
        .unwrap();
    drop(first);
    place.clock.advance(HOUR * 2);
    let resumed = knowing(None).resume().await.unwrap();
    let outcome = &resumed[0].concluded.as_ref().unwrap().outcome;
    assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
    assert_eq!(script.sent().len(), 3);
    // Whoever says it anew knows better.
    script.follow([answer(201, &[], "paid")]);
    let resumed = knowing(Some(HOUR * 7)).resume().await.unwrap();
    let outcome = &resumed[0].concluded.as_ref().unwrap().outcome;
    assert!(matches!(outcome, Outcome::Yes(_)), "{outcome:?}");
}

/// Where a key belongs to the exact credential or account, the same key under another is a new key: it would run again.
#[tokio::test(start_paused = true)]
async fn what_may_have_been_sent_goes_on_with_the_headers_that_it_was_sent_with() {
    let by = |token: &str, account: &str| {
        oncegate_client::Operation::post("http://127.0.0.1/payments")
            .unwrap()
            .header("authorization", token)
            .unwrap()
            .header("stripe-account", account)
            .unwrap()
            .body("amount=1200")
            .build()
    };
    let place = Place::new();
    let (client, script) = place.client([doubt(), doubt(), doubt(), answer(201, &[], "paid")]);
    let invoice = name("invoice-42");
    client
        .execute_named(&invoice, &by("old", "a"))
        .await
        .unwrap();
    yes(client
        .execute_named(&invoice, &by("new", "b"))
        .await
        .unwrap());
    let last = &script.sent()[3].headers;
    assert_eq!(
        (&last["authorization"], &last["stripe-account"]),
        (
            &HeaderValue::from_static("old"),
            &HeaderValue::from_static("a")
        )
    );
}

/// A server whose keys belong to the account knows the operation by them.
#[tokio::test(start_paused = true)]
async fn where_keys_belong_to_the_account_fresh_headers_are_taken() {
    let by = |token: &str| {
        oncegate_client::Operation::post("http://127.0.0.1/payments")
            .unwrap()
            .header("authorization", token)
            .unwrap()
            .build()
    };
    let place = Place::new();
    let script = Script::of([doubt(), doubt(), doubt(), answer(201, &[], "paid")]);
    let mut policy = oncegate_client::RetryPolicy::default();
    policy.refresh_in_doubt = true;
    let client = oncegate_client::Client::builder()
        .policy(policy)
        .transport(std::sync::Arc::new(script.clone()))
        .build()
        .unwrap()
        .journaled(place.open());
    let invoice = name("invoice-42");
    client.execute_named(&invoice, &by("old")).await.unwrap();
    yes(client.execute_named(&invoice, &by("new")).await.unwrap());
    assert_eq!(script.sent()[3].headers["authorization"], "new");
}
