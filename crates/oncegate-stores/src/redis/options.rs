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
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            answer_timeout: Duration::from_secs(5),
        }
    }
}
