//! The claims of a token that somebody has verified, and what of them can tell principals apart
//! (rule M-35).
//!
//! Promises: a claim is a string or an integer that is there, or it is an error; a missing claim is
//! never taken for an empty one. `Debug` shows nothing of what the claims say.
//!
//! Deliberately absent: verifying. Whoever makes one of these vouches for it: the signature fits,
//! the token has not expired, and no claim stood in it twice.

use std::fmt;

/// The claims of a verified token.
#[derive(Clone, Eq, PartialEq)]
pub struct VerifiedClaims {
    issuer: Option<String>,
    claims: Vec<(String, ClaimValue)>,
}

/// What a claim says, as far as a scope can use it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "what is neither of two kinds is the third"
)]
pub enum ClaimValue {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i128),
    /// Anything else: it has no one spelling, so it is no name for anybody.
    Other,
}

/// Why a claim tells nobody apart.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// The token does not have it.
    #[error("is not there")]
    Missing,
    /// It is a list, an object, a fraction, a boolean or null.
    #[error("is neither a string nor an integer")]
    NoName,
    /// It is a string without content.
    #[error("is empty")]
    Empty,
}

impl VerifiedClaims {
    /// No claims yet, of a token by this issuer.
    #[must_use]
    pub fn by(issuer: Option<String>) -> Self {
        Self {
            issuer,
            claims: Vec::new(),
        }
    }

    /// The same with one more claim. The first of a name counts.
    #[must_use]
    pub fn with(mut self, name: &str, value: ClaimValue) -> Self {
        self.claims.push((name.to_owned(), value));
        self
    }

    /// What stands for the principal that `claim` names: who says it, and what is said. No choice of
    /// an issuer and a claim reads as another one.
    ///
    /// # Errors
    /// If the claim names nobody.
    pub(crate) fn principal(&self, claim: &str) -> Result<[Vec<u8>; 2], ClaimError> {
        let found = self.claims.iter().find(|(name, _)| name == claim);
        let (_, value) = found.ok_or(ClaimError::Missing)?;
        let said = match value {
            ClaimValue::Text(text) if text.is_empty() => return Err(ClaimError::Empty),
            ClaimValue::Text(text) => tagged(b's', text),
            ClaimValue::Integer(number) => tagged(b'i', &number.to_string()),
            ClaimValue::Other => return Err(ClaimError::NoName),
        };
        let by = self.issuer.as_ref().map(|issuer| tagged(b's', issuer));
        Ok([by.unwrap_or_default(), said])
    }
}

impl fmt::Debug for VerifiedClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.claims.iter().map(|(name, _)| name).collect();
        f.debug_struct("VerifiedClaims")
            .field("names", &names)
            .finish_non_exhaustive()
    }
}

/// `"7"` and `7` are two principals, and no issuer is not an empty one.
fn tagged(tag: u8, text: &str) -> Vec<u8> {
    [&[tag], text.as_bytes()].concat()
}
