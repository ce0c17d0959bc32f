//! Clocks of servers that are set back, or differ from master to master.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use oncegate::record::{Phase, RecordState};
use oncegate::store::{Filter, Insert, Update};
use oncegate::{Inspect, Store};

use super::server::RedisServer;
use crate::harness::{
    LEASE, claim, complete, get, id, new_record, on_threads as block_on, owner, update,
};

/// One answer from a clock that is ahead, of another master or from before it was set back, once made every lease of
/// this process look lapsed: with `on_unknown = "reexecute"` a duplicate ran beside the first.
#[test]
fn no_lease_lapses_by_the_time_of_another_answer() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let store = Arc::new(server.open().await);
        let ahead = store.ahead();
        ahead.store(micros(LEASE * 2), Ordering::Relaxed);
        get(&*store, 7).await;
        store.ping().await.unwrap();
        ahead.store(0, Ordering::Relaxed);

        claim(&*store, 1).await;
        let mut duplicate = new_record(1);
        duplicate.owner = owner(9);
        let told = store.insert(duplicate).await.unwrap();
        let Insert::Exists(record) = told.value else {
            panic!("the record is gone");
        };
        assert_eq!(record.phase(told.at), Phase::InFlight);
        let in_flight = Filter {
            phase: Some(Phase::InFlight),
            key_digest: None,
        };
        let page = store.list(in_flight, None, 10).await.unwrap().value;
        assert_eq!(page.records.len(), 1);
    });
}

/// The time of an answer is never before what the record says has happened.
#[test]
fn a_record_is_never_told_at_a_time_before_its_own() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let store = server.open().await;
        let ahead = store.ahead();
        ahead.store(micros(LEASE * 2), Ordering::Relaxed);
        let claimed = claim(&store, 1).await;
        ahead.store(0, Ordering::Relaxed);
        assert!(store.get(id(1)).await.unwrap().at >= claimed.created_at);
        ahead.store(micros(LEASE * 3), Ordering::Relaxed);
        let completed = update(&store, 1, complete(b"paid")).await.unwrap();
        ahead.store(0, Ordering::Relaxed);
        let told = store.get(id(1)).await.unwrap();
        assert_eq!(completed, Update::Applied(told.value.clone()));
        let record = told.value.unwrap();
        assert!(matches!(
            record.state,
            RecordState::Completed { completed_at, .. } if completed_at <= told.at
        ));
    });
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap()
}
