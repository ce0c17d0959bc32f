//! The fingerprint as a value: what is stored, and when two of them are one request.
//!
//! Promises: it is its stored bytes. A fingerprint of a later version passes through this code
//! unharmed, and can be told apart from one that merely differs.

use std::fmt;

use super::pointer::JsonPointer;
use crate::hash::{Digest, HashKeyId};

/// How much of a request a route compares.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum FingerprintMode {
    /// Head and body; JSON and multipart bodies by what they mean, too.
    #[default]
    Auto,
    /// Head and body, byte by byte.
    Raw,
    /// The head alone.
    None,
}

/// What a route compares.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FingerprintRules {
    /// How much of the request counts.
    pub mode: FingerprintMode,
    /// Places in a JSON body that do not count.
    pub exclude: Vec<JsonPointer>,
}

/// Three digests of one request, with the version and the hash key they were made under.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Fingerprint {
    /// Version, canonical present (0 or 1), six zeros, hash key id, head, raw, canonical.
    bytes: [u8; FINGERPRINT_BYTES],
}

/// Whether it means anything that two fingerprints differ.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "callers must answer each of these in its own way"
)]
pub enum Comparability {
    /// They can be compared: ask [`Fingerprint::same_request`].
    Comparable,
    /// One of them has a version that this code does not know.
    UnknownVersion,
    /// They were made under different hash keys.
    ForeignHashKey,
}

impl Fingerprint {
    /// Puts the parts together, in the current version.
    pub fn new(hash_key: HashKeyId, head: Digest, raw: Digest, canonical: Option<Digest>) -> Self {
        let mut bytes = [0; FINGERPRINT_BYTES];
        bytes[0] = FINGERPRINT_VERSION;
        bytes[1] = u8::from(canonical.is_some());
        bytes[8..16].copy_from_slice(&hash_key.as_u64().to_le_bytes());
        bytes[16..32].copy_from_slice(head.as_bytes());
        bytes[32..48].copy_from_slice(raw.as_bytes());
        if let Some(canonical) = canonical {
            bytes[48..64].copy_from_slice(canonical.as_bytes());
        }
        Self { bytes }
    }

    /// Takes the bytes as they were stored, of whatever version.
    pub fn from_bytes(bytes: [u8; FINGERPRINT_BYTES]) -> Self {
        Self { bytes }
    }

    /// The bytes, to be stored. Every version has as many.
    pub fn to_bytes(&self) -> [u8; FINGERPRINT_BYTES] {
        self.bytes
    }

    /// The version of the algorithm. The other parts mean nothing if it is unknown.
    pub fn version(&self) -> u8 {
        self.bytes[0]
    }

    /// The hash key that the digests were made under.
    pub fn hash_key(&self) -> HashKeyId {
        HashKeyId::from_u64(u64::from_le_bytes(self.part(8)))
    }

    /// The digest of method, path, query, media type and coding.
    pub fn head(&self) -> Digest {
        Digest::from_bytes(self.part(16))
    }

    /// The digest of the body as it came.
    pub fn raw(&self) -> Digest {
        Digest::from_bytes(self.part(32))
    }

    /// The digest of what the body means and of the exclusions, if that could be told.
    pub fn canonical(&self) -> Option<Digest> {
        (self.bytes[1] == 1).then(|| Digest::from_bytes(self.part(48)))
    }

    /// Whether these two can be compared at all. If not, a difference is no mismatch: nobody
    /// knows.
    pub fn comparability(&self, other: &Self) -> Comparability {
        if self.version() != FINGERPRINT_VERSION || other.version() != FINGERPRINT_VERSION {
            Comparability::UnknownVersion
        } else if self.hash_key() != other.hash_key() {
            Comparability::ForeignHashKey
        } else {
            Comparability::Comparable
        }
    }

    /// Whether these are one request: never, if they are not [comparable](Self::comparability).
    pub fn same_request(&self, other: &Self) -> bool {
        let same_meaning = || match (self.canonical(), other.canonical()) {
            (Some(one), Some(two)) => one == two,
            (None, _) | (_, None) => false,
        };
        self.comparability(other) == Comparability::Comparable
            && self.head() == other.head()
            && (self.raw() == other.raw() || same_meaning())
    }

    fn part<const N: usize>(&self, at: usize) -> [u8; N] {
        std::array::from_fn(|offset| self.bytes[at + offset])
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fingerprint")
            .field("version", &self.version())
            .field("hash_key", &self.hash_key())
            .field("head", &self.head())
            .field("raw", &self.raw())
            .field("canonical", &self.canonical())
            .finish()
    }
}

impl fmt::Display for FingerprintMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Raw => "raw",
            Self::None => "none",
        })
    }
}

/// The version of the algorithm: what is hashed, and the limits on what has a canonical form.
pub const FINGERPRINT_VERSION: u8 = 1;
/// How many bytes a fingerprint has, in every version.
pub const FINGERPRINT_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(byte: u8) -> Digest {
        Digest::from_bytes([byte; 16])
    }

    fn fingerprint(head: u8, raw: u8, canonical: Option<u8>) -> Fingerprint {
        let key = HashKeyId::from_u64(0x0123_4567_89ab_cdef);
        Fingerprint::new(key, digest(head), digest(raw), canonical.map(digest))
    }

    #[test]
    fn requests_are_the_same_by_head_and_by_either_form_of_the_body() {
        let one = fingerprint(1, 2, Some(3));
        let table = [
            (fingerprint(1, 2, Some(3)), true),
            (fingerprint(1, 9, Some(3)), true),
            (fingerprint(1, 2, Some(9)), true), // other exclusions, but the very same bytes
            (fingerprint(1, 2, None), true),
            (fingerprint(1, 9, Some(9)), false),
            (fingerprint(1, 9, None), false),
            (fingerprint(9, 2, Some(3)), false),
        ];
        for (other, same) in table {
            assert_eq!(one.same_request(&other), same, "{other:?}");
            assert_eq!(other.same_request(&one), same, "{other:?}");
        }
        assert!(!fingerprint(1, 2, None).same_request(&fingerprint(1, 9, None)));
    }

    #[test]
    fn an_absent_canonical_form_is_not_one_of_zeros() {
        assert!(!fingerprint(1, 2, Some(0)).same_request(&fingerprint(1, 9, None)));
    }

    #[test]
    fn a_fingerprint_is_read_back_from_its_bytes() {
        for one in [fingerprint(1, 2, Some(3)), fingerprint(1, 2, None)] {
            let read = Fingerprint::from_bytes(one.to_bytes());
            assert_eq!(read, one);
            assert_eq!((read.head(), read.raw()), (digest(1), digest(2)));
            assert_eq!(read.canonical(), one.canonical());
            assert_eq!(read.hash_key(), one.hash_key());
        }
    }

    #[test]
    fn a_later_version_passes_through_unharmed_and_is_never_compared() {
        let bytes = [2; FINGERPRINT_BYTES];
        let later = Fingerprint::from_bytes(bytes);
        assert_eq!(later.to_bytes(), bytes);
        assert_eq!(later.version(), 2);
        assert_eq!(
            later.comparability(&fingerprint(1, 2, None)),
            Comparability::UnknownVersion
        );
        assert_eq!(
            fingerprint(1, 2, None).comparability(&later),
            Comparability::UnknownVersion
        );
        assert!(!later.same_request(&later));
    }

    #[test]
    fn fingerprints_under_different_hash_keys_are_never_compared() {
        let one = fingerprint(1, 2, None);
        let other = Fingerprint::new(HashKeyId::from_u64(7), one.head(), one.raw(), None);
        assert_eq!(one.comparability(&other), Comparability::ForeignHashKey);
        assert!(!one.same_request(&other));
    }
}
