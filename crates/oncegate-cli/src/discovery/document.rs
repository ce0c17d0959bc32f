//! The discovery document, format 1: what each route asks of its callers, and what they can meet there.
//!
//! Promises: all of it is derived from the policies in force; `docs/discovery.schema.json` describes it. Of several
//! routes that match, the first counts: they are in the order in which the proxy prefers them, the defaults last.
//!
//! Deliberately absent: what callers can neither see nor use: the store, its timeouts, where unknown outcomes are
//! looked up.

use std::collections::BTreeMap;

use http::header::RETRY_AFTER;
use oncegate::contract::{Contract, Outcomes, Refused, Served};
use oncegate::key::{KeyFormat, KeySyntax};
use oncegate::policy::{InFlight, KeyUse, OnServerError};
use oncegate::problem::{Executed, Next};
use oncegate::scope::Anonymous;
use oncegate::units::show_duration;
use oncegate::{Policy, Problem, ProblemKind};
use serde::Serialize;

use crate::config::{Config, show_header};

/// The whole document.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Document {
    version: u8,
    /// By slug.
    pub(super) problems: BTreeMap<&'static str, About>,
    pub(super) routes: Vec<Published>,
}

/// What a refusal means, on every route alike.
#[derive(Clone, Debug, Serialize)]
pub(super) struct About {
    #[serde(rename = "type")]
    pub(super) link: String,
    pub(super) title: &'static str,
    pub(super) detail: &'static str,
    executed: Executed,
    next: Next,
}

/// One route.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Published {
    #[serde(rename = "match")]
    pub(super) pattern: String,
    pub(super) key: KeyUse,
    /// Nothing more is to be said where keys mean nothing.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) keyed: Option<Keyed>,
}

/// What holds where keys count.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Keyed {
    pub(super) key_header: Vec<String>,
    pub(super) key_syntax: KeySyntax,
    pub(super) key_format: KeyFormat,
    pub(super) key_length_max: usize,
    pub(super) key_example: String,
    pub(super) scope: Vec<String>,
    pub(super) anonymous: Anonymous,
    pub(super) retention: String,
    pub(super) tombstones: String,
    pub(super) unknown_retention: String,
    pub(super) first_sent: bool,
    pub(super) in_flight: Duplicate,
    pub(super) mismatch: Status,
    on_server_error: OnServerError,
    pub(super) outcomes: Outcomes,
    pub(super) request_bytes_max: u64,
    pub(super) response_bytes_max: u64,
    pub(super) answer_timeout: String,
    error_type: &'static str,
    pub(super) refusals: Vec<Refusal>,
}

/// A duplicate of a request in flight.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Duplicate {
    pub(super) status: u16,
    /// It is held for so long before it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) wait: Option<String>,
}

/// A status.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Status {
    pub(super) status: u16,
}

/// One refusal that can be met on a route.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) problem: &'static str,
    /// Whether it says when to come back.
    pub(super) retry_after: bool,
}

impl Document {
    /// What `config` means to callers.
    pub(super) fn of(config: &Config) -> Self {
        let served = config.served();
        let mut routes: Vec<_> = config.routes.iter().collect();
        routes.sort_by_key(|route| rank(&route.pattern));
        let defaults = config.defaults();
        let named = routes
            .iter()
            .map(|route| (route.pattern.as_str(), &*route.policy));
        // `{*rest}` is never empty.
        let rest = ["/", "/{*rest}"].map(|pattern| (pattern, defaults));
        Self {
            version: 1,
            problems: ProblemKind::ALL
                .map(|kind| about(kind, &served))
                .into_iter()
                .collect(),
            routes: named
                .chain(rest)
                .filter(|(_, policy)| !policy.methods.is_empty())
                .map(|(pattern, policy)| published(pattern, policy, &served))
                .collect(),
        }
    }
}

impl Published {
    /// Methods and path.
    pub(super) fn parts(&self) -> (&str, &str) {
        self.pattern.split_once(' ').unwrap_or_default()
    }
}

fn about(kind: ProblemKind, served: &Served) -> (&'static str, About) {
    let row = kind.row();
    let about = About {
        link: Problem::new(kind).type_uri(&served.problem_base),
        title: row.title,
        detail: row.detail,
        executed: row.executed,
        next: row.next,
    };
    (row.slug, about)
}

fn published(pattern: &str, policy: &Policy, served: &Served) -> Published {
    let methods: Vec<String> = policy
        .methods
        .iter()
        .map(|method| method.as_str().to_ascii_uppercase())
        .collect();
    Published {
        pattern: format!("{} {pattern}", methods.join(",")),
        key: policy.key,
        keyed: match policy.key {
            KeyUse::Required | KeyUse::Optional => Some(keyed(&Contract::new(policy, served))),
            KeyUse::Ignored => None,
        },
    }
}

fn keyed(contract: &Contract<'_>) -> Keyed {
    let policy = contract.policy();
    Keyed {
        key_header: policy.key_header.iter().map(show_header).collect(),
        key_syntax: policy.key_rules.syntax,
        key_format: policy.key_rules.format,
        key_length_max: policy.key_rules.length_max,
        key_example: contract.example_key(),
        scope: policy
            .scope
            .sources
            .iter()
            .map(ToString::to_string)
            .collect(),
        anonymous: policy.scope.anonymous,
        retention: show_duration(policy.retention),
        tombstones: show_duration(policy.tombstones),
        unknown_retention: show_duration(policy.unknown_retention),
        first_sent: policy.first_sent,
        in_flight: Duplicate {
            status: ProblemKind::InFlight.row().status.as_u16(),
            wait: match policy.in_flight {
                InFlight::Reject => None,
                InFlight::Wait => Some(show_duration(policy.wait_timeout)),
            },
        },
        mismatch: Status {
            status: policy.mismatch_status.as_u16(),
        },
        on_server_error: policy.on_server_error,
        outcomes: contract.outcomes(),
        request_bytes_max: policy.request_bytes_max,
        response_bytes_max: policy.response_bytes_max,
        answer_timeout: show_duration(policy.answer_timeout),
        error_type: policy.dialect.content_type(),
        refusals: contract.refusals().iter().map(refusal).collect(),
    }
}

fn refusal(row: &Refused) -> Refusal {
    Refusal {
        status: row.status.as_u16(),
        problem: row.kind.row().slug,
        retry_after: row.example.headers().contains_key(RETRY_AFTER),
    }
}

/// How the router prefers patterns, segment by segment: names before `{name}`, and that before `{*rest}`.
fn rank(pattern: &str) -> Vec<u8> {
    let of = |segment: &str| match segment {
        rest if rest.starts_with("{*") => 2,
        name if name.starts_with('{') && !name.starts_with("{{") => 1,
        _ => 0,
    };
    pattern.split('/').map(of).collect()
}
