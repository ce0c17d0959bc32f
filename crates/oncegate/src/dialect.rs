//! In whose words a refusal is written: our own (RFC 9457), or a vendor's error object, so that the vendor's own
//! client libraries understand it.
//!
//! Promises: every refusal has a form in every dialect; its status is the problem's, whatever the dialect; and
//! `executed` and `next` are in all of them, as members that the vendor does not have. The page that explains it is
//! linked where the vendor links pages.
//!
//! Deliberately absent: the answers of upstreams. They pass as they are.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use crate::key::KeyDigest;
use crate::problem::{Executed, Next, Problem, ProblemKind};

/// Whose words.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Dialect {
    /// Our own: problem details.
    #[default]
    Problem,
    /// `{"error":{"type":...}}`, with `Stripe-Should-Retry`.
    Stripe,
    /// `{"status":...,"errorCode":...}`, with `transient-error`.
    Adyen,
    /// `{"name":...,"details":[{"issue":...}]}`.
    PayPal,
}

impl Dialect {
    /// The type of its documents.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Problem => "application/problem+json",
            Self::Stripe | Self::Adyen | Self::PayPal => "application/json",
        }
    }

    /// The document for `problem`, whose page is under `base`. `key` is what logs show of the request's key.
    #[must_use]
    pub fn document(self, problem: &Problem, base: &str, key: Option<KeyDigest>) -> Vec<u8> {
        match self {
            Self::Problem => problem.to_json(base),
            Self::Stripe => write(&stripe(problem, base)),
            Self::Adyen => write(&adyen(problem)),
            Self::PayPal => write(&paypal(problem, base, key)),
        }
    }

    /// The document for a status that no problem explains: a request without a key got no answer.
    #[must_use]
    pub fn bare_document(self, status: StatusCode) -> Vec<u8> {
        let title = status.canonical_reason().unwrap_or("Error");
        match self {
            Self::Problem => write(&BareProblem {
                r#type: "about:blank",
                title,
                status: status.as_u16(),
            }),
            Self::Stripe => write(&StripeError {
                error: StripeMembers {
                    r#type: "api_error",
                    code: None,
                    message: title,
                    doc_url: None,
                    ours: None,
                },
            }),
            Self::Adyen => write(&AdyenError {
                status: status.as_u16(),
                error_code: None,
                message: title,
                error_type: "internal",
                ours: None,
            }),
            Self::PayPal => write(&PayPalError {
                name: paypal_name(status),
                message: title,
                debug_id: String::new(),
                details: Vec::new(),
                links: Vec::new(),
                ours: None,
            }),
        }
    }

    /// The header by which the vendor's clients are told whether to send the same request again.
    #[must_use]
    pub fn advice(self, kind: ProblemKind) -> Option<(HeaderName, HeaderValue)> {
        let (name, word) = match self {
            Self::Problem | Self::PayPal => return None,
            Self::Stripe => (STRIPE_SHOULD_RETRY, stripe_should_retry(kind)?),
            Self::Adyen => (TRANSIENT_ERROR, is_transient(kind)),
        };
        let word = if word { "true" } else { "false" };
        Some((name, HeaderValue::from_static(word)))
    }

    /// Whether an upstream that speaks this dialect says of its own error that it had no effect.
    #[must_use]
    pub fn declares_transient(self, status: StatusCode, headers: &HeaderMap) -> bool {
        match self {
            // Stripe's header says that a retry may help, and not that nothing ran.
            Self::Problem | Self::Stripe | Self::PayPal => false,
            Self::Adyen => {
                (status.is_client_error() || status.is_server_error())
                    && headers
                        .get(TRANSIENT_ERROR)
                        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
            }
        }
    }
}

/// What no vendor has: in every document, beside the vendor's own members.
#[derive(Serialize)]
struct Ours<'a> {
    executed: Executed,
    next: Next,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<&'a str>,
}

#[derive(Serialize)]
struct BareProblem {
    r#type: &'static str,
    title: &'static str,
    status: u16,
}

#[derive(Serialize)]
struct StripeError<'a> {
    error: StripeMembers<'a>,
}

#[derive(Serialize)]
struct StripeMembers<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    doc_url: Option<String>,
    #[serde(flatten)]
    ours: Option<Ours<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AdyenError<'a> {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'static str>,
    message: &'a str,
    error_type: &'static str,
    #[serde(flatten)]
    ours: Option<Ours<'a>>,
}

#[derive(Serialize)]
struct PayPalError<'a> {
    name: &'static str,
    message: &'a str,
    debug_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<PayPalDetail<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<PayPalLink>,
    #[serde(flatten)]
    ours: Option<Ours<'a>>,
}

#[derive(Serialize)]
struct PayPalDetail<'a> {
    issue: String,
    description: &'a str,
}

#[derive(Serialize)]
struct PayPalLink {
    href: String,
    rel: &'static str,
    method: &'static str,
}

fn ours(problem: &Problem) -> Ours<'_> {
    let row = problem.kind.row();
    Ours {
        executed: problem.executed,
        next: row.next,
        original_status: problem.original_status.map(|status| status.as_u16()),
        location: problem.location.as_deref(),
    }
}

fn stripe<'a>(problem: &'a Problem, base: &str) -> StripeError<'a> {
    let kind = problem.kind;
    StripeError {
        error: StripeMembers {
            r#type: stripe_type(kind),
            code: Some(stripe_code(kind)),
            message: &problem.detail,
            doc_url: Some(problem.type_uri(base)),
            ours: Some(ours(problem)),
        },
    }
}

const fn stripe_type(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Mismatch => "idempotency_error",
        ProblemKind::KeyMissing
        | ProblemKind::KeyInvalid
        | ProblemKind::PathAmbiguous
        | ProblemKind::ScopeMissing
        | ProblemKind::RequestTooLarge
        | ProblemKind::RequestIncomplete
        | ProblemKind::InFlight
        | ProblemKind::QuotaReached => "invalid_request_error",
        ProblemKind::StoreUnavailable
        | ProblemKind::Overloaded
        | ProblemKind::KeyExpired
        | ProblemKind::ResponseNotKept
        | ProblemKind::OutcomeUnknown
        | ProblemKind::UpstreamUnreachable
        | ProblemKind::StillRunning
        | ProblemKind::UpstreamOutcomeUnknown => "api_error",
    }
}

/// Stripe's code where it has one for this, else the slug as Stripe would spell it.
fn stripe_code(kind: ProblemKind) -> String {
    const CODES: [(ProblemKind, &str); 2] = [
        (ProblemKind::InFlight, "idempotency_key_in_use"),
        (ProblemKind::QuotaReached, "rate_limit"),
    ];
    own_word(kind, &CODES).map_or_else(|| kind.row().slug.replace('-', "_"), str::to_owned)
}

/// Three-valued, as Stripe has it: absent where nobody can tell. The client then goes by the status, and any retry
/// of its own carries the same key.
fn stripe_should_retry(kind: ProblemKind) -> Option<bool> {
    match kind {
        ProblemKind::InFlight | ProblemKind::StillRunning => Some(true),
        ProblemKind::OutcomeUnknown | ProblemKind::UpstreamOutcomeUnknown => None,
        ProblemKind::KeyMissing
        | ProblemKind::KeyInvalid
        | ProblemKind::PathAmbiguous
        | ProblemKind::ScopeMissing
        | ProblemKind::RequestTooLarge
        | ProblemKind::RequestIncomplete
        | ProblemKind::StoreUnavailable
        | ProblemKind::Overloaded
        | ProblemKind::KeyExpired
        | ProblemKind::Mismatch
        | ProblemKind::ResponseNotKept
        | ProblemKind::QuotaReached
        | ProblemKind::UpstreamUnreachable => Some(kind.row().next == Next::SameKey),
    }
}

fn adyen(problem: &Problem) -> AdyenError<'_> {
    let kind = problem.kind;
    AdyenError {
        status: problem.status.as_u16(),
        error_code: Some(adyen_code(kind)),
        message: &problem.detail,
        error_type: adyen_type(problem),
        ours: Some(ours(problem)),
    }
}

/// Adyen's code where it has one for this, else the slug.
fn adyen_code(kind: ProblemKind) -> &'static str {
    const CODES: [(ProblemKind, &str); 4] = [
        // "Required resource temporarily unavailable".
        (ProblemKind::StoreUnavailable, "703"),
        (ProblemKind::Overloaded, "703"),
        // "Request already processed or in progress".
        (ProblemKind::InFlight, "704"),
        (ProblemKind::StillRunning, "704"),
    ];
    own_word(kind, &CODES).unwrap_or(kind.row().slug)
}

fn adyen_type(problem: &Problem) -> &'static str {
    if problem.status.is_server_error() {
        "internal"
    } else if problem.kind == ProblemKind::ScopeMissing {
        "security"
    } else {
        "validation"
    }
}

/// This request had no effect, and the same one may be sent again: what Adyen means by it.
fn is_transient(kind: ProblemKind) -> bool {
    let row = kind.row();
    let ran_nothing = row.executed == Executed::No || kind == ProblemKind::InFlight;
    ran_nothing && row.next == Next::SameKey
}

fn paypal<'a>(problem: &'a Problem, base: &str, key: Option<KeyDigest>) -> PayPalError<'a> {
    let kind = problem.kind;
    PayPalError {
        name: paypal_name(problem.status),
        message: kind.row().title,
        debug_id: key.map(|key| key.to_string()).unwrap_or_default(),
        details: vec![PayPalDetail {
            issue: paypal_issue(kind),
            description: &problem.detail,
        }],
        links: vec![PayPalLink {
            href: problem.type_uri(base),
            rel: "information_link",
            method: "GET",
        }],
        ours: Some(ours(problem)),
    }
}

/// The names that PayPal documents, by status.
fn paypal_name(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "INVALID_REQUEST",
        401 => "AUTHENTICATION_FAILURE",
        409 => "RESOURCE_CONFLICT",
        429 => "RATE_LIMIT_REACHED",
        503 => "SERVICE_UNAVAILABLE",
        500.. => "INTERNAL_SERVER_ERROR",
        _ => "UNPROCESSABLE_ENTITY",
    }
}

/// PayPal's issue where it has one for this, else the slug as PayPal would spell it.
fn paypal_issue(kind: ProblemKind) -> String {
    const ISSUES: [(ProblemKind, &str); 2] = [
        (ProblemKind::Mismatch, "DUPLICATE_REQUEST_ID"),
        (ProblemKind::InFlight, "PREVIOUS_REQUEST_IN_PROGRESS"),
    ];
    let spelled = || kind.row().slug.replace('-', "_").to_ascii_uppercase();
    own_word(kind, &ISSUES).map_or_else(spelled, str::to_owned)
}

/// What a vendor calls this, if it has a word for it.
fn own_word(
    kind: ProblemKind,
    words: &'static [(ProblemKind, &'static str)],
) -> Option<&'static str> {
    let mut words = words.iter();
    words.find_map(|(of, word)| (*of == kind).then_some(*word))
}

fn write(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("strings and numbers always serialise")
}

const STRIPE_SHOULD_RETRY: HeaderName = HeaderName::from_static("stripe-should-retry");
const TRANSIENT_ERROR: HeaderName = HeaderName::from_static("transient-error");

#[cfg(test)]
mod tests;
