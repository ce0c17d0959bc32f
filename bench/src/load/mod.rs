//! The load: raw HTTP/1.1 over many connections from one thread, with every answer verified.
//!
//! It is meant to cost less than what it measures. It asks one thing of a server: keep-alive and a `Content-Length`.

mod answer;
mod connection;
mod generator;
mod request;

pub use answer::Mark;
pub use generator::{Generator, Latencies};
pub use request::{Body, Keys};
