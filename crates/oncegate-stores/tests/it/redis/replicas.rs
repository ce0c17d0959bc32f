//! `?wait=N`: what counts only once replicas have it.

use std::error::Error as _;

use oncegate::record::RecordState;
use oncegate::store::{Change, Insert, Update};
use oncegate::{Store, StoreErrorKind};
use oncegate_stores::{RedisAddress, RedisStore};

use super::failover::replica_of;
use super::server::RedisServer;
use crate::harness::{
    claim, complete, completed, get, id, kind, new_record, on_threads as block_on, owner, state,
    update,
};

async fn waiting(server: &RedisServer, count: u8) -> RedisStore {
    let url = format!("{}?wait={count}", server.url());
    let address: RedisAddress = url.parse().unwrap();
    RedisStore::open(&address).await.unwrap()
}

/// No look at the replica waits for it: what was answered is there.
#[test]
fn what_was_answered_as_claimed_or_recorded_is_on_the_replica() {
    let master = RedisServer::start(&[]);
    let replica = replica_of(&master);
    block_on(async {
        let store = waiting(&master, 1).await;
        let copy = replica.open().await;
        for number in 0..50 {
            claim(&store, number).await;
            assert!(state(&copy, number).await.is_some(), "{number}");
            update(&store, number, complete(b"paid")).await.unwrap();
            assert!(matches!(
                state(&copy, number).await,
                Some(RecordState::Completed { .. })
            ));
        }
    });
}

/// The replica hangs. The caller is told that nobody knows, so nothing runs, and the claim is released as any whose
/// answer was lost.
#[test]
fn a_claim_that_no_replica_has_in_time_is_no_claim_and_is_released() {
    let master = RedisServer::start(&[]);
    let replica = replica_of(&master);
    block_on(async {
        let store = waiting(&master, 1).await;
        let before = completed(&store, 1, b"paid").await;
        replica.stop();
        let refused = store.insert(new_record(2)).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Unavailable);
        assert_eq!(
            refused.source().unwrap().to_string(),
            "0 of 1 replicas had it within 250 ms"
        );
        // Asked again, it is not answered better than it is.
        assert_eq!(
            kind(store.insert(new_record(2)).await),
            StoreErrorKind::Unavailable
        );
        let released = update(&store, 2, Change::Release).await.unwrap();
        assert_eq!(released, Update::Applied(None));
        // What stands is told and replayed without a wait.
        let mut duplicate = new_record(1);
        duplicate.owner = owner(9);
        let told = store.insert(duplicate).await.unwrap().value;
        assert_eq!(told, Insert::Exists(before));
        replica.go_on();
        claim(&store, 2).await;
    });
}

#[test]
fn an_outcome_that_no_replica_has_in_time_is_recorded_when_it_is_tried_again() {
    let master = RedisServer::start(&[]);
    let replica = replica_of(&master);
    block_on(async {
        let store = waiting(&master, 1).await;
        claim(&store, 1).await;
        replica.stop();
        for _attempt in 0..2 {
            let late = update(&store, 1, complete(b"paid")).await;
            assert_eq!(kind(late), StoreErrorKind::Unavailable);
        }
        replica.go_on();
        let recorded = update(&store, 1, complete(b"paid")).await.unwrap();
        assert_eq!(recorded, Update::Applied(get(&store, 1).await));
        let copy = replica.open().await;
        assert_eq!(copy.get(id(1)).await.unwrap().value, get(&store, 1).await);
    });
}

#[test]
fn a_wait_for_more_replicas_than_there_are_takes_no_claim() {
    let master = RedisServer::start(&[]);
    let _replica = replica_of(&master);
    block_on(async {
        let store = waiting(&master, 2).await;
        assert_eq!(
            kind(store.insert(new_record(1)).await),
            StoreErrorKind::Unavailable
        );
    });
}
