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
