//! What is measured: a kind of load, so many connections, a size of body.

use crate::load::Body;

/// What the requests ask for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Load {
    /// A new key with each request.
    Fresh,
    /// Keys that are stored already.
    Replay,
    /// No keys.
    Unkeyed,
}

/// One cell of the tables.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, PartialOrd, Ord)]
pub struct Cell {
    pub load: Load,
    pub body: Body,
    pub connections: usize,
}

impl Load {
    /// As a heading says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Replay => "replay",
            Self::Unkeyed => "unkeyed",
        }
    }
}
