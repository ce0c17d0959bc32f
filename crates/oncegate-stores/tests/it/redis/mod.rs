//! The Redis store on real servers, each of a test's own.

mod cluster;
mod faults;
mod opening;
mod salt;
mod server;
mod suite;
mod waking;
