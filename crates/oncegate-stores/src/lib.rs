//! Durable stores for Oncegate, a feature each, and [`open`] from a URL to any of them.
//!
//! * `memory:` is `oncegate`'s own store, for tests and demos. A restart forgets every key.
//! * `file:PATH` (module `file`, feature `file`, on by default) is durable, needs no server, and
//!   belongs to one process.
//! * `redis://HOST:PORT` (module `redis`, feature `redis`, on by default) is shared by any number of processes.
//! * `postgres://USER@HOST:PORT/DATABASE` (module `postgres`, feature `postgres`, on by default) is shared by any
//!   number of processes, and as durable as that server is.
//!
//! ```
//! use std::sync::Arc;
//!
//! use oncegate::Store;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), oncegate_stores::OpenError> {
//! let store = oncegate_stores::open("memory:").await?;
//! let for_the_engine: Arc<dyn Store> = store.clone();
//! # drop(for_the_engine);
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs, clippy::exhaustive_enums)]

#[cfg(feature = "file")]
pub mod file;
mod open;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(any(feature = "file", feature = "postgres"))]
mod reply;
mod url;

#[cfg(feature = "postgres")]
pub use crate::postgres::{
    PostgresAddress, PostgresAddressError, PostgresOpenError, PostgresOptions, PostgresStore,
};
#[cfg(feature = "redis")]
pub use crate::redis::{RedisAddress, RedisAddressError, RedisOpenError, RedisOptions, RedisStore};
#[cfg(feature = "file")]
pub use file::{Durability, FileOpenError, FileOptions, FileStore};
pub use open::{OpenError, open};
pub use url::{STORES, StoreUrl, StoreUrlError};
