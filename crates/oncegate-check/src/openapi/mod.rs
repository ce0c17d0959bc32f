//! Operations from an OpenAPI description (3.0 and 3.1): those that document a key, their examples, or bodies made
//! from their schemas.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use oncegate_check::openapi::Description;
//! use oncegate_check::wire::Peer;
//!
//! let description = Description::parse(
//!     "payments.yaml",
//!     r#"
//! openapi: 3.1.0
//! info: { title: Payments, version: "1" }
//! paths:
//!   /accounts/{account}/payments:
//!     post:
//!       parameters:
//!         - { name: account, in: path, required: true, schema: { type: string } }
//!         - { name: Idempotency-Key, in: header, required: true, schema: { type: string, maxLength: 64 } }
//!       requestBody:
//!         content:
//!           application/json:
//!             schema:
//!               type: object
//!               required: [amount]
//!               properties: { amount: { type: integer, minimum: 100 }, note: { type: string } }
//! "#,
//! )?;
//! let documented = description.operations()?;
//! let (peer, base) = Peer::of("http://127.0.0.1:3000")?;
//! let account = BTreeMap::from([("account".to_owned(), "acc_1".to_owned())]);
//! let operation = description.operation(&documented[0], &peer, &base, &account)?;
//! assert_eq!(operation.plain().target, "/accounts/acc_1/payments");
//! assert_eq!(operation.plain().body, br#"{"amount":100}"#);
//! assert_eq!(operation.requires_key(), Some(true));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It reads one file: a reference into another one is an error that says so. It does not check that the description
//! is right where a request can be made without.

mod description;
mod documented;
mod request;
mod sample;
mod text;

pub use description::{Description, InvalidDescription};
pub use documented::DocumentedOperation;
