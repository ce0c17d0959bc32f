//! How often, how long and how hard a client tries (M-46): plain data, with the defaults.

use std::time::Duration;

/// How a client tries.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    pub attempts_max: u32,
    /// How long one attempt may take, its answer's body included.
    pub attempt_timeout: Duration,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// The longest wait before the second attempt; it doubles from there.
    pub backoff_base: Duration,
    /// The longest wait before any attempt that the server did not ask for.
    pub backoff_max: Duration,
    /// The longest `Retry-After` that is waited for. A longer one ends the operation as it stands.
    pub retry_after_max: Duration,
    /// From the first attempt to the end of the last.
    pub total_timeout: Duration,
    /// How long the server knows a key. A retry after that would run anew, so none is made. By default what the
    /// dialect documents; a server that says less on an answer is believed.
    pub retention: Option<Duration>,
    /// Whether credentials may be refreshed while an attempt is in doubt. Where a key belongs to the exact credential
    /// it was sent with, the same key under a fresh one is a new key, and would run a second time. Say `true` where
    /// keys belong to the account.
    pub refresh_in_doubt: bool,
    /// How many redirects (307, 308) are followed.
    pub redirects_max: u32,
    /// The largest answer that is taken.
    pub response_bytes_max: usize,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts_max: 3,
            attempt_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            backoff_base: Duration::from_secs(1),
            backoff_max: Duration::from_secs(30),
            retry_after_max: Duration::from_secs(60),
            total_timeout: Duration::from_secs(120),
            retention: None,
            refresh_in_doubt: false,
            redirects_max: 5,
            response_bytes_max: 8 * 1024 * 1024,
        }
    }
}
