//! The transport against origins that do exactly one thing wrong, at exactly one byte.
//!
//! Origins are raw sockets in the test itself, on the test's own thread: what it does between two awaits happens at
//! one point of the exchange. Timeouts that a test *waits for* are settings of the proxy; the guard around every
//! wait only turns a hang into a failure.

mod answers;
mod connections;
mod forwarding;
mod http2;
mod server;
mod splitting;
mod support;
mod upgrades;
