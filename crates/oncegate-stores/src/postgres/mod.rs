//! The PostgreSQL store: records in one schema of a database, shared by any number of processes.
//!
//! * One statement for each method, so that each is atomic and takes one round trip. Time is the server's.
//! * What waits is gathered: one statement claims for all who wait, while the one before is on its way.
//! * Typed columns, and constraints that repeat what a record is. One table, found by its primary key alone, so that
//!   completions and renewals touch no index.
//! * A record that was released stays for a day, absent to everybody: the next claim of its key gets a higher fence.
//!
//! What it promises is what the server promises: a claim and an outcome are answered when they are committed, and
//! `synchronous_commit = off` is refused. What a failover to an asynchronous standby loses is a key that is free again.

mod address;
mod aside;
mod batch;
mod change;
mod changes;
mod connect;
mod error;
mod fitness;
mod lane;
mod listing;
mod migrations;
mod notices;
mod options;
mod purge;
mod rows;
mod salt;
mod session;
mod statements;
mod store;
mod time;
mod trust;
mod turn;

pub use address::{PostgresAddress, PostgresAddressError};
pub use connect::ConnectError;
pub use error::PostgresOpenError;
pub use options::PostgresOptions;
pub use session::AskError;
pub use store::PostgresStore;
pub use trust::TrustError;
