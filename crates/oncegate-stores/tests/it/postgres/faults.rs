//! A PostgreSQL that dies, hangs, fills up, takes no writes, or loses what is ours; and a PgBouncer that dies before it.

use std::time::Duration;

use oncegate::StoreErrorKind;
use oncegate::record::RecordState;
use oncegate::store::{Change, Insert, Store, Update};
use oncegate_stores::{OpenError, PostgresAddress, PostgresOptions, PostgresStore};

use super::pgbouncer::PgBouncer;
use super::server::PostgresServer;
use super::{again, open};
use crate::harness::{
    KEPT, LEASE, claim, complete, completed, get, id, kind, new_record, on_threads as block_on,
    owner, state, update,
};

/// One that gives up on an answer soon.
async fn impatient(url: &str) -> PostgresStore {
    let address: PostgresAddress = url.parse().unwrap();
    let mut options = PostgresOptions::default();
    options.connect_timeout = Duration::from_millis(200);
    options.answer_timeout = Duration::from_millis(200);
    PostgresStore::open_with(&address, options).await.unwrap()
}

/// All that a caller can ask is refused as unavailable, and none of it hangs.
async fn must_be_unavailable(store: &PostgresStore) {
    must_refuse_keys(store).await;
    assert_eq!(kind(store.ping().await), StoreErrorKind::Unavailable);
    assert_eq!(kind(store.purge(10).await), StoreErrorKind::Unavailable);
}

async fn must_refuse_keys(store: &PostgresStore) {
    assert_eq!(kind(store.get(id(1)).await), StoreErrorKind::Unavailable);
    assert_eq!(
        kind(store.insert(new_record(900)).await),
        StoreErrorKind::Unavailable
    );
    assert_eq!(
        kind(update(store, 1, complete(b"paid")).await),
        StoreErrorKind::Unavailable
    );
}

/// All that was answered is there after the power was cut, and the store needs no hand.
#[test]
fn a_killed_postgresql_is_unavailable_and_is_used_again_with_all_that_was_answered() {
    let mut server = PostgresServer::start(&[]);
    block_on(async {
        let store = open(&server.url()).await;
        let before = completed(&store, 1, b"paid").await;
        let held = claim(&store, 2).await;
        server.kill();
        must_be_unavailable(&store).await;
        server.start_again();
        again(&store).await;
        assert_eq!(get(&store, 1).await, Some(before));
        assert_eq!(get(&store, 2).await, Some(held));
        update(&store, 2, complete(b"paid")).await.unwrap();
        claim(&store, 3).await;
    });
}

#[test]
fn a_postgresql_that_is_restarted_by_its_operator_is_used_again() {
    let mut server = PostgresServer::start(&[]);
    block_on(async {
        let store = open(&server.url()).await;
        let before = completed(&store, 1, b"paid").await;
        server.shut_down();
        must_be_unavailable(&store).await;
        server.start_again();
        again(&store).await;
        assert_eq!(get(&store, 1).await, Some(before));
        claim(&store, 2).await;
    });
}

#[test]
fn a_hung_postgresql_is_unavailable_after_the_time_that_it_may_take() {
    let server = PostgresServer::start(&[]);
    block_on(async {
        let store = impatient(&server.url()).await;
        let before = completed(&store, 1, b"paid").await;
        server.stop();
        must_be_unavailable(&store).await;
        server.go_on();
        again(&store).await;
        assert_eq!(get(&store, 1).await, Some(before));
        // Whether the insert had its effect is not known, but its owner gets its claim in either case.
        claim(&store, 900).await;
        assert!(matches!(
            state(&store, 900).await,
            Some(RecordState::InFlight { .. })
        ));
    });
}

/// An operator who ends sessions, or a server that ends them by itself: the next request has a new one.
#[test]
fn a_session_that_the_server_ended_is_made_anew() {
    let server = PostgresServer::start(&[]);
    block_on(async {
        let store = open(&server.url()).await;
        for number in 0..20 {
            server.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE application_name = 'oncegate' AND pid <> pg_backend_pid()",
            );
            again(&store).await;
            // One that was told of the end only when it asked may be refused, and asks again as the same owner.
            let mut claimed = store.insert(new_record(number)).await;
            for _attempt in 0..ATTEMPTS {
                if claimed.is_ok() {
                    break;
                }
                assert_eq!(kind(claimed), StoreErrorKind::Unavailable);
                claimed = store.insert(new_record(number)).await;
            }
            assert!(
                matches!(claimed.unwrap().value, Insert::Created(_)),
                "{number}"
            );
        }
    });
}

#[test]
fn a_full_disk_refuses_new_keys_and_keeps_replaying() {
    let server = PostgresServer::start_on_a_small_disk();
    block_on(async {
        let store = open(&server.url()).await;
        let before = completed(&store, 1, b"paid").await;
        server.fill_the_disk();
        let refused = fill(&store, 1_000).await;
        assert_eq!(get(&store, 1).await, Some(before.clone()));
        let mut duplicate = new_record(1);
        duplicate.owner = owner(9);
        let told = store.insert(duplicate).await.unwrap().value;
        assert_eq!(told, Insert::Exists(before));
        server.make_room_on_the_disk();
        assert_eq!(
            get(&store, refused).await,
            None,
            "a refused insert left something"
        );
        claim(&store, refused).await;
    });
}

/// Claims until there is no room, and answers the number that was refused.
async fn fill(store: &PostgresStore, first: u64) -> u64 {
    for number in first..first + CLAIMS_MAX {
        if let Err(error) = store.insert(new_record(number)).await {
            assert_eq!(error.kind(), StoreErrorKind::Full, "{error:?}");
            return number;
        }
    }
    panic!("the disk is not full");
}

#[test]
fn a_postgresql_without_free_connections_is_refused_at_the_start_and_waited_for_later() {
    let server = PostgresServer::start(&[]);
    server.sql("CREATE ROLE app LOGIN; GRANT CREATE ON DATABASE postgres TO app");
    let url = server.url().replace("oncegate@", "app@");
    block_on(async {
        let store = open(&url).await;
        let before = completed(&store, 1, b"paid").await;
        server.sql("ALTER ROLE app CONNECTION LIMIT 0");
        server.sql(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'app'",
        );
        let error = oncegate_stores::open(&url).await.unwrap_err();
        assert!(matches!(error, OpenError::Postgres(_)), "{error:?}");
        for _attempt in 0..2 {
            let refused = kind(store.insert(new_record(2)).await);
            assert!(
                matches!(
                    refused,
                    StoreErrorKind::Unavailable | StoreErrorKind::Overloaded
                ),
                "{refused:?}"
            );
        }
        server.sql("ALTER ROLE app CONNECTION LIMIT -1");
        again(&store).await;
        assert_eq!(get(&store, 1).await, Some(before));
        claim(&store, 2).await;
    });
}

/// A server that became a standby takes no writes: another one may take them soon.
#[test]
fn a_standby_cannot_be_a_store() {
    let server = PostgresServer::start(&[]);
    block_on(async {
        let store = open(&server.url()).await;
        completed(&store, 1, b"paid").await;
        let standby = server.standby();
        let error = oncegate_stores::open(&standby.url()).await.unwrap_err();
        assert!(error.to_string().contains("takes no writes"), "{error}");
    });
}

/// The hosts are tried until one of them takes writes: so a failover is followed without a new setting.
#[test]
fn of_several_hosts_the_one_that_takes_writes_is_used() {
    let mut server = PostgresServer::start(&[]);
    block_on(async {
        let store = open(&server.url()).await;
        completed(&store, 1, b"paid").await;
        let standby = server.standby();
        let (first, second) = (standby.address(), server.address());
        let both = format!("postgres://oncegate@{first},{second}/postgres");
        let store = open(&both).await;
        let held = claim(&store, 2).await;
        standby.wait_until_it_has(&server);
        server.kill();
        assert_eq!(kind(store.get(id(1)).await), StoreErrorKind::Unavailable);
        standby.sql("SELECT pg_promote()");
        again(&store).await;
        assert_eq!(get(&store, 2).await, Some(held));
        update(&store, 2, complete(b"paid")).await.unwrap();
    });
}

/// It is as it would be if the store were new; who holds a claim from before is told that nothing stands there.
#[test]
fn a_schema_that_is_dropped_is_unavailable_and_never_an_execution() {
    let server = PostgresServer::start(&[]);
    block_on(async {
        let store = open(&server.url()).await;
        claim(&store, 1).await;
        server.sql("DROP SCHEMA oncegate CASCADE");
        must_refuse_keys(&store).await;
        // Made again by the next process that opens it.
        let other = open(&server.url()).await;
        again(&store).await;
        claim(&other, 2).await;
        let mut duplicate = new_record(2);
        duplicate.owner = owner(9);
        for _attempt in 0..ATTEMPTS {
            match store.insert(duplicate.clone()).await {
                Ok(told) => {
                    assert!(matches!(told.value, Insert::Exists(_)), "{told:?}");
                    break;
                }
                // The salt is another one, too: said once.
                Err(error) => assert!(
                    matches!(
                        error.kind(),
                        StoreErrorKind::Unavailable | StoreErrorKind::Resalted
                    ),
                    "{error:?}"
                ),
            }
        }
        let late = update(&store, 1, complete(b"late")).await.unwrap();
        assert_eq!(late, Update::Refused(None));
    });
}

#[test]
fn a_pgbouncer_that_dies_is_unavailable_and_a_new_one_is_used() {
    let server = PostgresServer::start(&[]);
    let mut bouncer = PgBouncer::before(&server);
    block_on(async {
        let store = open(&bouncer.url()).await;
        let before = completed(&store, 1, b"paid").await;
        bouncer.kill();
        must_be_unavailable(&store).await;
        bouncer.start_again();
        again(&store).await;
        assert_eq!(get(&store, 1).await, Some(before));
        claim(&store, 2).await;
    });
}

#[test]
fn a_postgresql_that_dies_behind_a_pgbouncer_is_unavailable_and_used_again() {
    let mut server = PostgresServer::start(&[]);
    let bouncer = PgBouncer::before(&server);
    block_on(async {
        let store = impatient(&bouncer.url()).await;
        let before = completed(&store, 1, b"paid").await;
        server.kill();
        must_be_unavailable(&store).await;
        server.start_again();
        again(&store).await;
        assert_eq!(get(&store, 1).await, Some(before));
        let renew = Change::Renew {
            lease: LEASE,
            unknown: KEPT,
        };
        claim(&store, 2).await;
        assert!(matches!(
            update(&store, 2, renew).await.unwrap(),
            Update::Applied(Some(_))
        ));
    });
}

const ATTEMPTS: usize = 1_000;
/// A claim takes some 400 bytes.
const CLAIMS_MAX: u64 = 50_000;
