//! Writes what callers of an API with idempotency keys can meet into its OpenAPI description (3.0, 3.1 and 3.2, JSON
//! or YAML), takes it out again, and reads it.
//!
//! Pure: a text and the contracts of its operations in, a text out. It promises:
//!
//! * What the author wrote stays as it is, to the byte: formatting, comments, order, quoting, line ends. A text is
//!   edited by insertions at places, never written anew.
//! * What was added can be told from what was there by its names ([`PREFIX`]), and is taken out first whenever something
//!   is added. So the same contracts give the same text however often they are added, and other contracts change ours
//!   alone.
//!
//! ```
//! use oncegate_openapi::{Contract, Description, Key};
//!
//! let text = r#"{"openapi": "3.1.0", "paths": {"/payments": {"post": {"responses": {}}}}}"#;
//! let description = Description::parse(text.to_owned())?;
//! let contract = Contract::of(Key::named("Idempotency-Key"));
//! let annotated = description.annotated(|_| Some(contract.clone()))?;
//! assert!(annotated.text.contains("#/components/parameters/oncegate.key"));
//! assert_eq!(Description::parse(annotated.text)?.plain(), text);
//! # Ok::<(), oncegate_openapi::Fault>(())
//! ```
//!
//! It reads one text: what stands in other files is neither followed nor changed. It does not check that a description
//! is right beyond what it has to read.

mod contract;
mod description;
mod discover;
mod fault;
mod marks;
mod merge;
mod overlay;
mod part;
mod plan;
mod read;
mod servers;
mod shared;
mod style;
mod tree;
mod write;

pub use contract::{Contract, Header, Key, Refusal};
pub use description::{Annotated, Description, Operation};
pub use discover::Documented;
pub use fault::Fault;
pub use marks::PREFIX;
pub use part::Part;
