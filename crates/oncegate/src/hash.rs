//! The hashes that everything else is named by: what keys them, and the id of a record.
//!
//! Promises: equal inputs give equal hashes on every host that has the same hash key, and no two
//! uses of one hash key share a subkey, so that a digest of one kind is never one of another.
//! A record's id does not depend on the salt: a store that lost its salt still finds its records.
//!
//! Deliberately absent: reading the secret or the salt. Whoever opens the store brings them here.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::LazyLock;

use blake3::hazmat::{self, ContextKey, HasherExt as _};

use crate::key::IdempotencyKey;
use crate::scope::Scope;

/// 128 bits of a keyed hash. It shows as hexadecimal digits.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Digest([u8; 16]);

/// Names a hash key and reveals nothing of it, so that a record can say what keyed its fingerprint.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct HashKeyId(u64);

/// What keys the hashes: the configured secret, else the salt that the store keeps.
///
/// A secret of few bits can be guessed from a stolen store: nothing here stretches it.
#[derive(Clone)]
pub struct HashKey {
    id: HashKeyId,
    origin: Origin,
    record: [u8; 32],
    head: [u8; 32],
    raw: [u8; 32],
    canonical: [u8; 32],
}

/// Where a record is found: a hash of scope and key.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct RecordId([u8; 32]);

/// The text is no record id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a record id is 64 hexadecimal digits")]
pub struct RecordIdError;

impl Digest {
    /// Takes the bytes as they were stored.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, to be stored.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The first half of a hash: 128 bits are enough against everyone without the key.
    pub(crate) fn first_half(hash: blake3::Hash) -> Self {
        let (halves, _) = hash.as_bytes().as_chunks();
        Self(halves[0])
    }
}

impl HashKeyId {
    /// Takes the number as it was stored.
    pub fn from_u64(id: u64) -> Self {
        Self(id)
    }

    /// The number, to be stored.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl HashKey {
    /// The hash key of a configured secret: the same on every host that is given the same bytes.
    pub fn from_secret(secret: &[u8]) -> Self {
        Self::derive(Origin::Secret, &blake3::derive_key(FROM_SECRET, secret))
    }

    /// The hash key of a store's salt. It keys fingerprints, never record ids.
    pub fn from_salt(salt: [u8; 32]) -> Self {
        Self::derive(Origin::Salt, &blake3::derive_key(FROM_SALT, &salt))
    }

    /// What records name this hash key by.
    pub fn id(&self) -> HashKeyId {
        self.id
    }

    /// The subkey for the head of a fingerprint.
    pub(crate) fn head(&self) -> &[u8; 32] {
        &self.head
    }

    /// The subkey for the raw body.
    pub(crate) fn raw(&self) -> &[u8; 32] {
        &self.raw
    }

    /// The subkey for the canonical body.
    pub(crate) fn canonical(&self) -> &[u8; 32] {
        &self.canonical
    }

    fn derive(origin: Origin, key: &[u8; 32]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = blake3::derive_key(HASH_KEY_ID, key);
        Self {
            id: HashKeyId(u64::from_le_bytes([a, b, c, d, e, f, g, h])),
            origin,
            record: blake3::derive_key(RECORD, key),
            head: blake3::derive_key(HEAD, key),
            raw: blake3::derive_key(RAW, key),
            canonical: blake3::derive_key(CANONICAL, key),
        }
    }
}

impl RecordId {
    /// The id of the record of this key in this scope.
    ///
    /// A hash key that came from a salt counts as none: ids must outlive the salt, or a store that
    /// lost it would execute every key again.
    pub fn derive(secret: Option<&HashKey>, scope: &Scope, key: &IdempotencyKey) -> Self {
        let mut named = Vec::with_capacity(RECORD_NAMED_BYTES);
        push_framed(&mut named, scope.as_bytes());
        push_framed(&mut named, key.as_str().as_bytes());
        Self(match secret {
            Some(HashKey {
                origin: Origin::Secret,
                record,
                ..
            }) => blake3::keyed_hash(record, &named).into(),
            Some(HashKey {
                origin: Origin::Salt,
                ..
            })
            | None => derive_unkeyed(&RECORD_UNKEYED, &named),
        })
    }

    /// Takes the bytes as they were stored.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, to be stored.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Hash for RecordId {
    /// It is a hash already: half of it tells as much in a map as the whole, and costs half as much.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (halves, _) = self.0.as_chunks::<16>();
        state.write(&halves[0]);
    }
}

impl FromStr for RecordId {
    type Err = RecordIdError;

    fn from_str(text: &str) -> Result<Self, RecordIdError> {
        from_hex(text).map(Self).ok_or(RecordIdError)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl fmt::Display for HashKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for HashKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HashKeyId({self})")
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashKey")
            .field("id", &self.id)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordId({self})")
    }
}

/// Kept beside the key so that a salt can never name a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Origin {
    Secret,
    Salt,
}

/// Feeds the length, then the bytes: a sequence of framed values can be read in one way only.
pub(crate) fn update_framed(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

/// As [`update_framed`], where what is hashed is put together first: one call of the hash costs less than many.
pub(crate) fn push_framed(buffer: &mut Vec<u8>, bytes: &[u8]) {
    buffer.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    buffer.extend_from_slice(bytes);
}

/// A hash that no secret keys, under a context that was hashed once for all.
pub(crate) fn derive_unkeyed(context: &ContextKey, bytes: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_from_context_key(context);
    hasher.update(bytes).finalize().into()
}

/// Writes two lower-case digits a byte.
pub(crate) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// Reads exactly two digits a byte, in either case.
pub(crate) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (digits, rest) = text.as_bytes().as_chunks::<2>();
    if digits.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(digits) {
        *byte = hex_digit(*high)? << 4 | hex_digit(*low)?;
    }
    Some(bytes)
}

/// The value of one hexadecimal digit, in either case.
pub(crate) fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

// Changing one of these makes every record that exists unreachable or incomparable.
const FROM_SECRET: &str = "oncegate 2026-11 hash key from the configured secret v1";
const FROM_SALT: &str = "oncegate 2026-11 hash key from the salt of the store v1";
const HASH_KEY_ID: &str = "oncegate 2026-11 hash key id v1";
const RECORD: &str = "oncegate 2026-11 record id keyed by the secret v1";
static RECORD_UNKEYED: LazyLock<ContextKey> = LazyLock::new(|| {
    hazmat::hash_derive_key_context("oncegate 2026-11 record id without a secret v1")
});
const HEAD: &str = "oncegate 2026-11 fingerprint head v1";
const RAW: &str = "oncegate 2026-11 fingerprint raw body v1";
const CANONICAL: &str = "oncegate 2026-11 fingerprint canonical body v1";
/// Room for a scope, a key of common length, and what frames them.
const RECORD_NAMED_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::*;
    use crate::key::KeyRules;
    use crate::scope::ScopeRules;

    fn key(text: &str) -> IdempotencyKey {
        IdempotencyKey::parse(text.as_bytes(), &KeyRules::default()).unwrap()
    }

    fn scope(credential: &str) -> Scope {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::AUTHORIZATION,
            HeaderValue::from_str(credential).unwrap(),
        );
        Scope::resolve(&headers, &ScopeRules::default()).unwrap()
    }

    #[test]
    fn a_record_id_tells_scopes_keys_and_secrets_apart() {
        let (one, two) = (HashKey::from_secret(b"one"), HashKey::from_secret(b"two"));
        let ids = [
            RecordId::derive(None, &scope("a"), &key("k")),
            RecordId::derive(None, &scope("b"), &key("k")),
            RecordId::derive(None, &scope("a"), &key("l")),
            RecordId::derive(Some(&one), &scope("a"), &key("k")),
            RecordId::derive(Some(&two), &scope("a"), &key("k")),
        ];
        for (at, id) in ids.iter().enumerate() {
            assert!(!ids[..at].contains(id), "{id} came up twice");
        }
    }

    #[test]
    fn a_record_id_is_never_keyed_by_the_salt() {
        let salt = HashKey::from_salt([7; 32]);
        assert_eq!(
            RecordId::derive(Some(&salt), &scope("a"), &key("k")),
            RecordId::derive(None, &scope("a"), &key("k")),
        );
    }

    #[test]
    fn a_record_id_stays_what_it_was_in_earlier_releases() {
        let id = RecordId::derive(None, &scope("Bearer a"), &key("k"));
        assert_eq!(
            id.to_string(),
            "461b97a35e687b3dca1354e14cfd218c615044175f9bcc35ef704d8db98bc028"
        );
        let id = RecordId::derive(
            Some(&HashKey::from_secret(b"s")),
            &scope("Bearer a"),
            &key("k"),
        );
        assert_eq!(
            id.to_string(),
            "8505619df3b9b96d2fea5bc022738fa03fa3ac0709280a6eaf17cc9b10616988"
        );
    }

    #[test]
    fn a_record_id_is_read_back_from_its_text_in_either_case() {
        let id = RecordId::from_bytes([0x1b; 32]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        for bad in [
            "",
            "00",
            &"0".repeat(63),
            &"0".repeat(65),
            &"g".repeat(64),
            &"+".repeat(64),
        ] {
            assert_eq!(bad.parse::<RecordId>(), Err(RecordIdError), "{bad}");
        }
    }

    #[test]
    fn a_secret_and_a_salt_of_the_same_bytes_are_different_hash_keys() {
        let (secret, salt) = (HashKey::from_secret(&[7; 32]), HashKey::from_salt([7; 32]));
        assert_ne!(secret.id(), salt.id());
        assert_ne!(secret.raw(), salt.raw());
        assert_eq!(secret.id(), HashKey::from_secret(&[7; 32]).id());
    }

    #[test]
    fn a_hash_key_does_not_show_its_bytes() {
        let shown = format!("{:?}", HashKey::from_secret(b"hunter2"));
        let id = HashKey::from_secret(b"hunter2").id();
        assert_eq!(
            shown,
            format!("HashKey {{ id: HashKeyId({id}), origin: Secret, .. }}")
        );
    }
}
