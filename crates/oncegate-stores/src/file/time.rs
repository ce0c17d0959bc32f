//! The store's time: a clock that is never let back below what was answered or stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use oncegate::clock::{Clock, Timestamp};

/// The time of one file store.
#[derive(Debug)]
pub(super) struct StoreTime {
    clock: Arc<dyn Clock>,
    /// The highest time ever answered, in microseconds.
    high: AtomicU64,
}

impl StoreTime {
    /// The time of `clock`, but never below `floor`.
    pub(super) fn new(clock: Arc<dyn Clock>, floor: Timestamp) -> Self {
        Self {
            clock,
            high: AtomicU64::new(floor.as_micros()),
        }
    }

    /// The present instant; two calls never go backwards, whatever the clock does.
    pub(super) fn now(&self) -> Timestamp {
        let now = self.clock.now().as_micros();
        Timestamp::from_micros(self.high.fetch_max(now, Ordering::SeqCst).max(now))
    }

    /// The highest time ever answered.
    pub(super) fn high(&self) -> Timestamp {
        Timestamp::from_micros(self.high.load(Ordering::SeqCst))
    }
}
