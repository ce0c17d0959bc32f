//! The memory store passes the store suite.

use std::sync::Arc;
use std::time::Duration;

use oncegate::clock::ManualClock;
use oncegate::testing::SuiteStore;
use oncegate::testing::store_suite::SuiteInspect;
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

mod store {
    oncegate::testing::store_suite!(super::fresh(), super::block_on);
}

mod inspect {
    oncegate::testing::inspect_suite!(super::fresh(), super::block_on);
}
