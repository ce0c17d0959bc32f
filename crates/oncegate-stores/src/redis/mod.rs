//! The Redis store: records in Redis or Valkey, single or as a Cluster, shared by any number of processes.
//!
//! * One Lua script for each method, so that each is atomic, and takes one round trip. Time is the server's.
//! * Three keys for each record, with one hash tag, so that a Cluster keeps them together: the record, its body, and
//!   the fence, which outlives a release.
//! * Redis itself removes a record at its `purge_at` and a body at its `expires_at`. Neither follows a lease.
//!
//! What it cannot promise: Redis answers before a write is on a disk or on a replica, unless it is told otherwise
//! (`appendfsync always`, `?wait=N`). A write that was lost so is a key that is free again.

mod address;
mod changes;
mod doubt;
mod error;
mod fitness;
mod link;
mod options;
mod place;
mod replicas;
mod reply;
mod salt;
mod scripts;
mod single;
mod store;
mod walk;
mod words;

pub use address::{RedisAddress, RedisAddressError};
pub use error::RedisOpenError;
pub use options::RedisOptions;
pub use store::RedisStore;
