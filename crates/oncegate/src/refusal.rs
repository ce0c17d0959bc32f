//! A refusal as it is sent: status, headers and document, in the policy's dialect.
//!
//! Promises: what the layer answers and what the published contract shows as an example are written here, by one
//! function. Deliberately absent: what hangs on the one request: `Idempotency-Status`, the echo of the key, CORS.

use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{HeaderName, Response};

use crate::dialect::Dialect;
use crate::key::KeyDigest;
use crate::problem::{Problem, ProblemKind};

/// A problem and the headers that go with it.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Refusal {
    /// What is refused, and why.
    pub problem: Problem,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// What a 401 asks for.
    pub challenge: Option<&'static str>,
}

impl Refusal {
    /// A refusal with the headers that its kind always has.
    #[must_use]
    pub fn new(problem: Problem) -> Self {
        Self {
            retry_after: problem.kind.retry_after(),
            challenge: (problem.kind == ProblemKind::ScopeMissing).then_some(CHALLENGE),
            problem,
        }
    }

    /// Writes it; the page that explains it is under `base`, and `key` is what logs show of the request's key.
    #[must_use]
    pub fn write(&self, dialect: Dialect, base: &str, key: Option<KeyDigest>) -> Response<Vec<u8>> {
        let problem = &self.problem;
        let mut answer = Response::new(dialect.document(problem, base, key));
        *answer.status_mut() = problem.status;
        let headers = answer.headers_mut();
        let mut insert = |name: HeaderName, value: HeaderValue| drop(headers.insert(name, value));
        let content_type = HeaderValue::from_static(dialect.content_type());
        insert(header::CONTENT_TYPE, content_type);
        if let Some((name, word)) = dialect.advice(problem.kind) {
            insert(name, word);
        }
        let link = format!("<{}>; rel=\"describedby\"", problem.type_uri(base));
        if let Ok(link) = HeaderValue::try_from(link) {
            insert(header::LINK, link);
        }
        if let Some(after) = self.retry_after {
            insert(header::RETRY_AFTER, after.as_secs().max(1).into());
        }
        if let Some(challenge) = self.challenge {
            insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(challenge),
            );
        }
        insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer
    }
}

impl ProblemKind {
    /// When it is worth to come back, if nothing more is known. Only those that time mends have one.
    #[must_use]
    pub const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::StoreUnavailable
            | Self::Overloaded
            | Self::UpstreamUnreachable
            | Self::InFlight => Some(Duration::from_secs(1)),
            Self::StillRunning => Some(Duration::from_secs(5)),
            Self::QuotaReached => Some(Duration::from_secs(10)),
            Self::KeyMissing
            | Self::KeyInvalid
            | Self::PathAmbiguous
            | Self::ScopeMissing
            | Self::RequestTooLarge
            | Self::RequestIncomplete
            | Self::KeyExpired
            | Self::Mismatch
            | Self::ResponseNotKept
            | Self::OutcomeUnknown
            | Self::UpstreamOutcomeUnknown => None,
        }
    }
}

const CHALLENGE: &str = "Bearer realm=\"idempotency\"";
