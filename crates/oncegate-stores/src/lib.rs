//! Durable stores for Oncegate, a feature each, and [`open`] from a URL to any of them.
//!
//! * `memory:` is `oncegate`'s own store, for tests and demos. A restart forgets every key.
//! * `file:PATH` (module `file`, feature `file`, on by default) is durable, needs no server, and
//!   belongs to one process.
//!
//! Redis and PostgreSQL are to come; until then their URLs are refused as such.
//!
//! ```
//! use std::sync::Arc;
//!
//! use oncegate::Store;
//!
//! let store = oncegate_stores::open("memory:")?;
//! let for_the_engine: Arc<dyn Store> = store.clone();
//! # drop(for_the_engine);
//! # Ok::<(), oncegate_stores::OpenError>(())
//! ```
#![warn(missing_docs, clippy::exhaustive_enums)]

#[cfg(feature = "file")]
pub mod file;
mod open;
#[cfg(feature = "redis")]
pub mod redis;
mod url;

#[cfg(feature = "redis")]
pub use crate::redis::{RedisOpenError, RedisOptions, RedisStore};
#[cfg(feature = "file")]
pub use file::{Durability, FileOpenError, FileOptions, FileStore};
pub use open::{OpenError, open};
pub use url::{STORES, StoreUrl, StoreUrlError};
