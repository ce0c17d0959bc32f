//! Replicas that take the place of a master, and answers that are lost on the way: what is lost, and what a caller sees.

use std::time::Duration;

use oncegate::record::{OwnerId, Record, RecordState};
use oncegate::store::{Change, Expect, Insert, Update};
use oncegate::{Store, StoreErrorKind};
use oncegate_stores::RedisStore;
use tokio::time::{Instant, sleep};

use super::relay::Relay;
use super::server::RedisServer;
use crate::harness::{
    KEPT, LEASE, claim, complete, completed, get, id, kind, new_record, on_threads as block_on,
    owner, update,
};

/// A replica of `master` that has all of its writes.
pub(super) fn replica_of(master: &RedisServer) -> RedisServer {
    let port = master.address().port().to_string();
    let replica = RedisServer::start(&["--replicaof", &format!("127.0.0.1 {port}")]);
    catches_up(master, &replica);
    replica
}

/// Until the replica has what the master wrote.
pub(super) fn catches_up(master: &RedisServer, replica: &RedisServer) {
    let began = Instant::now();
    while !(replica.tells("replication", "master_link_status") == "up"
        && replica.tells("replication", "slave_repl_offset")
            == master.tells("replication", "master_repl_offset"))
    {
        assert!(began.elapsed() < FOLLOW_TIMEOUT, "the replica lags");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// As those do who hold a claim: until the store gives a definite answer.
async fn until_definite(store: &RedisStore, number: u64, change: Change) -> Update {
    let began = Instant::now();
    loop {
        match update(store, number, change.clone()).await {
            Ok(update) => return update,
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable),
        }
        assert!(
            began.elapsed() < FOLLOW_TIMEOUT,
            "the store does not follow"
        );
        sleep(Duration::from_millis(20)).await;
    }
}

async fn insert_by(store: &RedisStore, number: u64, owner: OwnerId) -> Insert {
    let mut new = new_record(number);
    new.owner = owner;
    store.insert(new).await.unwrap().value
}

fn is_in_flight(record: &Record) -> bool {
    matches!(record.state, RecordState::InFlight { .. })
}

/// The replica is promoted while the old master still takes writes for a moment: the window of every failover. All that
/// was answered in it is lost, and nothing else is.
#[test]
fn a_failover_forgets_the_writes_of_its_window_and_no_stale_holder_writes_over_another() {
    let mut master = RedisServer::start(&[]);
    block_on(async {
        let relay = Relay::to(master.address());
        let store = relay.open().await;
        let before = completed(&store, 1, b"paid").await;
        for number in [3, 4] {
            claim(&store, number).await;
        }
        let replica = replica_of(&master);
        replica.cli(&["replicaof", "no", "one"]);

        // The window: a claim, a completion and a release, all answered as done.
        let claimed = claim(&store, 2).await;
        let paid = update(&store, 3, complete(b"paid")).await.unwrap();
        assert!(matches!(paid, Update::Applied(Some(_))));
        let released = update(&store, 4, Change::Release).await.unwrap();
        assert_eq!(released, Update::Applied(None));
        relay.turn_to(replica.address());
        master.kill();

        // What was replicated is replayed.
        assert!(matches!(
            until_definite(&store, 1, complete(b"other")).await,
            Update::Applied(Some(record)) if record == before
        ));
        // The claim is lost: its key is free, and a retry executes. The first holder is stale from then on.
        let Insert::Created(second) = insert_by(&store, 2, owner(9)).await else {
            panic!("the claim of the window is not lost");
        };
        assert!(second.fence > claimed.fence);
        let late = update(&store, 2, complete(b"late")).await.unwrap();
        assert_eq!(late, Update::Refused(Some(second)));
        // The completion is lost: in flight once more, later unknown, never free.
        let Insert::Exists(lost) = insert_by(&store, 3, owner(9)).await else {
            panic!("a key that was executed is free");
        };
        assert!(is_in_flight(&lost), "{lost:?}");
        // The release is lost: the key is in flight until the lease ends.
        assert!(matches!(
            insert_by(&store, 4, owner(9)).await,
            Insert::Exists(record) if is_in_flight(&record)
        ));
        // Late truth: a holder that still knows its outcome enters it.
        let again = update(&store, 3, complete(b"paid")).await.unwrap();
        assert!(matches!(again, Update::Applied(Some(_))));
    });
}

/// A name that means another server now, while the old one lives on as its replica. The connection to it does not break,
/// so once nobody left it: every write was refused until a restart.
#[test]
fn a_master_that_became_a_replica_is_left_for_the_one_that_took_its_place() {
    let old = RedisServer::start(&[]);
    block_on(async {
        let relay = Relay::to(old.address());
        let store = relay.open().await;
        claim(&store, 1).await;
        let new = replica_of(&old);
        new.cli(&["replicaof", "no", "one"]);
        let port = new.address().port().to_string();
        old.cli(&["replicaof", "127.0.0.1", &port]);
        relay.turn_to(new.address());

        let refused = update(&store, 1, complete(b"paid")).await;
        assert_eq!(kind(refused), StoreErrorKind::Unavailable);
        let paid = until_definite(&store, 1, complete(b"paid")).await;
        assert!(matches!(paid, Update::Applied(Some(_))));
        let here = get(&new.open().await, 1).await.unwrap();
        assert!(matches!(here.state, RecordState::Completed { .. }));
    });
}

/// The server did it, and the connection ended in place of the answer. Whoever asks again hears what was done.
#[test]
fn a_write_whose_answer_was_lost_is_answered_alike_when_it_is_asked_again() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let relay = Relay::to(server.address());
        let store = relay.open().await;
        let beside = server.open().await;
        // The server knows the scripts: the next answer is that of the write.
        completed(&store, 0, b"paid").await;
        claim(&store, 2).await;

        relay.lose_next_answer();
        let lost = store.insert(new_record(1)).await;
        assert_eq!(kind(lost), StoreErrorKind::Unavailable);
        let stands = get(&beside, 1).await.unwrap();
        let again = loop {
            if let Ok(told) = store.insert(new_record(1)).await {
                break told.value;
            }
        };
        assert_eq!(again, Insert::Created(stands));

        let renew = Change::Renew {
            lease: LEASE,
            unknown: KEPT,
        };
        for (number, change) in [
            (1, renew),
            (1, Change::MarkUnknown { unknown: KEPT }),
            (1, complete(b"paid")),
            (2, Change::Release),
        ] {
            relay.lose_next_answer();
            let lost = update(&store, number, change.clone()).await;
            assert_eq!(kind(lost), StoreErrorKind::Unavailable, "{change:?}");
            assert!(relay.has_lost_it());
            let stands = get(&beside, number).await.map(|record| record.state);
            let again = until_definite(&store, number, change.clone()).await;
            let Update::Applied(told) = again else {
                panic!("{change:?}: {again:?}");
            };
            // A renewal that is asked for again renews again.
            if !matches!(change, Change::Renew { .. }) {
                assert_eq!(told.map(|record| record.state), stands, "{change:?}");
            }
        }
    });
}

/// A take-over has a new owner each time: one whose answer was lost holds the key for one lease, and no longer.
#[test]
fn a_take_over_whose_answer_was_lost_is_in_flight_for_one_lease() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let relay = Relay::to(server.address());
        let store = relay.open().await;
        let lapsed = claim(&store, 1).await;
        update(&store, 1, Change::MarkUnknown { unknown: KEPT })
            .await
            .unwrap();
        let expect = Expect {
            owner: lapsed.owner,
            revision: Some(lapsed.revision + 1),
        };
        let take_over = Change::TakeOver {
            owner: owner(9),
            lease: LEASE,
            unknown: KEPT,
        };
        relay.lose_next_answer();
        let lost = store.update(id(1), expect, take_over).await;
        assert_eq!(kind(lost), StoreErrorKind::Unavailable);
        let record = get(&server.open().await, 1).await.unwrap();
        let RecordState::InFlight { lease_expires_at } = record.state else {
            panic!("{record:?}");
        };
        assert_eq!(record.owner, owner(9));
        assert!(record.fence > lapsed.fence);
        let now = server.open().await.ping().await.unwrap().at;
        assert!(lease_expires_at <= now.after(LEASE));
    });
}

const FOLLOW_TIMEOUT: Duration = Duration::from_secs(20);
