//! Descriptions with contracts put into them and taken out, through the crate's own door.

mod annotate;
mod bad_input;
mod invertible;
mod support;
