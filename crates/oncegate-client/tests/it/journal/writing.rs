//! What is on the disk before a byte is sent, what after, and what happens when it cannot be.

use std::sync::Arc;

use oncegate_client::journal::{Journal, JournalError, Listed, NotSent, Stands};
use oncegate_client::transport::{Attempt, BoxFuture};
use oncegate_client::{Answer, Failure, FailureKind, Outcome, Transport};

use super::harness::{HOUR, Place, client, entries, name, payment, yes};
use crate::scripted::{Line, Script, answer};

/// Looks into the file, over a connection of its own, at the moment when an attempt goes out.
#[derive(Debug)]
struct Looking {
    path: std::path::PathBuf,
    script: Script,
}

impl Transport for Looking {
    fn send(&self, attempt: Attempt) -> BoxFuture<'_, Result<Answer, Failure>> {
        let file = rusqlite::Connection::open(&self.path).unwrap();
        let key = attempt.headers["idempotency-key"]
            .to_str()
            .unwrap()
            .to_owned();
        let select = "SELECT state, body FROM operation JOIN contents USING (id) WHERE key = ?1";
        let (state, body) = file
            .query_row(select, [key], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
            })
            .expect("it is in the journal before it is sent");
        assert_eq!((state, &body), (0, &attempt.body.bytes().unwrap().to_vec()));
        self.script.send(attempt)
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_is_on_disk_before_its_first_byte_is_sent_and_its_outcome_after() {
    let place = Place::new();
    let looking = Looking {
        path: place.path(),
        script: Script::of([answer(201, &[], "paid")]),
    };
    let client = client(place.open(), looking);
    let before = client.journal().commits();
    yes(client.execute(&payment(1200)).await.unwrap());
    assert_eq!(client.journal().commits() - before, 2);
    assert_eq!(entries(client.journal()).await[0].stands, Stands::Yes);
}

/// Answers everything, at once.
#[derive(Debug)]
struct Willing;

impl Transport for Willing {
    fn send(&self, _attempt: Attempt) -> BoxFuture<'_, Result<Answer, Failure>> {
        let body = "paid".into();
        Box::pin(async {
            Ok(Answer::new(
                http::StatusCode::CREATED,
                http::HeaderMap::new(),
                body,
            ))
        })
    }
}

#[tokio::test]
async fn operations_at_the_same_time_share_their_commits() {
    let place = Place::new();
    let client = client(place.open(), Willing);
    let before = client.journal().commits();
    let payments: Vec<_> = (0..400)
        .map(|amount| {
            let client = client.clone();
            tokio::spawn(async move { yes(client.execute(&payment(amount)).await.unwrap()) })
        })
        .collect();
    for payment in payments {
        payment.await.unwrap();
    }
    let commits = client.journal().commits() - before;
    assert!(commits < 200, "800 writes took {commits} commits");
    assert_eq!(entries(client.journal()).await.len(), 400);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_that_does_not_fit_and_what_is_decided_makes_room() {
    let place = Place::new();
    let mut options = place.options();
    options.bytes_max = 256 * 1024;
    let journal = Journal::open_with(place.path(), options).unwrap();
    let big = |key: &str| {
        oncegate_client::Operation::post("http://127.0.0.1/payments")
            .unwrap()
            .key(key)
            .unwrap()
            .body(vec![b'x'; 100_000])
            .build()
    };
    let doubt = || Line::Failure(FailureKind::Broken);
    let script = Script::of([
        doubt(),
        doubt(),
        doubt(),
        doubt(),
        doubt(),
        doubt(),
        answer(201, &[], ""),
        answer(201, &[], ""),
    ]);
    let client = client(journal, script.clone());
    client.execute(&big("a")).await.unwrap();
    client.execute(&big("b")).await.unwrap();
    let refused = client.execute(&big("c")).await;
    assert!(
        matches!(refused, Err(NotSent::Journal(JournalError::Full { .. }))),
        "{refused:?}"
    );
    assert_eq!(script.sent().len(), 6, "what could not be written was sent");
    assert_eq!(entries(client.journal()).await.len(), 2);
    yes(client.execute(&big("a")).await.unwrap());
    yes(client.execute(&big("c")).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_large_to_keep_is_given_once_and_then_lost() {
    let place = Place::new();
    let mut options = place.options();
    options.answer_bytes_max = 3;
    let journal = Journal::open_with(place.path(), options).unwrap();
    let client = client(journal, Script::of([answer(201, &[], "paid")]));
    let operation = payment(1200);
    let first = yes(client.execute(&operation).await.unwrap());
    assert!(!first.lost);
    let again = yes(client.execute(&operation).await.unwrap());
    assert!(again.lost);
    assert_eq!(again.answer.unwrap().status.as_u16(), 201);
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_is_too_large_is_refused_before_it_is_sent() {
    let place = Place::new();
    let mut options = place.options();
    options.request_bytes_max = 3;
    let journal = Journal::open_with(place.path(), options).unwrap();
    let refused = client(journal, Willing).execute(&payment(1200)).await;
    assert!(
        matches!(refused, Err(NotSent::TooLarge { .. })),
        "{refused:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn decided_operations_are_forgotten_in_time_and_open_ones_never() {
    let place = Place::new();
    let doubt = || Line::Failure(FailureKind::Broken);
    let (client, _script) = place.client([
        answer(201, &[], ""),
        doubt(),
        doubt(),
        doubt(),
        answer(201, &[], ""),
    ]);
    client
        .execute_named(&name("decided"), &payment(1))
        .await
        .unwrap();
    client
        .execute_named(&name("open"), &payment(2))
        .await
        .unwrap();
    place.clock.advance(HOUR * 24 * 91);
    client
        .execute_named(&name("new"), &payment(3))
        .await
        .unwrap();
    let names: Vec<_> = entries(client.journal())
        .await
        .into_iter()
        .map(|entry| entry.name.unwrap().to_string())
        .collect();
    assert_eq!(names, ["open", "new"]);
}

#[tokio::test]
async fn a_journal_of_another_version_or_program_is_refused_and_left_alone() {
    let place = Place::new();
    drop(place.open());
    place
        .sqlite()
        .pragma_update(None, "user_version", 2)
        .unwrap();
    let before = place.on_disk();
    let refused = Journal::open(place.path());
    assert!(
        matches!(
            refused,
            Err(JournalError::OtherFormat {
                found: 2,
                known: 1,
                ..
            })
        ),
        "{refused:?}"
    );
    assert_eq!(place.on_disk(), before);

    let place = Place::new();
    place
        .sqlite()
        .execute_batch("CREATE TABLE theirs (a)")
        .unwrap();
    let before = place.on_disk();
    let refused = Journal::open(place.path());
    assert!(
        matches!(refused, Err(JournalError::NotOurs { .. })),
        "{refused:?}"
    );
    assert_eq!(place.on_disk(), before);

    let place = Place::new();
    std::fs::write(
        place.path(),
        "a letter to my aunt, and not a short one ".repeat(50),
    )
    .unwrap();
    let refused = Journal::open(place.path());
    assert!(
        matches!(refused, Err(JournalError::NotOurs { .. })),
        "{refused:?}"
    );
}

/// Each column in turn gets other bytes behind the journal's back.
#[tokio::test(start_paused = true)]
async fn a_damaged_operation_is_told_and_never_sent() {
    let damages = [
        "UPDATE operation SET key = 'another'",
        "UPDATE operation SET name = NULL",
        "UPDATE operation SET dialect = 'paypal'",
        "UPDATE operation SET method = 'PUT'",
        "UPDATE operation SET url = 'http://127.0.0.2/payments'",
        "UPDATE operation SET request = zeroblob(32)",
        "UPDATE operation SET holder = 'x'",
        "UPDATE operation SET first_sent_at = first_sent_at + 1",
        "UPDATE operation SET attempts = 7",
        "UPDATE operation SET seal = zeroblob(32)",
        "UPDATE contents SET body = CAST('amount=9999' AS BLOB)",
        "UPDATE contents SET headers = CAST('content-type: text/plain' || char(10) AS BLOB)",
        "DELETE FROM contents",
    ];
    for damage in damages {
        let place = Place::new();
        let doubt = || Line::Failure(FailureKind::Broken);
        let (client, _script) = place.client([doubt(), doubt(), doubt()]);
        client
            .execute_named(&name("invoice-42"), &payment(1200))
            .await
            .unwrap();
        drop(client);
        place.sqlite().execute_batch(damage).unwrap();
        let (client, script) = place.client([]);
        let resumed = client.resume().await.unwrap();
        assert_eq!(resumed.len(), 1, "{damage}");
        let refused = &resumed[0].concluded;
        assert!(
            matches!(refused, Err(NotSent::Damaged { .. })),
            "{damage}: {refused:?}"
        );
        if !damage.contains("contents") {
            let refused = client
                .execute_named(&name("invoice-42"), &payment(1200))
                .await;
            assert!(
                matches!(refused, Err(NotSent::Damaged { .. })),
                "{damage}: {refused:?}"
            );
            let listed = client.journal().list().await.unwrap();
            assert!(matches!(listed[..], [Listed::Damaged { .. }]), "{damage}");
        }
        assert!(script.sent().is_empty(), "{damage}");
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_told_in_words() {
    let place = Place::new();
    let nowhere = place.path().join("journal");
    std::fs::write(place.path(), "").unwrap();
    let refused = Journal::open(nowhere);
    assert!(
        matches!(refused, Err(JournalError::DirectoryMissing { .. })),
        "{refused:?}"
    );
    let refused = Journal::open(place.path().parent().unwrap());
    assert!(
        matches!(refused, Err(JournalError::IsDirectory { .. })),
        "{refused:?}"
    );
}

/// Never answers.
#[derive(Debug)]
struct Hanging(Arc<tokio::sync::Notify>);

impl Transport for Hanging {
    fn send(&self, _attempt: Attempt) -> BoxFuture<'_, Result<Answer, Failure>> {
        self.0.notify_one();
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_dropped_execution_stays_open_and_is_resumed_by_the_same_process() {
    let place = Place::new();
    let journal = place.open();
    let sent = Arc::new(tokio::sync::Notify::new());
    let hanging = client(journal.clone(), Hanging(Arc::clone(&sent)));
    let operation = payment(1200);
    let under_way = operation.clone();
    let task = tokio::spawn(async move { hanging.execute(&under_way).await });
    sent.notified().await;
    // While it is under way nobody else sends it, in this process neither.
    let willing = client(journal.clone(), Willing);
    let refused = willing.execute(&operation).await;
    assert!(matches!(refused, Err(NotSent::InUse { .. })), "{refused:?}");
    assert!(willing.resume().await.unwrap().is_empty());
    assert_eq!(
        entries(&journal).await[0].stands,
        Stands::Open { in_use: true }
    );
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(
        entries(&journal).await[0].stands,
        Stands::Open { in_use: false }
    );
    let resumed = willing.resume().await.unwrap();
    let outcome = &resumed[0].concluded.as_ref().unwrap().outcome;
    assert!(matches!(outcome, Outcome::Yes(_)), "{outcome:?}");
    assert_eq!(outcome.key(), operation.key());
}

#[tokio::test]
async fn a_closed_journal_leaves_one_file_readable_by_its_owner_alone() {
    let place = Place::new();
    let client = client(place.open(), Willing);
    client.execute(&payment(1200)).await.unwrap();
    for file in place.files() {
        use std::os::unix::fs::PermissionsExt as _;
        let metadata = std::fs::metadata(place.path().with_file_name(&file)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{file}");
    }
}
