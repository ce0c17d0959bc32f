//! Why a Redis cannot be a store, and what its errors mean to a caller.

use std::io;
use std::path::PathBuf;

use oncegate::store::{StoreError, StoreErrorKind};
use redis::{ErrorKind, RedisError};

use super::address::RedisAddressError;

/// A Redis that cannot be a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisOpenError {
    /// The address is none.
    #[error(transparent)]
    Address(#[from] RedisAddressError),
    /// The certificates to trust cannot be read.
    #[error("cannot read the certificates in {}", file.display())]
    Certificates {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be reached, or does not answer as a Redis would.
    #[error("cannot use {address}")]
    Unavailable {
        /// Where it was looked for, without the password.
        address: String,
        /// Why.
        source: RedisError,
    },
    /// It lacks what the scripts need.
    #[error("the Redis is version {version}, and 7.0 is the oldest that can be a store")]
    TooOld {
        /// Its version.
        version: String,
    },
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

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what another crate adds to its enum is taken as what may have had an effect"
)]
fn kind(error: &RedisError) -> StoreErrorKind {
    if let Some(kind) = kind_of_the_record(error) {
        return kind;
    }
    match error.kind() {
        ErrorKind::UnexpectedReturnType | ErrorKind::Parse => StoreErrorKind::Corrupt,
        // Also what is refused as such: loading, read-only, down. It may pass, and it may have taken effect.
        _ => StoreErrorKind::Unavailable,
    }
}

/// Whether the server looked at what was asked, and at nothing else.
pub(super) fn is_of_the_record(error: &RedisError) -> bool {
    kind_of_the_record(error).is_some()
}

/// None of these took effect: each script reads before it writes, and its first write is the last that can fail so.
fn kind_of_the_record(error: &RedisError) -> Option<StoreErrorKind> {
    match error.code()? {
        // A script is refused at the first write that needs memory: nothing of it took effect.
        "OOM" => Some(StoreErrorKind::Full),
        // Somebody else's value under our key, or a record that no script of ours wrote.
        "WRONGTYPE" => Some(StoreErrorKind::Corrupt),
        "ERR" if error.detail().is_some_and(is_of_a_script) => Some(StoreErrorKind::Corrupt),
        _ => None,
    }
}

/// Ours fail where a field that they compute with is no number.
fn is_of_a_script(detail: &str) -> bool {
    detail.starts_with("user_script:")
}
