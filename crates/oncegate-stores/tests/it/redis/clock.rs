//! Clocks that are set back, or differ from master to master.

use super::server::RedisServer;
use crate::clock;
use crate::harness::on_threads as block_on;

#[test]
fn no_lease_lapses_by_the_time_of_another_answer() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let store = server.open().await;
        clock::no_lease_lapses_by_the_time_of_another_answer(&store, &store.ahead()).await;
    });
}

#[test]
fn a_record_is_never_told_at_a_time_before_its_own() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let store = server.open().await;
        clock::a_record_is_never_told_at_a_time_before_its_own(&store, &store.ahead()).await;
    });
}

#[test]
fn nothing_is_recorded_before_its_claim() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let store = server.open().await;
        clock::nothing_is_recorded_before_its_claim(&store, &store.ahead()).await;
    });
}
