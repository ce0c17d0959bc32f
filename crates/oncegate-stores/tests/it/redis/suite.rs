//! The Redis store passes the store suite.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use oncegate::testing::SuiteStore;
use oncegate::testing::store_suite::SuiteInspect;
use oncegate::{Inspect, Store};
use oncegate_stores::{RedisOptions, RedisStore};

use super::server::RedisServer;
use crate::harness::on_threads as block_on;

struct Fresh {
    store: Arc<RedisStore>,
    _server: RedisServer,
}

impl SuiteStore for Fresh {
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

impl SuiteInspect for Fresh {
    fn inspect(&self) -> Arc<dyn Inspect> {
        self.store.clone()
    }
}

async fn fresh() -> Fresh {
    let server = RedisServer::start(&[]);
    let store = RedisStore::open(&server.url(), RedisOptions::default())
        .await
        .unwrap();
    Fresh {
        store: Arc::new(store),
        _server: server,
    }
}

mod store {
    oncegate::testing::store_suite!(super::fresh().await, super::block_on);
}

mod inspect {
    oncegate::testing::inspect_suite!(super::fresh().await, super::block_on);
}
