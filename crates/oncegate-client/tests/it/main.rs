//! The client against servers that a test plays: scripted ones without a network, and real ones.

mod attempts;
mod cancellation;
mod files;
mod http2;
mod origin;
mod scripted;
mod tls;
mod wire;
