//! The published contract (M-43): one document for machines and one page for people, at `/.well-known/idempotency`.
//!
//! `document` says in JSON what the configuration in force means to callers, `page` says it in plain words, `negotiate`
//! chooses between them, and `service` answers before anything reaches the layer or the upstream.

mod document;
mod negotiate;
mod page;
mod service;

pub use service::{Discovery, LiveDiscovery};

/// Where it is published, unless the setting `discovery` says otherwise.
pub const DISCOVERY_PATH: &str = "/.well-known/idempotency";
