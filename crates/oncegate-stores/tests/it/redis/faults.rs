//! A Redis that dies, hangs, forgets, fills up, or holds what is not ours.

use std::error::Error as _;
use std::time::Duration;

use oncegate::record::RecordState;
use oncegate::store::{Change, Expect, Insert, Update};
use oncegate::{Store, StoreErrorKind};
use oncegate_stores::{RedisAddress, RedisOptions, RedisStore};
use tokio::time::{Instant, sleep};

use super::server::RedisServer;
use crate::harness::{
    KEPT, LEASE, claim, complete, completed, get, id, kind, new_record, on_threads as block_on,
    owner, state, update,
};

/// Until a store answers again that is told by nobody that its server is back.
pub(super) async fn again(store: &RedisStore) {
    let began = Instant::now();
    while store.ping().await.is_err() {
        assert!(
            began.elapsed() < RECONNECT_TIMEOUT,
            "the store did not connect again"
        );
        sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn a_dead_redis_is_unavailable_and_a_new_one_is_used_without_being_asked() {
    let mut server = RedisServer::start(&[]);
    block_on(async {
        let store = server.open().await;
        completed(&store, 1, b"paid").await;
        server.kill();
        assert_eq!(kind(store.get(id(1)).await), StoreErrorKind::Unavailable);
        assert_eq!(
            kind(store.insert(new_record(2)).await),
            StoreErrorKind::Unavailable
        );
        server.restart();
        again(&store).await;
        claim(&store, 2).await;
    });
}

#[test]
fn a_hung_redis_is_unavailable_after_the_time_that_it_may_take() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let address: RedisAddress = server.url().parse().unwrap();
        let mut options = RedisOptions::default();
        options.connect_timeout = Duration::from_millis(100);
        options.answer_timeout = Duration::from_millis(100);
        let store = RedisStore::open_with(&address, options).await.unwrap();
        server.stop();
        assert_eq!(
            kind(store.insert(new_record(1)).await),
            StoreErrorKind::Unavailable
        );
        server.go_on();
        again(&store).await;
        // Whether the insert had its effect is not known, but its owner gets its claim in either case.
        claim(&store, 1).await;
    });
}

/// The memory is gone, the key was free and is taken again: the first holder must not write over the second.
#[test]
fn a_holder_from_before_a_restart_without_memory_stays_stale() {
    let mut server = RedisServer::start(&[]);
    block_on(async {
        let store = server.open().await;
        let first = claim(&store, 1).await;
        server.restart();
        again(&store).await;
        let mut new = new_record(1);
        new.owner = owner(2);
        let Insert::Created(second) = store.insert(new).await.unwrap().value else {
            panic!("the memory is not gone");
        };
        assert!(second.fence > first.fence);
        let late = update(&store, 1, complete(b"late")).await.unwrap();
        assert_eq!(late, Update::Refused(Some(second.clone())));
        let late = update(&store, 1, Change::Release).await.unwrap();
        assert_eq!(late, Update::Refused(Some(second)));
    });
}

/// One in flight whose record is gone is not entered again by its completion: nobody knows who stands there next.
#[test]
fn a_completion_after_a_restart_without_memory_is_refused_and_told_that_nothing_stands_there() {
    let mut server = RedisServer::start(&[]);
    block_on(async {
        let store = server.open().await;
        claim(&store, 1).await;
        server.restart();
        again(&store).await;
        let late = update(&store, 1, complete(b"paid")).await.unwrap();
        assert_eq!(late, Update::Refused(None));
    });
}

#[test]
fn a_full_redis_refuses_new_keys_and_keeps_recording_and_replaying() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let store = server.open().await;
        let before = completed(&store, 1, b"paid").await;
        claim(&store, 2).await;
        claim(&store, 3).await;
        server.cli(&["config", "set", "maxmemory", "1"]);

        assert_eq!(
            kind(store.insert(new_record(4)).await),
            StoreErrorKind::Full
        );
        let mut duplicate = new_record(1);
        duplicate.owner = owner(9);
        let told = store.insert(duplicate).await.unwrap().value;
        assert_eq!(told, Insert::Exists(before.clone()));
        assert_eq!(get(&store, 1).await, Some(before));
        // What was executed is recorded, renewed and released all the same.
        let renew = Change::Renew {
            lease: LEASE,
            unknown: KEPT,
        };
        assert!(matches!(
            update(&store, 2, renew).await.unwrap(),
            Update::Applied(Some(_))
        ));
        update(&store, 2, complete(b"paid")).await.unwrap();
        assert!(matches!(
            state(&store, 2).await,
            Some(RecordState::Completed { .. })
        ));
        let released = update(&store, 3, Change::Release).await.unwrap();
        assert_eq!(released, Update::Applied(None));

        server.cli(&["config", "set", "maxmemory", "0"]);
        assert_eq!(
            get(&store, 4).await,
            None,
            "a refused insert left something"
        );
        claim(&store, 4).await;
    });
}

#[test]
fn a_redis_that_has_forgotten_the_scripts_is_told_them_again() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let store = server.open().await;
        claim(&store, 1).await;
        server.cli(&["script", "flush"]);
        update(&store, 1, complete(b"paid")).await.unwrap();
        server.cli(&["script", "flush"]);
        assert!(get(&store, 1).await.is_some());
    });
    // Once for each script that was forgotten, and once for the first that was not known.
    let calls = server.cli(&["info", "commandstats"]);
    assert!(calls.contains("cmdstat_eval:calls=3,"), "{calls}");
}

#[test]
fn what_no_script_of_ours_wrote_is_corrupt_and_stays_as_it_is() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let store = server.open().await;
        completed(&store, 1, b"paid").await;
        let key = |number| format!("oncegate:{{{}}}", id(number));
        server.cli(&["set", &key(2), "somebody else's"]);
        server.cli(&["hset", &key(1), "f", "no number"]);
        for number in [1, 2] {
            assert_eq!(
                kind(store.get(id(number)).await),
                StoreErrorKind::Corrupt,
                "{number}"
            );
            let mut new = new_record(number);
            new.owner = owner(9);
            assert_eq!(kind(store.insert(new).await), StoreErrorKind::Corrupt);
            let change = update(&store, number, Change::Release).await;
            assert_eq!(kind(change), StoreErrorKind::Corrupt);
        }
        assert_eq!(server.cli(&["get", &key(2)]), "somebody else's");
    });
}

/// It cannot be told then whether nothing took effect: the change was made, and what it left cannot be read.
#[test]
fn a_change_that_was_made_and_cannot_be_read_back_may_have_taken_effect() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let store = server.open().await;
        claim(&store, 1).await;
        let key = format!("oncegate:{{{}}}", id(1));
        server.cli(&["hset", &key, "k", "too long for a digest"]);
        // Nothing took effect where it is only looked at.
        assert_eq!(kind(store.get(id(1)).await), StoreErrorKind::Corrupt);
        let change = update(&store, 1, complete(b"paid")).await;
        assert_eq!(kind(change), StoreErrorKind::Unavailable);
        assert_eq!(server.cli(&["hget", &key, "s"]), "2");
    });
}

/// A Redis that became a replica, or lost its replicas, refuses writes: another one may stand in for it soon.
#[test]
fn a_redis_that_takes_no_writes_is_unavailable() {
    let server = RedisServer::start(&["--replica-read-only", "yes"]);
    block_on(async {
        let store = server.open().await;
        claim(&store, 1).await;
        server.cli(&["config", "set", "min-replicas-to-write", "1"]);
        assert_eq!(
            kind(store.insert(new_record(2)).await),
            StoreErrorKind::Unavailable
        );
        server.cli(&["config", "set", "min-replicas-to-write", "0"]);
        server.cli(&["replicaof", "127.0.0.1", "1"]);
        let change = update(&store, 1, complete(b"paid")).await;
        assert_eq!(kind(change), StoreErrorKind::Unavailable);
    });
}

/// The salt is looked after with each purge. Where that wanted to write, a full Redis refused it, and with it every
/// request until memory was freed, replays included.
#[test]
fn a_full_redis_replays_after_a_purge_and_after_a_broken_connection() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let store = server.open().await;
        store.info().await.unwrap();
        let before = completed(&store, 1, b"paid").await;
        server.cli(&["config", "set", "maxmemory", "1"]);
        let mut duplicate = new_record(1);
        duplicate.owner = owner(9);
        store.purge(100).await.unwrap();
        let told = store.insert(duplicate.clone()).await.unwrap().value;
        assert_eq!(told, Insert::Exists(before.clone()));
        server.cli(&["client", "kill", "type", "normal"]);
        again(&store).await;
        let told = store.insert(duplicate).await.unwrap().value;
        assert_eq!(told, Insert::Exists(before));
    });
}

/// A message that tells of a change is a hint. Where the user may not send one, a take-over had its effect and was
/// answered as failed: nobody executed, each time for a whole lease.
#[test]
fn a_user_who_may_not_tell_of_changes_changes_records_all_the_same() {
    let server = RedisServer::start(&[]);
    server.cli(&[
        "acl",
        "setuser",
        "mute",
        "on",
        ">hunter2",
        "~*",
        "+@all",
        "resetchannels",
    ]);
    block_on(async {
        let url = format!("redis://mute:hunter2@{}", server.address());
        let address: RedisAddress = url.parse().unwrap();
        let store = RedisStore::open(&address).await.unwrap();
        let lapsed = claim(&store, 1).await;
        let expect = Expect {
            owner: lapsed.owner,
            revision: Some(lapsed.revision),
        };
        let change = Change::TakeOver {
            owner: owner(9),
            lease: LEASE,
            unknown: KEPT,
        };
        let taken = store.update(id(1), expect, change).await.unwrap().value;
        assert!(matches!(taken, Update::Applied(Some(_))), "{taken:?}");
    });
}

/// Nothing took effect, so it says: a release whose record had no fence that is a number took the record first, and
/// noticed then.
#[test]
fn a_record_whose_fence_is_damaged_is_not_released() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let store = server.open().await;
        claim(&store, 1).await;
        let key = format!("oncegate:{{{}}}", id(1));
        for damage in ["", "no number", "nan", "-1", "1e3", "0x10"] {
            server.cli(&["hset", &key, "f", damage]);
            let change = update(&store, 1, Change::Release).await;
            assert_eq!(kind(change), StoreErrorKind::Corrupt, "{damage:?}");
            assert_eq!(server.cli(&["exists", &key]), "1", "{damage:?}");
        }
    });
}

/// The policy is read at the start, after a connection broke, and with each purge.
#[test]
fn a_redis_that_was_set_to_evict_keys_takes_no_new_ones_until_that_is_mended() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let store = server.open().await;
        claim(&store, 1).await;
        server.cli(&["config", "set", "maxmemory-policy", "allkeys-lru"]);
        server.cli(&["client", "kill", "type", "normal"]);
        again(&store).await;
        for _request in 0..2 {
            let refused = store.insert(new_record(2)).await.unwrap_err();
            assert_eq!(refused.kind(), StoreErrorKind::Unfit);
            let reason = refused.source().unwrap().to_string();
            assert!(
                reason.contains("CONFIG SET maxmemory-policy noeviction"),
                "{reason}"
            );
        }
        // What is under way is recorded all the same.
        update(&store, 1, complete(b"paid")).await.unwrap();
        server.cli(&["config", "set", "maxmemory-policy", "noeviction"]);
        claim(&store, 2).await;

        server.cli(&["config", "set", "maxmemory-policy", "volatile-ttl"]);
        assert_eq!(kind(store.purge(100).await), StoreErrorKind::Unfit);
        assert_eq!(
            kind(store.insert(new_record(3)).await),
            StoreErrorKind::Unfit
        );
    });
}

/// The bytes go by Redis's own clock, whether anybody purges or not.
#[test]
fn redis_itself_ends_bodies_and_records_at_their_times_and_never_by_the_lease() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let store = server.open().await;
        claim(&store, 1).await;
        completed(&store, 2, b"paid").await;
        let ends = |number: u64, suffix: &str| -> u64 {
            let key = format!("oncegate:{{{}}}{suffix}", id(number));
            let millis = server.cli(&["pexpiretime", &key]).parse::<i64>().unwrap();
            u64::try_from(millis).expect("the key has no end")
        };
        for number in [1, 2] {
            let record = get(&store, number).await.unwrap();
            let purge_at = record.purge_at.as_micros().div_ceil(1000);
            assert_eq!(ends(number, ""), purge_at);
        }
        let record = get(&store, 2).await.unwrap();
        assert_eq!(
            ends(2, ":body"),
            record.expires_at.as_micros().div_ceil(1000)
        );
    });
}

const RECONNECT_TIMEOUT: Duration = Duration::from_secs(20);
