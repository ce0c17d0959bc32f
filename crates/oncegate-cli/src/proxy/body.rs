//! The body of an upstream's answer.
//!
//! Promises: its end means that the whole body came (M-31). hyper reports a cut `Content-Length` or chunked body as
//! an error; two things it lets pass are caught here: an HTTP/2 stream that ends by reset or GOAWAY with the code
//! NO_ERROR (hyper ends the body as if complete), and, as a second lock on the same door, fewer bytes than
//! `Content-Length` said. A body without length is complete when the connection is closed cleanly.
//! An HTTP/1 connection goes back to the pool only when its body was read to the end; a body that is dropped
//! early takes its connection with it. No limits on time are kept here: the reader has them.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::http1::Return;
use super::http2::StreamLease;

/// The body of an answer; empty in a placeholder.
pub struct ForwardBody {
    state: State,
}

/// Why an answer's body ended early.
#[derive(Debug, thiserror::Error)]
pub enum ForwardBodyError {
    /// The upstream's connection or message broke.
    #[error("upstream's body broke")]
    Broken(#[source] hyper::Error),
    /// The upstream ended the body before it was complete.
    #[error("upstream's body was cut short")]
    Truncated,
}

enum State {
    Http1 {
        incoming: Incoming,
        owed_bytes: Option<u64>,
        then: Option<Return>,
    },
    Http2 {
        incoming: Incoming,
        _lease: StreamLease,
    },
    /// Read to its end, or empty from the start.
    Ended,
    /// Broke: from here on it never looks complete, however often it is asked.
    Failed,
}

impl ForwardBody {
    /// No body at all.
    pub(super) fn empty() -> Self {
        Self {
            state: State::Ended,
        }
    }

    /// The body of an HTTP/1 answer; `then` takes the connection back when the body was read.
    pub(super) fn http1(incoming: Incoming, then: Option<Return>) -> Self {
        let owed_bytes = incoming.size_hint().exact();
        let mut body = Self {
            state: State::Http1 {
                incoming,
                owed_bytes,
                then,
            },
        };
        body.end_if_whole();
        body
    }

    /// The body of an HTTP/2 answer; the lease says that the connection is in use.
    pub(super) fn http2(incoming: Incoming, lease: StreamLease) -> Self {
        let mut body = Self {
            state: State::Http2 {
                incoming,
                _lease: lease,
            },
        };
        body.end_if_whole();
        body
    }

    /// Lets the connection go as soon as nothing more can come, because readers need not ask for the end.
    fn end_if_whole(&mut self) {
        let whole = match &self.state {
            State::Http1 {
                incoming,
                owed_bytes,
                ..
            } => incoming.is_end_stream() && owed_bytes.is_none_or(|owed| owed == 0),
            State::Http2 { incoming, .. } => incoming.is_end_stream(),
            State::Ended | State::Failed => false,
        };
        if whole {
            self.end();
        }
    }

    /// The whole body was read.
    fn end(&mut self) {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Http1 {
                then: Some(then), ..
            } => then.give_back(),
            State::Http1 { then: None, .. }
            | State::Http2 { .. }
            | State::Ended
            | State::Failed => {}
        }
    }

    /// hyper says that nothing more comes: is that the whole body?
    fn settle(&mut self) -> Result<(), ForwardBodyError> {
        let whole = match &self.state {
            State::Http1 { owed_bytes, .. } => owed_bytes.is_none_or(|owed| owed == 0),
            State::Http2 { incoming, .. } => incoming.is_end_stream(),
            State::Ended => true,
            State::Failed => false,
        };
        if whole {
            self.end();
            return Ok(());
        }
        self.state = State::Failed;
        Err(ForwardBodyError::Truncated)
    }

    fn count(&mut self, frame: &Frame<Bytes>) {
        match &mut self.state {
            State::Http1 {
                owed_bytes: Some(owed),
                ..
            } => {
                let came = frame.data_ref().map_or(0, Bytes::len);
                *owed = owed.saturating_sub(came as u64);
            }
            State::Http1 {
                owed_bytes: None, ..
            }
            | State::Http2 { .. }
            | State::Ended
            | State::Failed => {}
        }
    }
}

impl Body for ForwardBody {
    type Data = Bytes;
    type Error = ForwardBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ForwardBodyError>>> {
        let incoming = match &mut self.state {
            State::Http1 { incoming, .. } | State::Http2 { incoming, .. } => incoming,
            State::Ended => return Poll::Ready(None),
            State::Failed => return Poll::Ready(Some(Err(ForwardBodyError::Truncated))),
        };
        Poll::Ready(match ready!(Pin::new(incoming).poll_frame(cx)) {
            Some(Ok(frame)) => {
                self.count(&frame);
                self.end_if_whole();
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                self.state = State::Failed;
                Some(Err(ForwardBodyError::Broken(error)))
            }
            None => self.settle().err().map(Err),
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.state {
            State::Http1 { incoming, .. } | State::Http2 { incoming, .. } => incoming.size_hint(),
            State::Ended => SizeHint::with_exact(0),
            State::Failed => SizeHint::default(),
        }
    }
}

impl fmt::Debug for ForwardBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Http1 { .. } => "http1",
            State::Http2 { .. } => "http2",
            State::Ended => "ended",
            State::Failed => "failed",
        };
        f.debug_struct("ForwardBody")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
