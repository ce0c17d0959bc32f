//! Tests of the stores through the public API. One binary, because linking dominates.

mod crash;
mod disk;
mod harness;
mod opening;
mod persistence;
mod suite;
