//! The PostgreSQL store passes the store suite, on a server and behind a PgBouncer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use oncegate::testing::SuiteStore;
use oncegate::testing::store_suite::SuiteInspect;
use oncegate::{Inspect, Store};
use oncegate_stores::PostgresStore;

use super::pgbouncer::PgBouncer;
use super::server::PostgresServer;
use crate::harness::on_threads as block_on;

/// A store with a schema of its own.
struct Fresh(Arc<PostgresStore>);

impl Fresh {
    async fn at(url: &str) -> Self {
        let address = url.parse().unwrap();
        Self(Arc::new(PostgresStore::open(&address).await.unwrap()))
    }
}

impl SuiteStore for Fresh {
    fn store(&self) -> Arc<dyn Store> {
        self.0.clone()
    }

    fn advance(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).unwrap();
        self.0.ahead().fetch_add(micros, Ordering::Relaxed);
    }

    fn wakes_watchers(&self) -> bool {
        true
    }
}

impl SuiteInspect for Fresh {
    fn inspect(&self) -> Arc<dyn Inspect> {
        self.0.clone()
    }
}

async fn on_a_server() -> Fresh {
    Fresh::at(&PostgresServer::shared().fresh_url()).await
}

async fn behind_a_pool() -> Fresh {
    let schema = PostgresServer::shared().fresh_schema();
    Fresh::at(&PgBouncer::shared().url_of(&schema)).await
}

mod store {
    oncegate::testing::store_suite!(super::on_a_server().await, super::block_on);
}

mod inspect {
    oncegate::testing::inspect_suite!(super::on_a_server().await, super::block_on);
}

mod pooled_store {
    oncegate::testing::store_suite!(super::behind_a_pool().await, super::block_on);
}

mod pooled_inspect {
    oncegate::testing::inspect_suite!(super::behind_a_pool().await, super::block_on);
}
