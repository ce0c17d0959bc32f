//! How an inner service says that an exchange gave no answer.
//!
//! The layer never changes the inner service's error type, and an error type cannot say the one thing that
//! matters: *was anything sent?* So a service that forwards puts a [`Failure`] into the extensions of a
//! placeholder response, and the layer turns it into a release or into unknown, and into a problem answer.
//! A handler inside the process needs none of this: its errors and panics are unknown by themselves.

use std::time::Duration;

/// What became of an exchange that gave no whole answer. Lives in a response's extensions.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Failure {
    /// Not one byte of the request was accepted: it was definitely not executed and may be sent again.
    NotSent,
    /// The exchange broke after bytes were accepted: it may have been executed.
    Broken,
    /// No answer came within the time allowed, after bytes were accepted: it may have been executed.
    TimedOut,
}

/// What the layer tells a forwarding service about a request that runs under a claim.
///
/// Lives in the request's extensions. Its presence alone means: never send this request a second time once
/// a byte of it was accepted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Keyed {
    /// Take no upstream connection that was idle longer than this.
    pub idle_max: Duration,
}

impl Keyed {
    /// Marks a request as running under a claim.
    #[must_use]
    pub const fn new(idle_max: Duration) -> Self {
        Self { idle_max }
    }
}
