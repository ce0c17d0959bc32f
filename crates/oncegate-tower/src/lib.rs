//! Idempotency keys as a `tower` layer, for axum, hyper and any service of `http` requests.
//!
//! [`Oncegate::layer`] gives a service idempotency keys: the first request with a key is executed in a task of its
//! own, which no caller can cancel; its outcome is recorded before the caller sees it; every retry gets the same
//! answer. The proxy of `oncegate serve` is this layer around a service that forwards.
#![warn(missing_docs, clippy::exhaustive_enums)]

mod answer;
mod body;
mod budget;
mod claiming;
mod exchange;
mod execution;
mod executions;
mod failure;
mod gate;
pub mod headers;
mod holding;
mod inner;
#[cfg(feature = "jwt")]
mod jwt;
mod keeper;
mod layer;
mod observer;
mod pages;
pub mod path;
mod quota;
mod reconcile;
mod relay;
mod route;
mod service;
mod spool;
mod status;
mod token;
mod upload;
mod waiting;

pub use body::{Body, BoxError};
pub use budget::{BUFFER_BYTES_TOTAL_MAX, BufferBudget};
pub use executions::{Drained, EXECUTIONS_MAX};
pub use failure::{Failure, Keyed};
pub use gate::{Oncegate, Settings};
pub use inner::{AnyBody, Inner};
#[cfg(feature = "jwt")]
pub use jwt::{
    JWT_BYTES_MAX, JWT_KEYS_MAX, JWT_LEEWAY, JWT_SECRET_BYTES_MIN, JwtKeys, JwtKeysError,
    JwtVerifier,
};
pub use layer::{OncegateLayer, Policies};
pub use observer::{Observer, Unobserved};
pub use quota::{ClientAddress, QUOTA_SUBJECTS_MAX, Quota, Quotas};
pub use service::OncegateService;
pub use spool::{SPOOL_BYTES_MAX, Spool};
pub use status::{
    Became, IDEMPOTENCY_FENCE, IDEMPOTENCY_OUTCOME, IDEMPOTENCY_STATUS, IDEMPOTENT_REPLAYED,
};
pub use token::{TokenError, TokenVerifier};
pub use waiting::{WAITERS_MAX, WAITERS_PER_KEY_MAX};
