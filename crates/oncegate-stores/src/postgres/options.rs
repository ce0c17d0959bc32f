//! What can be chosen about a PostgreSQL store.

use std::time::Duration;

/// What can be chosen about a PostgreSQL store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PostgresOptions {
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for one answer, and for a peer that is gone to be noticed.
    pub answer_timeout: Duration,
    /// How many connections records are spread over. One or two more are made for what is not about single records.
    pub lanes: usize,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            answer_timeout: Duration::from_secs(5),
            lanes: 4,
        }
    }
}
