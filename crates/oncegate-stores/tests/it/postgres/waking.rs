//! Those who wait for a record hear of what another process did to it, and nobody is told what nobody waits for.

use std::time::Duration;

use oncegate::Store;
use oncegate::store::Change;
use tokio::time::{Instant, timeout};

use super::pgbouncer::PgBouncer;
use super::server::PostgresServer;
use super::{again, open};
use crate::harness::{claim, complete, completed, id, on_threads as block_on, update};

/// Two stores know nothing of each other but by the server. What is said before both of them listen is lost, as it may
/// be: the watch is then tried again.
async fn is_woken(waits: &dyn Store, changes: &dyn Store, first: u64) {
    let began = Instant::now();
    for number in first.. {
        claim(changes, number).await;
        let woken = waits.watch(id(number));
        // The word of the one who waits may come before the change, or after it.
        if number % 2 == 0 {
            tokio::task::yield_now().await;
        }
        update(changes, number, complete(b"paid")).await.unwrap();
        if timeout(Duration::from_millis(200), woken).await.is_ok() {
            return;
        }
        assert!(began.elapsed() < WAKE_TIMEOUT, "nobody was woken");
    }
}

#[test]
fn a_change_by_one_store_wakes_those_who_watch_in_another() {
    let server = PostgresServer::shared();
    block_on(async {
        let url = server.fresh_url();
        let (waits, changes) = (open(&url).await, open(&url).await);
        is_woken(&waits, &changes, 1).await;
        // Both listen by now: none is lost.
        for number in 1_000..1_020 {
            claim(&changes, number).await;
            let woken = waits.watch(id(number));
            update(&changes, number, complete(b"paid")).await.unwrap();
            timeout(WAKE_TIMEOUT, woken).await.unwrap();
        }
    });
}

#[test]
fn many_who_wait_for_many_records_are_all_woken() {
    let server = PostgresServer::shared();
    block_on(async {
        let url = server.fresh_url();
        let (waits, changes) = (open(&url).await, open(&url).await);
        is_woken(&waits, &changes, 1_000).await;
        let mut waiting = Vec::new();
        for number in 0..300 {
            claim(&changes, number).await;
            waiting.push(waits.watch(id(number)));
            waiting.push(waits.watch(id(number)));
        }
        for number in 0..300 {
            update(&changes, number, complete(b"paid")).await.unwrap();
        }
        for woken in waiting {
            timeout(WAKE_TIMEOUT, woken).await.unwrap();
        }
    });
}

#[test]
fn a_release_wakes_too() {
    let server = PostgresServer::shared();
    block_on(async {
        let url = server.fresh_url();
        let (waits, changes) = (open(&url).await, open(&url).await);
        is_woken(&waits, &changes, 1).await;
        claim(&changes, 0).await;
        let woken = waits.watch(id(0));
        update(&changes, 0, Change::Release).await.unwrap();
        timeout(WAKE_TIMEOUT, woken).await.unwrap();
    });
}

#[test]
fn others_are_heard_again_after_a_restart() {
    let mut server = PostgresServer::start(&[]);
    block_on(async {
        let url = server.url();
        let (waits, changes) = (open(&url).await, open(&url).await);
        is_woken(&waits, &changes, 1).await;
        server.kill();
        server.start_again();
        again(&changes).await;
        is_woken(&waits, &changes, 1_000).await;
    });
}

/// A `NOTIFY` is a commit of its own: there is none for a change that nobody waits for.
#[test]
fn nobody_is_told_of_changes_that_nobody_waits_for() {
    let server = PostgresServer::start(&["log_statement=all"]);
    let told = || server.log().matches("NOTIFY").count();
    block_on(async {
        let url = server.url();
        let (waits, changes) = (open(&url).await, open(&url).await);
        for number in 0..50 {
            completed(&changes, number, b"paid").await;
        }
        assert_eq!(told(), 0);
        is_woken(&waits, &changes, 1_000).await;
        let after_one = told();
        assert!(
            after_one >= 2,
            "who waits says so, and is told: {after_one}"
        );
        for number in 100..150 {
            completed(&changes, number, b"paid").await;
        }
        assert_eq!(told(), after_one);
        // One session each, for however many wait.
        let listening = server.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'NOTIFY%' OR query LIKE '%LISTEN%pg_backend_pid%' \
             AND pid <> pg_backend_pid()",
        );
        assert_eq!(listening, "2");
    });
}

/// Nobody can be heard behind a PgBouncer in transaction mode. Those of the same process are woken all the same.
#[test]
fn behind_a_pgbouncer_those_of_the_same_process_are_woken_and_nobody_listens() {
    let server = PostgresServer::start(&["log_statement=all"]);
    let bouncer = PgBouncer::before(&server);
    block_on(async {
        let store = open(&bouncer.url()).await;
        claim(&store, 1).await;
        let woken = store.watch(id(1));
        update(&store, 1, complete(b"paid")).await.unwrap();
        timeout(WAKE_TIMEOUT, woken).await.unwrap();
    });
    let log = server.log();
    assert!(!log.contains("LISTEN") && !log.contains("NOTIFY"), "{log}");
}

const WAKE_TIMEOUT: Duration = Duration::from_secs(20);
