//! Everything that a caller can meet under a policy, as data: what the discovery document, the page for people and
//! OpenAPI descriptions are made of.
//!
//! Promises: the table of refusals is derived from the policy and written by the code that answers, and the layer's
//! tests hold the two together: there is no refusal that is not in it, and none in it that cannot be met.
//!
//! Deliberately absent: the upstream's own answers, and what a server says of messages that are no HTTP.

use std::ops::RangeInclusive;

use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use serde::{Serialize, Serializer};

use crate::classify::{Class, classify};
use crate::key::{KeyError, KeyFormat, KeySyntax};
use crate::policy::{KeyUse, Policy};
use crate::problem::{PROBLEM_BASE, Problem, ProblemKind};
use crate::refusal::Refusal;
use crate::scope::{Anonymous, ScopeError};

/// What became of a request: on every answer to one with a key.
pub const IDEMPOTENCY_STATUS: HeaderName = HeaderName::from_static("idempotency-status");
/// Marks a replay (Stripe's name).
pub const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// What holds of a whole server, beside the policies of its routes.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data: built with `..Served::default()`"
)]
pub struct Served {
    /// What stands before a slug in a link to a problem's page.
    pub problem_base: String,
    /// Who executes.
    pub by: ServedBy,
    /// Whether new keys are counted against quotas.
    pub quotas: bool,
    /// Whether any route remembers expired keys: a key that expired there is refused everywhere.
    pub tombstones: bool,
}

/// Who executes the requests.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "callers must handle each")]
pub enum ServedBy {
    /// An upstream, over the network.
    #[default]
    Upstream,
    /// A handler in the same process, which can panic.
    Handler,
}

/// A policy, and what it means to a caller.
#[derive(Clone, Copy, Debug)]
pub struct Contract<'a> {
    policy: &'a Policy,
    served: &'a Served,
}

/// One row of the table of refusals.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Refused {
    /// Its kind.
    pub kind: ProblemKind,
    /// Its status under this policy.
    pub status: StatusCode,
    /// A whole one, as it is sent. All its headers are always there, but for those in `sometimes`.
    pub example: Response<Vec<u8>>,
    /// Those of the example's headers that are there only where they can be.
    pub sometimes: Vec<HeaderName>,
}

/// What becomes of the key, by the status of a whole answer of the upstream.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Outcomes {
    /// The answer is stored, and replayed to retries.
    #[serde(serialize_with = "ranges")]
    pub kept: Vec<RangeInclusive<u16>>,
    /// The key is free: a retry executes.
    #[serde(serialize_with = "ranges")]
    pub released: Vec<RangeInclusive<u16>>,
    /// It may have run: retries are refused until that is settled.
    #[serde(serialize_with = "ranges")]
    pub unknown: Vec<RangeInclusive<u16>>,
}

impl<'a> Contract<'a> {
    /// The contract of requests under `policy`.
    #[must_use]
    pub const fn new(policy: &'a Policy, served: &'a Served) -> Self {
        Self { policy, served }
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> &'a Policy {
        self.policy
    }

    /// Whether a request with this method takes a key.
    #[must_use]
    pub fn takes_keys(&self, method: &Method) -> bool {
        self.policy.key != KeyUse::Ignored && !is_safe(method) && self.policy.covers(method)
    }

    /// Every refusal that a request which takes a key can meet, in the order in which it is judged.
    #[must_use]
    pub fn refusals(&self) -> Vec<Refused> {
        let mut table = Vec::new();
        for kind in ProblemKind::ALL {
            for status in self.statuses(kind) {
                table.push(self.refused(kind, status));
            }
        }
        table
    }

    /// The answers to a request without a key that nobody answered: there is no page to explain them.
    #[must_use]
    pub fn unanswered(&self) -> Vec<Response<Vec<u8>>> {
        let dialect = self.policy.dialect;
        let statuses = [StatusCode::BAD_GATEWAY, StatusCode::GATEWAY_TIMEOUT];
        let bare = statuses.map(|status| {
            let mut answer = Response::new(dialect.bare_document(status));
            *answer.status_mut() = status;
            let content_type = HeaderValue::from_static(dialect.content_type());
            answer
                .headers_mut()
                .insert(header::CONTENT_TYPE, content_type);
            answer
        });
        match self.policy.key {
            KeyUse::Required => Vec::new(),
            KeyUse::Optional | KeyUse::Ignored => bare.into(),
        }
    }

    /// What becomes of a key by the status of the upstream's answer, unless the upstream itself says otherwise.
    #[must_use]
    pub fn outcomes(&self) -> Outcomes {
        let of = |class| {
            let statuses = (200..=599).filter(|status| self.class(*status) == Some(class));
            joined(statuses)
        };
        Outcomes {
            kept: of(Class::Keep),
            released: of(Class::Release),
            unknown: of(Class::Unknown),
        }
    }

    /// A key that is accepted, as it is sent.
    #[must_use]
    pub fn example_key(&self) -> String {
        let rules = self.policy.key_rules;
        let key = match rules.format {
            KeyFormat::Any | KeyFormat::Uuid | KeyFormat::Uuid4 => {
                "9f2c6d1e-7b54-4c7a-9a0e-3d1f8b6c5e42"
            }
            KeyFormat::Uuid7 => "0199c3a2-6f10-7d3b-8a4e-5c2b1f9d7e60",
            KeyFormat::Ulid => "01K71T4VRGFMXRMJKWBCFXSFV0",
        };
        let key = &key[..key.len().min(rules.length_max)];
        match rules.syntax {
            KeySyntax::Lenient => key.to_owned(),
            KeySyntax::Strict => format!("\"{key}\""),
        }
    }

    /// The statuses under which a refusal of this kind can be met; none if it cannot.
    fn statuses(&self, kind: ProblemKind) -> Vec<StatusCode> {
        let policy = self.policy;
        let is_met = match kind {
            ProblemKind::KeyMissing | ProblemKind::PathAmbiguous => policy.key == KeyUse::Required,
            ProblemKind::ScopeMissing => policy.scope.may_refuse(),
            ProblemKind::KeyExpired => {
                policy.first_sent || !policy.tombstones.is_zero() || self.served.tombstones
            }
            ProblemKind::QuotaReached => self.served.quotas,
            // With `wait` as well, once the time is up; with `reexecute` as well, while nothing may begin.
            ProblemKind::InFlight | ProblemKind::OutcomeUnknown => true,
            // Whatever `store_down` says: what may not be compared may not be executed.
            ProblemKind::StoreUnavailable => true,
            ProblemKind::KeyInvalid
            | ProblemKind::RequestTooLarge
            | ProblemKind::RequestIncomplete
            | ProblemKind::Overloaded
            | ProblemKind::Mismatch
            | ProblemKind::ResponseNotKept
            | ProblemKind::UpstreamUnreachable
            | ProblemKind::StillRunning
            | ProblemKind::UpstreamOutcomeUnknown => true,
        };
        let row = kind.row();
        match kind {
            _ if !is_met || policy.key == KeyUse::Ignored => Vec::new(),
            ProblemKind::Mismatch => vec![policy.mismatch_status],
            ProblemKind::UpstreamOutcomeUnknown => {
                let panicked = match self.served.by {
                    ServedBy::Upstream => None,
                    ServedBy::Handler => Some(StatusCode::INTERNAL_SERVER_ERROR),
                };
                let broke = [row.status, StatusCode::GATEWAY_TIMEOUT];
                panicked.into_iter().chain(broke).collect()
            }
            ProblemKind::KeyMissing
            | ProblemKind::KeyInvalid
            | ProblemKind::PathAmbiguous
            | ProblemKind::ScopeMissing
            | ProblemKind::RequestTooLarge
            | ProblemKind::RequestIncomplete
            | ProblemKind::StoreUnavailable
            | ProblemKind::Overloaded
            | ProblemKind::KeyExpired
            | ProblemKind::ResponseNotKept
            | ProblemKind::InFlight
            | ProblemKind::OutcomeUnknown
            | ProblemKind::QuotaReached
            | ProblemKind::UpstreamUnreachable
            | ProblemKind::StillRunning => vec![row.status],
        }
    }

    fn refused(&self, kind: ProblemKind, status: StatusCode) -> Refused {
        let mut sometimes = Vec::new();
        let problem = self.problem(kind).with_status(status);
        let location = problem.location.clone();
        let refusal = Refusal::new(problem);
        let base = &self.served.problem_base;
        let mut example = refusal.write(self.policy.dialect, base, None);
        let headers = example.headers_mut();
        headers.insert(
            IDEMPOTENCY_STATUS,
            HeaderValue::from_static(if kind.started_something() {
                "unknown"
            } else {
                "refused"
            }),
        );
        if let Some(location) = location.and_then(|at| at.parse().ok()) {
            headers.insert(header::LOCATION, location);
            sometimes.push(header::LOCATION);
        }
        let was_readable = !matches!(kind, ProblemKind::KeyMissing | ProblemKind::KeyInvalid);
        if was_readable
            && let (Some(name), Ok(key)) =
                (self.policy.key_header.first(), self.example_key().parse())
        {
            headers.insert(name.clone(), key);
        }
        Refused {
            kind,
            status,
            example,
            sometimes,
        }
    }

    /// The problem with particulars as a request could have them.
    fn problem(&self, kind: ProblemKind) -> Problem {
        let problem = Problem::new(kind);
        match kind {
            ProblemKind::KeyInvalid => problem.because(KeyError::Malformed),
            ProblemKind::ScopeMissing => problem.because(self.scope_error()),
            ProblemKind::RequestTooLarge => {
                Problem::request_too_large(self.policy.request_bytes_max)
            }
            ProblemKind::ResponseNotKept => Problem {
                original_status: Some(StatusCode::CREATED),
                location: Some("/where/it/can/be/found".to_owned()),
                ..problem
            },
            ProblemKind::KeyMissing
            | ProblemKind::PathAmbiguous
            | ProblemKind::RequestIncomplete
            | ProblemKind::StoreUnavailable
            | ProblemKind::Overloaded
            | ProblemKind::KeyExpired
            | ProblemKind::Mismatch
            | ProblemKind::InFlight
            | ProblemKind::OutcomeUnknown
            | ProblemKind::QuotaReached
            | ProblemKind::UpstreamUnreachable
            | ProblemKind::StillRunning
            | ProblemKind::UpstreamOutcomeUnknown => problem,
        }
    }

    fn scope_error(&self) -> ScopeError {
        let scope = &self.policy.scope;
        let covered = |header: &HeaderName| {
            let mut sources = scope.sources.iter();
            sources.any(|source| source.header_name() == header)
        };
        let uncovered = scope.credential_headers.iter().find(|name| !covered(name));
        match (scope.anonymous, uncovered) {
            (Anonymous::Allow, Some(header)) => ScopeError::Uncovered {
                header: header.clone(),
            },
            (Anonymous::Refuse, _) | (Anonymous::Allow, None) => ScopeError::Missing {
                sources: scope.sources.clone(),
            },
        }
    }

    fn class(&self, status: u16) -> Option<Class> {
        let status = StatusCode::from_u16(status).ok()?;
        Some(classify(status, None, None, self.policy))
    }
}

impl ProblemKind {
    /// Whether the very request that is answered so may have run; of all others it is known that it ran nothing.
    const fn started_something(self) -> bool {
        matches!(self, Self::StillRunning | Self::UpstreamOutcomeUnknown)
    }
}

impl Default for Served {
    fn default() -> Self {
        Self {
            problem_base: PROBLEM_BASE.to_owned(),
            by: ServedBy::default(),
            quotas: false,
            tombstones: false,
        }
    }
}

/// Methods that never take a key (RFC 9110, 9.2.1), and CONNECT, which is a tunnel.
#[must_use]
pub fn is_safe(method: &Method) -> bool {
    ["GET", "HEAD", "OPTIONS", "TRACE", "CONNECT"]
        .iter()
        .any(|safe| method.as_str().eq_ignore_ascii_case(safe))
}

fn joined(statuses: impl Iterator<Item = u16>) -> Vec<RangeInclusive<u16>> {
    let mut ranges: Vec<RangeInclusive<u16>> = Vec::new();
    for status in statuses {
        match ranges.last_mut() {
            Some(range) if range.end() + 1 == status => *range = *range.start()..=status,
            Some(_) | None => ranges.push(status..=status),
        }
    }
    ranges
}

/// `504`, or `200-303`.
#[must_use]
pub fn show_range(range: &RangeInclusive<u16>) -> String {
    let (first, last) = (range.start(), range.end());
    if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    }
}

fn ranges<S: Serializer>(ranges: &[RangeInclusive<u16>], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(ranges.iter().map(show_range))
}

#[cfg(test)]
mod tests;
