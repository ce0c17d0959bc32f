//! One body type for both directions: what the inner service reads, and what the caller gets.
//!
//! A body is whole in memory, spooled on disk, relayed while an execution goes on, or somebody else's that passes
//! straight through. Nothing here decides; nothing here is stored.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::sync::mpsc;

use crate::inner::AnyBody;
use crate::spool::Spooled;

/// Any error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request body for the inner service, or a response body for the caller.
pub struct Body(Kind);

enum Kind {
    /// In memory.
    Whole {
        bytes: Bytes,
        trailers: Option<HeaderMap>,
    },
    /// On disk.
    Spooled {
        spooled: Spooled,
        trailers: Option<HeaderMap>,
    },
    /// Fed by an execution that goes on, whoever listens.
    Relayed(Relayed),
    /// Passed through as it comes.
    Foreign(UnsyncBoxBody<Bytes, BoxError>),
}

struct Relayed {
    pieces: mpsc::Receiver<Piece>,
    hint: SizeHint,
    ended: bool,
}

/// What an execution feeds into a relayed body.
#[derive(Debug)]
pub(crate) enum Piece {
    /// More of the answer.
    Frame(Frame<Bytes>),
    /// Its clean end. A body whose feeder goes without saying so is unfinished.
    End,
}

impl Relayed {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        match ready!(self.pieces.poll_recv(cx)) {
            Some(Piece::Frame(frame)) => Poll::Ready(Some(Ok(frame))),
            Some(Piece::End) => {
                self.ended = true;
                Poll::Ready(None)
            }
            None => {
                self.ended = true;
                Poll::Ready(Some(Err(unfinished(
                    "the answer broke off or could not be recorded",
                ))))
            }
        }
    }
}

impl Body {
    /// A body without bytes.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Kind::Whole {
            bytes: Bytes::new(),
            trailers: None,
        })
    }

    /// A body of these bytes.
    #[must_use]
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Whole {
            bytes: bytes.into(),
            trailers: None,
        })
    }

    /// A body that passes through as it comes.
    #[must_use]
    pub fn foreign<B: AnyBody>(body: B) -> Self {
        Self(Kind::Foreign(body.map_err(Into::into).boxed_unsync()))
    }

    pub(crate) fn spooled(spooled: Spooled) -> Self {
        Self(Kind::Spooled {
            spooled,
            trailers: None,
        })
    }

    /// A body that an execution feeds frame by frame. `hint` is what the original said of its length.
    pub(crate) fn relayed(hint: SizeHint) -> (RelaySender, Self) {
        let (sender, pieces) = mpsc::channel(RELAY_FRAMES_MAX);
        (
            sender,
            Self(Kind::Relayed(Relayed {
                pieces,
                hint,
                ended: false,
            })),
        )
    }

    /// The same body with trailers behind it; a body that is not ours keeps its own.
    pub(crate) fn with_trailers(mut self, more: Option<HeaderMap>) -> Self {
        match &mut self.0 {
            Kind::Whole { trailers, .. } | Kind::Spooled { trailers, .. } => *trailers = more,
            Kind::Relayed(_) | Kind::Foreign(_) => {}
        }
        self
    }
}

/// Feeds a relayed body. A send fails when nobody listens any more.
pub(crate) type RelaySender = mpsc::Sender<Piece>;

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Whole { bytes, .. } if !bytes.is_empty() => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))))
            }
            Kind::Whole { trailers, .. } => {
                Poll::Ready(trailers.take().map(|t| Ok(Frame::trailers(t))))
            }
            Kind::Spooled { spooled, trailers } => match ready!(spooled.poll_chunk(cx)) {
                Ok(Some(chunk)) => Poll::Ready(Some(Ok(Frame::data(chunk)))),
                Ok(None) => Poll::Ready(trailers.take().map(|t| Ok(Frame::trailers(t)))),
                Err(error) => Poll::Ready(Some(Err(BoxError::from(error)))),
            },
            Kind::Relayed(relayed) => relayed.poll_frame(cx),
            Kind::Foreign(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole { bytes, trailers } => bytes.is_empty() && trailers.is_none(),
            Kind::Spooled { spooled, trailers } => spooled.left() == 0 && trailers.is_none(),
            // Only the execution knows: its end may still wait for the outcome to be recorded.
            Kind::Relayed(_) => false,
            Kind::Foreign(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            // With trailers the length must not be announced, or HTTP/1 has nowhere to put them.
            Kind::Whole {
                trailers: Some(_), ..
            }
            | Kind::Spooled {
                trailers: Some(_), ..
            } => SizeHint::default(),
            Kind::Whole { bytes, .. } => SizeHint::with_exact(bytes.len() as u64),
            Kind::Spooled { spooled, .. } => SizeHint::with_exact(spooled.left()),
            Kind::Relayed(relayed) => relayed.hint,
            Kind::Foreign(body) => body.size_hint(),
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Body {
    /// Says what kind of body it is: bodies are never logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Whole { .. } => "Body(whole)",
            Kind::Spooled { .. } => "Body(spooled)",
            Kind::Relayed(_) => "Body(relayed)",
            Kind::Foreign(_) => "Body(foreign)",
        })
    }
}

/// An answer that must not look complete: its message is left unfinished, and HTTP resets it.
fn unfinished(why: &'static str) -> BoxError {
    io::Error::new(io::ErrorKind::UnexpectedEof, why).into()
}

/// What a message says of its body's length.
pub(crate) fn declared_length(headers: &HeaderMap) -> Option<u64> {
    let declared = headers.get(http::header::CONTENT_LENGTH)?;
    declared.to_str().ok()?.parse().ok()
}

/// How many frames of a relayed answer may wait for a slow caller.
const RELAY_FRAMES_MAX: usize = 8;
