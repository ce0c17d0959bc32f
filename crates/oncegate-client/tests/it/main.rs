//! The client against servers that a test plays: scripted ones without a network, and real ones.

mod attempts;
mod scripted;
