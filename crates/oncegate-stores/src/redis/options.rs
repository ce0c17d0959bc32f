//! What can be chosen about a Redis store.

use std::time::Duration;

/// What can be chosen about a Redis store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RedisOptions {
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for one answer, and for a peer that is gone to be noticed.
    pub answer_timeout: Duration,
    /// Longest wait for replicas to have a write, where they must. It is to be well below a caller's own patience, or
    /// that ends first.
    pub wait_timeout: Duration,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            answer_timeout: Duration::from_secs(5),
            wait_timeout: Duration::from_millis(250),
        }
    }
}
