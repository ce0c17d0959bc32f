//! What can be chosen about a file store.

use std::sync::Arc;
use std::time::Duration;

use oncegate::clock::Clock;

/// What a write that was answered as applied survives.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Durability {
    /// The end of the process, and a power cut: each batch waits for an fsync.
    #[default]
    Power,
    /// The end of the process, `kill -9` included. A power cut may take the last seconds, and each
    /// key that it takes may be executed again.
    Process,
}

/// How a file store behaves. Start from the default and change what matters.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FileOptions {
    /// What an answered write survives.
    pub durability: Durability,
    /// Where the time comes from; `None`: the machine's clock, never below the highest time stored.
    pub clock: Option<Arc<dyn Clock>>,
    /// How many commands may wait before new claims and reads are refused. Ends of claims are never
    /// refused.
    pub queue_max: usize,
    /// How large the file may grow, without its write-ahead log (64 MiB); `None`: as large as the
    /// disk.
    pub bytes_max: Option<u64>,
    /// How long after a failure the store waits before it tries to prove itself again.
    pub prove_after: Duration,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            clock: None,
            queue_max: QUEUE_MAX,
            bytes_max: None,
            prove_after: PROVE_AFTER,
        }
    }
}

/// Commands that may wait unless told otherwise: some tens of milliseconds of work.
pub const QUEUE_MAX: usize = 8_192;

/// The pause after a failure unless told otherwise.
pub const PROVE_AFTER: Duration = Duration::from_millis(200);
