//! The journal: an operation is on disk before its first byte is sent, and its outcome after. For programs that crash.
//!
//! One SQLite file, one writer thread, group commit: what waits at the same time shares one fsync. A [`Journal`] added
//! to a client makes a [`JournaledClient`]: [`execute`](JournaledClient::execute) writes, sends, writes;
//! [`resume`](JournaledClient::resume) finishes what an earlier process left open, with the same key and bytes. An
//! operation that the caller [names](OperationName) is never sent under a second key while the first is undecided, and
//! is answered from the journal once it happened.
//!
//! Several processes may open one journal. Each holds a lock on a file of its own beside it, which dies with the
//! process; an operation names its holder, and is taken over only from a dead one. There are no leases, and no clock
//! decides who sends.
//!
//! There is one write before the send, and none between attempts. So an operation that is open *may* have been sent,
//! and only its own outcome makes a definite answer of it. One whose outcome is unknown stays open; one that is older
//! than the server's retention is not sent again, because the server may have forgotten its key.
//!
//! Deliberately absent: a repair of damaged rows (they are told, and never sent), and journals on network file systems
//! (their locks are not to be trusted).
//!
//! ```no_run
//! use oncegate_client::journal::{Journal, OperationName};
//! use oncegate_client::{Client, Operation};
//!
//! # async fn pay() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new()?.journaled(Journal::open("payments.journal")?);
//! for resumed in client.resume().await? {
//!     println!("left open by an earlier process: {resumed:?}");
//! }
//! let payment = Operation::post("https://api.example.com/payments")?.body("amount=1200").build();
//! let name = OperationName::new("invoice-42")?;
//! println!("{:?}", client.execute_named(&name, &payment).await?.outcome);
//! # Ok(())
//! # }
//! ```

mod client;
mod columns;
mod contents;
mod error;
mod handle;
mod holder;
mod judge;
mod ledger;
mod listing;
mod name;
mod options;
mod row;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

pub use client::{Concluded, JournaledClient, RESUMED_AT_ONCE, Resumed};
pub use error::{JournalError, NotSent};
pub use handle::{CLOSE_WAIT, Journal};
pub use listing::{Entry, Listed, Stands};
pub use name::{NameError, OperationName};
pub use options::JournalOptions;
pub use schema::FORMAT;
