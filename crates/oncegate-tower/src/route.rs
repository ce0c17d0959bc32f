//! The first judgements on a request, before a byte of its body is read: does it take a key, which, and whose?

use std::sync::Arc;

use http::request::Parts;
use http::{Method, header};
use oncegate::claims::VerifiedClaims;
use oncegate::clock::Timestamp;
use oncegate::contract::is_safe;
use oncegate::hash::RecordId;
use oncegate::key::SentKey;
use oncegate::policy::KeyUse;
use oncegate::problem::PROBLEM_BASE;
use oncegate::record::About;
use oncegate::scope::{Scope, ScopeRules};
use oncegate::{Policy, Problem, ProblemKind};

use crate::answer::{Asked, Refusal};
use crate::gate::Gate;
use crate::layer::Policies;
use crate::path::normal_path;
use crate::quota::Subject;
use crate::upload;

/// Which way a request goes.
#[derive(Debug)]
pub(crate) enum Route {
    /// Straight through, untouched.
    Pass,
    /// Straight through, and the caller is told that its key meant nothing.
    Ignored(Asked),
    /// To the page that explains a problem.
    Page(ProblemKind),
    /// Nowhere.
    Refused(Asked, Box<Refusal>),
    /// To the engine.
    Keyed(Asked, Box<Keyed>),
}

/// A request with a key that counts.
#[derive(Debug)]
pub(crate) struct Keyed {
    pub(crate) policy: Arc<Policy>,
    pub(crate) id: RecordId,
    pub(crate) key: Arc<str>,
    pub(crate) about: About,
    pub(crate) key_made_at: Option<Timestamp>,
    pub(crate) subject: Subject,
}

impl Route {
    /// Judges in the order of the contract: pass-through, key, scope, declared length.
    pub(crate) fn of(parts: &Parts, gate: &Gate, policies: &dyn Policies) -> Self {
        if let Some(kind) = page(parts) {
            return Self::Page(kind);
        }
        if is_safe(&parts.method) {
            return Self::Pass;
        }
        let Some(policy) = policies.find(parts) else {
            return Self::Pass;
        };
        if policy.key == KeyUse::Ignored || !policy.covers(&parts.method) || is_grpc(parts) {
            return Self::ignored(parts, &policy);
        }
        let origin = parts.headers.get(header::ORIGIN).cloned();
        let asked = Asked {
            key: None,
            origin,
            dialect: policy.dialect,
        };
        let key = match SentKey::find(&parts.headers, &policy.key_header, &policy.key_rules) {
            Ok(Some(key)) => key,
            Ok(None) if policy.key == KeyUse::Required => {
                return Self::refused(asked, Problem::new(ProblemKind::KeyMissing));
            }
            Ok(None) => return Self::Pass,
            Err(error) => {
                return Self::refused(asked, Problem::new(ProblemKind::KeyInvalid).because(error));
            }
        };
        let judged = Self::keyed(parts, gate, policy, &key);
        let asked = Asked {
            key: Some(key),
            ..asked
        };
        match judged {
            Ok(keyed) => Self::Keyed(asked, Box::new(keyed)),
            Err(refusal) => Self::Refused(asked, refusal),
        }
    }

    fn keyed(
        parts: &Parts,
        gate: &Gate,
        policy: Arc<Policy>,
        key: &SentKey,
    ) -> Result<Keyed, Box<Refusal>> {
        let refused = |problem| Box::new(Refusal::new(problem));
        if policy.key == KeyUse::Required && normal_path(parts.uri.path()).changed {
            return Err(refused(Problem::new(ProblemKind::PathAmbiguous)));
        }
        let claims = verified(parts, gate, &policy.scope)?;
        let scope = Scope::resolve_verified(&parts.headers, claims.as_ref(), &policy.scope)
            .map_err(|error| refused(Problem::new(ProblemKind::ScopeMissing).because(error)))?;
        upload::check_declared(&parts.headers, &policy).map_err(refused)?;
        let key = key.key();
        Ok(Keyed {
            id: gate.engine.record_id(&scope, key),
            about: About::new(key.digest(), &parts.method, parts.uri.path()),
            key_made_at: key.made_at(policy.key_rules.format),
            subject: Subject::of(scope, claims.is_some(), &gate.meters, parts),
            key: key.as_str().into(),
            policy,
        })
    }

    /// A request that takes no key here. If it carries one all the same, the caller learns that it is not covered.
    fn ignored(parts: &Parts, policy: &Policy) -> Self {
        let carried = policy
            .key_header
            .iter()
            .find(|name| parts.headers.contains_key(*name));
        if carried.is_none() {
            return Self::Pass;
        }
        let key = SentKey::find(&parts.headers, &policy.key_header, &policy.key_rules)
            .ok()
            .flatten();
        Self::Ignored(Asked {
            key,
            origin: None,
            dialect: policy.dialect,
        })
    }

    fn refused(asked: Asked, problem: Problem) -> Self {
        Self::Refused(asked, Box::new(Refusal::new(problem)))
    }
}

/// The claims of the request's token, where the scope is one of them.
fn verified(
    parts: &Parts,
    gate: &Gate,
    rules: &ScopeRules,
) -> Result<Option<VerifiedClaims>, Box<Refusal>> {
    match &gate.token_verifier {
        Some(verifier) if rules.want_token() => verifier
            .verify(parts)
            .map_err(|error| Box::new(error.into())),
        Some(_) | None => Ok(None),
    }
}

/// gRPC has its status in the trailers: not covered for now.
fn is_grpc(parts: &Parts) -> bool {
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| {
        let bytes = value.as_bytes();
        bytes.len() >= 16 && bytes[..16].eq_ignore_ascii_case(b"application/grpc")
    })
}

/// The problem whose page is asked for.
fn page(parts: &Parts) -> Option<ProblemKind> {
    let slug = parts.uri.path().strip_prefix(PROBLEM_BASE)?;
    (parts.method == Method::GET || parts.method == Method::HEAD)
        .then(|| ProblemKind::from_slug(slug))?
}
