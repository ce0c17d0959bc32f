//! The Redis store on real servers, each of a test's own.

mod server;
mod suite;
