//! What callers see: problems, replays, and the headers that every answer carries.
//!
//! Every answer that we make ourselves is made here, and nowhere else is a status of ours chosen. None of them is
//! ever stored as an outcome.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use oncegate::engine::{Replay, Seen};
use oncegate::key::SentKey;
use oncegate::{Dialect, Problem, ProblemKind};

use crate::body::Body;
use crate::failure::Failure;
use crate::observer::Observer;
use crate::status::{self, Became, IDEMPOTENCY_STATUS, IDEMPOTENT_REPLAYED, Status};

/// What is known of a request that every answer to it needs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// The key as it was sent, to be echoed; absent if it was invalid.
    pub(crate) key: Option<SentKey>,
    /// The page that the request came from, for CORS.
    pub(crate) origin: Option<HeaderValue>,
    /// In whose words a refusal is to be written.
    pub(crate) dialect: Dialect,
}

/// A refusal, and what became of the request.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) what: oncegate::Refusal,
    pub(crate) status: Status,
}

impl Refusal {
    /// A refusal of a request that ran nothing.
    pub(crate) fn new(problem: Problem) -> Self {
        Self {
            what: oncegate::Refusal::new(problem),
            status: Status::new(Became::Refused),
        }
    }

    /// A refusal in the table's words alone.
    pub(crate) fn of(kind: ProblemKind) -> Self {
        Self::new(Problem::new(kind))
    }

    pub(crate) const fn with_status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    /// The same for a time at which it is known to be worth coming back.
    const fn retry_after(mut self, after: Duration) -> Self {
        self.what.retry_after = Some(after);
        self
    }

    /// A duplicate of a request that is in flight: the older it is, the later it is worth to ask again.
    pub(crate) fn in_flight(seen: Seen) -> Self {
        let seconds = (1 + seen.age.as_secs() / 5).min(IN_FLIGHT_RETRY_AFTER_MAX);
        Self::of(ProblemKind::InFlight)
            .with_status(status_of(seen))
            .retry_after(Duration::from_secs(seconds))
    }

    /// A retry of a completed request whose answer finds no room in memory now. To say that nothing was executed would
    /// invite a second execution under a new key.
    pub(crate) fn no_room_to_replay(replay: &Replay) -> Self {
        let problem = Problem::new(ProblemKind::Overloaded)
            .because(
                "an earlier request executed the operation, and there is no room for its answer now",
            )
            .though_executed();
        let status = Status::new(Became::Refused).with_fence(replay.fence);
        Self::new(problem).with_status(Status {
            age: Some(replay.age),
            ttl: Some(replay.ttl),
            ..status
        })
    }

    /// A new key above a quota, which has room again after `wait`.
    pub(crate) fn quota_reached(wait: Duration) -> Self {
        let after = Duration::from_secs(wait.as_secs() + 1);
        Self::of(ProblemKind::QuotaReached).retry_after(after)
    }

    /// A retry whose outcome is unknown.
    pub(crate) fn outcome_unknown(seen: Seen) -> Self {
        Self::of(ProblemKind::OutcomeUnknown).with_status(status_of(seen))
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::new(problem)
    }
}

fn status_of(seen: Seen) -> Status {
    let status = Status::new(Became::Refused).with_fence(seen.fence);
    Status {
        age: Some(seen.age),
        ..status
    }
}

/// Makes answers.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    pub(crate) problem_base: String,
    pub(crate) cors_origins: Vec<HeaderValue>,
    /// Of answers to requests that have no policy.
    pub(crate) dialect: Dialect,
    pub(crate) observer: Arc<dyn Observer>,
}

impl Answers {
    /// An answer of the inner service, marked with what became of the request.
    pub(crate) fn fresh(
        &self,
        asked: &Asked,
        mut answer: Response<Body>,
        status: Status,
    ) -> Response<Body> {
        status::scrub(answer.headers_mut());
        self.mark(asked, &mut answer, status, None);
        answer
    }

    /// The stored response, or what is left of one that was not kept.
    pub(crate) fn replay(&self, asked: &Asked, replay: &Replay, body: Bytes) -> Response<Body> {
        let status = Status {
            age: Some(replay.age),
            ttl: Some(replay.ttl),
            ..Status::new(Became::Replayed).with_fence(replay.fence)
        };
        if !replay.response.kept {
            return self.not_kept(
                asked,
                replay,
                Status {
                    became: Became::Refused,
                    ..status
                },
            );
        }
        let stored = &replay.response;
        let trailers = (!stored.trailers.is_empty()).then(|| stored.trailers.clone());
        let mut answer = Response::new(Body::whole(body).with_trailers(trailers));
        *answer.status_mut() = stored.status;
        *answer.headers_mut() = stored.headers.clone();
        if !cors_holds(
            stored.origin.as_ref(),
            asked.origin.as_ref(),
            &stored.headers,
        ) {
            remove_cors(answer.headers_mut());
        }
        answer
            .headers_mut()
            .insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
        self.mark(asked, &mut answer, status, None);
        answer
    }

    fn not_kept(&self, asked: &Asked, replay: &Replay, status: Status) -> Response<Body> {
        let location = replay.response.headers.get(header::LOCATION);
        let mut problem = Problem::new(ProblemKind::ResponseNotKept);
        problem.original_status = Some(replay.response.status);
        problem.location =
            location.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let status = Status {
            kept: Some(false),
            ..status
        };
        let mut answer = self.refuse(asked, &Refusal::new(problem).with_status(status));
        if let Some(location) = location {
            answer
                .headers_mut()
                .insert(header::LOCATION, location.clone());
        }
        answer
    }

    /// A refusal.
    pub(crate) fn refuse(&self, asked: &Asked, refusal: &Refusal) -> Response<Body> {
        let kind = refusal.what.problem.kind;
        let digest = asked.key.as_ref().map(|key| key.key().digest());
        let written = refusal
            .what
            .write(asked.dialect, &self.problem_base, digest);
        let mut answer = written.map(Body::whole);
        let advice = asked.dialect.advice(kind);
        let headers = answer.headers_mut();
        self.allow_origin(asked, headers, advice.map(|(name, _)| name));
        self.mark(asked, &mut answer, refusal.status, Some(kind));
        answer
    }

    /// Stands for the answer to a request without a key that got none: a bare one, for there is no page to
    /// explain it and no key to send again.
    pub(crate) fn unanswered(&self, failure: Failure) -> Response<Body> {
        let status = match failure {
            Failure::NotSent | Failure::Broken => StatusCode::BAD_GATEWAY,
            Failure::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        };
        let mut answer = Response::new(Body::whole(self.dialect.bare_document(status)));
        *answer.status_mut() = status;
        let content_type = HeaderValue::from_static(self.dialect.content_type());
        answer
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type);
        answer
    }

    fn mark(
        &self,
        asked: &Asked,
        answer: &mut Response<Body>,
        status: Status,
        problem: Option<ProblemKind>,
    ) {
        answer
            .headers_mut()
            .insert(IDEMPOTENCY_STATUS, status.to_value());
        if let Some(key) = &asked.key {
            answer
                .headers_mut()
                .insert(key.name().clone(), key.value().clone());
        }
        if problem.is_none() {
            expose(answer.headers_mut());
        }
        self.observer.answered(status.became, problem);
        tracing::debug!(
            status = status.became.name(),
            problem = problem.map(|kind| kind.row().slug),
            key = asked
                .key
                .as_ref()
                .map(|key| tracing::field::display(key.key().digest())),
            code = answer.status().as_u16(),
            "answered"
        );
    }

    /// Lets pages of the configured origins read our refusals, and the advice of a dialect in them; the upstream's
    /// answers carry their own headers.
    fn allow_origin(&self, asked: &Asked, headers: &mut HeaderMap, advice: Option<HeaderName>) {
        if self.cors_origins.is_empty() {
            return;
        }
        // Also on those that no page may read: whoever keeps one must not give it to a page that may.
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        let allowed = asked
            .origin
            .as_ref()
            .filter(|origin| self.cors_origins.contains(origin));
        let Some(origin) = allowed else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(EXPOSED),
        );
        if let Some(advice) = advice {
            headers.append(header::ACCESS_CONTROL_EXPOSE_HEADERS, advice.into());
        }
    }
}

/// A 500 as the contract wants it after a panic, else what the table has.
pub(crate) fn outcome_unknown_problem(status: StatusCode) -> Problem {
    Problem::new(ProblemKind::UpstreamOutcomeUnknown).with_status(status)
}

/// Whoever may read the answer may read what became of the request.
fn expose(headers: &mut HeaderMap) {
    if headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        headers.append(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("Idempotency-Status, Idempotent-Replayed"),
        );
    }
}

/// CORS headers were made for one origin; for another they would be a lie, or a leak.
fn cors_holds(
    stored: Option<&HeaderValue>,
    asked: Option<&HeaderValue>,
    headers: &HeaderMap,
) -> bool {
    stored == asked
        || headers
            .get(header::ACCESS_CONTROL_ALLOW_ORIGIN)
            .is_some_and(|value| value == "*")
}

fn remove_cors(headers: &mut HeaderMap) {
    let cors: Vec<_> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("access-control-"))
        .cloned()
        .collect();
    for name in cors {
        headers.remove(name);
    }
}

const IN_FLIGHT_RETRY_AFTER_MAX: u64 = 10;
const EXPOSED: &str = "Idempotency-Status, Idempotent-Replayed, Retry-After, Link, Location";
