//! Takes the fingerprint of a request while its body passes by.
//!
//! Promises: however the body is cut into pieces, the fingerprint is the same.

use std::fmt;

use http::header::{self, GetAll, HeaderMap, HeaderValue};
use http::{Method, Uri};

use super::head::{essence, head, is_json, is_multipart, is_plain};
use super::json;
use super::multipart::Multipart;
use super::pointer::JsonPointer;
use super::value::{Fingerprint, FingerprintMode, FingerprintRules};
use crate::hash::{Digest, HashKey, HashKeyId, push_framed};

/// Takes the fingerprint of one request: made of the head, fed with the body, then finished.
pub struct Fingerprinter {
    hash_key: HashKeyId,
    head: Digest,
    mode: FingerprintMode,
    raw_key: [u8; 32],
    /// What was hashed as it passed; nothing of a body that is held. Boxed: it is 2 KiB, and whoever holds this while
    /// a body comes in is moved about.
    raw: Option<Box<blake3::Hasher>>,
    canonical: Canonical,
}

impl Fingerprinter {
    /// Starts with the head of the request.
    pub fn new(
        hash_key: &HashKey,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        rules: &FingerprintRules,
    ) -> Self {
        let types = headers.get_all(header::CONTENT_TYPE);
        let codings = headers.get_all(header::CONTENT_ENCODING);
        Self {
            hash_key: hash_key.id(),
            head: head(hash_key, method, uri, &types, &codings),
            mode: rules.mode,
            raw_key: *hash_key.raw(),
            raw: None,
            canonical: match rules.mode {
                FingerprintMode::Auto => Canonical::new(hash_key, &types, &codings, &rules.exclude),
                FingerprintMode::Raw | FingerprintMode::None => Canonical::Impossible,
            },
        }
    }

    /// Takes in the next piece of the body.
    pub fn update(&mut self, piece: &[u8]) {
        match (self.mode, &mut self.canonical) {
            (FingerprintMode::None, _) => {}
            (FingerprintMode::Raw, _) | (_, Canonical::Impossible) => self.hash(piece),
            (FingerprintMode::Auto, Canonical::Multipart(multipart)) => {
                multipart.update(piece);
                self.hash(piece);
            }
            (FingerprintMode::Auto, Canonical::Json { body, .. }) => {
                if body.len() + piece.len() <= json::JSON_BYTES_MAX {
                    body.extend_from_slice(piece);
                    return;
                }
                let held = std::mem::take(body);
                self.canonical = Canonical::Impossible;
                self.hash(&held);
                self.hash(piece);
            }
        }
    }

    /// The fingerprint, now that the body is complete.
    pub fn finish(self) -> Fingerprint {
        let raw = match self.raw {
            Some(hasher) => hasher.finalize(),
            None => blake3::keyed_hash(&self.raw_key, self.canonical.held()),
        };
        Fingerprint::new(
            self.hash_key,
            self.head,
            Digest::first_half(raw),
            self.canonical.finish(),
        )
    }

    fn hash(&mut self, piece: &[u8]) {
        let key = &self.raw_key;
        let new = || Box::new(blake3::Hasher::new_keyed(key));
        self.raw.get_or_insert_with(new).update(piece);
    }
}

impl fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fingerprinter")
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// What the meaning of the body is read from.
enum Canonical {
    /// It cannot be told what the body means.
    Impossible,
    /// JSON is kept, because sorting needs all of it, until it gets too large.
    Json {
        body: Vec<u8>,
        exclude: Vec<JsonPointer>,
        key: [u8; 32],
    },
    Multipart(Box<Multipart>),
}

impl Canonical {
    fn new(
        hash_key: &HashKey,
        types: &GetAll<'_, HeaderValue>,
        codings: &GetAll<'_, HeaderValue>,
        exclude: &[JsonPointer],
    ) -> Self {
        let mut lines = types.iter();
        let (Some(line), None, true) = (lines.next(), lines.next(), is_plain(codings)) else {
            return Self::Impossible;
        };
        let key = hash_key.canonical();
        let essence = essence(line.as_bytes());
        if is_json(essence) {
            Self::Json {
                body: Vec::new(),
                exclude: exclude.to_vec(),
                key: *key,
            }
        } else if is_multipart(essence) {
            let mut parts = blake3::Hasher::new_keyed(key);
            parts.update(&prefix(b"multipart", exclude));
            let multipart = Multipart::new(line.as_bytes(), parts);
            multipart.map_or(Self::Impossible, |multipart| {
                Self::Multipart(Box::new(multipart))
            })
        } else {
            Self::Impossible
        }
    }

    /// The body so far, if it is held.
    fn held(&self) -> &[u8] {
        match self {
            Self::Json { body, .. } => body,
            Self::Impossible | Self::Multipart(_) => &[],
        }
    }

    fn finish(self) -> Option<Digest> {
        match self {
            Self::Impossible => None,
            Self::Json { body, exclude, key } => {
                let text = json::canonical(&body, &exclude, prefix(b"json", &exclude), &key)?;
                Some(Digest::first_half(blake3::keyed_hash(&key, &text)))
            }
            Self::Multipart(multipart) => multipart.finish(),
        }
    }
}

/// What a canonical digest starts with, framed: its kind and the exclusions. Equal digests mean
/// equal exclusions.
fn prefix(kind: &[u8], exclude: &[JsonPointer]) -> Vec<u8> {
    let mut pointers: Vec<&str> = exclude.iter().map(JsonPointer::as_str).collect();
    pointers.sort_unstable();
    pointers.dedup();
    let mut prefix = Vec::with_capacity(PREFIX_BYTES);
    push_framed(&mut prefix, kind);
    prefix.extend_from_slice(&(pointers.len() as u64).to_le_bytes());
    for pointer in pointers {
        push_framed(&mut prefix, pointer.as_bytes());
    }
    prefix
}

/// Room for the prefix without exclusions, and for a small body behind it.
const PREFIX_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use proptest::prelude::*;

    use super::*;

    const JSON: (&str, &str) = ("content-type", "application/json");
    const AUTO: FingerprintRules = FingerprintRules {
        mode: FingerprintMode::Auto,
        exclude: Vec::new(),
    };

    fn request(
        (method, uri): (&str, &'static str),
        lines: &[(&'static str, &'static str)],
        pieces: &[&[u8]],
        rules: &FingerprintRules,
    ) -> Fingerprint {
        let lines = lines.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        let hash_key = HashKey::from_secret(b"secret");
        let (method, uri) = (method.parse().unwrap(), Uri::from_static(uri));
        let mut it = Fingerprinter::new(&hash_key, &method, &uri, &lines.collect(), rules);
        pieces.iter().for_each(|piece| it.update(piece));
        it.finish()
    }

    fn post(lines: &[(&'static str, &'static str)], body: &str) -> Fingerprint {
        request(("POST", "/a"), lines, &[body.as_bytes()], &AUTO)
    }

    #[test]
    fn every_part_of_the_head_counts() {
        let head = |target, lines: &[_]| request(target, lines, &[], &AUTO).head();
        let different = [
            head(("POST", "/a"), &[]),
            head(("PATCH", "/a"), &[]),
            head(("POST", "/a/"), &[]),
            head(("POST", "/%61"), &[]),
            head(("POST", "/a?"), &[]),
            head(("POST", "/a?dry=1"), &[]),
            head(("POST", "/a"), &[("content-type", "")]),
            head(("POST", "/a"), &[JSON]),
            head(("POST", "/a"), &[JSON, JSON]),
            head(("POST", "/a"), &[("content-type", "text/plain")]),
            head(("POST", "/a"), &[("content-encoding", "application/json")]),
            head(("POST", "/a"), &[JSON, ("content-encoding", "gzip")]),
            head(("POST", "/a"), &[JSON, ("content-encoding", "identity")]),
        ];
        for (at, digest) in different.iter().enumerate() {
            assert!(!different[..at].contains(digest), "case {at}");
        }
    }

    #[test]
    fn spelling_and_parameters_of_the_media_type_and_other_headers_do_not_count() {
        let one = post(&[JSON], "{}");
        for content_type in [
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json ;a=b",
        ] {
            assert_eq!(
                post(&[("content-type", content_type), ("accept", "a/b")], "{}"),
                one
            );
        }
    }

    #[test]
    fn only_json_and_multipart_without_a_coding_have_a_meaning() {
        const PARTS: &str = "--b\r\n\r\n\r\n--b--";
        type Lines = [(&'static str, &'static str)];
        let table: [(&Lines, &str, bool); 12] = [
            (&[JSON], "{}", true),
            (
                &[("content-type", "application/problem+json; a=b")],
                "{}",
                true,
            ),
            (
                &[("content-type", "multipart/form-data; boundary=b")],
                PARTS,
                true,
            ),
            (&[JSON, ("content-encoding", "Identity")], "{}", true),
            (&[JSON, ("content-encoding", "gzip")], "{}", false),
            (
                &[
                    JSON,
                    ("content-encoding", "identity"),
                    ("content-encoding", "br"),
                ],
                "{}",
                false,
            ),
            (&[JSON, JSON], "{}", false),
            (&[JSON], "", false),
            (&[("content-type", "text/json")], "{}", false),
            (&[("content-type", "+json")], "{}", false),
            (&[("content-type", "multipart/form-data")], PARTS, false),
            (&[], "{}", false),
        ];
        for (lines, body, expected) in table {
            assert_eq!(
                post(lines, body).canonical().is_some(),
                expected,
                "{lines:?}"
            );
        }
    }

    #[test]
    fn the_mode_says_what_counts() {
        let rules = |mode| FingerprintRules {
            mode,
            exclude: Vec::new(),
        };
        let with = |mode, body: &[u8]| request(("POST", "/a"), &[JSON], &[body], &rules(mode));
        let auto = with(FingerprintMode::Auto, b"[1]");
        assert!(auto.same_request(&with(FingerprintMode::Auto, b"[ 1 ]")));
        let raw = with(FingerprintMode::Raw, b"[1]");
        assert_eq!((raw.raw(), raw.canonical()), (auto.raw(), None));
        assert!(!raw.same_request(&with(FingerprintMode::Raw, b"[ 1 ]")));
        let none = with(FingerprintMode::None, b"[1]");
        assert_eq!(none, with(FingerprintMode::None, b"anything"));
        assert_eq!(none.raw(), with(FingerprintMode::Raw, b"").raw());
    }

    #[test]
    fn json_has_a_meaning_up_to_one_mebibyte() {
        let body = |bytes: usize| format!("\"{}\"", "a".repeat(bytes - 2));
        assert!(
            post(&[JSON], &body(json::JSON_BYTES_MAX))
                .canonical()
                .is_some()
        );
        assert!(
            post(&[JSON], &body(json::JSON_BYTES_MAX + 1))
                .canonical()
                .is_none()
        );
    }

    /// Up to the limit a body is held and hashed in one, beyond it as it passes: the digest must not tell which.
    #[test]
    fn the_raw_digest_is_of_all_bytes_however_large_the_json_is() {
        let raw = FingerprintRules {
            mode: FingerprintMode::Raw,
            exclude: Vec::new(),
        };
        for bytes in [
            0,
            1,
            json::JSON_BYTES_MAX,
            json::JSON_BYTES_MAX + 1,
            json::JSON_BYTES_MAX + 5,
        ] {
            let body = "7".repeat(bytes);
            let (one, two) = body.as_bytes().split_at(bytes / 3);
            let pieces = [one, two, b"8".as_slice()];
            let with = |rules| request(("POST", "/a"), &[JSON], &pieces, rules).raw();
            assert_eq!(with(&AUTO), with(&raw), "{bytes}");
        }
    }

    #[test]
    fn equal_canonical_digests_mean_equal_exclusions() {
        let excluding = |pointers: &[&str]| FingerprintRules {
            exclude: pointers
                .iter()
                .map(|pointer| pointer.parse().unwrap())
                .collect(),
            ..AUTO
        };
        let canonical = |pointers: &[&str]| {
            request(("POST", "/a"), &[JSON], &[b"{}"], &excluding(pointers))
                .canonical()
                .unwrap()
        };
        assert_ne!(canonical(&[]), canonical(&["/a"]));
        assert_ne!(canonical(&["/a/b"]), canonical(&["/a", "/b"]));
        assert_eq!(canonical(&["/b", "/a"]), canonical(&["/a", "/b", "/a"]));
    }

    #[test]
    fn another_hash_key_makes_other_digests() {
        let with = |key: &HashKey| {
            Fingerprinter::new(
                key,
                &Method::POST,
                &Uri::from_static("/"),
                &HeaderMap::new(),
                &AUTO,
            )
            .finish()
        };
        let (one, two) = (
            with(&HashKey::from_secret(b"1")),
            with(&HashKey::from_secret(b"2")),
        );
        assert_ne!(one.head(), two.head());
        assert_ne!(one.raw(), two.raw());
        assert_ne!(one.head(), one.raw());
    }

    #[test]
    fn a_fingerprint_stays_what_it_was_in_earlier_releases() {
        let multipart = ("content-type", "multipart/form-data; boundary=b");
        let parts = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b--\r\n";
        let json = post(&[JSON], r#"{"b": [1.50, "\u00e9"], "a": null}"#);
        assert_eq!(json.head().to_string(), "008f7ab2e08797d5a7946f4c2d69e10e");
        assert_eq!(json.raw().to_string(), "29b002a19720d877523686dbc3f91345");
        assert_eq!(
            json.canonical().unwrap().to_string(),
            "d4ece9c37cc053c6bfe04f2617dfcb31"
        );
        assert_eq!(
            post(&[multipart], parts).canonical().unwrap().to_string(),
            "e6d7de1bd6de1bf8587e7ef273f12613"
        );
    }

    proptest! {
        #[test]
        fn the_pieces_of_a_body_do_not_matter(
            body in r#"\{"[a-z]{1,9}": \[(1, ){0,20}2\]\}"#,
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        ) {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(body.len())).collect();
            cuts.extend([0, body.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> =
                cuts.windows(2).map(|cut| &body.as_bytes()[cut[0]..cut[1]]).collect();
            let whole = post(&[JSON], &body);
            prop_assert!(whole.canonical().is_some());
            prop_assert_eq!(whole, request(("POST", "/a"), &[JSON], &pieces, &AUTO));
        }
    }
}
