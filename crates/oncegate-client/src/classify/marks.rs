//! What an answer says of itself beside its status: `Idempotency-Status`, `Idempotent-Replayed`, `Retry-After`, and
//! the members `executed` and `next` of a problem, in whichever vendor's document they stand.

use std::time::{Duration, UNIX_EPOCH};

use http::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue};
use oncegate::clock::wall_time;
use oncegate::problem::{Executed, Next};
use serde::Deserialize;

use crate::answer::Answer;

/// What an answer says of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    pub(super) problem: Option<(Executed, Next)>,
    pub(super) became: Option<Became>,
    pub(super) replayed: bool,
    pub(super) after: Option<Duration>,
}

/// What `Idempotency-Status` says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Became {
    /// `executed`, `unrecorded`: this answer is the outcome.
    Outcome,
    /// `replayed`: so it is, and it was stored.
    Replayed,
    /// `unknown`: something was started.
    Unknown,
    /// `released`, `bypassed`, `ignored`, `refused`: the status has to say.
    Unprotected,
}

impl Marks {
    pub(super) fn of(answer: &Answer) -> Self {
        let headers = &answer.headers;
        let replayed = text(headers, &IDEMPOTENT_REPLAYED)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"));
        Self {
            problem: problem(answer),
            became: became(headers),
            replayed,
            after: text(headers, &RETRY_AFTER).and_then(|value| after(value, headers)),
        }
    }
}

/// The two members that no one else gives. An answer that ran (a replayed one, say) is nobody's refusal, whatever its
/// body holds.
fn problem(answer: &Answer) -> Option<(Executed, Next)> {
    if !(answer.status.is_client_error() || answer.status.is_server_error()) || !is_json(answer) {
        return None;
    }
    match became(&answer.headers) {
        Some(Became::Outcome | Became::Replayed) => return None,
        Some(Became::Unknown | Became::Unprotected) | None => {}
    }
    let members: Members = serde_json::from_slice(&answer.body).ok()?;
    Some((members.executed()?, members.next()?))
}

fn is_json(answer: &Answer) -> bool {
    let essence = text(&answer.headers, &CONTENT_TYPE)
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim();
    essence.eq_ignore_ascii_case("application/json")
        || essence.eq_ignore_ascii_case("application/problem+json")
}

/// Where the members stand: at the top of our own documents and of most vendors', in `error` of Stripe's.
#[derive(Deserialize)]
struct Members {
    executed: Option<String>,
    next: Option<String>,
    error: Option<Box<Self>>,
}

impl Members {
    fn executed(&self) -> Option<Executed> {
        let word = self.member(|members| members.executed.as_deref())?;
        match word {
            "no" => Some(Executed::No),
            "yes" => Some(Executed::Yes),
            "maybe" => Some(Executed::Maybe),
            _ => None,
        }
    }

    fn next(&self) -> Option<Next> {
        let word = self.member(|members| members.next.as_deref())?;
        match word {
            "same-key" => Some(Next::SameKey),
            "new-key" => Some(Next::NewKey),
            "fix-request" => Some(Next::FixRequest),
            "none" => Some(Next::None),
            _ => None,
        }
    }

    fn member<'a>(&'a self, of: impl Fn(&'a Self) -> Option<&'a str>) -> Option<&'a str> {
        of(self).or_else(|| of(self.error.as_deref()?))
    }
}

fn became(headers: &HeaderMap) -> Option<Became> {
    let token = text(headers, &IDEMPOTENCY_STATUS)?.split(';').next()?;
    match token.trim() {
        "executed" | "unrecorded" => Some(Became::Outcome),
        "replayed" => Some(Became::Replayed),
        "unknown" => Some(Became::Unknown),
        "released" | "bypassed" | "ignored" | "refused" => Some(Became::Unprotected),
        _ => None,
    }
}

/// Seconds, or a date, which is compared with the server's own clock where it tells it.
fn after(value: &str, headers: &HeaderMap) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = httpdate::parse_http_date(value.trim()).ok()?;
    let now = text(headers, &DATE)
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .unwrap_or_else(|| UNIX_EPOCH + Duration::from_micros(wall_time().as_micros()));
    Some(then.duration_since(now).unwrap_or_default())
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).map(HeaderValue::to_str)?.ok()
}

const IDEMPOTENCY_STATUS: HeaderName = HeaderName::from_static("idempotency-status");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
