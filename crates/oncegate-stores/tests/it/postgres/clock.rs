//! Clocks that are set back, or differ after a failover.

use oncegate_stores::PostgresStore;

use super::server::PostgresServer;
use crate::clock;
use crate::harness::on_threads as block_on;

#[test]
fn no_lease_lapses_by_the_time_of_another_answer() {
    let address = PostgresServer::shared().fresh_url().parse().unwrap();
    block_on(async {
        let store = PostgresStore::open(&address).await.unwrap();
        clock::no_lease_lapses_by_the_time_of_another_answer(&store, &store.ahead()).await;
    });
}

#[test]
fn a_record_is_never_told_at_a_time_before_its_own() {
    let address = PostgresServer::shared().fresh_url().parse().unwrap();
    block_on(async {
        let store = PostgresStore::open(&address).await.unwrap();
        clock::a_record_is_never_told_at_a_time_before_its_own(&store, &store.ahead()).await;
    });
}

#[test]
fn nothing_is_recorded_before_its_claim() {
    let address = PostgresServer::shared().fresh_url().parse().unwrap();
    block_on(async {
        let store = PostgresStore::open(&address).await.unwrap();
        clock::nothing_is_recorded_before_its_claim(&store, &store.ahead()).await;
    });
}
