//! Why a Redis cannot be a store, and what its errors mean to a caller.

use oncegate::store::{StoreError, StoreErrorKind};
use redis::{ErrorKind, RedisError};

/// A Redis that cannot be a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisOpenError {
    /// The URL is none.
    #[error("the address of the Redis cannot be read")]
    Address(#[source] RedisError),
    /// It cannot be reached, or does not answer as a Redis would.
    #[error("the Redis cannot be used")]
    Unavailable(#[source] RedisError),
    /// It would drop records that are needed.
    #[error(
        "the Redis evicts keys when it is full (maxmemory-policy {policy}), and an evicted key would be executed \
         again; run: redis-cli CONFIG SET maxmemory-policy noeviction"
    )]
    Evicts {
        /// The policy that is set.
        policy: String,
    },
}

pub(super) const NAME: &str = "redis";

/// A failure of Redis, as a caller has to take it.
pub(super) fn failed(doing: &'static str, source: RedisError) -> StoreError {
    StoreError::new(kind(&source), NAME, doing).because(source)
}

/// An answer that no script of ours gives.
pub(super) fn damaged(doing: &'static str, what: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, NAME, doing).because(what)
}

fn kind(error: &RedisError) -> StoreErrorKind {
    // "OOM command not allowed": a script is refused whole before it writes anything.
    if error.code() == Some("OOM") || error.to_string().contains("OOM command not allowed") {
        return StoreErrorKind::Full;
    }
    match error.kind() {
        ErrorKind::UnexpectedReturnType | ErrorKind::Parse => StoreErrorKind::Corrupt,
        // Also what is refused as such: loading, read-only, down. It may pass, and it may have taken effect.
        _ => StoreErrorKind::Unavailable,
    }
}
