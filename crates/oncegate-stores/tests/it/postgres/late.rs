//! Claims whose answer was not waited for, and that come after their owner has given them up.

use std::time::Duration;

use oncegate::StoreErrorKind;
use oncegate::store::{Change, Expect, Insert, NewRecord, Store, StoreResult, Update};
use oncegate_stores::{PostgresOptions, PostgresStore};
use tokio::time::sleep;

use super::server::PostgresServer;
use crate::harness::{id, kind, new_record, on_threads as block_on, owner};

/// In one lane, which gives up on an answer soon.
async fn impatient(server: &PostgresServer) -> PostgresStore {
    let mut options = PostgresOptions::default();
    options.lanes = 1;
    options.answer_timeout = Duration::from_millis(500);
    let address = server.url().parse().unwrap();
    PostgresStore::open_with(&address, options).await.unwrap()
}

fn by(who: u64, number: u64) -> NewRecord {
    NewRecord {
        owner: owner(who),
        ..new_record(number)
    }
}

async fn give_up(store: &PostgresStore, who: u64, number: u64) -> StoreResult<Update> {
    let expect = Expect {
        owner: owner(who),
        revision: None,
    };
    store.update(id(number), expect, Change::Release).await
}

/// As the supervisor does it: until there is a definite answer.
async fn given_up(store: &PostgresStore, who: u64, number: u64) {
    for _attempt in 0..ATTEMPTS {
        match give_up(store, who, number).await {
            Ok(told) => return assert_eq!(told.value, Update::Applied(None)),
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}"),
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("there is no answer");
}

/// The next one who asks has the key.
async fn must_be_free(store: &PostgresStore, number: u64) {
    let told = store.insert(by(99, number)).await.unwrap().value;
    assert!(matches!(told, Insert::Created(_)), "{told:?}");
}

/// The session sleeps with the claim unread, is thought lost, and reads it after all.
#[test]
fn a_claim_that_comes_after_its_release_holds_no_key() {
    let server = PostgresServer::start(&[]);
    block_on(async {
        let store = impatient(&server).await;
        // One key that nobody had, and one that was given up before.
        for number in [1, 2] {
            if number == 2 {
                store.insert(by(98, number)).await.unwrap();
                given_up(&store, 98, number).await;
            }
            store.ping().await.unwrap();
            let sleeping = server.put_to_sleep("SELECT t.now%");
            assert_eq!(sleeping.len(), 1, "there is one lane");
            let silent = store.insert(by(97, number)).await;
            assert_eq!(kind(silent), StoreErrorKind::Unavailable);
            given_up(&store, 97, number).await;
            server.wake(&sleeping);
            must_be_free(&store, number).await;
        }
    });
}

/// A claim that is written and waits for a standby that is away: nobody sees it before the standby is back, or is no
/// longer waited for.
#[test]
fn a_claim_that_waits_for_a_standby_is_given_up_only_once_it_is_there() {
    let server = PostgresServer::start(&[]);
    block_on(async {
        let store = impatient(&server).await;
        // One key that nobody had, and one that was given up before.
        store.insert(by(98, 2)).await.unwrap();
        given_up(&store, 98, 2).await;
        server.sql("ALTER SYSTEM SET synchronous_standby_names = 'away'");
        server.sql("SELECT pg_reload_conf()");
        // Until the server has heard of it.
        let mut probes = 1_000..2_000;
        while let Some(number) = probes.next()
            && store.insert(new_record(number)).await.is_ok()
        {}
        for number in [1, 2] {
            let silent = store.insert(by(97, number)).await;
            assert_eq!(kind(silent), StoreErrorKind::Unavailable);
            let unsure = give_up(&store, 97, number).await;
            assert_eq!(kind(unsure), StoreErrorKind::Unavailable);
        }
        server.sql("ALTER SYSTEM RESET synchronous_standby_names");
        server.sql("SELECT pg_reload_conf()");
        for number in [1, 2] {
            given_up(&store, 97, number).await;
            must_be_free(&store, number).await;
        }
    });
}

const ATTEMPTS: usize = 1_000;
