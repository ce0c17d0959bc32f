//! The file store passes the store suite.

use std::sync::Arc;
use std::time::Duration;

use oncegate::testing::SuiteStore;
use oncegate::testing::store_suite::SuiteInspect;
use oncegate::{Inspect, Store};
use oncegate_stores::FileStore;

use crate::harness::{Place, block_on};

struct Fresh {
    store: Arc<FileStore>,
    place: Place,
}

impl SuiteStore for Fresh {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn advance(&self, by: Duration) {
        self.place.clock.advance(by);
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
    let place = Place::new();
    Fresh {
        store: Arc::new(place.open()),
        place,
    }
}

mod store {
    oncegate::testing::store_suite!(super::fresh(), super::block_on);
}

mod inspect {
    oncegate::testing::inspect_suite!(super::fresh(), super::block_on);
}
