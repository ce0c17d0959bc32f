//! The connection that all callers share: whose answers it brings, and how it is made anew.

use std::sync::Arc;
use std::time::Duration;

use oncegate::record::RecordState;
use oncegate::store::Insert;
use oncegate::{Store, StoreErrorKind};
use oncegate_stores::{RedisAddress, RedisStore};
use tokio::time::timeout;

use super::faults::again;
use super::server::{Connection, RedisServer};
use crate::harness::{
    claim, complete, completed, get, id, kind, new_record, on_threads as block_on, owner, response,
    update,
};

/// A connection that the server refused to set up was taken for the last word: the store was down until a restart.
#[test]
fn a_password_that_was_wrong_for_a_while_is_tried_again() {
    let server = RedisServer::start(&[]);
    server.cli(&["config", "set", "requirepass", "hunter2"]);
    let operator = |words: &[&str], password: &str| {
        let mut all = vec!["--no-auth-warning", "-a", password];
        all.extend(words);
        server.cli(&all)
    };
    block_on(async {
        let url = format!("redis://:hunter2@{}", server.address());
        let address: RedisAddress = url.parse().unwrap();
        let store = RedisStore::open(&address).await.unwrap();
        claim(&store, 1).await;
        operator(&["config", "set", "requirepass", "another"], "hunter2");
        operator(&["client", "kill", "type", "normal"], "another");
        for _request in 0..3 {
            assert_eq!(kind(store.get(id(1)).await), StoreErrorKind::Unavailable);
        }
        operator(&["config", "set", "requirepass", "hunter2"], "another");
        again(&store).await;
        update(&store, 1, complete(b"paid")).await.unwrap();
    });
}

/// As after a restart of everything at once: for a moment there are more clients than the server takes.
#[test]
fn a_redis_that_takes_no_more_clients_is_tried_again() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let store = server.open().await;
        claim(&store, 1).await;
        let mut other = Connection::to(&server);
        other.say("CONFIG SET maxclients 1");
        other.say("CLIENT KILL TYPE normal SKIPME yes");
        for _request in 0..3 {
            assert_eq!(kind(store.get(id(1)).await), StoreErrorKind::Unavailable);
        }
        other.say("CONFIG SET maxclients 100");
        again(&store).await;
        update(&store, 1, complete(b"paid")).await.unwrap();
    });
}

/// What is in another database is nobody's record: a key would be executed a second time.
#[test]
fn a_connection_that_is_made_anew_is_to_the_same_database() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let address: RedisAddress = format!("{}/3", server.url()).parse().unwrap();
        let store = RedisStore::open(&address).await.unwrap();
        let before = completed(&store, 1, b"paid").await;
        server.cli(&["client", "kill", "type", "normal"]);
        again(&store).await;
        assert_eq!(get(&store, 1).await, Some(before));
    });
}

/// Each answer belongs to its request, however many callers leave before theirs has come.
#[test]
fn callers_that_leave_shift_no_answer_to_another() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let store = Arc::new(server.open().await);
        for number in 0..CALLERS {
            completed(&*store, number, &number.to_be_bytes()).await;
        }
        let callers = (0..CALLERS).map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                for round in 0..ROUNDS {
                    // Dropped at the first wait, when the request may have gone out.
                    let left = store.get(id((number + round) % CALLERS));
                    let _left_or_answered = timeout(Duration::ZERO, left).await;
                    let record = get(&*store, number).await.unwrap();
                    let RecordState::Completed { response: told, .. } = record.state else {
                        panic!("the record is completed");
                    };
                    assert_eq!(told, response(&number.to_be_bytes()), "round {round}");
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await.unwrap();
        }
    });
}

#[test]
fn an_answer_of_8_mib_is_kept_and_replayed_whole() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let store = server.open().await;
        let body: Vec<u8> = (0..8 << 20_u32)
            .map(|byte: u32| byte.to_le_bytes()[0])
            .collect();
        let before = completed(&store, 1, &body).await;
        assert_eq!(get(&store, 1).await, Some(before.clone()));
        let mut duplicate = new_record(1);
        duplicate.owner = owner(9);
        let told = store.insert(duplicate).await.unwrap().value;
        assert_eq!(told, Insert::Exists(before));
    });
}

const CALLERS: u64 = 50;
const ROUNDS: u64 = 100;
