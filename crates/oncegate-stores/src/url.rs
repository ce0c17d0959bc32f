//! What a store is named by in a configuration: `memory:`, `file:PATH`, `redis://HOST:PORT` or
//! `postgres://HOST:PORT/DATABASE`.
//!
//! It is judged whole before anything is opened, so that a bad setting shows before any port is
//! bound. A URL may hold a password: no error repeats it, but for its scheme and parameter names.

use std::fmt;
#[cfg(feature = "file")]
use std::path::PathBuf;
use std::str::FromStr;

#[cfg(feature = "file")]
use crate::file::Durability;
#[cfg(feature = "postgres")]
use crate::postgres::{PostgresAddress, PostgresAddressError};
#[cfg(feature = "redis")]
use crate::redis::{RedisAddress, RedisAddressError};

/// A store, named by its URL.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum StoreUrl {
    /// `memory:`. A restart forgets every key.
    Memory,
    /// `file:PATH`, `file:PATH?durability=process`, `file:///ABSOLUTE/PATH`.
    #[cfg(feature = "file")]
    File {
        /// Which file.
        path: PathBuf,
        /// What an answered write survives.
        durability: Durability,
    },
    /// `redis://`, `rediss://`, `redis-cluster://`, `rediss-cluster://`.
    #[cfg(feature = "redis")]
    Redis(RedisAddress),
    /// `postgres://`, `postgresql://`.
    #[cfg(feature = "postgres")]
    Postgres(PostgresAddress),
}

/// A store URL that names no store.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreUrlError {
    /// There is no `scheme:` at its start.
    #[error("store has no scheme; write one of: {STORES}")]
    NoScheme,
    /// No store that we know of.
    #[error("store {scheme}: is not known; supported are: {STORES}")]
    UnknownScheme {
        /// The scheme.
        scheme: String,
    },
    /// `file:` and nothing behind it.
    #[error("store file: has no path; write file:PATH")]
    NoPath,
    /// `file://host/..`: files are local.
    #[error("store file:// names a host; write file:PATH or file:///ABSOLUTE/PATH")]
    Host,
    /// `memory:` and something behind it.
    #[error("store memory: takes nothing behind the colon")]
    MemoryTakesNothing,
    /// A parameter that the store does not have.
    #[error("store file: has no parameter {name:?}; it has durability=power|process")]
    UnknownParameter {
        /// Its name.
        name: String,
    },
    /// A parameter with a value that it does not take.
    #[error("store file: parameter {name} cannot be {value:?}; it is one of: power, process")]
    BadValue {
        /// The parameter.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// The address of a Redis cannot be read.
    #[cfg(feature = "redis")]
    #[error(transparent)]
    Redis(#[from] RedisAddressError),
    /// The address of a PostgreSQL cannot be read.
    #[cfg(feature = "postgres")]
    #[error(transparent)]
    Postgres(#[from] PostgresAddressError),
}

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(url: &str) -> Result<Self, StoreUrlError> {
        let (scheme, rest) = url.split_once(':').ok_or(StoreUrlError::NoScheme)?;
        let scheme = scheme.to_ascii_lowercase();
        match scheme.as_str() {
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "memory" => Err(StoreUrlError::MemoryTakesNothing),
            #[cfg(feature = "file")]
            "file" => file(rest),
            #[cfg(feature = "redis")]
            "redis" | "rediss" | "redis-cluster" | "rediss-cluster" => {
                Ok(Self::Redis(url.parse()?))
            }
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => Ok(Self::Postgres(url.parse()?)),
            other if is_scheme(other) => Err(StoreUrlError::UnknownScheme { scheme }),
            _ => Err(StoreUrlError::NoScheme),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            #[cfg(feature = "file")]
            Self::File { path, durability } => {
                write!(f, "file:{}", path.display())?;
                match durability {
                    Durability::Power => Ok(()),
                    Durability::Process => f.write_str("?durability=process"),
                }
            }
            #[cfg(feature = "redis")]
            Self::Redis(address) => address.fmt(f),
            #[cfg(feature = "postgres")]
            Self::Postgres(address) => address.fmt(f),
        }
    }
}

#[cfg(feature = "file")]
fn file(rest: &str) -> Result<StoreUrl, StoreUrlError> {
    let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let path = match path.strip_prefix("//") {
        Some(absolute) if absolute.starts_with('/') => absolute,
        Some(_) => return Err(StoreUrlError::Host),
        None => path,
    };
    if path.is_empty() {
        return Err(StoreUrlError::NoPath);
    }
    let mut durability = Durability::default();
    for parameter in parameters
        .split('&')
        .filter(|parameter| !parameter.is_empty())
    {
        durability = match parameter.split_once('=').unwrap_or((parameter, "")) {
            ("durability", "power") => Durability::Power,
            ("durability", "process") => Durability::Process,
            ("durability", value) => {
                let value = value.to_owned();
                return Err(StoreUrlError::BadValue {
                    name: "durability",
                    value,
                });
            }
            (name, _) => {
                return Err(StoreUrlError::UnknownParameter {
                    name: name.to_owned(),
                });
            }
        };
    }
    Ok(StoreUrl::File {
        path: path.into(),
        durability,
    })
}

/// RFC 3986, 3.1: so that a Windows path or a bare word is not taken for a scheme, and nothing
/// secret repeated.
fn is_scheme(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() > 1
        && bytes
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// The stores that can be named.
pub const STORES: &str = match (
    cfg!(feature = "file"),
    cfg!(feature = "redis"),
    cfg!(feature = "postgres"),
) {
    (true, true, true) => {
        "memory:, file:PATH, redis://HOST:PORT, redis-cluster://HOST:PORT,HOST:PORT, postgres://HOST:PORT/DATABASE"
    }
    (true, true, false) => {
        "memory:, file:PATH, redis://HOST:PORT, redis-cluster://HOST:PORT,HOST:PORT"
    }
    (true, false, true) => "memory:, file:PATH, postgres://HOST:PORT/DATABASE",
    (true, false, false) => "memory:, file:PATH",
    (false, true, true) => {
        "memory:, redis://HOST:PORT, redis-cluster://HOST:PORT,HOST:PORT, postgres://HOST:PORT/DATABASE"
    }
    (false, true, false) => "memory:, redis://HOST:PORT, redis-cluster://HOST:PORT,HOST:PORT",
    (false, false, true) => "memory:, postgres://HOST:PORT/DATABASE",
    (false, false, false) => "memory:",
};

#[cfg(all(test, feature = "file"))]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_store_and_is_shown_as_it_is_understood() {
        let table = [
            ("memory:", "memory:"),
            ("file:oncegate.db", "file:oncegate.db"),
            ("FILE:/var/lib/o.db", "file:/var/lib/o.db"),
            ("file:///var/lib/o.db", "file:/var/lib/o.db"),
            ("file:o.db?durability=power", "file:o.db"),
            (
                "file:o.db?durability=process",
                "file:o.db?durability=process",
            ),
        ];
        for (url, shown) in table {
            assert_eq!(url.parse::<StoreUrl>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn a_bad_url_is_told_what_would_be_a_good_one() {
        let table = [
            ("oncegate.db", StoreUrlError::NoScheme),
            ("C:\\oncegate.db", StoreUrlError::NoScheme),
            (
                "etcd://h",
                StoreUrlError::UnknownScheme {
                    scheme: "etcd".to_owned(),
                },
            ),
            ("file:", StoreUrlError::NoPath),
            ("file:?durability=power", StoreUrlError::NoPath),
            ("file://host/o.db", StoreUrlError::Host),
            ("memory:x", StoreUrlError::MemoryTakesNothing),
            (
                "file:o.db?mode=ro",
                StoreUrlError::UnknownParameter {
                    name: "mode".to_owned(),
                },
            ),
            (
                "file:o.db?durability=none",
                StoreUrlError::BadValue {
                    name: "durability",
                    value: "none".to_owned(),
                },
            ),
        ];
        for (url, error) in table {
            assert_eq!(url.parse::<StoreUrl>(), Err(error), "{url}");
        }
    }

    #[test]
    fn no_message_repeats_a_password() {
        for url in [
            "mysql://user:hunter2@h/0",
            "etcd://user:hunter2@h",
            "user:hunter2@h",
        ] {
            let message = url.parse::<StoreUrl>().unwrap_err().to_string();
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
