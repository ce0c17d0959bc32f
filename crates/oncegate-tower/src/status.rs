//! `Idempotency-Status`: what became of a request, in one token with parameters (a structured-field Item).

use std::fmt::Write;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use oncegate::classify::Downstream;
pub use oncegate::contract::{IDEMPOTENCY_STATUS, IDEMPOTENT_REPLAYED};
use oncegate::record::Fence;

use crate::headers::remove_where;

/// The number that goes to the upstream.
pub const IDEMPOTENCY_FENCE: HeaderName = HeaderName::from_static("idempotency-fence");
/// An upstream's own word on its outcome.
pub const IDEMPOTENCY_OUTCOME: HeaderName = HeaderName::from_static("idempotency-outcome");

/// All of them.
static OURS: [HeaderName; 4] = [
    IDEMPOTENCY_STATUS,
    IDEMPOTENT_REPLAYED,
    IDEMPOTENCY_FENCE,
    IDEMPOTENCY_OUTCOME,
];

/// What became of a request.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Became {
    /// It ran, and its outcome is recorded.
    Executed,
    /// It ran, its outcome is not kept, the key is free.
    Released,
    /// It ran and this answer is true, but it could not be recorded.
    Unrecorded,
    /// This is the stored answer of an earlier execution.
    Replayed,
    /// This request ran nothing.
    Refused,
    /// This request started something whose outcome nobody knows (yet).
    Unknown,
    /// It ran unprotected.
    Bypassed,
    /// This route or method takes no keys.
    Ignored,
}

impl Became {
    /// The token, as header and metrics have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Executed => "executed",
            Self::Released => "released",
            Self::Unrecorded => "unrecorded",
            Self::Replayed => "replayed",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::Bypassed => "bypassed",
            Self::Ignored => "ignored",
        }
    }
}

/// The token with its parameters.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Status {
    pub(crate) became: Became,
    pub(crate) fence: Option<Fence>,
    pub(crate) age: Option<Duration>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) kept: Option<bool>,
}

impl Status {
    pub(crate) const fn new(became: Became) -> Self {
        Self {
            became,
            fence: None,
            age: None,
            ttl: None,
            kept: None,
        }
    }

    pub(crate) const fn with_fence(mut self, fence: Fence) -> Self {
        self.fence = Some(fence);
        self
    }

    pub(crate) fn to_value(self) -> HeaderValue {
        let mut text = String::with_capacity(64);
        text.push_str(self.became.name());
        // A fence has sixteen digits and a structured-field Integer fifteen at most: it travels as a String.
        // Writing to a string cannot fail.
        let _infallible = self.fence.map(|fence| write!(text, ";fence=\"{fence}\""));
        let _infallible = self.age.map(|age| write!(text, ";age={}", age.as_secs()));
        let _infallible = self.ttl.map(|ttl| write!(text, ";ttl={}", ttl.as_secs()));
        let _infallible = self
            .kept
            .map(|kept| write!(text, ";kept=?{}", u8::from(kept)));
        HeaderValue::try_from(text).expect("tokens, digits and quotes are a header value")
    }
}

/// Takes off a request, or an answer, what only we may say.
pub(crate) fn scrub(headers: &mut HeaderMap) {
    remove_where(headers, |name| {
        name.as_str().starts_with("idempoten") && OURS.contains(name)
    });
}

/// What another Oncegate behind us said of its answer, if one is there.
pub(crate) fn downstream(headers: &HeaderMap) -> Option<Downstream> {
    let status = headers.get(IDEMPOTENCY_STATUS)?.to_str().ok()?;
    let token = status.split(';').next().unwrap_or_default().trim();
    Some(match (token, problem_slug(headers)) {
        ("refused" | "unknown", Some("in-flight" | "still-running")) => Downstream::StillAtWork,
        ("unknown", _) | ("refused", Some("outcome-unknown" | "upstream-outcome-unknown")) => {
            Downstream::Unknown
        }
        ("refused", _) => Downstream::Refused,
        ("released", _) => Downstream::Released,
        (_, _) => Downstream::Outcome,
    })
}

/// The last segment of the page that describes a problem: `Link: <../slug>; rel="describedby"`.
fn problem_slug(headers: &HeaderMap) -> Option<&str> {
    headers.get_all(http::header::LINK).iter().find_map(|line| {
        let line = line
            .to_str()
            .ok()
            .filter(|line| line.contains("describedby"))?;
        line.split_once('<')?
            .1
            .split_once('>')?
            .0
            .rsplit('/')
            .next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_a_structured_field_item() {
        let status = Status {
            age: Some(Duration::from_secs(3)),
            ttl: Some(Duration::from_secs(86_397)),
            kept: Some(false),
            ..Status::new(Became::Replayed).with_fence(Fence::from_number(1_795_000_000_000_000))
        };
        let expected = "replayed;fence=\"1795000000000000\";age=3;ttl=86397;kept=?0";
        assert_eq!(status.to_value(), expected);
    }

    #[track_caller]
    fn check_downstream(status: &'static str, slug: &'static str, expected: Downstream) {
        let mut headers = HeaderMap::new();
        headers.insert(IDEMPOTENCY_STATUS, HeaderValue::from_static(status));
        let link = format!("<https://api.example/problems/{slug}>; rel=\"describedby\"");
        headers.insert(http::header::LINK, HeaderValue::try_from(link).unwrap());
        assert_eq!(downstream(&headers), Some(expected));
    }

    #[test]
    fn another_oncegates_answers_are_told_apart() {
        check_downstream("refused", "in-flight", Downstream::StillAtWork);
        check_downstream("unknown", "still-running", Downstream::StillAtWork);
        check_downstream("refused", "outcome-unknown", Downstream::Unknown);
        check_downstream(
            "unknown;fence=\"1\"",
            "upstream-outcome-unknown",
            Downstream::Unknown,
        );
        check_downstream("refused", "mismatch", Downstream::Refused);
        check_downstream("released;fence=\"1\"", "x", Downstream::Released);
        check_downstream("executed", "in-flight", Downstream::Outcome);
        check_downstream("executed;fence=\"1\"", "x", Downstream::Outcome);
        assert_eq!(downstream(&HeaderMap::new()), None);
    }
}
