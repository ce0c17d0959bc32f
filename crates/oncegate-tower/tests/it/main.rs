//! The layer as its callers see it: one binary, one module for each topic, each test named after its rule.

mod concurrency;
mod handler;
mod harness;
mod headers;
mod keys;
mod lease;
mod replay;
mod routes;
mod taken_over;
mod wait;
