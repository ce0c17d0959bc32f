//! The `oncegate` command as a library, so that tests can run its parts on free ports.
//!
//! `command` parses nothing and decides nothing: it names the subcommands. Each has a file. `running` puts a proxy
//! together from the parts: configuration, store, engine, layer, transport.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command prints its output and its errors"
)]

pub mod admin;
mod check;
pub mod command;
mod completions;
pub mod config;
mod config_check;
mod demo;
mod descriptors;
pub mod discovery;
mod egress;
mod keys;
pub mod live;
mod logging;
mod man;
pub mod metrics;
mod notify;
mod openapi;
pub mod pages;
pub mod proxy;
mod reload;
pub mod routes;
pub mod running;
mod send;
mod serve;
mod store;
pub mod tokens;
