//! What one attempt brought: a whole answer, or a failure that says whether a byte may have arrived.

use std::error::Error;
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

/// An answer, whole.
#[derive(Clone)]
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

impl fmt::Debug for Answer {
    /// Shows neither headers nor the body: they hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// An attempt that brought no whole answer.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
#[non_exhaustive]
pub struct Failure {
    /// What failed.
    pub kind: FailureKind,
    /// The answer as far as it came: its head, without a body.
    pub head: Option<Box<Answer>>,
    /// What caused it.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// What failed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum FailureKind {
    /// The host's name is not known. Nothing was sent.
    NameUnknown,
    /// No connection came about: nobody listens, or not in time. Nothing was sent.
    Connect,
    /// The server's certificate is not trusted, has expired, or is another's. Nothing was sent.
    Untrusted,
    /// The key is not as the server wants keys. Nothing was sent.
    KeyUnfit,
    /// The operation was sent first longer ago than the server knows keys: sent again it would run anew. Nothing was
    /// sent; what became of it before is not known.
    KeyForgotten,
    /// The request cannot be sent as it is: its URL, or its body cannot be read. Nothing was sent.
    Unsendable,
    /// The file that holds the body is no longer what it was on the first attempt. Nothing was sent.
    BodyChanged,
    /// The file changed while it was sent. The request was left unfinished; a server that acts on half a request may
    /// have acted.
    BodyTorn,
    /// The server handed the request back unread (HTTP/2 REFUSED_STREAM). Nothing ran.
    HandedBack,
    /// The exchange broke after it had begun. It may have run.
    Broken,
    /// No answer came in time, or no whole one. It may have run.
    TimedOut,
    /// The answer is larger than the client takes. What its head says holds.
    TooLarge,
}

impl Failure {
    /// A failure of this kind.
    #[must_use]
    pub fn new(kind: FailureKind, source: Option<impl Into<Box<dyn Error + Send + Sync>>>) -> Self {
        Self {
            kind,
            head: None,
            source: source.map(Into::into),
        }
    }

    /// The same behind the head of an answer.
    #[must_use]
    pub fn behind(mut self, head: Answer) -> Self {
        self.head = Some(Box::new(head));
        self
    }
}

impl FailureKind {
    /// Whether it is certain that nothing ran.
    #[must_use]
    pub const fn nothing_ran(self) -> bool {
        match self {
            Self::NameUnknown
            | Self::Connect
            | Self::Untrusted
            | Self::KeyUnfit
            | Self::KeyForgotten
            | Self::Unsendable
            | Self::BodyChanged
            | Self::HandedBack => true,
            Self::BodyTorn | Self::Broken | Self::TimedOut | Self::TooLarge => false,
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NameUnknown => "the host's name is not known",
            Self::Connect => "no connection came about",
            Self::Untrusted => "the server's certificate is not trusted",
            Self::KeyUnfit => "the server does not take such keys",
            Self::KeyForgotten => "the server may have forgotten the key",
            Self::Unsendable => "the request cannot be sent as it is",
            Self::BodyChanged => "the body is not what it was before",
            Self::BodyTorn => "the body changed while it was sent",
            Self::HandedBack => "the server handed the request back unread",
            Self::Broken => "the exchange broke",
            Self::TimedOut => "no answer came in time",
            Self::TooLarge => "the answer is larger than this client takes",
        })
    }
}
