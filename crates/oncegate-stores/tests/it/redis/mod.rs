//! The Redis store on real servers, each of a test's own.

mod clock;
mod cluster;
mod connection;
mod failover;
mod faults;
mod opening;
mod relay;
mod replicas;
mod salt;
mod server;
mod suite;
mod waking;
