//! What an answer says of itself beside its status: `Idempotency-Status`, `Idempotent-Replayed`, the echo of the key,
//! `Retry-After`, and the members `executed` and `next` of a problem, in whichever vendor's document they stand.

use std::time::{Duration, UNIX_EPOCH};

use http::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use oncegate::clock::wall_time;
use oncegate::key::IdempotencyKey;
use oncegate::problem::{Executed, Next};
use serde_json::Value;

use super::{Advice, Protection, Reading};
use crate::answer::Answer;
use crate::dialect::Dialect;
use crate::operation::quote;

/// What an answer says of itself.
#[derive(Clone, Debug)]
pub(super) struct Marks {
    pub(super) refusal: Option<Refusal>,
    pub(super) became: Option<Became>,
    pub(super) replayed: bool,
    pub(super) protection: Protection,
    /// Whether a refusal of the operation itself, if this is one, is the key's outcome.
    pub(super) settles: bool,
    pub(super) after: Option<Duration>,
    /// The body of an error, if it is JSON.
    pub(super) document: Value,
    /// Whether `kept=?0` says that the outcome is recorded only once the body has ended.
    open_ended: bool,
    pub(super) transient: Option<bool>,
    pub(super) should_retry: Option<bool>,
}

/// A refusal in our own words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    pub(super) executed: Executed,
    pub(super) next: Next,
    /// The status of an answer that was not kept.
    pub(super) original_status: Option<StatusCode>,
}

/// What `Idempotency-Status` says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Became {
    /// `executed`, `unrecorded`, `replayed`: this answer is the outcome.
    Outcome,
    /// `released`: it ran under the key, and the key is free again. The status has to say.
    Released,
    /// `refused`: this request ran nothing.
    Refused,
    /// `unknown`: something was started.
    Unknown,
    /// `bypassed`, `ignored`: it ran as if there were no key. The status has to say.
    Unprotected,
}

/// For how long the server keeps the outcome that it has just recorded.
pub(crate) fn advertised_retention(answer: &Answer) -> Option<Duration> {
    let status = text(&answer.headers, &IDEMPOTENCY_STATUS)?;
    let mut parts = status.split(';').map(str::trim);
    // On all other answers the time has been running already.
    if parts.next() != Some("executed") {
        return None;
    }
    let seconds = parts.find_map(|part| part.strip_prefix("ttl="))?;
    seconds.parse().ok().map(Duration::from_secs)
}

impl Marks {
    pub(super) fn of(dialect: Dialect, key: &IdempotencyKey, answer: &Answer) -> Self {
        let headers = &answer.headers;
        let token = text(headers, &IDEMPOTENCY_STATUS).map(|value| value.trim());
        let became = token.and_then(became);
        let replayed = flag(headers, &IDEMPOTENT_REPLAYED) == Some(true)
            || token.is_some_and(|token| word(token) == "replayed");
        let shown = replayed || (dialect.echoes_keys() && is_echoed(headers, key));
        let document = document(answer, became);
        Self {
            refusal: refusal(&document),
            became,
            replayed,
            protection: match became {
                Some(Became::Unprotected) => Protection::Absent,
                Some(Became::Outcome | Became::Released | Became::Refused | Became::Unknown) => {
                    Protection::Shown
                }
                None if shown => Protection::Shown,
                None => Protection::Unsaid,
            },
            settles: match became {
                Some(Became::Outcome) => true,
                Some(
                    Became::Released | Became::Refused | Became::Unknown | Became::Unprotected,
                ) => false,
                None => shown,
            },
            after: text(headers, &RETRY_AFTER).and_then(|value| after(value, headers)),
            document,
            open_ended: token.is_some_and(|token| token.contains("kept=?0")),
            transient: flag(headers, &TRANSIENT_ERROR),
            should_retry: flag(headers, &STRIPE_SHOULD_RETRY),
        }
    }

    /// Whether the outcome was recorded before the head went out, so that it stays true if the body breaks off.
    pub(super) fn is_recorded(&self) -> bool {
        self.became == Some(Became::Outcome) && !self.open_ended
    }

    pub(super) const fn yes(&self) -> Reading {
        Reading::Yes {
            replayed: self.replayed,
            lost: false,
            protection: self.protection,
        }
    }

    pub(super) const fn no(&self) -> Reading {
        Reading::No {
            advice: Advice::Rotate,
            settles: self.settles,
        }
    }

    pub(super) const fn again(&self, executed: Executed) -> Reading {
        Reading::Again {
            executed,
            after: self.after,
        }
    }
}

/// The body of an error. An answer that ran (a replayed one, say) is nobody's refusal, whatever its body holds.
fn document(answer: &Answer, became: Option<Became>) -> Value {
    let is_error = answer.status.is_client_error() || answer.status.is_server_error();
    let is_small = answer.body.len() <= DOCUMENT_BYTES_MAX;
    if became == Some(Became::Outcome) || !is_error || !is_small || !is_json(&answer.headers) {
        return Value::Null;
    }
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

fn is_json(headers: &HeaderMap) -> bool {
    let essence = text(headers, &CONTENT_TYPE)
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

/// The two members that no one else gives, at the top of our own documents and of most vendors', in `error` of
/// Stripe's.
fn refusal(document: &Value) -> Option<Refusal> {
    let member = |name| {
        document
            .get(name)
            .or_else(|| document.get("error")?.get(name))
    };
    let executed = match member("executed")?.as_str()? {
        "no" => Executed::No,
        "yes" => Executed::Yes,
        "maybe" => Executed::Maybe,
        _ => return None,
    };
    let next = match member("next")?.as_str()? {
        "same-key" => Next::SameKey,
        "new-key" => Next::NewKey,
        "fix-request" => Next::FixRequest,
        "none" => Next::None,
        _ => return None,
    };
    let original_status = member("original_status")
        .and_then(Value::as_u64)
        .and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok());
    Some(Refusal {
        executed,
        next,
        original_status,
    })
}

fn became(status: &str) -> Option<Became> {
    match word(status) {
        "executed" | "unrecorded" | "replayed" => Some(Became::Outcome),
        "released" => Some(Became::Released),
        "refused" => Some(Became::Refused),
        "unknown" => Some(Became::Unknown),
        "bypassed" | "ignored" => Some(Became::Unprotected),
        _ => None,
    }
}

fn word(status: &str) -> &str {
    status.split(';').next().unwrap_or_default().trim()
}

/// Whether the answer names this very key, in either spelling.
fn is_echoed(headers: &HeaderMap, key: &IdempotencyKey) -> bool {
    let echoed = text(headers, &IDEMPOTENCY_KEY);
    echoed.is_some_and(|echoed| echoed == key.as_str() || echoed == quote(key.as_str()))
}

/// Seconds, or a date, which is compared with the server's own clock where it tells it.
fn after(value: &str, headers: &HeaderMap) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More seconds than a number holds are not an absent header: they are more than anybody waits.
        return Some(value.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let then = httpdate::parse_http_date(value).ok()?;
    let now = text(headers, &DATE)
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .unwrap_or_else(|| UNIX_EPOCH + Duration::from_micros(wall_time().as_micros()));
    Some(then.duration_since(now).unwrap_or_default())
}

fn flag(headers: &HeaderMap, name: &HeaderName) -> Option<bool> {
    let value = text(headers, name)?.trim();
    if value.eq_ignore_ascii_case("true") {
        Some(true)
    } else if value.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).map(HeaderValue::to_str)?.ok()
}

/// Refusals are small; an error that is not is nobody's refusal.
const DOCUMENT_BYTES_MAX: usize = 64 * 1024;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_STATUS: HeaderName = HeaderName::from_static("idempotency-status");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const STRIPE_SHOULD_RETRY: HeaderName = HeaderName::from_static("stripe-should-retry");
const TRANSIENT_ERROR: HeaderName = HeaderName::from_static("transient-error");
