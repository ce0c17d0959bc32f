//! Who verifies the token of a request, where a scope is a claim (M-35).
//!
//! Promises: no claim reaches a scope but through here, and a token that is refused has cost no step of the store.
//! Deliberately absent: any one kind of token. [`JwtVerifier`](crate::JwtVerifier) verifies JSON Web Tokens (feature
//! `jwt`); a program that has its own middleware for that hands over what the middleware found.

use std::fmt;

use http::request::Parts;
use oncegate::claims::VerifiedClaims;
use oncegate::{Problem, ProblemKind};

use crate::answer::Refusal;

/// Verifies the tokens of requests.
///
/// # Contract
/// What it returns is believed: the token was made by somebody who may make one, is meant for this API, and is valid
/// now. It is called once for each keyed request whose route has a `jwt:` scope, before the body is read, and must not
/// block.
pub trait TokenVerifier: fmt::Debug + Send + Sync + 'static {
    /// The claims of the request's token, or nothing if it carries no credential where a token belongs.
    ///
    /// # Errors
    /// If there is a credential and it is no token that can be believed. The request is refused with 401.
    fn verify(&self, request: &Parts) -> Result<Option<VerifiedClaims>, TokenError>;
}

/// Why a token is not believed: one lowercase clause for the caller.
///
/// It is static, so that nothing of a token can get into an answer or a log.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct TokenError(&'static str);

impl TokenError {
    /// An error that tells the caller this.
    #[must_use]
    pub const fn new(why: &'static str) -> Self {
        Self(why)
    }
}

/// 401, and by RFC 6750 a challenge that names the token.
impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        let mut refusal = Self::new(Problem::new(ProblemKind::ScopeMissing).because(error));
        refusal.what.challenge = Some(INVALID_TOKEN);
        refusal
    }
}

const INVALID_TOKEN: &str = "Bearer realm=\"idempotency\", error=\"invalid_token\"";
