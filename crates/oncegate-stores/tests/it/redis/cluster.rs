//! A real Cluster of three masters, and what only a Cluster can show.

use std::collections::HashSet;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use oncegate::record::{Record, RecordState};
use oncegate::store::{BoxFuture, Expect, Filter, Insert, StoreResult, Update};
use oncegate::{Inspect, Store, StoreErrorKind};
use oncegate_stores::{RedisAddress, RedisStore};
use tokio::time::Instant;

use super::failover::catches_up;
use super::server::{RedisServer, free_address};
use crate::harness::{
    complete, completed, get, id, new_record, on_threads as block_on, owner, response,
};

pub(super) struct Cluster {
    masters: Vec<RedisServer>,
    opened: AtomicUsize,
}

impl Cluster {
    /// One for the whole test program, that dies with it: servers end with the thread that started them, and this one
    /// waits for ever.
    pub(super) fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| {
            let (give, take) = mpsc::channel();
            std::thread::spawn(move || {
                give.send(Self::form()).unwrap();
                loop {
                    std::thread::park();
                }
            });
            take.recv().expect("the Cluster was formed")
        })
    }

    fn form() -> Self {
        let masters: Vec<RedisServer> = (0..3).map(|_| master()).collect();
        let addresses: Vec<String> = masters
            .iter()
            .map(|master| master.address().to_string())
            .collect();
        let formed = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(&addresses)
            .args(["--cluster-yes"])
            .stdout(Stdio::null())
            .status()
            .expect("redis-cli is installed: run `make setup`");
        assert!(formed.success(), "no Cluster could be formed");
        let cluster = Self {
            masters,
            opened: AtomicUsize::new(0),
        };
        cluster.wait_until_it_serves();
        cluster
    }

    /// Each node believes in the others a little later than the one that formed the Cluster.
    fn wait_until_it_serves(&self) {
        let began = Instant::now();
        for master in &self.masters {
            while !master
                .cli(&["cluster", "info"])
                .contains("cluster_state:ok")
            {
                assert!(began.elapsed() < FORM_TIMEOUT, "the Cluster does not serve");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// Makes `server` a replica of the first master, and waits until all nodes know.
    fn add_replica(&self, server: &RedisServer) {
        let first = &self.masters[0];
        let added = Command::new("redis-cli")
            .args(["--cluster", "add-node", &server.address().to_string()])
            .arg(first.address().to_string())
            .args(["--cluster-slave", "--cluster-master-id"])
            .arg(first.cli(&["cluster", "myid"]))
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(added.success(), "the replica was not taken in");
        catches_up(first, server);
        let began = Instant::now();
        let port = server.address().port().to_string();
        for master in &self.masters {
            while !master.cli(&["cluster", "nodes"]).contains(&port) {
                assert!(began.elapsed() < FORM_TIMEOUT, "a node does not know");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    fn url(&self) -> String {
        let nodes: Vec<String> = self
            .masters
            .iter()
            .map(|master| master.address().to_string())
            .collect();
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        format!("redis-cluster://{}?prefix=test{number}:", nodes.join(","))
    }

    /// A store with a prefix that no other has.
    pub(super) async fn open(&self) -> RedisStore {
        let address: RedisAddress = self.url().parse().unwrap();
        RedisStore::open(&address).await.unwrap()
    }

    /// Two stores of one prefix.
    pub(super) async fn open_two(&self) -> (RedisStore, RedisStore) {
        let address: RedisAddress = self.url().parse().unwrap();
        let one = RedisStore::open(&address).await.unwrap();
        (one, RedisStore::open(&address).await.unwrap())
    }
}

/// The bus of a Cluster has a port of its own. By default that is this one and 10,000, which may be too high or taken.
fn master() -> RedisServer {
    let bus = free_address().port().to_string();
    RedisServer::start(&["--cluster-enabled", "yes", "--cluster-port", &bus])
}

fn reshard(from: &RedisServer, to: &RedisServer, slots: usize) -> Child {
    Command::new("redis-cli")
        .args(["--cluster", "reshard", &from.address().to_string()])
        .args(["--cluster-from", &from.cli(&["cluster", "myid"])])
        .args(["--cluster-to", &to.cli(&["cluster", "myid"])])
        .args(["--cluster-slots", &slots.to_string(), "--cluster-yes"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_listing_meets_the_records_of_all_nodes() {
    let cluster = Cluster::shared();
    block_on(async {
        let store = cluster.open().await;
        for number in 0..RECORDS {
            completed(&store, number, b"paid").await;
        }
        let mut ids = HashSet::new();
        let mut after = None;
        loop {
            let page = store.list(Filter::default(), after, 7).await.unwrap().value;
            ids.extend(page.records.iter().map(|record| record.id.to_string()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(ids.len() as u64, RECORDS);
    });
    // And they are on all of them, or there was nothing to see.
    for master in &cluster.masters {
        assert_ne!(master.cli(&["dbsize"]), "0");
    }
}

/// Slots move while the store works: it follows, and no record is lost or found twice.
#[test]
fn a_record_is_found_after_its_slot_moved_to_another_node() {
    let cluster = Cluster::form();
    block_on(async {
        let store = cluster.open().await;
        for number in 0..RECORDS {
            completed(&store, number, b"paid").await;
        }
        let [from, to, ..] = cluster.masters.as_slice() else {
            panic!("a Cluster has three masters");
        };
        let moved = reshard(from, to, 5_400).wait().unwrap();
        assert!(moved.success(), "the slots did not move");
        assert!(from.cli(&["dbsize"]).parse::<u64>().unwrap() < RECORDS / 10);
        for number in 0..RECORDS {
            assert!(
                get(&store, number).await.is_some(),
                "record {number} is gone"
            );
            let again = store.insert(new_record(number)).await;
            assert!(matches!(again.unwrap().value, Insert::Exists(_)));
        }
    });
}

/// Slots move while keys are claimed, completed and asked for again. Between the two nodes a key may be refused for a
/// while; it is never free on both.
#[test]
fn no_key_is_taken_twice_while_its_slot_moves() {
    let cluster = Cluster::form();
    block_on(async {
        let store = Arc::new(cluster.open().await);
        let [from, to, ..] = cluster.masters.as_slice() else {
            panic!("a Cluster has three masters");
        };
        let mut moving = reshard(from, to, 1_500);
        let moved = Arc::new(AtomicBool::new(false));
        let callers = (0..CALLERS).map(|caller| {
            let (store, moved) = (store.clone(), moved.clone());
            tokio::spawn(async move {
                let mut number = caller;
                while !moved.load(Ordering::Relaxed) {
                    executes_once(&store, number).await;
                    number += CALLERS;
                }
                (caller..number)
                    .step_by(usize::try_from(CALLERS).unwrap())
                    .collect::<Vec<_>>()
            })
        });
        let callers: Vec<_> = callers.collect();
        let status = tokio::task::spawn_blocking(move || moving.wait()).await;
        moved.store(true, Ordering::Relaxed);
        let mut numbers = Vec::new();
        for caller in callers {
            numbers.extend(caller.await.unwrap());
        }
        assert!(status.unwrap().unwrap().success(), "the slots did not move");
        assert!(
            numbers.len() as u64 > RECORDS,
            "too little was done meanwhile"
        );
        for number in numbers {
            let record = definite(|| store.get(id(number))).await.unwrap();
            assert!(
                matches!(record.state, RecordState::Completed { .. }),
                "{record:?}"
            );
        }
    });
}

/// Claims, completes, and asks again as another: the answer must be there.
async fn executes_once(store: &RedisStore, number: u64) {
    let claimed = definite(|| store.insert(new_record(number))).await;
    assert!(matches!(claimed, Insert::Created(_)), "{claimed:?}");
    let expect = Expect {
        owner: owner(number),
        revision: None,
    };
    let paid = definite(|| store.update(id(number), expect, complete(&number.to_be_bytes()))).await;
    assert!(matches!(paid, Update::Applied(Some(_))), "{paid:?}");
    let mut duplicate = new_record(number);
    duplicate.owner = owner(u64::MAX);
    let told = definite(|| store.insert(duplicate.clone())).await;
    let Insert::Exists(Record {
        state: RecordState::Completed { response: told, .. },
        ..
    }) = told
    else {
        panic!("{told:?}");
    };
    assert_eq!(told, response(&number.to_be_bytes()));
}

/// Until the store gives a definite answer.
async fn definite<'a, T>(ask: impl Fn() -> BoxFuture<'a, StoreResult<T>>) -> T {
    let began = Instant::now();
    loop {
        match ask().await {
            Ok(told) => return told.value,
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}"),
        }
        assert!(began.elapsed() < FORM_TIMEOUT, "the store does not answer");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A master dies, and its replica takes its slots.
#[test]
fn a_replica_that_took_over_from_a_dead_master_is_found() {
    let mut cluster = Cluster::form();
    let replica = master();
    cluster.add_replica(&replica);
    block_on(async {
        let store = cluster.open().await;
        for number in 0..RECORDS {
            completed(&store, number, b"paid").await;
        }
        catches_up(&cluster.masters[0], &replica);
        assert_ne!(replica.cli(&["dbsize"]), "0");
        cluster.masters[0].kill();
        replica.cli(&["cluster", "failover", "takeover"]);
        for number in 0..RECORDS {
            let mut duplicate = new_record(number);
            duplicate.owner = owner(u64::MAX);
            let told = definite(|| store.insert(duplicate.clone())).await;
            assert!(matches!(told, Insert::Exists(_)), "{told:?}");
        }
        // And what is new goes there too.
        for number in RECORDS..2 * RECORDS {
            executes_once(&store, number).await;
        }
    });
}

const CALLERS: u64 = 8;
const RECORDS: u64 = 60;
const FORM_TIMEOUT: Duration = Duration::from_secs(30);
