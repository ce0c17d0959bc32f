//! The transport against origins that do exactly one thing wrong, at exactly one byte.
//!
//! Origins are raw sockets in the test itself, on the test's own thread: what it does between two awaits happens at
//! one point of the exchange. Timeouts that a test *waits for* are settings of the proxy; the guard around every
//! wait only turns a hang into a failure.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod forwarding;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod server;
#[cfg(test)]
mod support;
#[cfg(test)]
mod upgrades;
