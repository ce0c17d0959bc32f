//! A client that keeps one idempotency key per operation, across attempts, crashes and restarts.
//!
//! Half of the pattern is the client's: the key is made once, before the first attempt; every attempt has the same
//! bytes; and what is not known is not called an error. An [`Operation`] is what is to happen once. [`Client::execute`]
//! sends it until its [`Outcome`] is known: yes, no, or unknown.
//!
//! ```no_run
//! use oncegate_client::{Client, Operation, Outcome};
//!
//! # async fn pay() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new()?;
//! let payment = Operation::post("https://api.example.com/payments")?
//!     .header("content-type", "application/json")?
//!     .body(r#"{"amount":1200}"#)
//!     .build();
//! match client.execute(&payment).await {
//!     Outcome::Yes(yes) => println!("paid; a replay: {}", yes.replayed),
//!     Outcome::No(no) => println!("not paid: {:?}", no.last),
//!     Outcome::Unknown(unknown) => println!("ask again with {}", unknown.key.as_str()),
//! }
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs, clippy::exhaustive_enums)]

mod answer;
pub mod backoff;
mod body;
pub mod budget;
pub mod classify;
mod client;
pub mod course;
mod dialect;
#[cfg(feature = "journal")]
pub mod journal;
#[cfg(feature = "middleware")]
pub mod middleware;
mod operation;
mod outcome;
mod policy;
pub mod transport;

pub use answer::{Answer, Failure, FailureKind};
pub use body::{Body, BodyError, FileBody};
pub use budget::RetryBudget;
pub use classify::{Advice, Protection};
pub use client::{Client, ClientBuilder, Credentials, Observer};
pub use dialect::Dialect;
pub use operation::{Operation, OperationBuilder, OperationError};
pub use outcome::{Last, No, Outcome, Undone, Unknown, Yes};
pub use policy::RetryPolicy;
pub use transport::{HttpTransport, Transport};
