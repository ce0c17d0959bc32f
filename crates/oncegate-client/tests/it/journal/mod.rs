//! The journal: what is on the disk when, who may send, and what a crash leaves.

mod harness;
mod names;
mod origin;
mod processes;
mod writing;
