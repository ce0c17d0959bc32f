//! What one attempt brought: a whole answer, or a failure that says whether a byte may have arrived.

use std::error::Error;
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

/// An answer, whole.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body's bytes.
    pub body: Bytes,
}

impl Answer {
    /// An answer of these parts.
    #[must_use]
    pub const fn new(status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        Self {
            status,
            headers,
            body,
        }
    }
}

/// An attempt that brought no whole answer.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
#[non_exhaustive]
pub struct Failure {
    /// What failed.
    pub kind: FailureKind,
    /// What caused it.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// What failed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum FailureKind {
    /// No connection came about: the name is not known, nobody listens, the certificate is not trusted. Nothing was
    /// sent.
    Connect,
    /// The server handed the request back unread (HTTP/2 REFUSED_STREAM, or GOAWAY below our stream). Nothing ran.
    HandedBack,
    /// The exchange broke after it had begun. It may have run.
    Broken,
    /// No answer came in time. It may have run.
    TimedOut,
    /// The answer is larger than the client takes. It ran, or was refused; the status is not enough to tell.
    TooLarge,
}

impl Failure {
    /// A failure of this kind.
    #[must_use]
    pub fn new(kind: FailureKind, source: Option<impl Into<Box<dyn Error + Send + Sync>>>) -> Self {
        Self {
            kind,
            source: source.map(Into::into),
        }
    }
}

impl FailureKind {
    /// Whether it is certain that nothing ran.
    #[must_use]
    pub const fn nothing_ran(self) -> bool {
        match self {
            Self::Connect | Self::HandedBack => true,
            Self::Broken | Self::TimedOut | Self::TooLarge => false,
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "no connection came about",
            Self::HandedBack => "the server handed the request back unread",
            Self::Broken => "the exchange broke",
            Self::TimedOut => "no answer came in time",
            Self::TooLarge => "the answer is larger than this client takes",
        })
    }
}
