//! The file store: one SQLite file, one writer thread, group commit. The default store, and
//! durable.
//!
//! Callers queue a command and await its answer. The thread takes what is queued, runs it as one
//! transaction with one fsync, and then answers all: what was answered as applied survives `kill
//! -9`, and a power cut too unless [`Durability::Process`] is chosen. Two append-only tables,
//! `record` (narrow) and `body`, carry no unique index; which key is in which row is known in
//! memory, and built by one scan of `record` when the file is opened.
//!
//! Completed records that were written or read of late are kept in memory as well, up to [`RECENT_BYTES_MAX`]: most
//! retries come soon, and their replays wait for neither the thread nor the disk.
//!
//! One process per file. What an earlier process left in flight has a dead holder: it is unknown
//! from the moment the file is opened (M-41). After a failed write or fsync nothing of that batch
//! is reported as stored, and the store refuses work until it has re-opened the file and proved
//! that it can write.
//!
//! A commit that happens to fill the write-ahead log copies it into the file first: 80-160 ms at
//! worst, every 64 MiB written. Deliberately absent: a thread for that (measured worse), sharing a
//! file between processes, and a repair of damaged rows. A damaged row is an error for its own key,
//! never taken for absent.
//!
//! ```
//! use oncegate::Store;
//! use oncegate_stores::file::FileStore;
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let directory = tempfile::tempdir()?;
//! let store = FileStore::open(directory.path().join("oncegate.db"))?;
//! assert_eq!(store.info().await?.value.name, "file");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
#[cfg(test)]
mod faults;
mod health;
mod index;
mod ledger;
mod listing;
mod options;
mod purge;
mod queue;
mod recent;
mod recovery;
mod reply;
mod rows;
mod schema;
mod seal;
mod store;
#[cfg(test)]
mod tests;
mod time;
mod writer;

pub use error::FileOpenError;
pub use options::{Durability, FileOptions, PROVE_AFTER, QUEUE_MAX};
pub use recent::RECENT_BYTES_MAX;
pub use rows::RESPONSE_BYTES_MAX;
pub use schema::FORMAT;
pub use store::{CLOSE_WAIT, FileStore};
