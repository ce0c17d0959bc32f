//! How a caller who waits for somebody else's batch is answered: by a value, or by a failure that many share.

use std::error::Error;
use std::sync::Arc;

use oncegate::clock::Timestamp;
use oncegate::store::{Stamped, StoreError, StoreErrorKind, StoreResult};
use tokio::sync::oneshot;

/// Where one caller waits.
#[derive(Debug)]
pub(crate) struct Reply<T> {
    sender: oneshot::Sender<StoreResult<T>>,
    store: &'static str,
    doing: &'static str,
}

impl<T> Reply<T> {
    /// A reply of `store`, and where it arrives.
    pub(crate) fn new(
        store: &'static str,
        doing: &'static str,
    ) -> (Self, oneshot::Receiver<StoreResult<T>>) {
        let (sender, receiver) = oneshot::channel();
        let reply = Self {
            sender,
            store,
            doing,
        };
        (reply, receiver)
    }

    /// Whether the caller has gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.sender.is_closed()
    }

    /// Answers with a value that was true at `at`.
    pub(crate) fn answer(self, at: Timestamp, value: T) {
        // A caller that has gone needs no answer.
        drop(self.sender.send(Ok(Stamped { at, value })));
    }

    /// Answers that it failed.
    pub(crate) fn fail(self, failure: &Failure) {
        let error = failure.error(self.store, self.doing);
        drop(self.sender.send(Err(error)));
    }
}

/// Why some callers cannot be answered, in a form that each of them can be given.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    kind: StoreErrorKind,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure that says all by its kind.
    pub(crate) const fn of_kind(kind: StoreErrorKind) -> Self {
        Self { kind, cause: None }
    }

    /// A failure with what caused it.
    pub(crate) fn because(kind: StoreErrorKind, cause: impl Error + Send + Sync + 'static) -> Self {
        Self {
            kind,
            cause: Some(Arc::new(cause)),
        }
    }

    /// The error that one caller is given.
    pub(crate) fn error(&self, store: &'static str, doing: &'static str) -> StoreError {
        let error = StoreError::new(self.kind, store, doing);
        match &self.cause {
            Some(cause) => error.because(Arc::clone(cause)),
            None => error,
        }
    }
}
