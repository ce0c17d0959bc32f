//! Tests of the engine over the memory store, through the public API: the store suite, the engine's promises, and
//! the simulation. One binary, because linking dominates.

mod bypass;
mod costs;
mod engine;
mod faults;
mod harness;
mod memory;
mod sim;
