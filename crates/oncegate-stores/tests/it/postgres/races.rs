//! What can come between two who write: forced by a transaction that is held open, or hammered.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::{join_all, join4};
use oncegate::hash::RecordId;
use oncegate::record::OwnerId;
use oncegate::store::{Change, Expect, Insert, NewRecord, Update};
use oncegate::{Inspect as _, Store};
use oncegate_stores::{PostgresOptions, PostgresStore};
use tokio_postgres::{Client, NoTls};

use super::migrations::url_of;
use super::server::PostgresServer;
use crate::harness::{self, claim, completed, id, new_record, on_threads, owner};

/// A store whose batches are as large as they can be.
async fn in_one_lane(url: &str) -> PostgresStore {
    let mut options = PostgresOptions::default();
    options.lanes = 1;
    PostgresStore::open_with(&url.parse().unwrap(), options)
        .await
        .unwrap()
}

/// A connection behind the store's back.
async fn by_hand(server: &PostgresServer) -> Client {
    let (client, link) = tokio_postgres::connect(&server.url(), NoTls).await.unwrap();
    tokio::spawn(link);
    client
}

/// Until a session waits for another one's lock: each look is a round trip, and there is a last one.
async fn somebody_waits(client: &Client) {
    for _look in 0..20_000 {
        let waiting = client
            .query_one(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
                &[],
            )
            .await
            .unwrap();
        if waiting.get::<_, i64>(0) > 0 {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("nobody waits for a lock");
}

fn hex(id: RecordId) -> String {
    format!("'\\x{id}'::bytea")
}

fn claimed_by(number: u64, owner: OwnerId) -> NewRecord {
    NewRecord {
        owner,
        ..new_record(number)
    }
}

/// `INSERT .. ON CONFLICT DO NOTHING` and a `SELECT` in one statement tell nothing of a record that another transaction
/// commits meanwhile: the snapshot is older. The other transaction is held open until the claim waits for it.
#[test]
fn a_claim_that_another_transaction_commits_first_is_told_of_it() {
    on_threads(async {
        let server = PostgresServer::start(&[]);
        let schema = server.fresh_schema();
        let store = in_one_lane(&url_of(&server, &schema)).await;
        let template = claim(&store, 1).await;
        let mut other = by_hand(&server).await;
        let looking = by_hand(&server).await;
        let transaction = other.transaction().await.unwrap();
        let columns = "owner, fence, revision, state, state_at, created_at, expires_at, purge_at, fingerprint, \
                       key_digest, operation";
        let insert = format!(
            "INSERT INTO {schema}.record (id, {columns}) SELECT {}, {columns} FROM {schema}.record WHERE id = {}",
            hex(id(2)),
            hex(id(1))
        );
        transaction.batch_execute(&insert).await.unwrap();
        let claiming = store.insert(claimed_by(2, owner(9)));
        let committing = async {
            somebody_waits(&looking).await;
            transaction.commit().await.unwrap();
        };
        let (claimed, ()) = tokio::join!(claiming, committing);
        let told = match claimed.unwrap().value {
            Insert::Exists(record) => record,
            Insert::Created(record) => panic!("two hold one key: {record:?}"),
        };
        assert_eq!((told.id, told.owner), (id(2), template.owner));
    });
}

/// Two processes write the same records in batches. Rows that were locked in the order in which they happened to be
/// gathered would deadlock, and the server log it.
#[test]
fn batches_that_write_the_same_records_do_not_deadlock() {
    const RECORDS: u64 = 100;
    const ROUNDS: u64 = 20;
    on_threads(async {
        let server = PostgresServer::start(&[]);
        let url = server.fresh_url();
        let (one, other) = (in_one_lane(&url).await, in_one_lane(&url).await);
        for round in 0..ROUNDS {
            let numbers = || (0..RECORDS).map(|number| round * RECORDS + number);
            let inserts = |store, holder| {
                join_all(
                    numbers()
                        .map(move |number| Store::insert(store, claimed_by(number, owner(holder)))),
                )
            };
            // Each claims in an order of its own, and then both renew what the first one holds.
            let (first, second) = tokio::join!(inserts(&one, 1), inserts(&other, 2));
            let mut holders = Vec::new();
            for (first, second) in first.into_iter().zip(second) {
                let created: Vec<OwnerId> = [first, second]
                    .into_iter()
                    .filter_map(|answer| match answer.unwrap().value {
                        Insert::Created(record) => Some(record.owner),
                        Insert::Exists(_) => None,
                    })
                    .collect();
                assert_eq!(created.len(), 1, "one claim wins");
                holders.extend(created);
            }
            let renewals = |store| {
                join_all(numbers().zip(holders.clone()).map(move |(number, owner)| {
                    let expect = Expect {
                        owner,
                        revision: None,
                    };
                    let change = Change::Renew {
                        lease: harness::LEASE,
                        unknown: harness::KEPT,
                    };
                    Store::update(store, id(number), expect, change)
                }))
            };
            let renewed = join4(
                renewals(&one),
                renewals(&other),
                renewals(&one),
                renewals(&other),
            )
            .await;
            for answer in [renewed.0, renewed.1, renewed.2, renewed.3]
                .into_iter()
                .flatten()
            {
                assert!(matches!(answer.unwrap().value, Update::Applied(Some(_))));
            }
        }
        assert!(
            !server.log().contains("deadlock detected"),
            "{}",
            server.log()
        );
    });
}

/// M-23: a claim is refused, and what refused it is given up and removed before it can be looked at. Whoever is told
/// `Created` holds the key, alone; nobody is told of nothing.
#[test]
fn a_record_that_vanishes_behind_a_refused_claim_never_lets_two_hold_its_key() {
    const CLAIMS: u64 = 150;
    on_threads(async {
        let server = PostgresServer::shared();
        let schema = server.fresh_schema();
        let url = url_of(server, &schema);
        let stores = Arc::new([in_one_lane(&url).await, in_one_lane(&url).await]);
        let holders = Arc::new(AtomicUsize::new(0));
        let over = Arc::new(AtomicBool::new(false));
        let claiming = (0..8_u64).map(|who| {
            let (stores, holders) = (stores.clone(), holders.clone());
            tokio::spawn(async move {
                let store = &stores[usize::from(who % 2 == 0)];
                let mut held = 0;
                for round in 0..CLAIMS {
                    let me = owner(who * CLAIMS + round);
                    let answer = store.insert(claimed_by(1, me)).await.unwrap().value;
                    let Insert::Created(record) = answer else {
                        continue;
                    };
                    assert_eq!(record.owner, me);
                    assert_eq!(
                        holders.fetch_add(1, Ordering::SeqCst),
                        0,
                        "two hold one key"
                    );
                    held += 1;
                    holders.fetch_sub(1, Ordering::SeqCst);
                    let expect = Expect {
                        owner: me,
                        revision: None,
                    };
                    let released = store.update(id(1), expect, Change::Release).await.unwrap();
                    assert_eq!(released.value, Update::Applied(None));
                }
                held
            })
        });
        let claiming: Vec<_> = claiming.collect();
        // Removes what was given up as fast as it can: a purge comes a day later.
        let purger = by_hand(server).await;
        let purging = tokio::spawn({
            let over = over.clone();
            async move {
                let delete = format!("DELETE FROM {schema}.record WHERE state = 'released'");
                while !over.load(Ordering::SeqCst) {
                    purger.batch_execute(&delete).await.unwrap();
                }
            }
        });
        let held: u64 = join_all(claiming)
            .await
            .into_iter()
            .map(Result::unwrap)
            .sum();
        over.store(true, Ordering::SeqCst);
        purging.await.unwrap();
        assert!(held > 0, "nobody ever held the key");
    });
}

/// Ten at once: each record goes once, and a record that somebody has locked holds up nobody.
#[test]
fn purges_go_beside_each_other_and_beside_claims() {
    const RECORDS: u64 = 300;
    on_threads(async {
        let server = PostgresServer::shared();
        let schema = server.fresh_schema();
        let url = url_of(server, &schema);
        let stores = join_all((0..10).map(|_| in_one_lane(&url))).await;
        join_all((0..RECORDS).map(|number| completed(&stores[0], number, b"paid"))).await;
        let past = harness::KEPT.live + harness::KEPT.tombstone + harness::LEASE;
        for store in &stores {
            let micros = u64::try_from(past.as_micros()).unwrap();
            store.ahead().fetch_add(micros, Ordering::Relaxed);
        }
        let mut other = by_hand(server).await;
        let transaction = other.transaction().await.unwrap();
        let lock = format!(
            "SELECT 1 FROM {schema}.record WHERE id = {} FOR UPDATE",
            hex(id(7))
        );
        transaction.batch_execute(&lock).await.unwrap();
        let purged = join_all(stores.iter().map(|store| harness::purge(store))).await;
        let removed: usize = purged.into_iter().map(|(_stripped, removed)| removed).sum();
        assert_eq!(removed, usize::try_from(RECORDS).unwrap() - 1);
        // A claim beside it, of a key whose record has just gone.
        claim(&stores[0], 8).await;
        transaction.commit().await.unwrap();
        let (_stripped, removed) = harness::purge(&stores[1]).await;
        assert_eq!(removed, 1, "what was locked is left to the next round");
        let listed = stores[2]
            .list(oncegate::store::Filter::default(), None, 10)
            .await
            .unwrap();
        let ids: HashSet<RecordId> = listed.value.records.iter().map(|r| r.id).collect();
        assert_eq!(ids, HashSet::from([id(8)]));
    });
}
