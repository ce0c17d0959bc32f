//! The PostgreSQL store on real servers: one that all tests share, a schema each, and some of a test's own to strike.

mod clock;
mod faults;
mod late;
mod migrations;
mod pgbouncer;
mod races;
mod server;
mod suite;
mod tls;
mod waking;

use std::time::Duration;

use oncegate::Store;
use oncegate_stores::{PostgresAddress, PostgresStore};
use tokio::time::{Instant, sleep};

async fn open(url: &str) -> PostgresStore {
    let address: PostgresAddress = url.parse().unwrap();
    PostgresStore::open(&address).await.unwrap()
}

/// Until a store answers again that is told by nobody that its server is back.
async fn again(store: &PostgresStore) {
    let began = Instant::now();
    while store.ping().await.is_err() {
        assert!(
            began.elapsed() < AGAIN_TIMEOUT,
            "the store did not connect again"
        );
        sleep(Duration::from_millis(10)).await;
    }
}

const AGAIN_TIMEOUT: Duration = Duration::from_secs(30);
