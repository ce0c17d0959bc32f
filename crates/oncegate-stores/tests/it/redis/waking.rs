//! Those who wait for a record hear of what another process did to it.

use std::time::Duration;

use oncegate::Store;
use oncegate::store::Change;
use tokio::time::{Instant, sleep, timeout};

use super::cluster::Cluster;
use super::server::RedisServer;
use crate::harness::{claim, complete, id, on_threads as block_on, update};

/// Two stores know nothing of each other but by the Redis. A message that is sent before the subscription stands is lost,
/// as it may be: the watch is then tried again.
async fn is_woken(waits: &dyn Store, changes: &dyn Store, first: u64) {
    let began = Instant::now();
    for number in first.. {
        claim(changes, number).await;
        let woken = waits.watch(id(number));
        update(changes, number, complete(b"paid")).await.unwrap();
        if timeout(Duration::from_millis(200), woken).await.is_ok() {
            return;
        }
        assert!(began.elapsed() < WAKE_TIMEOUT, "nobody was woken");
    }
}

#[test]
fn a_change_by_one_store_wakes_those_who_watch_in_another() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let (waits, changes) = (server.open().await, server.open().await);
        is_woken(&waits, &changes, 1).await;
        // One subscription, for however many wait.
        let _more: Vec<_> = (100..200).map(|number| waits.watch(id(number))).collect();
        let subscribed = server.cli(&["pubsub", "numsub", "oncegate:changes"]);
        assert_eq!(subscribed.lines().last(), Some("1"), "{subscribed}");
    });
}

#[test]
fn a_release_wakes_too() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let (waits, changes) = (server.open().await, server.open().await);
        is_woken(&waits, &changes, 1).await;
        claim(&changes, 0).await;
        let woken = waits.watch(id(0));
        update(&changes, 0, Change::Release).await.unwrap();
        timeout(WAKE_TIMEOUT, woken).await.unwrap();
    });
}

#[test]
fn the_subscription_is_made_anew_after_a_restart() {
    let mut server = RedisServer::start(&[]);
    block_on(async {
        let (waits, changes) = (server.open().await, server.open().await);
        is_woken(&waits, &changes, 1).await;
        server.restart();
        while changes.ping().await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
        is_woken(&waits, &changes, 1_000).await;
    });
}

#[test]
fn a_change_on_any_node_of_a_cluster_wakes_those_who_listen_on_one() {
    block_on(async {
        let cluster = Cluster::shared();
        let (waits, changes) = cluster.open_two().await;
        is_woken(&waits, &changes, 1).await;
        // Subscribed by now: these ids are spread over all nodes.
        for number in 1_000..1_012 {
            claim(&changes, number).await;
            let woken = waits.watch(id(number));
            update(&changes, number, complete(b"paid")).await.unwrap();
            timeout(WAKE_TIMEOUT, woken).await.unwrap();
        }
    });
}

const WAKE_TIMEOUT: Duration = Duration::from_secs(20);
