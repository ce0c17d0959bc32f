//! The layer as its callers see it: one binary, one module for each topic, each test named after its rule.

mod bodies;
mod concurrency;
mod costs;
mod disconnect;
mod drain;
mod expiry;
mod failure;
mod handler;
mod harness;
mod headers;
mod in_axum;
mod keys;
mod lease;
mod logs;
mod outcomes;
mod problems;
mod reconcile;
mod replay;
mod routes;
mod scope;
mod streaming;
mod taken_over;
mod wait;
mod wire;
