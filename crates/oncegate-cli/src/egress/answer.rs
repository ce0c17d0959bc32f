//! What callers see: the upstream's own answer where the outcome is definite, else a problem of the one table.
//!
//! Promises: an answer carries the key that the operation was sent under, and how many attempts this took; a problem
//! of ours is never given where the upstream's answer is known to be the outcome.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use oncegate::problem::PROBLEM_BASE;
use oncegate::{Problem, ProblemKind};
use oncegate_client::journal::{Concluded, NotSent};
use oncegate_client::{Advice, Answer, Last, No, Outcome, Yes};

use super::operation::KEY;
use crate::proxy::remove_hop_by_hop;

/// An answer that is whole.
pub(super) type Whole = Response<Full<Bytes>>;

/// What became of an operation.
pub(super) fn concluded(concluded: Result<Concluded, NotSent>) -> Whole {
    let outcome = match concluded {
        Ok(concluded) => concluded.outcome,
        Err(error) => return not_sent(&error),
    };
    let (attempts, key) = (outcome.attempts(), quoted(outcome.key().as_str()));
    let replayed = matches!(&outcome, Outcome::Yes(yes) if yes.replayed);
    let mut answer = match outcome {
        Outcome::Yes(yes) => happened(yes),
        Outcome::No(no) => did_not(no),
        Outcome::Unknown(unknown) => {
            problem(&Problem::new(ProblemKind::UpstreamOutcomeUnknown).because(unknown.last))
        }
    };
    let headers = answer.headers_mut();
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    headers.insert(ATTEMPTS, HeaderValue::from(attempts));
    if let Ok(key) = HeaderValue::try_from(key) {
        headers.insert(KEY, key);
    }
    answer
}

/// A problem, with the time to wait where waiting helps.
pub(super) fn problem(problem: &Problem) -> Whole {
    let mut answer = Response::new(Full::from(problem.to_json(PROBLEM_BASE)));
    *answer.status_mut() = problem.status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE));
    if WAIT_HELPS.contains(&problem.kind) {
        headers.insert(RETRY_AFTER, HeaderValue::from(1));
    }
    answer
}

/// No upstream has this path: it is the page of a problem, or nothing at all.
pub(super) fn of_ours(path: &str) -> Whole {
    let kind = path
        .strip_prefix(PROBLEM_BASE)
        .and_then(ProblemKind::from_slug);
    let (status, content_type, text) = match kind {
        Some(kind) => (StatusCode::OK, "text/markdown; charset=utf-8", kind.page()),
        None => (
            StatusCode::NOT_FOUND,
            PLAIN,
            "no upstream has this name; nothing was sent\n",
        ),
    };
    self::text(status, content_type, text)
}

/// A text of ours.
pub(super) fn text(status: StatusCode, content_type: &'static str, text: &'static str) -> Whole {
    let mut answer = Response::new(Full::from(text));
    *answer.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

fn happened(yes: Yes) -> Whole {
    match yes.answer {
        Some(answer) if !yes.lost => upstreams(answer),
        answer => {
            let mut lost = Problem::new(ProblemKind::ResponseNotKept);
            lost.original_status = answer.map(|answer| answer.status);
            problem(&lost)
        }
    }
}

fn did_not(no: No) -> Whole {
    match (no.last, no.advice) {
        (Last::Answer(answer), Advice::Reuse | Advice::Rotate) => upstreams(answer),
        (Last::Failure(failure), Advice::Reuse) => {
            problem(&Problem::new(ProblemKind::UpstreamUnreachable).because(failure))
        }
        (Last::Failure(failure), Advice::Rotate) => {
            problem(&Problem::new(ProblemKind::KeyInvalid).because(failure))
        }
    }
}

fn upstreams(answer: Answer) -> Whole {
    let mut response = Response::new(Full::from(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    remove_hop_by_hop(response.headers_mut());
    // The body is whole: its length is what it has.
    response.headers_mut().remove(CONTENT_LENGTH);
    response
}

/// This request sent nothing. What an earlier one did is another question.
fn not_sent(error: &NotSent) -> Whole {
    let kind = match error {
        NotSent::InUse { .. } => ProblemKind::InFlight,
        // Not `mismatch`, which says to take a new key: it may differ by renewed credentials alone, and would run twice.
        NotSent::OtherRequest { .. } => ProblemKind::KeyInvalid,
        NotSent::TooLarge { .. } => ProblemKind::RequestTooLarge,
        NotSent::Journal(_) => ProblemKind::StoreUnavailable,
        NotSent::Damaged { .. } => ProblemKind::OutcomeUnknown,
        // A kind of later versions: the one answer that leads nobody to send under another key.
        _ => ProblemKind::OutcomeUnknown,
    };
    tracing::warn!(error = error as &dyn std::error::Error, "not sent");
    problem(&Problem::new(kind).because(error))
}

fn quoted(key: &str) -> String {
    format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""))
}

/// How many attempts were made for this answer; 0 if it came from the journal.
const ATTEMPTS: HeaderName = HeaderName::from_static("oncegate-attempts");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
pub(super) const PLAIN: &str = "text/plain; charset=utf-8";
const PROBLEM_TYPE: &str = "application/problem+json";
const WAIT_HELPS: [ProblemKind; 4] = [
    ProblemKind::InFlight,
    ProblemKind::Overloaded,
    ProblemKind::StoreUnavailable,
    ProblemKind::UpstreamUnreachable,
];
