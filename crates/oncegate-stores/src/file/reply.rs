//! How a caller is answered: at once, after the commit, or with a failure.
//!
//! An answer that depends on a write is held back until that write is durable. Nothing here decides
//! which does.

use std::error::Error;
use std::sync::Arc;

use oncegate::clock::Timestamp;
use oncegate::record::Record;
use oncegate::store::{
    Insert, Page, Purged, Stamped, StoreError, StoreErrorKind, StoreResult, Update,
};
use tokio::sync::oneshot;

use super::rows::RowError;

/// Where one caller waits.
#[derive(Debug)]
pub(super) struct Reply<T> {
    sender: oneshot::Sender<StoreResult<T>>,
    doing: &'static str,
}

impl<T> Reply<T> {
    /// A reply, and where it arrives.
    pub(super) fn new(doing: &'static str) -> (Self, oneshot::Receiver<StoreResult<T>>) {
        let (sender, receiver) = oneshot::channel();
        (Self { sender, doing }, receiver)
    }

    /// Whether the caller has gone.
    pub(super) fn is_abandoned(&self) -> bool {
        self.sender.is_closed()
    }

    /// Answers with a value that was true at `at`.
    pub(super) fn answer(self, at: Timestamp, value: T) {
        // A caller that has gone needs no answer.
        drop(self.sender.send(Ok(Stamped { at, value })));
    }

    /// Answers that it failed.
    pub(super) fn fail(self, failure: &Failure) {
        let error = failure.error(self.doing);
        drop(self.sender.send(Err(error)));
    }
}

/// Why some callers cannot be answered, in a form that each of them can be given.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    kind: StoreErrorKind,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure that says all by its kind.
    pub(super) const fn of_kind(kind: StoreErrorKind) -> Self {
        Self { kind, cause: None }
    }

    /// A failure with what caused it.
    pub(super) fn because(kind: StoreErrorKind, cause: impl Error + Send + Sync + 'static) -> Self {
        Self {
            kind,
            cause: Some(Arc::new(cause)),
        }
    }

    /// One record cannot be read.
    pub(super) fn of_row(error: RowError) -> Self {
        Self::because(StoreErrorKind::Corrupt, error)
    }

    /// The error that one caller is given.
    pub(super) fn error(&self, doing: &'static str) -> StoreError {
        let error = StoreError::new(self.kind, NAME, doing);
        match &self.cause {
            Some(cause) => error.because(Arc::clone(cause)),
            None => error,
        }
    }
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
