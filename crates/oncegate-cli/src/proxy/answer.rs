//! How the transport says that there was no answer.
//!
//! Promises: the kind is decided in one place, from what hyper and h2 prove and from nothing else, and everything
//! unproven is [`Failure::Broken`]. It makes no problem answers; that is the layer's work.

use std::error::Error;
use std::fmt::Write as _;

use http::{Request, Response, StatusCode};
use hyper::client::conn::TrySendError;
use oncegate_tower::Failure;

use super::body::ForwardBody;
use super::pool::OutBody;

/// An error that may cross threads; what bodies and connections fail with.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// An exchange without an answer: what it proves, and what happened, for the log.
#[derive(Debug)]
pub(super) struct NoAnswer {
    pub(super) failure: Failure,
    source: BoxError,
}

/// What became of handing a request to a connection, if it can be said without a [`NoAnswer`].
pub(super) enum Attempt<T> {
    Answered(T),
    /// Nothing was written; here is the request again, and why.
    HandedBack(Box<Request<OutBody>>, BoxError),
}

impl<T> Attempt<T> {
    /// Judges what hyper says.
    pub(super) fn judge(
        result: Result<T, TrySendError<Request<OutBody>>>,
    ) -> Result<Self, NoAnswer> {
        match result {
            Ok(answer) => Ok(Self::Answered(answer)),
            Err(mut error) => match error.take_message() {
                Some(request) => Ok(Self::HandedBack(
                    Box::new(request),
                    error.into_error().into(),
                )),
                None => Err(NoAnswer::judge(error.into_error())),
            },
        }
    }

    pub(super) fn map<U>(self, then: impl FnOnce(T) -> U) -> Attempt<U> {
        match self {
            Self::Answered(answer) => Attempt::Answered(then(answer)),
            Self::HandedBack(request, error) => Attempt::HandedBack(request, error),
        }
    }
}

impl NoAnswer {
    /// Not one byte of the request was accepted.
    pub(super) fn not_sent(source: impl Into<BoxError>) -> Self {
        Self {
            failure: Failure::NotSent,
            source: source.into(),
        }
    }

    /// It broke when bytes may have been accepted.
    pub(super) fn broken(source: impl Into<BoxError>) -> Self {
        Self {
            failure: Failure::Broken,
            source: source.into(),
        }
    }

    /// The head did not come in time.
    pub(super) fn timed_out(source: impl Into<BoxError>) -> Self {
        Self {
            failure: Failure::TimedOut,
            source: source.into(),
        }
    }

    /// Judges an error for which hyper did not hand the request back.
    ///
    /// Two HTTP/2 errors prove that nothing was executed: REFUSED_STREAM from the upstream (RFC 9113, 8.7), and a
    /// GOAWAY from the upstream that puts our stream above its last one (6.8). h2 gives a stream the GOAWAY error
    /// in three cases:
    /// 1. on receipt, every stream above `last_stream_id`: the proof;
    /// 2. `send_request` on a connection that already has it: nothing was queued, a proof too;
    /// 3. `poll_ready` *after* `send_request`, whatever the stream's number: no proof. Only a GOAWAY that another
    ///    thread receives between these two calls can cause it, and `http2.rs` drives both halves of a connection
    ///    in one task, so that there is no such moment.
    ///
    /// (An upstream that disowns a stream and then sends PUSH_PROMISE on it, push being switched off, could spread
    /// the error to others. It lies twice; one that lies about REFUSED_STREAM can have that more cheaply.)
    ///
    /// All else (io errors, resets with other codes, keep-alive timeouts, our own resets) is unproven.
    fn judge(error: hyper::Error) -> Self {
        let proven = error
            .source()
            .and_then(|source| source.downcast_ref::<h2::Error>())
            .is_some_and(proves_not_processed);
        if proven {
            Self::not_sent(error)
        } else {
            Self::broken(error)
        }
    }

    /// The placeholder response for the layer.
    pub(super) fn into_response(self) -> Response<ForwardBody> {
        tracing::warn!(failure = ?self.failure, error = chain(&*self.source), "upstream gave no answer");
        let mut response = Response::new(ForwardBody::empty());
        let late = self.failure == Failure::TimedOut;
        *response.status_mut() = if late {
            StatusCode::GATEWAY_TIMEOUT
        } else {
            StatusCode::BAD_GATEWAY
        };
        response.extensions_mut().insert(self.failure);
        response
    }
}

/// Whether this error says that the upstream did not look at our stream.
fn proves_not_processed(error: &h2::Error) -> bool {
    let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    error.is_remote() && (refused || error.is_go_away())
}

/// An error and its sources on one line.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Writing to a string cannot fail.
        let _ = write!(line, ": {error}");
        source = error.source();
    }
    line
}
