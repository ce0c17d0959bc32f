//! The Redis store passes the store suite, on one server and on a Cluster.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use oncegate::testing::SuiteStore;
use oncegate::testing::store_suite::SuiteInspect;
use oncegate::{Inspect, Store};
use oncegate_stores::RedisStore;

use super::cluster::Cluster;
use super::server::RedisServer;
use crate::harness::on_threads as block_on;

/// A store, and the servers that it needs.
struct Fresh<Servers> {
    store: Arc<RedisStore>,
    _servers: Servers,
}

impl<Servers: Send + Sync + 'static> SuiteStore for Fresh<Servers> {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn advance(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).unwrap();
        self.store.ahead().fetch_add(micros, Ordering::Relaxed);
    }

    fn wakes_watchers(&self) -> bool {
        true
    }
}

impl<Servers: Send + Sync + 'static> SuiteInspect for Fresh<Servers> {
    fn inspect(&self) -> Arc<dyn Inspect> {
        self.store.clone()
    }
}

async fn on_one_server() -> Fresh<RedisServer> {
    let server = RedisServer::start(&[]);
    Fresh {
        store: Arc::new(server.open().await),
        _servers: server,
    }
}

/// One Cluster for all: to form one takes seconds. Each test has a prefix of its own.
async fn on_a_cluster() -> Fresh<&'static Cluster> {
    let cluster = Cluster::shared();
    Fresh {
        store: Arc::new(cluster.open().await),
        _servers: cluster,
    }
}

mod store {
    oncegate::testing::store_suite!(super::on_one_server().await, super::block_on);
}

mod inspect {
    oncegate::testing::inspect_suite!(super::on_one_server().await, super::block_on);
}

mod cluster_store {
    oncegate::testing::store_suite!(super::on_a_cluster().await, super::block_on);
}

mod cluster_inspect {
    oncegate::testing::inspect_suite!(super::on_a_cluster().await, super::block_on);
}
