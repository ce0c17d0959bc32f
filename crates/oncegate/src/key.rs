//! The idempotency key as the client sent it, and the identity in it (rules M-01 to M-05, M-09).
//!
//! Promises: a key is either absent, or whole and well-formed, or an error; nothing malformed is
//! ever taken for absent. The raw key shows in no `Debug` output: [`KeyDigest`] stands for it.
//!
//! Deliberately absent: whether a route wants a key, and trailers, which never carry one.
//!
//! ```
//! use http::{HeaderMap, HeaderName, HeaderValue};
//! use oncegate::key::{KeyRules, SentKey};
//!
//! let names = [HeaderName::from_static("idempotency-key")];
//! let mut headers = HeaderMap::new();
//! assert_eq!(SentKey::find(&headers, &names, &KeyRules::default()), Ok(None));
//!
//! headers.insert(&names[0], HeaderValue::from_static(r#""order-17";v=1"#));
//! let sent = SentKey::find(&headers, &names, &KeyRules::default())?.expect("it was sent");
//! assert_eq!(sent.key().as_str(), "order-17");
//! # Ok::<(), oncegate::key::KeyError>(())
//! ```

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use blake3::hazmat::{self, ContextKey};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use sfv::visitor::ParameterVisitor;
use sfv::{BareItemFromInput, KeyRef, StringRef};

use crate::clock::Timestamp;
use crate::hash::{derive_unkeyed, from_hex, write_hex};

/// Which spellings of a key are accepted.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(
    clippy::exhaustive_enums,
    reason = "quoted only, or bare too: there is no third spelling"
)]
pub enum KeySyntax {
    /// A structured-field String, or bare visible ASCII without `"` `,` `;` `\`.
    #[default]
    Lenient,
    /// A structured-field String and nothing else.
    Strict,
}

/// What a key has to look like inside its quotes.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum KeyFormat {
    /// Anything.
    #[default]
    Any,
    /// A UUID of any version: 36 characters with hyphens, letters in either case.
    Uuid,
    /// A random UUID (version 4).
    Uuid4,
    /// A time-ordered UUID (version 7).
    Uuid7,
    /// A ULID: 26 characters of Crockford's alphabet, letters in either case.
    Ulid,
}

/// What a route asks of its keys.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct KeyRules {
    /// Which spellings are accepted.
    pub syntax: KeySyntax,
    /// What the key has to look like.
    pub format: KeyFormat,
    /// The most bytes it may have, counted without quotes and escapes.
    pub length_max: usize,
}

/// The identity of a key: what stands inside the quotes, unescaped. Never empty. Cloning shares it.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct IdempotencyKey(Arc<str>);

/// What logs, records and operators see in place of the key.
///
/// It is not keyed: a guessable key can be guessed from it, as from any log line about its request.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct KeyDigest([u8; 8]);

/// The text is no key digest.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a key digest is 16 hexadecimal digits")]
pub struct KeyDigestError;

/// A key together with the line it came in, which is what goes back and on to the upstream.
#[derive(Clone, Eq, PartialEq)]
pub struct SentKey {
    key: IdempotencyKey,
    name: HeaderName,
    value: HeaderValue,
}

/// Why a key cannot be accepted. It is the client's fault and nothing ran.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[expect(
    clippy::exhaustive_enums,
    reason = "callers write one text for each and must see a new one"
)]
pub enum KeyError {
    /// There are several key lines, aliases included, even if they agree.
    #[error("the key is sent on more than one line")]
    Several,
    /// It is no quoted string and no acceptable bare value.
    #[error("the key is malformed")]
    Malformed,
    /// Nothing stands in it, or only spaces.
    #[error("the key is empty")]
    Empty,
    /// It has more bytes than the route allows.
    #[error("the key is longer than {max} bytes")]
    TooLong {
        /// The most bytes the route allows.
        max: usize,
    },
    /// It does not look as the route demands.
    #[error("the key is not a {format}")]
    WrongFormat {
        /// What the route demands.
        format: KeyFormat,
    },
}

impl SentKey {
    /// Finds the key among the headers, under any of these names.
    ///
    /// # Errors
    /// Anything but one well-formed line. `Ok(None)` means that no name is there at all.
    pub fn find(
        headers: &HeaderMap,
        names: &[HeaderName],
        rules: &KeyRules,
    ) -> Result<Option<Self>, KeyError> {
        let mut found = None;
        for (at, name) in names.iter().enumerate() {
            // A name that the settings list twice must not make one line two.
            if names[..at].contains(name) {
                continue;
            }
            for value in headers.get_all(name) {
                if found.replace((name, value)).is_some() {
                    return Err(KeyError::Several);
                }
            }
        }
        let Some((name, value)) = found else {
            return Ok(None);
        };
        let key = IdempotencyKey::parse(value.as_bytes(), rules)?;
        Ok(Some(Self {
            key,
            name: name.clone(),
            value: value.clone(),
        }))
    }

    /// The identity.
    pub fn key(&self) -> &IdempotencyKey {
        &self.key
    }

    /// The name it came under.
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// The value as it came: quotes, parameters and all.
    pub fn value(&self) -> &HeaderValue {
        &self.value
    }
}

impl IdempotencyKey {
    /// Reads one field value.
    ///
    /// # Errors
    /// Any but [`KeyError::Several`].
    pub fn parse(value: &[u8], rules: &KeyRules) -> Result<Self, KeyError> {
        let value = trim(value);
        let identity = match value.first() {
            None => return Err(KeyError::Empty),
            Some(b'"') => quoted(value)?,
            Some(_) => bare(value, rules.syntax)?,
        };
        if identity.bytes().all(|byte| byte == b' ') {
            return Err(KeyError::Empty);
        }
        rules.admit(&identity)?;
        Ok(Self(identity.into()))
    }

    /// Whether a key that was read by other rules is as these want it. Its spelling is no part of it.
    ///
    /// # Errors
    /// If it is too long, or of another form.
    pub fn judge(&self, rules: &KeyRules) -> Result<(), KeyError> {
        rules.admit(&self.0)
    }

    /// The identity as text: printable ASCII.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When the client made this key, by the client's own clock, if `format` says so: the first 48 bits of a UUIDv7
    /// and of a ULID are milliseconds.
    pub fn made_at(&self, format: KeyFormat) -> Option<Timestamp> {
        let millis = match format {
            KeyFormat::Any | KeyFormat::Uuid | KeyFormat::Uuid4 => return None,
            KeyFormat::Uuid7 => uuid_millis(self.0.as_bytes()),
            KeyFormat::Ulid => ulid_millis(self.0.as_bytes()),
        };
        Some(Timestamp::from_micros(millis?.saturating_mul(1_000)))
    }

    /// What stands for this key wherever the key itself must not appear.
    pub fn digest(&self) -> KeyDigest {
        let hash = derive_unkeyed(&KEY_DIGEST, self.0.as_bytes());
        let (digests, _) = hash.as_chunks();
        KeyDigest(digests[0])
    }
}

impl KeyDigest {
    /// Takes the bytes as they were stored.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The bytes, to be stored.
    pub fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl KeyFormat {
    fn fits(self, key: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Uuid => is_uuid(key.as_bytes(), None),
            Self::Uuid4 => is_uuid(key.as_bytes(), Some(b'4')),
            Self::Uuid7 => is_uuid(key.as_bytes(), Some(b'7')),
            Self::Ulid => is_ulid(key.as_bytes()),
        }
    }
}

impl KeyRules {
    fn admit(&self, identity: &str) -> Result<(), KeyError> {
        if identity.len() > self.length_max {
            return Err(KeyError::TooLong {
                max: self.length_max,
            });
        }
        if !self.format.fits(identity) {
            return Err(KeyError::WrongFormat {
                format: self.format,
            });
        }
        Ok(())
    }
}

impl Default for KeyRules {
    fn default() -> Self {
        Self {
            syntax: KeySyntax::Lenient,
            format: KeyFormat::Any,
            length_max: 255,
        }
    }
}

impl FromStr for KeyDigest {
    type Err = KeyDigestError;

    fn from_str(text: &str) -> Result<Self, KeyDigestError> {
        from_hex(text).map(Self).ok_or(KeyDigestError)
    }
}

impl fmt::Debug for SentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentKey")
            .field("key", &self.key)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdempotencyKey({})", self.digest())
    }
}

impl fmt::Display for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyDigest({self})")
    }
}

impl fmt::Display for KeySyntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lenient => "lenient",
            Self::Strict => "strict",
        })
    }
}

impl fmt::Display for KeyFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "any",
            Self::Uuid => "uuid",
            Self::Uuid4 => "uuid4",
            Self::Uuid7 => "uuid7",
            Self::Ulid => "ulid",
        })
    }
}

/// Keeps the string of an item and drops its parameters, without building a list of them.
struct WithoutParameters<'v>(Option<Cow<'v, StringRef>>);

impl<'v> ParameterVisitor<'v> for WithoutParameters<'v> {
    type Out = Option<Cow<'v, StringRef>>;
    type Error = Infallible;

    fn parameter(&mut self, _: &'v KeyRef, _: BareItemFromInput<'v>) -> Result<(), Infallible> {
        Ok(())
    }

    fn finish(self) -> Result<Self::Out, Infallible> {
        Ok(self.0)
    }
}

fn quoted(value: &[u8]) -> Result<Cow<'_, str>, KeyError> {
    let string = sfv::Parser::new(value)
        .parse_item_with_visitor(|item| {
            let BareItemFromInput::String(string) = item else {
                return Ok::<_, Infallible>(WithoutParameters(None));
            };
            Ok(WithoutParameters(Some(string)))
        })
        .ok()
        .flatten();
    match string {
        Some(Cow::Borrowed(string)) => Ok(Cow::Borrowed(string.as_str())),
        Some(Cow::Owned(string)) => Ok(Cow::Owned(string.into())),
        None => Err(KeyError::Malformed),
    }
}

fn bare(value: &[u8], syntax: KeySyntax) -> Result<Cow<'_, str>, KeyError> {
    match syntax {
        KeySyntax::Strict => Err(KeyError::Malformed),
        KeySyntax::Lenient if !value.iter().all(|byte| is_bare(*byte)) => Err(KeyError::Malformed),
        KeySyntax::Lenient => str::from_utf8(value)
            .map(Cow::Borrowed)
            .map_err(|_| KeyError::Malformed),
    }
}

/// Without quotes a comma would be a list, a semicolon parameters, and a quote or a backslash a
/// string that somebody broke.
fn is_bare(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

fn is_uuid(key: &[u8], version: Option<u8>) -> bool {
    let shape = key.len() == 36
        && key.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    // The variant is only asked for with a version: a nil UUID is a UUID.
    shape
        && version.is_none_or(|version| {
            key[14] == version && matches!(key[19].to_ascii_lowercase(), b'8' | b'9' | b'a' | b'b')
        })
}

fn is_ulid(key: &[u8]) -> bool {
    // 26 characters hold 130 bits: a first one above 7 does not fit into 128.
    key.len() == 26
        && key[0] <= b'7'
        && key.iter().all(|byte| {
            byte.is_ascii_alphanumeric()
                && !matches!(byte.to_ascii_lowercase(), b'i' | b'l' | b'o' | b'u')
        })
}

fn uuid_millis(key: &[u8]) -> Option<u64> {
    let first = key.get(..13)?.iter().filter(|byte| **byte != b'-');
    digits(first, 16, b"0123456789abcdef")
}

fn ulid_millis(key: &[u8]) -> Option<u64> {
    digits(
        key.get(..10)?.iter(),
        32,
        b"0123456789abcdefghjkmnpqrstvwxyz",
    )
}

/// The number that these digits are, letters in either case.
fn digits<'k>(text: impl Iterator<Item = &'k u8>, base: u64, alphabet: &[u8]) -> Option<u64> {
    text.map(u8::to_ascii_lowercase)
        .try_fold(0_u64, |sum, digit| {
            let value = alphabet.iter().position(|known| *known == digit)?;
            sum.checked_mul(base)?.checked_add(value as u64)
        })
}

/// Drops spaces and tabs at both ends, which are no part of a field value.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

static KEY_DIGEST: LazyLock<ContextKey> =
    LazyLock::new(|| hazmat::hash_derive_key_context("oncegate 2026-11 key digest v1"));

#[cfg(test)]
mod tests;
