//! What the layer tells whoever counts.

use std::fmt;

use oncegate::ProblemKind;

use crate::status::Became;

/// Told of every decision. Called on the request's path: count, do not block.
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// A request was answered (or, if it streams, its answer begun).
    fn answered(&self, became: Became, problem: Option<ProblemKind>);

    /// An upstream declared its outcome by a word that is none of the three; it was ignored.
    fn outcome_not_understood(&self);
}

/// Counts nothing.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Unobserved;

impl Observer for Unobserved {
    fn answered(&self, _became: Became, _problem: Option<ProblemKind>) {}

    fn outcome_not_understood(&self) {}
}
