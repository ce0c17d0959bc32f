//! The body of a client's request.
//!
//! Promises: a client that stalls for `body_idle_timeout` in mid-body gets an error into its own request, which
//! drops it: nobody holds a connection, a buffer or a spool file for a body that never ends. Only the time in which
//! somebody waits for the client counts; while the upstream is the slow one, nothing runs.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use super::activity::Activity;

/// A request's body that gives up on a client that has stalled.
pub struct ServerBody {
    incoming: Incoming,
    /// Its end was seen: of a body in chunks, `Incoming` itself never says so.
    ended: bool,
    idle_timeout: Duration,
    /// Is told if the body is dropped before its end.
    activity: Arc<Activity>,
    /// Runs while we wait for the client.
    idle: Option<Pin<Box<Sleep>>>,
}

/// Why a request's body did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ServerBodyError {
    /// The client's connection or message broke.
    #[error("client's body broke")]
    Broken(#[source] hyper::Error),
    /// The client sent nothing for too long.
    #[error("client's body stalled for {0:?}")]
    Stalled(Duration),
}

impl ServerBody {
    pub(super) fn new(incoming: Incoming, idle_timeout: Duration, activity: Arc<Activity>) -> Self {
        Self {
            incoming,
            ended: false,
            idle_timeout,
            activity,
            idle: None,
        }
    }
}

impl Drop for ServerBody {
    fn drop(&mut self) {
        if !self.is_end_stream() {
            self.activity.note_unread();
        }
    }
}

impl Body for ServerBody {
    type Data = Bytes;
    type Error = ServerBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ServerBodyError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) {
            this.idle = None;
            // Nothing comes behind trailers.
            this.ended |= match &frame {
                Some(Ok(frame)) => frame.is_trailers(),
                Some(Err(_)) => false,
                None => true,
            };
            return Poll::Ready(frame.map(|frame| frame.map_err(ServerBodyError::Broken)));
        }
        let idle_timeout = this.idle_timeout;
        let idle = this
            .idle
            .get_or_insert_with(|| Box::pin(sleep(idle_timeout)));
        match idle.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Err(ServerBodyError::Stalled(idle_timeout)))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl fmt::Debug for ServerBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let incoming = &self.incoming;
        f.debug_struct("ServerBody")
            .field("incoming", incoming)
            .finish_non_exhaustive()
    }
}
