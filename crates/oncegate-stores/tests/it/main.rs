//! Tests of the stores through the public API. One binary, because linking dominates.
#![expect(
    clippy::unwrap_used,
    reason = "what is unwrapped here is what is tested"
)]

mod clock;
mod crash;
mod disk;
mod harness;
mod opening;
mod persistence;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
mod suite;
