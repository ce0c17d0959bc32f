//! Is this HTTP API really idempotent, and where not?
//!
//! A black-box tester: it knows HTTP and nothing else, and none of our other crates, so that its verdict on Oncegate
//! is worth as much as its verdict on anybody.
//!
//! * A [`case::Case`] is data: steps, what must follow from them, why that matters and what to do. [`cases`] has them.
//! * [`run()`] takes an [`operation::Operation`] through them, one after the other, and gives a [`report::Report`].
//! * Whether something ran twice is told by a [`witness::Witness`]: a list that grows, or answers that differ. Where
//!   neither tells, the verdict is "cannot tell", never a pass.
//!
//! It does not measure speed, it does not wait for a retention to end, and it sees nothing that does not go over the wire.

pub mod case;
pub mod cases;
mod compose;
mod count;
pub mod dialect;
mod judge;
mod learn;
#[cfg(feature = "openapi")]
pub mod openapi;
pub mod operation;
pub mod policy;
mod prepare;
pub mod report;
pub mod rules;
mod run;
mod scene;
mod trial;
pub mod wire;
pub mod witness;

pub use count::InvalidCount;
pub use run::{Limits, Progress, Trouble, run};
