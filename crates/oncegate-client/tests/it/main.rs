//! The client against servers that a test plays: scripted ones without a network, and real ones.

mod attempts;
mod cancellation;
mod files;
mod http2;
#[cfg(feature = "journal")]
#[cfg(test)]
mod journal;
#[cfg(feature = "middleware")]
mod middleware;
mod origin;
mod outage;
mod scripted;
mod tls;
mod wire;
