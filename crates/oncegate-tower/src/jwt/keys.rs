//! What tokens are verified with: a shared secret, or a set of public keys (RFC 7517).
//!
//! Promises: each key comes with the algorithms that it is for, settled when it is read. A secret is for HMAC and for
//! nothing else, a public key never for HMAC, whatever a token says. A secret that everybody could know is refused:
//! a short one, a public key, a key set.
//!
//! Deliberately absent: reading files. Whoever has the bytes brings them here.

use std::fmt;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind};
use serde::Deserialize;
use serde_json::Value;
use serde_json::error::Category;

/// The keys that tokens may be signed with.
#[derive(Clone, Eq, PartialEq)]
pub struct JwtKeys {
    keys: Vec<Key>,
    unusable: usize,
}

/// Why there are no keys in some bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JwtKeysError {
    /// A secret of so few bytes can be guessed from a single token.
    #[error("it holds {length} bytes, and a secret for tokens has at least {JWT_SECRET_BYTES_MIN}")]
    SecretTooShort {
        /// How many it has.
        length: usize,
    },
    /// What stands there is meant to be public: whoever knows it could sign tokens.
    #[error("it holds a public key, and no secret")]
    SecretIsPublic,
    /// It is no JSON object with a list of `keys`.
    #[error("it holds no JSON Web Key Set: {what} at line {line} column {column}")]
    NoKeySet {
        /// What kind of mistake it is. What stands there is not shown: it may be a secret.
        what: &'static str,
        /// In which line.
        line: usize,
        /// In which column of it.
        column: usize,
    },
    /// A key set is published, and a secret must not be.
    #[error("it holds a secret (`\"kty\":\"oct\"`), and a key set is a public document")]
    SecretInKeySet,
    /// There are so many keys that trying them all would take long.
    #[error("it holds {count} keys, and {JWT_KEYS_MAX} are the most")]
    TooManyKeys {
        /// How many there are.
        count: usize,
    },
    /// There are keys, but none that could verify a token.
    #[error(
        "none of its {count} keys can verify a token: RSA of 2048 bits, P-256, P-384 and Ed25519 can"
    )]
    NoneUsable {
        /// How many there are.
        count: usize,
    },
}

impl JwtKeys {
    /// A secret that is shared with the issuer, for HS256, HS384 and HS512: these bytes as they are.
    ///
    /// # Errors
    /// If it is too short, or no secret at all.
    pub fn from_secret(secret: &[u8]) -> Result<Self, JwtKeysError> {
        let start = secret.trim_ascii_start();
        if start.starts_with(b"-----BEGIN") || start.starts_with(b"{") {
            return Err(JwtKeysError::SecretIsPublic);
        }
        if secret.len() < JWT_SECRET_BYTES_MIN {
            let length = secret.len();
            return Err(JwtKeysError::SecretTooShort { length });
        }
        let key = Key {
            kid: None,
            algorithms: AlgorithmFamily::Hmac.algorithms().to_vec(),
            key: DecodingKey::from_secret(secret),
        };
        Ok(Self {
            keys: vec![key],
            unusable: 0,
        })
    }

    /// A JSON Web Key Set. Keys that cannot verify a token, for one reason or another, are passed over.
    ///
    /// # Errors
    /// If it is no key set, or holds a secret, too many keys, or none that could be used.
    pub fn from_jwks(document: &[u8]) -> Result<Self, JwtKeysError> {
        let set: KeySet = serde_json::from_slice(document).map_err(no_key_set)?;
        let count = set.keys.len();
        if set.keys.iter().any(|key| key["kty"] == "oct") {
            return Err(JwtKeysError::SecretInKeySet);
        }
        if count > JWT_KEYS_MAX {
            return Err(JwtKeysError::TooManyKeys { count });
        }
        let keys: Vec<Key> = set.keys.into_iter().filter_map(Key::of).collect();
        if keys.is_empty() {
            return Err(JwtKeysError::NoneUsable { count });
        }
        let unusable = count - keys.len();
        Ok(Self { keys, unusable })
    }

    /// How many keys of the set were passed over.
    #[must_use]
    pub const fn unusable(&self) -> usize {
        self.unusable
    }

    /// The keys that a token with this `kid` may be signed with. A key without a name may be any.
    pub(super) fn named(&self, kid: Option<&str>) -> impl Iterator<Item = &Key> {
        let may_be = move |key: &&Key| match (kid, key.kid.as_deref()) {
            (Some(wanted), Some(name)) => wanted == name,
            (None, _) | (_, None) => true,
        };
        self.keys.iter().filter(may_be)
    }
}

impl fmt::Debug for JwtKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtKeys")
            .field("count", &self.keys.len())
            .field("unusable", &self.unusable)
            .finish_non_exhaustive()
    }
}

/// A key and what it is for.
#[derive(Clone)]
pub(super) struct Key {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl Key {
    /// A public key that can verify signatures; nothing if this one cannot.
    fn of(document: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(document).ok()?;
        let common = &jwk.common;
        let signs = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature));
        let verifies = common
            .key_operations
            .as_ref()
            .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        let mut algorithms = fitting(&jwk.algorithm)?.to_vec();
        if let Some(only) = common.key_algorithm {
            algorithms
                .retain(|algorithm| Algorithm::try_from(only).is_ok_and(|it| it == *algorithm));
        }
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        let usable = signs && verifies && !algorithms.is_empty() && is_strong(&key, &jwk.algorithm);
        usable.then_some(Self {
            kid: jwk.common.key_id,
            algorithms,
            key,
        })
    }

    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    pub(super) const fn decoding(&self) -> &DecodingKey {
        &self.key
    }

    fn material(&self) -> (&[u8], &[u8]) {
        match self.key.kind() {
            DecodingKeyKind::SecretOrDer(bytes) => (bytes, &[]),
            DecodingKeyKind::RsaModulusExponent { n, e } => (n, e),
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        (&self.kid, &self.algorithms, self.material())
            == (&other.kid, &other.algorithms, other.material())
    }
}

impl Eq for Key {}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

/// The parser's own words would show what it found, and whoever took the wrong file would find a secret in the log.
fn no_key_set(error: serde_json::Error) -> JwtKeysError {
    let what = match error.classify() {
        Category::Io => "it could not be read",
        Category::Syntax => "no JSON",
        Category::Data => "no object with a list of `keys`",
        Category::Eof => "it ends too soon",
    };
    JwtKeysError::NoKeySet {
        what,
        line: error.line(),
        column: error.column(),
    }
}

/// The algorithms that a key of this kind can be for.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "another crate's lists, which may grow: what is new is for nothing here"
)]
fn fitting(parameters: &AlgorithmParameters) -> Option<&'static [Algorithm]> {
    match parameters {
        AlgorithmParameters::RSA(_) => Some(&[
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ]),
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => Some(&[Algorithm::ES256]),
            EllipticCurve::P384 => Some(&[Algorithm::ES384]),
            _ => None,
        },
        AlgorithmParameters::OctetKeyPair(key) => {
            (key.curve == EllipticCurve::Ed25519).then_some(&[Algorithm::EdDSA])
        }
        _ => None,
    }
}

/// Whether the numbers of a key are as long as they have to be. The verifier would refuse every token else, and an
/// operator would learn of it from the clients.
fn is_strong(key: &DecodingKey, parameters: &AlgorithmParameters) -> bool {
    match (key.kind(), parameters) {
        (DecodingKeyKind::RsaModulusExponent { n, .. }, _) => {
            let leading = n.iter().take_while(|byte| **byte == 0).count();
            (RSA_BYTES_MIN..=RSA_BYTES_MAX).contains(&(n.len() - leading))
        }
        (DecodingKeyKind::SecretOrDer(point), AlgorithmParameters::EllipticCurve(key)) => {
            point.len()
                == if key.curve == EllipticCurve::P256 {
                    65
                } else {
                    97
                }
        }
        (DecodingKeyKind::SecretOrDer(point), _) => point.len() == ED25519_BYTES,
    }
}

/// As many as HS256 hashes to (RFC 7518, 3.2): fewer can be guessed from one token.
pub const JWT_SECRET_BYTES_MIN: usize = 32;
/// The most keys in a set: a token without a `kid` is tried against them all.
pub const JWT_KEYS_MAX: usize = 32;
/// 2048 bits (RFC 7518, 3.3), and what the verifier takes at most.
const RSA_BYTES_MIN: usize = 256;
const RSA_BYTES_MAX: usize = 1024;
const ED25519_BYTES: usize = 32;
