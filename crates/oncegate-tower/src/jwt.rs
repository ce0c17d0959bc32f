//! JSON Web Tokens in `Authorization: Bearer` (RFC 7519, RFC 8725).
//!
//! Promises: the algorithm is fixed by the configured key and never by the token, so that `none` is no algorithm and
//! a public key is no secret; a token without an expiry, one that has expired, one with a claim twice, and one with
//! extensions that we do not know are refused. Keys that a token brings along or points at (`jwk`, `jku`, `x5u`,
//! `x5c`) are never looked at, and a `kid` is compared, never opened.
//!
//! The library reads the header and checks the signature. Claims are read and judged here: on a clock that tests hold,
//! with repeated members told apart, and without the library's own views on `aud` and on times that it cannot read.
//!
//! Deliberately absent: fetching keys over the network, and what a token permits. The upstream judges that.

mod claims;
mod keys;

use std::time::Duration;

use http::header::AUTHORIZATION;
use http::request::Parts;
use jsonwebtoken::Header;
use jsonwebtoken::crypto::verify;
use oncegate::claims::{ClaimValue, VerifiedClaims};
use oncegate::clock::{Timestamp, wall_time};
use serde_json::Value;

use crate::token::{TokenError, TokenVerifier};
use claims::Claims;

pub use keys::{JWT_KEYS_MAX, JWT_SECRET_BYTES_MIN, JwtKeys, JwtKeysError};

/// Verifies JSON Web Tokens by keys that it was given.
#[derive(Clone, Debug)]
pub struct JwtVerifier {
    keys: JwtKeys,
    issuers: Vec<String>,
    audiences: Vec<String>,
    leeway: Duration,
}

impl JwtVerifier {
    /// A verifier that believes tokens signed with one of these keys, whoever issued them and for whom.
    #[must_use]
    pub fn new(keys: JwtKeys) -> Self {
        // The library guesses from its features, which other crates of a program may change. Whoever chose before us
        // has chosen for the whole process.
        let _ours_or_another = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        Self {
            keys,
            issuers: Vec::new(),
            audiences: Vec::new(),
            leeway: JWT_LEEWAY,
        }
    }

    /// Believes these issuers (`iss`) and no others. An empty list means all.
    #[must_use]
    pub fn issuers(mut self, issuers: Vec<String>) -> Self {
        self.issuers = issuers;
        self
    }

    /// Believes tokens for one of these audiences (`aud`) and no others. An empty list means all.
    #[must_use]
    pub fn audiences(mut self, audiences: Vec<String>) -> Self {
        self.audiences = audiences;
        self
    }

    /// How far the issuer's clock may be from ours: by so much `exp` and `nbf` are stretched.
    #[must_use]
    pub const fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// The same as [`TokenVerifier::verify`], at this instant.
    ///
    /// # Errors
    /// If the request has an `Authorization` header and it holds no token that can be believed.
    pub fn verify_at(
        &self,
        request: &Parts,
        now: Timestamp,
    ) -> Result<Option<VerifiedClaims>, TokenError> {
        let Some(token) = bearer(request)? else {
            return Ok(None);
        };
        let claims = self.signed(token)?;
        self.judge(&claims, now).map(Some)
    }

    /// The claims of a token whose signature one of our keys explains.
    fn signed(&self, token: &[u8]) -> Result<Claims, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| NO_TOKEN)?;
        if header.crit.is_some() {
            return Err(CRITICAL);
        }
        let Header { alg, kid, .. } = header;
        let token = str::from_utf8(token).map_err(|_| NO_TOKEN)?;
        let (message, signature) = token.rsplit_once('.').ok_or(NO_TOKEN)?;
        let mut refused = UNKNOWN_KEY;
        for key in self.keys.named(kid.as_deref()) {
            if !key.is_for(alg) {
                refused = refused.or(WRONG_ALGORITHM);
            } else if verify(signature, message.as_bytes(), key.decoding(), alg).unwrap_or(false) {
                return Claims::of(message).ok_or(NO_TOKEN)?.without_repetition();
            } else {
                refused = BAD_SIGNATURE;
            }
        }
        Err(refused)
    }

    /// What is left once the signature is known to fit: for whom, by whom, until when.
    fn judge(&self, claims: &Claims, now: Timestamp) -> Result<VerifiedClaims, TokenError> {
        let expires = claims.instant("exp", BAD_EXPIRY)?.ok_or(NO_EXPIRY)?;
        if now >= expires.after(self.leeway) {
            return Err(EXPIRED);
        }
        let starts = claims.instant("nbf", BAD_START)?.unwrap_or_default();
        if starts > now.after(self.leeway) {
            return Err(NOT_YET);
        }
        let issuer = match claims.get("iss") {
            None => None,
            Some(Value::String(issuer)) => Some(issuer.clone()),
            Some(_) => return Err(ISSUER),
        };
        let believed = |issuer: &String| self.issuers.contains(issuer);
        if !self.issuers.is_empty() && !issuer.as_ref().is_some_and(believed) {
            return Err(ISSUER);
        }
        if !self.audiences.is_empty() && !claims.is_for_one_of(&self.audiences) {
            return Err(AUDIENCE);
        }
        Ok(claims
            .all()
            .fold(VerifiedClaims::by(issuer), |verified, (name, value)| {
                verified.with(name, claim_value(value))
            }))
    }
}

impl TokenVerifier for JwtVerifier {
    fn verify(&self, request: &Parts) -> Result<Option<VerifiedClaims>, TokenError> {
        self.verify_at(request, wall_time())
    }
}

impl TokenError {
    /// The more telling of two reasons: a signature that did not fit says more than a key that was not tried.
    fn or(self, other: Self) -> Self {
        if self == BAD_SIGNATURE { self } else { other }
    }
}

/// The token of the one `Authorization` line, without its scheme.
fn bearer(request: &Parts) -> Result<Option<&[u8]>, TokenError> {
    let mut lines = request.headers.get_all(AUTHORIZATION).iter();
    let Some(line) = lines.next() else {
        return Ok(None);
    };
    if lines.next().is_some() {
        return Err(SEVERAL);
    }
    let line = line.as_bytes().trim_ascii();
    let (scheme, token) = line.split_at(line.len().min(SCHEME.len()));
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(NO_BEARER);
    }
    if token.len() > JWT_BYTES_MAX {
        return Err(TOO_LONG);
    }
    Ok(Some(token.trim_ascii_start()))
}

fn claim_value(value: &Value) -> ClaimValue {
    match value {
        Value::String(text) => ClaimValue::Text(text.clone()),
        Value::Number(number) => match number.as_i128() {
            Some(number) => ClaimValue::Integer(number),
            None => ClaimValue::Other,
        },
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => ClaimValue::Other,
    }
}

const SEVERAL: TokenError =
    TokenError::new("the header `authorization` is there more than once: send one token");
const NO_BEARER: TokenError = TokenError::new(
    "the header `authorization` holds no token: this API looks for `Bearer` and a JSON Web Token",
);
const TOO_LONG: TokenError = TokenError::new("the token is too long");
const NO_TOKEN: TokenError = TokenError::new("the token is no signed JSON Web Token");
const CRITICAL: TokenError =
    TokenError::new("the token has extensions (`crit`) that are not understood here");
const UNKNOWN_KEY: TokenError =
    TokenError::new("the token is signed with a key (`kid`) that is not known here");
const WRONG_ALGORITHM: TokenError =
    TokenError::new("the token's algorithm (`alg`) is not the one that its key is for");
const BAD_SIGNATURE: TokenError = TokenError::new("the token's signature does not fit");
const REPEATED: TokenError = TokenError::new("the token has a claim twice");
const NO_EXPIRY: TokenError = TokenError::new("the token has no expiry (`exp`)");
const BAD_EXPIRY: TokenError = TokenError::new("the token's expiry (`exp`) is no time in seconds");
const BAD_START: TokenError = TokenError::new("the token's start (`nbf`) is no time in seconds");
const EXPIRED: TokenError = TokenError::new(
    "the token has expired: get a fresh one for the same account, and keep the idempotency key",
);
const NOT_YET: TokenError = TokenError::new("the token is not valid yet (`nbf`)");
const ISSUER: TokenError = TokenError::new("the token's issuer (`iss`) is not one of this API");
const AUDIENCE: TokenError = TokenError::new("the token is not meant for this API (`aud`)");

const SCHEME: &[u8] = b"bearer ";
/// The longest token. Those with all of a person's groups in them have some thousands of bytes.
pub const JWT_BYTES_MAX: usize = 16 * 1024;
/// How far the issuer's clock may be from ours, unless somebody says otherwise.
pub const JWT_LEEWAY: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
