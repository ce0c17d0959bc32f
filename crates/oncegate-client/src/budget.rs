//! The rate budget: how many retries a client may add to its operations, so that an outage is not amplified.
//!
//! A bucket. Each operation puts a part of a retry into it, time drips some more, each retry takes one. An empty bucket
//! ends operations where they stand instead of sending more. Pure: time is handed in.

use std::time::Duration;

/// What a client may add.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RetryBudget {
    /// Retries for each operation, over time.
    pub per_operation: f64,
    /// Retries for each second besides, so that a client with few operations may retry all of them.
    pub per_second: f64,
    /// The most that can be saved up.
    pub saved_max: f64,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            per_operation: 0.2,
            per_second: 1.0,
            saved_max: 10.0,
        }
    }
}

/// The bucket. `at` is time since any fixed instant; it does not go back.
#[derive(Debug)]
pub struct Bucket {
    budget: RetryBudget,
    saved: f64,
    at: Duration,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub const fn new(budget: RetryBudget) -> Self {
        Self {
            saved: budget.saved_max,
            budget,
            at: Duration::ZERO,
        }
    }

    /// An operation begins.
    pub fn deposit(&mut self, at: Duration) {
        self.pass(at);
        self.save(self.budget.per_operation);
    }

    /// Takes a retry, if there is one.
    pub fn withdraw(&mut self, at: Duration) -> bool {
        self.pass(at);
        let enough = self.saved >= 1.0;
        if enough {
            self.saved -= 1.0;
        }
        enough
    }

    fn pass(&mut self, at: Duration) {
        let passed = at.saturating_sub(self.at);
        self.at = self.at.max(at);
        self.save(passed.as_secs_f64() * self.budget.per_second);
    }

    fn save(&mut self, retries: f64) {
        self.saved = (self.saved + retries).min(self.budget.saved_max);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{Bucket, RetryBudget};

    #[test]
    fn an_empty_bucket_fills_with_operations_and_with_time() {
        let budget = RetryBudget {
            per_operation: 0.5,
            per_second: 1.0,
            saved_max: 1.0,
        };
        let mut bucket = Bucket::new(budget);
        let at = Duration::from_secs(1);
        assert!(bucket.withdraw(at));
        assert!(!bucket.withdraw(at));
        bucket.deposit(at);
        assert!(!bucket.withdraw(at));
        bucket.deposit(at);
        assert!(bucket.withdraw(at));
        assert!(!bucket.withdraw(at + Duration::from_millis(999)));
        assert!(bucket.withdraw(at + Duration::from_secs(1)));
    }

    #[test]
    fn a_budget_of_nothing_allows_no_retry() {
        let budget = RetryBudget {
            per_operation: 0.0,
            per_second: 0.0,
            saved_max: 0.0,
        };
        assert!(!Bucket::new(budget).withdraw(Duration::from_secs(1)));
    }

    proptest! {
        /// Between any two moments: what was saved up, what the operations brought, what time brought, and no more.
        #[test]
        fn no_window_has_more_retries_than_its_budget(
            per_operation in 0.0..2.0f64,
            per_second in 0.0..20.0f64,
            saved_max in 0.0..20.0f64,
            // Each begins so long after the one before, some of them before it, and is a retry or an operation.
            events in prop::collection::vec((-100..1000i64, any::<bool>()), 1..200),
        ) {
            let mut bucket = Bucket::new(RetryBudget { per_operation, per_second, saved_max });
            let mut at = 0i64;
            let mut seen = Vec::new();
            for (step, is_retry) in events {
                at = (at + step).max(0);
                let now = Duration::from_millis(at.unsigned_abs());
                let allowed = is_retry && bucket.withdraw(now);
                if !is_retry {
                    bucket.deposit(now);
                }
                seen.push((now, allowed, !is_retry));
            }
            for from in 0..seen.len() {
                let (mut retries, mut operations) = (0.0, 0.0);
                let mut latest = seen[..=from].iter().map(|(at, ..)| *at).max().unwrap_or_default();
                let begin = latest;
                for (now, allowed, is_operation) in &seen[from..] {
                    latest = latest.max(*now);
                    retries += f64::from(u8::from(*allowed));
                    operations += f64::from(u8::from(*is_operation));
                    let passed = (latest - begin).as_secs_f64();
                    let most = saved_max + per_operation * operations + per_second * passed;
                    prop_assert!(retries <= most + 1e-6, "{retries} > {most}");
                }
            }
        }
    }
}
