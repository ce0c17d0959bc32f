//! The memory store passes the store suite.

use std::sync::Arc;
use std::time::Duration;

use oncegate::clock::ManualClock;
use oncegate::testing::store_suite::{Harness, SuiteInspect, stale};
use oncegate::testing::{CountingStore, FaultyStore, SuiteStore, UnfencedStore};
use oncegate::{Inspect, MEMORY_BYTES_MAX, MemoryStore, Store};

use crate::harness::{START, block_on};

struct Fresh {
    clock: Arc<ManualClock>,
    store: Arc<MemoryStore>,
}

impl SuiteStore for Fresh {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    fn wakes_watchers(&self) -> bool {
        true
    }
}

impl SuiteInspect for Fresh {
    fn inspect(&self) -> Arc<dyn Inspect> {
        self.store.clone()
    }
}

fn fresh() -> Fresh {
    let clock = Arc::new(ManualClock::at(START));
    let store = Arc::new(MemoryStore::with(clock.clone(), MEMORY_BYTES_MAX));
    Fresh { clock, store }
}

/// The same through the wrappers: they forward everything.
struct Wrapped(Fresh);

impl SuiteStore for Wrapped {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(CountingStore::new(Arc::new(FaultyStore::new(
            self.0.store(),
        ))))
    }

    fn advance(&self, by: Duration) {
        self.0.advance(by);
    }

    fn wakes_watchers(&self) -> bool {
        true
    }
}

/// A rule that cannot fail proves nothing.
#[test]
fn the_suite_finds_fault_with_a_store_that_ignores_owners() {
    struct Unfenced(Fresh);

    impl SuiteStore for Unfenced {
        fn store(&self) -> Arc<dyn Store> {
            Arc::new(UnfencedStore::new(self.0.store()))
        }

        fn advance(&self, by: Duration) {
            self.0.advance(by);
        }

        fn wakes_watchers(&self) -> bool {
            true
        }
    }

    let broken = std::panic::catch_unwind(|| {
        let harness = Harness::new(Unfenced(fresh()), block_on);
        block_on(stale::an_owner_is_stale_after_its_release_and_another_insert(harness));
    });
    let panic = broken.expect_err("a stale owner was let through, and the rule did not see it");
    let message = panic.downcast_ref::<String>().expect("an assertion failed");
    assert!(message.contains("by a stale owner"), "{message}");
}

mod wrapped {
    oncegate::testing::store_suite!(super::Wrapped(super::fresh()), super::block_on);
}

mod store {
    oncegate::testing::store_suite!(super::fresh(), super::block_on);
}

mod inspect {
    oncegate::testing::inspect_suite!(super::fresh(), super::block_on);
}
