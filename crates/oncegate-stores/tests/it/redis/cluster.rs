//! A real Cluster of three masters, and what only a Cluster can show.

use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use oncegate::store::Filter;
use oncegate::{Inspect, Store};
use oncegate_stores::{RedisAddress, RedisStore};
use tokio::time::Instant;

use super::server::{RedisServer, free_address};
use crate::harness::{completed, get, on_threads as block_on};

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
        let moved = Command::new("redis-cli")
            .args(["--cluster", "reshard", &from.address().to_string()])
            .args(["--cluster-from", &from.cli(&["cluster", "myid"])])
            .args(["--cluster-to", &to.cli(&["cluster", "myid"])])
            .args(["--cluster-slots", "5400", "--cluster-yes"])
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(moved.success(), "the slots did not move");
        assert!(from.cli(&["dbsize"]).parse::<u64>().unwrap() < RECORDS / 10);
        for number in 0..RECORDS {
            assert!(
                get(&store, number).await.is_some(),
                "record {number} is gone"
            );
            let again = store.insert(crate::harness::new_record(number)).await;
            assert!(matches!(
                again.unwrap().value,
                oncegate::store::Insert::Exists(_)
            ));
        }
    });
}

const RECORDS: u64 = 60;
const FORM_TIMEOUT: Duration = Duration::from_secs(30);
