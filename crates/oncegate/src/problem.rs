//! Every refusal that Oncegate makes, in one table: RFC 9457 problem details.
//!
//! Two members no one else gives: `executed` (no, yes, maybe) and `next` (what to do with the key). No status code
//! of a refusal stands anywhere else in the project. One page per slug explains it; a test holds them together.

use http::StatusCode;
use serde::Serialize;

/// The kinds of refusal, in the order in which a request is judged.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the table must have a row for each"
)]
pub enum ProblemKind {
    /// The route requires a key and the request has none.
    KeyMissing,
    /// The key cannot be read.
    KeyInvalid,
    /// The path could be understood in two ways on a route that requires keys.
    PathAmbiguous,
    /// It cannot be told whom the key belongs to.
    ScopeMissing,
    /// The body is larger than allowed.
    RequestTooLarge,
    /// The body broke off or stalled.
    RequestIncomplete,
    /// The store cannot be asked.
    StoreUnavailable,
    /// Too much is under way.
    Overloaded,
    /// Retention has ended.
    KeyExpired,
    /// Same key, different request.
    Mismatch,
    /// Completed, but the answer was not kept.
    ResponseNotKept,
    /// The first execution is still running.
    InFlight,
    /// It may have run.
    OutcomeUnknown,
    /// One scope has too many keys.
    QuotaReached,
    /// Nothing was sent.
    UpstreamUnreachable,
    /// The execution goes on past the time a caller waits.
    StillRunning,
    /// The exchange broke after bytes were sent.
    UpstreamOutcomeUnknown,
}

/// Whether the operation was executed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "the contract names these three")]
pub enum Executed {
    /// Not by this request. What an earlier one did is another question, which the same key answers.
    No,
    /// Certainly.
    Yes,
    /// Nobody knows, or not yet.
    Maybe,
}

/// What the caller should do next.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::exhaustive_enums, reason = "the contract names these four")]
pub enum Next {
    /// Send the same request with the same key again, after `Retry-After` if it is there.
    SameKey,
    /// A new operation needs a new key.
    NewKey,
    /// Mend the request first.
    FixRequest,
    /// Nothing: another attempt cannot help.
    None,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ProblemRow {
    /// The last segment of the problem's `type`; clients compare it.
    pub slug: &'static str,
    /// The status it is answered with, unless the situation has another.
    pub status: StatusCode,
    /// One line for people.
    pub title: &'static str,
    /// What to do.
    pub detail: &'static str,
    /// Whether the operation was executed.
    pub executed: Executed,
    /// What the caller should do next.
    pub next: Next,
}

/// The pages live with the other documents; the crate sees them through a link.
macro_rules! page {
    ($slug:literal) => {
        include_str!(concat!("../problems/", $slug, ".md"))
    };
}

impl ProblemKind {
    /// All kinds, for pages, documents and tests.
    pub const ALL: [Self; 17] = [
        Self::KeyMissing,
        Self::KeyInvalid,
        Self::PathAmbiguous,
        Self::ScopeMissing,
        Self::RequestTooLarge,
        Self::RequestIncomplete,
        Self::StoreUnavailable,
        Self::Overloaded,
        Self::KeyExpired,
        Self::Mismatch,
        Self::ResponseNotKept,
        Self::InFlight,
        Self::OutcomeUnknown,
        Self::QuotaReached,
        Self::UpstreamUnreachable,
        Self::StillRunning,
        Self::UpstreamOutcomeUnknown,
    ];

    /// The kind with this slug.
    #[must_use]
    pub fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.row().slug == slug)
    }

    /// The page that explains it, in Markdown: what happened, whether it is safe to retry, what to do.
    #[must_use]
    pub const fn page(self) -> &'static str {
        match self {
            Self::KeyMissing => page!("key-missing"),
            Self::KeyInvalid => page!("key-invalid"),
            Self::PathAmbiguous => page!("path-ambiguous"),
            Self::ScopeMissing => page!("scope-missing"),
            Self::RequestTooLarge => page!("request-too-large"),
            Self::RequestIncomplete => page!("request-incomplete"),
            Self::StoreUnavailable => page!("store-unavailable"),
            Self::Overloaded => page!("overloaded"),
            Self::KeyExpired => page!("key-expired"),
            Self::Mismatch => page!("mismatch"),
            Self::ResponseNotKept => page!("response-not-kept"),
            Self::InFlight => page!("in-flight"),
            Self::OutcomeUnknown => page!("outcome-unknown"),
            Self::QuotaReached => page!("quota-reached"),
            Self::UpstreamUnreachable => page!("upstream-unreachable"),
            Self::StillRunning => page!("still-running"),
            Self::UpstreamOutcomeUnknown => page!("upstream-outcome-unknown"),
        }
    }

    /// The kind's row of the table.
    #[must_use]
    pub const fn row(self) -> ProblemRow {
        use Executed::{Maybe, No, Yes};
        use Next::{FixRequest, NewKey, SameKey};
        match self {
            Self::KeyMissing => row(
                "key-missing",
                StatusCode::BAD_REQUEST,
                "This operation requires an idempotency key",
                "Make one key for this operation, for example a UUID, and send it with every attempt.",
                No,
                FixRequest,
            ),
            Self::KeyInvalid => row(
                "key-invalid",
                StatusCode::BAD_REQUEST,
                "The idempotency key cannot be read",
                "Send exactly one key of an allowed form and length.",
                No,
                FixRequest,
            ),
            Self::PathAmbiguous => row(
                "path-ambiguous",
                StatusCode::BAD_REQUEST,
                "The request's path is not in its normal form",
                "Send the path without dot segments, empty segments and needless percent-encoding.",
                No,
                FixRequest,
            ),
            Self::ScopeMissing => row(
                "scope-missing",
                StatusCode::UNAUTHORIZED,
                "It cannot be told whom the idempotency key belongs to",
                "Send the credential by which this API tells its callers apart.",
                No,
                FixRequest,
            ),
            Self::RequestTooLarge => row(
                "request-too-large",
                StatusCode::PAYLOAD_TOO_LARGE,
                "The request's body is too large",
                "Send a smaller body.",
                No,
                FixRequest,
            ),
            Self::RequestIncomplete => row(
                "request-incomplete",
                StatusCode::BAD_REQUEST,
                "The request's body did not arrive whole",
                "Nothing was executed by this request. Send it whole again with the same key.",
                No,
                SameKey,
            ),
            Self::StoreUnavailable => row(
                "store-unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "Idempotency keys cannot be looked up at the moment",
                "Nothing was executed by this request. Send it again with the same key.",
                No,
                SameKey,
            ),
            Self::Overloaded => row(
                "overloaded",
                StatusCode::SERVICE_UNAVAILABLE,
                "Too much is under way",
                "Nothing was executed by this request. Send it again with the same key.",
                No,
                SameKey,
            ),
            Self::KeyExpired => row(
                "key-expired",
                StatusCode::GONE,
                "The idempotency key's retention has ended",
                "The operation may have been executed when the key was new. Look it up before you \
                 send it under another key.",
                Maybe,
                Next::None,
            ),
            Self::Mismatch => row(
                "mismatch",
                StatusCode::UNPROCESSABLE_ENTITY,
                "The idempotency key belongs to a different request",
                "This request was not executed. A new operation needs a key of its own.",
                No,
                NewKey,
            ),
            Self::ResponseNotKept => row(
                "response-not-kept",
                StatusCode::GONE,
                "The operation was executed, but its answer was not kept",
                "Do not send it again. Look up its result.",
                Yes,
                Next::None,
            ),
            Self::InFlight => row(
                "in-flight",
                StatusCode::CONFLICT,
                "The first request with this key is still being executed",
                "Send it again with the same key, after the time given in Retry-After.",
                Maybe,
                SameKey,
            ),
            Self::OutcomeUnknown => row(
                "outcome-unknown",
                StatusCode::CONFLICT,
                "Nobody knows whether the operation was executed",
                "An earlier attempt broke off without a recorded outcome. Look the operation up, or \
                 ask the API's operator to settle the key; a new key could execute it twice.",
                Maybe,
                SameKey,
            ),
            Self::QuotaReached => row(
                "quota-reached",
                StatusCode::TOO_MANY_REQUESTS,
                "Too many idempotency keys",
                "Nothing was executed by this request. Send it again later with the same key.",
                No,
                SameKey,
            ),
            Self::UpstreamUnreachable => row(
                "upstream-unreachable",
                StatusCode::BAD_GATEWAY,
                "The server behind this one cannot be reached",
                "Nothing was sent to it. Send the request again with the same key.",
                No,
                SameKey,
            ),
            Self::StillRunning => row(
                "still-running",
                StatusCode::GATEWAY_TIMEOUT,
                "The operation is still being executed",
                "It goes on, and its outcome is kept. Send the request again with the same key.",
                Maybe,
                SameKey,
            ),
            Self::UpstreamOutcomeUnknown => row(
                "upstream-outcome-unknown",
                StatusCode::BAD_GATEWAY,
                "The server behind this one gave no whole answer",
                "The operation may have been executed. Send it again with the same key to learn more; \
                 a new key could execute it twice.",
                Maybe,
                SameKey,
            ),
        }
    }
}

const fn row(
    slug: &'static str,
    status: StatusCode,
    title: &'static str,
    detail: &'static str,
    executed: Executed,
    next: Next,
) -> ProblemRow {
    ProblemRow {
        slug,
        status,
        title,
        detail,
        executed,
        next,
    }
}

/// One refusal, ready to be written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Problem {
    /// Its kind.
    pub kind: ProblemKind,
    /// The status, where the situation or the policy has another than the table.
    pub status: StatusCode,
    /// What to do, with this request's particulars.
    pub detail: String,
    /// Whether the operation was executed, where more is known than the table says.
    pub executed: Executed,
    /// The status of an answer that was not kept.
    pub original_status: Option<StatusCode>,
    /// Where the result of an operation can be found whose answer was not kept.
    pub location: Option<String>,
}

/// The members of the JSON document, in the order in which people want to read them.
#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    executed: Executed,
    next: Next,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<&'a str>,
}

impl Problem {
    /// A refusal as the table has it.
    #[must_use]
    pub fn new(kind: ProblemKind) -> Self {
        let row = kind.row();
        Self {
            kind,
            status: row.status,
            detail: row.detail.to_owned(),
            executed: row.executed,
            original_status: None,
            location: None,
        }
    }

    /// The same with this request's particulars before the table's advice.
    #[must_use]
    pub fn because(mut self, particulars: impl std::fmt::Display) -> Self {
        self.detail = format!("{particulars}. {}", self.kind.row().detail);
        self
    }

    /// A body of more than `most` bytes.
    #[must_use]
    pub fn request_too_large(most: u64) -> Self {
        let particulars = format_args!("the body is larger than {most} bytes");
        Self::new(ProblemKind::RequestTooLarge).because(particulars)
    }

    /// The same under another status.
    #[must_use]
    pub const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same of an operation that is known to have been executed: no client may take it for one that was not.
    #[must_use]
    pub const fn though_executed(mut self) -> Self {
        self.executed = Executed::Yes;
        self
    }

    /// The link to the page that explains it: `base` and the slug.
    #[must_use]
    pub fn type_uri(&self, base: &str) -> String {
        format!("{base}{}", self.kind.row().slug)
    }

    /// The `application/problem+json` document.
    #[must_use]
    pub fn to_json(&self, base: &str) -> Vec<u8> {
        let row = self.kind.row();
        let document = Document {
            r#type: self.type_uri(base),
            title: row.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            executed: self.executed,
            next: row.next,
            original_status: self.original_status.map(|status| status.as_u16()),
            location: self.location.as_deref(),
        };
        serde_json::to_vec(&document).expect("strings and numbers always serialise")
    }
}

/// Where the pages are served, under the API's own origin.
pub const PROBLEM_BASE: &str = "/.well-known/idempotency/problems/";

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_kind_has_a_slug_of_its_own() {
        let slugs: HashSet<_> = ProblemKind::ALL
            .iter()
            .map(|kind| kind.row().slug)
            .collect();
        assert_eq!(slugs.len(), ProblemKind::ALL.len());
        for kind in ProblemKind::ALL {
            assert_eq!(ProblemKind::from_slug(kind.row().slug), Some(kind));
        }
    }

    #[test]
    fn each_kind_has_a_page_that_names_it_and_there_are_no_others() {
        for kind in ProblemKind::ALL {
            let row = kind.row();
            let heading = format!("# {}\n", row.title);
            assert!(
                kind.page().starts_with(&heading),
                "{}.md starts with {heading:?}",
                row.slug
            );
            assert!(
                kind.page().contains(row.status.as_str()),
                "{}.md names its status",
                row.slug
            );
        }
        let pages = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/problems")).unwrap();
        assert_eq!(pages.count(), ProblemKind::ALL.len());
    }

    #[test]
    fn a_problem_document_says_whether_it_ran_and_what_to_do() {
        let problem = Problem::new(ProblemKind::Mismatch).because("first \"seen\" 3 s ago");
        let text = String::from_utf8(problem.to_json(PROBLEM_BASE)).unwrap();
        let expected = r#"{"type":"/.well-known/idempotency/problems/mismatch","title":"The idempotency key belongs to a different request","status":422,"detail":"first \"seen\" 3 s ago. This request was not executed. A new operation needs a key of its own.","executed":"no","next":"new-key"}"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn only_what_may_have_run_or_did_run_says_so() {
        for kind in ProblemKind::ALL {
            let row = kind.row();
            let new_key_is_safe = row.executed == Executed::No;
            assert!(
                new_key_is_safe || row.next != Next::NewKey,
                "{} invites a second run",
                row.slug
            );
        }
    }
}
