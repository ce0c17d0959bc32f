//! Capped exponential backoff with full jitter: a wait anywhere between nothing and a bound that doubles.
//!
//! Pure: the random number is handed in. Full jitter, because clients that failed together must not come back
//! together.

use std::time::Duration;

/// The bound on the wait behind the attempt of this number, counted from 1.
#[must_use]
pub fn bound(attempt: u32, base: Duration, max: Duration) -> Duration {
    let doublings = attempt.saturating_sub(1).min(31);
    base.saturating_mul(1 << doublings).min(max)
}

/// A wait of at most `bound`; `random` is from 0 to 1.
#[must_use]
pub fn jittered(bound: Duration, random: f64) -> Duration {
    let seconds = bound.as_secs_f64() * random.clamp(0.0, 1.0);
    // Rounding can take the longest durations over what one can hold.
    Duration::try_from_secs_f64(seconds).map_or(bound, |wait| wait.min(bound))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{bound, jittered};

    fn durations() -> impl Strategy<Value = Duration> {
        prop_oneof![
            (0..10_000u64).prop_map(Duration::from_millis),
            Just(Duration::MAX),
            Just(Duration::ZERO),
        ]
    }

    #[test]
    fn the_bound_doubles_up_to_its_cap() {
        let (base, max) = (Duration::from_secs(1), Duration::from_secs(30));
        let bounds: Vec<u64> = (1..=7)
            .map(|attempt| bound(attempt, base, max).as_secs())
            .collect();
        assert_eq!(bounds, [1, 2, 4, 8, 16, 30, 30]);
    }

    /// Full jitter: all of the range is used, or clients that failed together come back together.
    #[test]
    fn waits_are_spread_over_the_whole_range() {
        let bound = Duration::from_secs(8);
        let eighths = (0..8).map(|eighth| jittered(bound, f64::from(eighth) / 8.0).as_secs());
        assert_eq!(eighths.collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(jittered(bound, 1.0), bound);
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_its_bound_and_no_bound_than_its_cap(
            attempt: u32,
            base in durations(),
            max in durations(),
            random in prop_oneof![0.0..=1.0f64, any::<f64>()],
        ) {
            let bound = bound(attempt, base, max);
            prop_assert!(bound <= max);
            prop_assert!(jittered(bound, random) <= bound);
        }

        #[test]
        fn bounds_never_shrink(attempt in 0..1000u32, base in durations(), max in durations()) {
            prop_assert!(bound(attempt, base, max) <= bound(attempt + 1, base, max));
        }
    }
}
