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

/// A wait below `bound`; `random` is from 0 to 1.
#[must_use]
pub fn jittered(bound: Duration, random: f64) -> Duration {
    bound.mul_f64(random.clamp(0.0, 1.0))
}
