//! Answers that are held back: one that depends on a write waits until that write is durable.
//!
//! Nothing here decides which does.

use oncegate::clock::Timestamp;
use oncegate::record::Record;
use oncegate::store::{Insert, Page, Purged, StoreErrorKind, Update};

use super::rows::RowError;
use crate::reply::{Failure, Reply};

/// One record cannot be read.
pub(super) fn of_row(error: RowError) -> Failure {
    Failure::because(StoreErrorKind::Corrupt, error)
}

/// An answer that is held back until the batch is committed.
#[derive(Debug)]
pub(super) enum Answer {
    /// To an insert.
    Insert(Reply<Insert>, Insert),
    /// To an update.
    Update(Reply<Update>, Update),
    /// To a look at one record.
    Get(Reply<Option<Record>>, Option<Record>),
    /// To a step of a purge.
    Purge(Reply<Purged>, Purged),
    /// To a listing.
    List(Reply<Page>, Page),
}

impl Answer {
    /// Gives it to its caller.
    pub(super) fn send(self, at: Timestamp) {
        match self {
            Self::Insert(reply, value) => reply.answer(at, value),
            Self::Update(reply, value) => reply.answer(at, value),
            Self::Get(reply, value) => reply.answer(at, value),
            Self::Purge(reply, value) => reply.answer(at, value),
            Self::List(reply, value) => reply.answer(at, value),
        }
    }

    /// Tells its caller that it failed.
    pub(super) fn fail(self, failure: &Failure) {
        match self {
            Self::Insert(reply, _) => reply.fail(failure),
            Self::Update(reply, _) => reply.fail(failure),
            Self::Get(reply, _) => reply.fail(failure),
            Self::Purge(reply, _) => reply.fail(failure),
            Self::List(reply, _) => reply.fail(failure),
        }
    }
}

/// The store's name in errors and in `info`.
pub(super) const NAME: &str = "file";
