//! The Oncegate engine: idempotency keys as a pure state machine over a small store trait.
//!
//! A client makes one key per logical operation and sends it with every attempt. [`Engine::begin`] judges each
//! attempt by the record that stands under (scope, key), and answers with a [`Verdict`]: execute under a [`Claim`],
//! replay, or refuse. Whoever holds a claim executes, and completes, releases or marks it unknown.
//!
//! This crate does no I/O, spawns nothing, sleeps never and reads no clock (but for [`clock`], which stores without
//! a server are given). The middleware is `oncegate-tower`; durable stores are in `oncegate-stores`.
#![warn(missing_docs, clippy::exhaustive_enums)]

pub mod claims;
pub mod classify;
pub mod clock;
pub mod contract;
mod decide;
pub mod dialect;
pub mod engine;
pub mod fingerprint;
pub mod hash;
pub mod key;
mod memory;
pub mod policy;
pub mod problem;
mod random;
pub mod record;
pub mod refusal;
pub mod response;
pub mod scope;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transition;
pub mod units;
mod watchers;

pub use contract::Contract;
pub use decide::{Judgement, judge};
pub use dialect::Dialect;
pub use engine::{BeginRequest, Bypass, Claim, Engine, EngineError, Replay, Verdict};
pub use memory::{MEMORY_BYTES_MAX, MemoryStore};
pub use policy::Policy;
pub use problem::{Problem, ProblemKind};
pub use refusal::Refusal;
pub use response::StoredResponse;
pub use store::{Inspect, Store, StoreError, StoreErrorKind};
pub use watchers::Watchers;
