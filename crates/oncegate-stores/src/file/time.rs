//! The store's time: a clock that is never let back below what was answered or stored.
//!
//! While the file is open the machine's clock moves nothing. At the opening it is believed, unless it stands below the
//! highest time stored; where it can hardly be right, that is said.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oncegate::clock::{Clock, SystemClock, Timestamp};

/// The time of one file store.
#[derive(Debug)]
pub(super) struct StoreTime {
    clock: Arc<dyn Clock>,
    /// The highest time ever answered, in microseconds.
    high: AtomicU64,
}

/// The machine's clock, not below `floor`, the highest time stored. Says so if the two lie far apart.
pub(super) fn machine_clock(floor: Timestamp) -> SystemClock {
    let wall = SystemClock::default().now();
    let (behind, ahead) = (floor.since(wall), wall.since(floor));
    if behind > CLOCK_BEHIND_MAX {
        tracing::warn!(
            ?behind,
            "the machine's clock stands behind the highest time stored: it was set back, or was wrong before; \
             the store's time goes on from the highest"
        );
    } else if ahead > CLOCK_AHEAD_MAX && floor > Timestamp::default() {
        tracing::warn!(
            ?ahead,
            "the machine's clock is far ahead of the highest time stored: if the store was in use meanwhile, the \
             clock is wrong and keys expire too early; stop and set it"
        );
    }
    SystemClock::starting_above(floor)
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

/// How far the machine's clock may stand behind before that is worth a word.
const CLOCK_BEHIND_MAX: Duration = Duration::from_secs(60);

/// And ahead: a store that was out of use for a day is nothing special.
const CLOCK_AHEAD_MAX: Duration = Duration::from_secs(24 * 60 * 60);
