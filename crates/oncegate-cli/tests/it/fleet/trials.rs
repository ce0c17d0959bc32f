//! A fleet on each store. A failure prints its seed, and where the logs are.

use std::time::Duration;

use super::fire::Fire;
use super::servers::{Cluster, Ground, Postgres, Single};
use super::unfenced::Unfenced;
use crate::harness::Stage;

/// M-10, M-11, M-14, M-22, M-23: a minute of fire, and no key runs twice, is answered in two ways, or hangs.
#[tokio::test]
async fn three_proxies_on_one_redis_hold_every_promise_under_fire() {
    let stage = Stage::new().await;
    let redis = Single::start(stage.folder()).await;
    let fire = Fire {
        name: "redis",
        reexecutes: false,
        round: Duration::from_secs(60),
    };
    let url = redis.url();
    fire.burn(&stage, &url, redis).await.must_be_whole();
}

#[tokio::test]
async fn three_proxies_on_one_postgresql_hold_every_promise_under_fire() {
    let stage = Stage::new().await;
    let postgres = Postgres::start().await;
    let fire = Fire {
        name: "postgres",
        reexecutes: false,
        round: Duration::from_secs(60),
    };
    let url = postgres.url();
    fire.burn(&stage, &url, postgres).await.must_be_whole();
}

/// The one policy that permits a second execution permits it after an unknown alone, under a higher fence.
#[tokio::test]
async fn three_proxies_that_execute_again_do_so_only_after_an_unknown() {
    let stage = Stage::new().await;
    let redis = Single::start(stage.folder()).await;
    let fire = Fire {
        name: "redis-reexecute",
        reexecutes: true,
        round: Duration::from_secs(20),
    };
    let url = redis.url();
    fire.burn(&stage, &url, redis).await.must_be_whole();
}

#[tokio::test]
async fn three_proxies_on_one_cluster_hold_every_promise_under_fire() {
    let stage = Stage::new().await;
    let cluster = Cluster::start(stage.folder()).await;
    let fire = Fire {
        name: "redis-cluster",
        reexecutes: false,
        round: Duration::from_secs(20),
    };
    let url = cluster.url();
    fire.burn(&stage, &url, cluster).await.must_be_whole();
}

/// The same fire, and the checker sees what a store that does not ask who writes lets happen.
#[tokio::test]
async fn a_store_that_does_not_ask_who_writes_is_found_out() {
    let stage = Stage::new().await;
    let redis = Single::start(stage.folder()).await;
    let unfenced = Unfenced::before(redis.address()).await;
    let fire = Fire {
        name: "unfenced",
        reexecutes: true,
        round: Duration::from_secs(20),
    };
    let burnt = fire.burn(&stage, &unfenced.url(), redis).await;
    assert!(unfenced.forged() > 0, "the script asks in other words now");
    burnt.must_be_broken();
}
