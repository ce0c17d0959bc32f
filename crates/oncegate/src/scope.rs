//! The scope: which principal a key belongs to, taken from what the client proves itself with
//! (rules M-33 to M-37).
//!
//! Promises: two different credentials are two scopes. A request that carries a credential which
//! the sources do not look at is refused, never put with the anonymous ones. A [`Scope`] keeps a
//! hash; the credential itself stays in the request.
//!
//! Deliberately absent: checking a credential. A header or a cookie must hold a secret that the
//! upstream checks, and the claims of a token come from whoever verified it ([`VerifiedClaims`]).
//! Client certificates are not headers: the listener has to judge them.
//!
//! ```
//! use http::{HeaderMap, HeaderValue, header};
//! use oncegate::scope::{Scope, ScopeRules};
//!
//! let rules = ScopeRules::default();
//! let mut headers = HeaderMap::new();
//! assert!(Scope::resolve(&headers, &rules)?.is_anonymous());
//!
//! headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer a"));
//! assert!(!Scope::resolve(&headers, &rules)?.is_anonymous());
//!
//! headers.insert(header::COOKIE, HeaderValue::from_static("session=b"));
//! assert!(Scope::resolve(&headers, &rules).is_err()); // not covered by header:authorization
//! # Ok::<(), oncegate::scope::ScopeError>(())
//! ```

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use blake3::hazmat::{self, ContextKey};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Serialize;

use crate::claims::{ClaimError, VerifiedClaims};
use crate::hash::{derive_unkeyed, push_framed};

/// A part of the request that tells principals apart.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ScopeSource {
    /// The exact value of a header, all its lines.
    Header(HeaderName),
    /// The exact value of a cookie, all cookies of that name.
    Cookie(String),
    /// A claim of the verified token in the header `Authorization`, together with the token's issuer:
    /// it survives a refresh of the token.
    Jwt(String),
}

/// Whether requests without any credential may use keys.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "they may or they may not")]
pub enum Anonymous {
    /// They may, and share one scope.
    #[default]
    Allow,
    /// They may not.
    Refuse,
}

/// Where a route finds the scope.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScopeRules {
    /// What is joined to make the scope. Neither order nor repetition matters.
    pub sources: Vec<ScopeSource>,
    /// Whether requests without any credential may use keys.
    pub anonymous: Anonymous,
    /// Headers that are a credential: one that is there and that no source covers is refused.
    pub credential_headers: Vec<HeaderName>,
}

/// Whose key it is. It holds a hash of the credentials and shows nothing of them.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Scope([u8; 32]);

/// Why a request has no scope. It carries what the answer, a 401, has to name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeError {
    /// There is no credential, and anonymous requests are refused.
    #[error(
        "no credential says whose key this is; the setting `scope` looks for {}",
        listed(sources)
    )]
    Missing {
        /// What would have been accepted.
        sources: Vec<ScopeSource>,
    },
    /// This header is a credential, and the setting `scope` does not look at it.
    #[error("the setting `scope` does not cover the credential in the header `{header}`")]
    Uncovered {
        /// The header that would have to be covered.
        header: HeaderName,
    },
    /// The credential differs on every request, so that a retry would be a stranger.
    #[error("credentials of the scheme `{scheme}` change with every request")]
    ChangesPerRequest {
        /// The authentication scheme, in its usual spelling.
        scheme: &'static str,
    },
    /// A claim is looked for in a token that nobody verified.
    #[error("nobody has verified the token in the header `authorization`")]
    Unverified,
    /// The verified token does not say who the principal is.
    #[error("the claim `{claim}`, for which the setting `scope` looks in the token, {why}")]
    Claim {
        /// The claim that was looked for.
        claim: String,
        /// What is wrong with it.
        why: ClaimError,
    },
}

/// Why a text is no scope source.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeSourceError {
    /// It starts with none of `header:`, `cookie:` and `jwt:`.
    #[error("`{given}` is neither `header:NAME` nor `cookie:NAME` nor `jwt:CLAIM`")]
    UnknownKind {
        /// The text as given.
        given: String,
    },
    /// What follows the colon cannot be a name.
    #[error("`{name}` cannot be the name of a header or a cookie")]
    BadName {
        /// The name as given.
        name: String,
    },
    /// What follows the colon cannot be a claim.
    #[error("`{name}` cannot be the name of a claim")]
    BadClaim {
        /// The name as given.
        name: String,
    },
    /// The claim belongs to one token, not to its owner.
    #[error("the claim `{name}` is another one in each token: a retry would be a stranger")]
    ChangingClaim {
        /// The name as given.
        name: &'static str,
    },
}

impl Scope {
    /// Finds out whose request this is where no token was verified.
    ///
    /// # Errors
    /// As [`Scope::resolve_verified`].
    pub fn resolve(headers: &HeaderMap, rules: &ScopeRules) -> Result<Self, ScopeError> {
        Self::resolve_verified(headers, None, rules)
    }

    /// Finds out whose request this is. `claims` are those of its token, if it has one and
    /// [`ScopeRules::want_token`].
    ///
    /// # Errors
    /// If the request proves nothing where it has to, or proves it in a way that the sources do
    /// not see or that does not last until a retry.
    pub fn resolve_verified(
        headers: &HeaderMap,
        claims: Option<&VerifiedClaims>,
        rules: &ScopeRules,
    ) -> Result<Self, ScopeError> {
        refuse_uncovered(headers, rules)?;
        refuse_changing(headers, &rules.sources)?;
        refuse_unverified(headers, claims, &rules.sources)?;

        // Sorted and without doubles, and without those that are absent: an operator who reorders
        // the sources, or adds one that nobody sends yet, must not cut clients off from their keys.
        let mut present: Vec<&ScopeSource> = rules
            .sources
            .iter()
            .filter(|source| source.is_present(headers, claims))
            .collect();
        present.sort_unstable_by_key(|source| source.tag_and_name());
        present.dedup();

        // A credential without content proves nothing, so `refuse` refuses it as well.
        let proven = present.iter().any(|source| {
            source.claim().is_some() || source.values(headers).any(|value| !value.is_empty())
        });
        match (proven, rules.anonymous) {
            (false, Anonymous::Refuse) => Err(ScopeError::Missing {
                sources: rules.sources.clone(),
            }),
            (false, Anonymous::Allow) if present.is_empty() => Ok(Self(ANONYMOUS)),
            (false, Anonymous::Allow) | (true, Anonymous::Allow | Anonymous::Refuse) => {
                Self::join(&present, headers, claims)
            }
        }
    }

    /// Whether the request carried no credential at all.
    pub fn is_anonymous(&self) -> bool {
        self.0 == ANONYMOUS
    }

    /// What record ids are made of.
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Every source is tagged with kind and name, every value with its length: no choice of values
    /// makes one set of sources read as another.
    fn join(
        sources: &[&ScopeSource],
        headers: &HeaderMap,
        claims: Option<&VerifiedClaims>,
    ) -> Result<Self, ScopeError> {
        let mut named = Vec::with_capacity(NAMED_BYTES);
        for source in sources {
            let (tag, name) = source.tag_and_name();
            named.push(tag);
            push_framed(&mut named, name.as_bytes());
            let claimed = source.claim().map(|claim| principal(claims, claim));
            if let Some(said) = claimed {
                let said = said?;
                named.extend_from_slice(&(said.len() as u64).to_le_bytes());
                said.iter().for_each(|value| push_framed(&mut named, value));
                continue;
            }
            let count_at = named.len();
            let mut count = 0_u64;
            named.extend_from_slice(&count.to_le_bytes());
            for value in source.values(headers) {
                push_framed(&mut named, value);
                count += 1;
            }
            named[count_at..count_at + size_of::<u64>()].copy_from_slice(&count.to_le_bytes());
        }
        Ok(Self(derive_unkeyed(&SCOPE, &named)))
    }
}

impl ScopeSource {
    fn tag_and_name(&self) -> (u8, &str) {
        match self {
            Self::Header(name) => (b'h', name.as_str()),
            Self::Cookie(name) => (b'c', name),
            Self::Jwt(claim) => (b'j', claim),
        }
    }

    /// The header that it is read from.
    #[must_use]
    pub fn header_name(&self) -> &HeaderName {
        match self {
            Self::Header(name) => name,
            Self::Cookie(_) => &header::COOKIE,
            Self::Jwt(_) => &header::AUTHORIZATION,
        }
    }

    /// The claim of a token that it looks for.
    #[must_use]
    pub fn claim(&self) -> Option<&str> {
        match self {
            Self::Header(_) | Self::Cookie(_) => None,
            Self::Jwt(claim) => Some(claim),
        }
    }

    fn is_present(&self, headers: &HeaderMap, claims: Option<&VerifiedClaims>) -> bool {
        match self {
            Self::Header(_) | Self::Cookie(_) => self.values(headers).next().is_some(),
            Self::Jwt(_) => claims.is_some(),
        }
    }

    fn covers(&self, header: &HeaderName, headers: &HeaderMap) -> bool {
        match self {
            Self::Header(name) => name == header,
            Self::Cookie(_) => *header == header::COOKIE && self.values(headers).next().is_some(),
            // Whether it is a token, and a good one, is judged next.
            Self::Jwt(_) => *header == header::AUTHORIZATION,
        }
    }

    /// What its header holds for it. A token is not compared by its bytes: it has none here.
    fn values<'v>(&'v self, headers: &'v HeaderMap) -> impl Iterator<Item = &'v [u8]> {
        let (header, cookie) = match self {
            Self::Header(_) => (Some(self.header_name()), None),
            Self::Cookie(cookie) => (Some(self.header_name()), Some(cookie)),
            Self::Jwt(_) => (None, None),
        };
        let lines = header
            .into_iter()
            .flat_map(|name| headers.get_all(name))
            .map(HeaderValue::as_bytes);
        lines.flat_map(move |line| match cookie {
            None => Values::Line(Some(line)),
            Some(cookie) => Values::Cookies {
                line: Some(line),
                name: cookie.as_bytes(),
            },
        })
    }
}

impl ScopeRules {
    /// Whether the token of a request has to be verified before its scope is known.
    #[must_use]
    pub fn want_token(&self) -> bool {
        self.sources.iter().any(|source| source.claim().is_some())
    }

    /// Whether there is a request that has no scope by these rules, and is refused.
    #[must_use]
    pub fn may_refuse(&self) -> bool {
        let authorization = ScopeSource::Header(header::AUTHORIZATION);
        // A cookie source covers only requests that have its cookie.
        let always_covers = |header: &HeaderName| {
            let mut sources = self.sources.iter();
            sources.any(|source| matches!(source, ScopeSource::Header(name) if name == header))
        };
        self.anonymous == Anonymous::Refuse
            || self.want_token()
            || self.sources.contains(&authorization)
            || !self.credential_headers.iter().all(always_covers)
    }
}

impl Default for ScopeRules {
    fn default() -> Self {
        Self {
            sources: vec![ScopeSource::Header(header::AUTHORIZATION)],
            anonymous: Anonymous::Allow,
            credential_headers: vec![
                header::AUTHORIZATION,
                header::COOKIE,
                HeaderName::from_static("x-api-key"),
                HeaderName::from_static("api-key"),
            ],
        }
    }
}

impl FromStr for ScopeSource {
    type Err = ScopeSourceError;

    fn from_str(text: &str) -> Result<Self, ScopeSourceError> {
        match text.split_once(':') {
            Some(("header", name)) => name.parse().map(Self::Header).map_err(|_| bad_name(name)),
            // The names of cookies and of headers have one grammar, but not one letter case.
            Some(("cookie", name)) => match name.parse::<HeaderName>() {
                Ok(_) => Ok(Self::Cookie(name.to_owned())),
                Err(_) => Err(bad_name(name)),
            },
            Some(("jwt", claim)) => claim_name(claim).map(Self::Jwt),
            Some(_) | None => Err(ScopeSourceError::UnknownKind {
                given: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for ScopeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Jwt(claim) => write!(f, "jwt:{claim}"),
        }
    }
}

impl fmt::Display for Anonymous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Refuse => "refuse",
        })
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("anonymous", &self.is_anonymous())
            .finish_non_exhaustive()
    }
}

/// The values that one line holds: itself, or those of its cookies that have the name.
enum Values<'v> {
    Line(Option<&'v [u8]>),
    Cookies {
        line: Option<&'v [u8]>,
        name: &'v [u8],
    },
}

impl<'v> Iterator for Values<'v> {
    type Item = &'v [u8];

    fn next(&mut self) -> Option<&'v [u8]> {
        match self {
            Self::Line(line) => line.take(),
            Self::Cookies { line, name } => loop {
                let (pair, rest) = split_at_byte((*line)?, b';');
                *line = rest;
                if let (found, Some(value)) = split_at_byte(pair, b'=')
                    && found.trim_ascii() == *name
                {
                    return Some(value.trim_ascii());
                }
            },
        }
    }
}

/// Strictly each: that one credential is covered says nothing about whose the other is.
///
/// CGI, WSGI and their like take `X_Api_Key` for `X-Api-Key`: a credential is one by either spelling, and covered by its
/// own alone.
fn refuse_uncovered(headers: &HeaderMap, rules: &ScopeRules) -> Result<(), ScopeError> {
    let is_covered = |header: &HeaderName| {
        let mut sources = rules.sources.iter();
        sources.any(|source| source.covers(header, headers))
    };
    let there = |header: &&HeaderName| headers.contains_key(*header);
    let credentials = rules.credential_headers.iter().filter(there);
    let is_look_alike = |name: &&HeaderName| {
        let mut credentials = rules.credential_headers.iter();
        name.as_str().contains('_') && credentials.any(|header| is_spelled_alike(header, name))
    };
    let look_alikes = headers.keys().filter(is_look_alike);
    let uncovered = credentials
        .chain(look_alikes)
        .find(|header| !is_covered(header));
    match uncovered {
        Some(header) => Err(ScopeError::Uncovered {
            header: header.clone(),
        }),
        None => Ok(()),
    }
}

/// Whether two names differ in nothing but dashes and underscores.
fn is_spelled_alike(one: &HeaderName, other: &HeaderName) -> bool {
    let dashed = |byte: u8| if byte == b'_' { b'-' } else { byte };
    let dashes = |name: &HeaderName| name.as_str().bytes().map(dashed).collect::<Vec<_>>();
    dashes(one) == dashes(other)
}

/// A signature over the request is new on every retry: each would be a scope of its own, and
/// would execute again.
fn refuse_changing(headers: &HeaderMap, sources: &[ScopeSource]) -> Result<(), ScopeError> {
    if !sources.contains(&ScopeSource::Header(header::AUTHORIZATION)) {
        return Ok(());
    }
    for value in headers.get_all(header::AUTHORIZATION) {
        let sent = value.as_bytes().trim_ascii();
        let sent = sent
            .split(|byte| matches!(byte, b' ' | b'\t'))
            .next()
            .unwrap_or(sent);
        for scheme in SCHEMES_THAT_CHANGE {
            if scheme.as_bytes().eq_ignore_ascii_case(sent) {
                return Err(ScopeError::ChangesPerRequest { scheme });
            }
        }
    }
    Ok(())
}

/// A claim says nothing until somebody has verified the token that it stands in (M-35).
fn refuse_unverified(
    headers: &HeaderMap,
    claims: Option<&VerifiedClaims>,
    sources: &[ScopeSource],
) -> Result<(), ScopeError> {
    let has_token = || claims.is_some() || headers.contains_key(header::AUTHORIZATION);
    let claimed = sources.iter().filter_map(ScopeSource::claim);
    for claim in claimed {
        if has_token() {
            principal(claims, claim)?;
        }
    }
    Ok(())
}

fn principal(claims: Option<&VerifiedClaims>, claim: &str) -> Result<[Vec<u8>; 2], ScopeError> {
    let claims = claims.ok_or(ScopeError::Unverified)?;
    claims.principal(claim).map_err(|why| ScopeError::Claim {
        claim: claim.to_owned(),
        why,
    })
}

/// Any name that can be read in an error; not one whose value changes with the token.
fn claim_name(name: &str) -> Result<String, ScopeSourceError> {
    if let Some(name) = CLAIMS_THAT_CHANGE.into_iter().find(|it| *it == name) {
        return Err(ScopeSourceError::ChangingClaim { name });
    }
    let readable = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    readable
        .then(|| name.to_owned())
        .ok_or_else(|| ScopeSourceError::BadClaim {
            name: name.to_owned(),
        })
}

fn split_at_byte(text: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| *byte == separator) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

fn listed(sources: &[ScopeSource]) -> String {
    let quoted: Vec<String> = sources.iter().map(|source| format!("`{source}`")).collect();
    quoted.join(", ")
}

fn bad_name(name: &str) -> ScopeSourceError {
    ScopeSourceError::BadName {
        name: name.to_owned(),
    }
}

/// No hash comes out as this, and it does not depend on the sources.
const ANONYMOUS: [u8; 32] = [0; 32];
// Changing this makes every record that exists unreachable.
static SCOPE: LazyLock<ContextKey> =
    LazyLock::new(|| hazmat::hash_derive_key_context("oncegate 2026-11 scope v1"));
/// Room for one source of common length.
const NAMED_BYTES: usize = 128;
/// Registered claims about the token and not about its owner (RFC 7519, 4.1).
const CLAIMS_THAT_CHANGE: [&str; 4] = ["exp", "nbf", "iat", "jti"];
const SCHEMES_THAT_CHANGE: [&str; 6] = [
    "AWS4-HMAC-SHA256",
    "Digest",
    "OAuth",
    "DPoP",
    "Signature",
    "Negotiate",
];

#[cfg(test)]
mod tests;
