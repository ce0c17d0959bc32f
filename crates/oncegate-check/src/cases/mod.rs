//! All cases, by theme. A run takes them in this order: what costs money first shows first.

use crate::case::Case;

mod answers;
mod chaos;
mod concurrency;
mod keys;
mod leaving;
mod mismatch;
mod outcomes;
mod policy;
mod replay;
mod scope;

/// All cases, in the order in which they are run.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [
        replay::CASES,
        concurrency::CASES,
        leaving::CASES,
        mismatch::CASES,
        keys::CASES,
        scope::CASES,
        outcomes::CASES,
        answers::CASES,
        policy::CASES,
        chaos::CASES,
    ]
    .into_iter()
    .flatten()
}

/// The case of that name.
#[must_use]
pub fn named(id: &str) -> Option<&'static Case> {
    all().find(|case| case.id == id)
}
