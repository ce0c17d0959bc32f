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
        // Scripts are answered by any value, so this is an answer to a look. What is not even a value of the protocol is
        // another matter: the server may have done what it was asked.
        ErrorKind::UnexpectedReturnType => StoreErrorKind::Corrupt,
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

#[cfg(test)]
mod tests {
    use redis::parse_redis_value;

    use super::*;

    fn said(line: &str) -> RedisError {
        let value = parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        value.extract_error().unwrap_err()
    }

    /// Those that are seen on a real server have a test there; the rest is hard to bring about.
    #[test]
    fn what_a_server_says_is_taken_as_maybe_done_unless_it_cannot_have_been() {
        use StoreErrorKind::{Corrupt, Full, Unavailable};
        let table = [
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                Full,
            ),
            ("WRONGTYPE Operation against a key", Corrupt),
            (
                "ERR user_script:12: a field is no number script: ab, on @user_script:12.",
                Corrupt,
            ),
            (
                "ERR The user executing the script can't run this command",
                Unavailable,
            ),
            ("ERR max number of clients reached", Unavailable),
            (
                "LOADING Redis is loading the dataset in memory",
                Unavailable,
            ),
            ("BUSY Redis is busy running a script.", Unavailable),
            (
                "READONLY You can't write against a read only replica.",
                Unavailable,
            ),
            ("MASTERDOWN Link with MASTER is down", Unavailable),
            (
                "MISCONF Redis is configured to save RDB snapshots",
                Unavailable,
            ),
            ("NOREPLICAS Not enough good replicas to write.", Unavailable),
            ("CLUSTERDOWN The cluster is down", Unavailable),
            (
                "TRYAGAIN Multiple keys request during rehashing of slot",
                Unavailable,
            ),
            ("MOVED 1 127.0.0.1:1", Unavailable),
            ("ASK 1 127.0.0.1:1", Unavailable),
            ("NOSCRIPT No matching script.", Unavailable),
            ("NOAUTH Authentication required.", Unavailable),
            ("NOPERM this user has no permissions", Unavailable),
        ];
        for (line, kind) in table {
            assert_eq!(failed("update", said(line)).kind(), kind, "{line}");
        }
        let no_value = parse_redis_value(b"?\r\n").unwrap_err();
        assert_eq!(failed("update", no_value).kind(), Unavailable);
        let cut = RedisError::from(io::Error::from(io::ErrorKind::UnexpectedEof));
        assert_eq!(failed("update", cut).kind(), Unavailable);
    }
}
