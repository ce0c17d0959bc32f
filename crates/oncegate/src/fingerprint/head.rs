//! What a fingerprint takes from the head of a request: its digest, and what kind of body it says will follow.
//!
//! Promises: nothing is left out of the digest that tells two requests apart, and letter case is where it means
//! nothing. Deliberately absent: every other header. A retry comes with other dates, traces and agents.

use http::header::{GetAll, HeaderValue};
use http::{Method, Uri};

use crate::hash::{Digest, HashKey, push_framed};

/// Everything but the body. Each value is framed, and an absent one differs from an empty one.
pub(super) fn head(
    hash_key: &HashKey,
    method: &Method,
    uri: &Uri,
    types: &GetAll<'_, HeaderValue>,
    codings: &GetAll<'_, HeaderValue>,
) -> Digest {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    push_framed(&mut head, method.as_str().as_bytes());
    push_framed(&mut head, uri.path().as_bytes());
    match uri.query() {
        None => head.push(0),
        Some(query) => {
            head.push(1);
            push_framed(&mut head, query.as_bytes());
        }
    }
    push_lines(&mut head, types, essence);
    push_lines(&mut head, codings, <[u8]>::trim_ascii);
    Digest::first_half(blake3::keyed_hash(hash_key.head(), &head))
}

/// How many lines there are, and what counts of each, in lower case.
fn push_lines(head: &mut Vec<u8>, lines: &GetAll<'_, HeaderValue>, part: fn(&[u8]) -> &[u8]) {
    head.extend_from_slice(&(lines.iter().count() as u64).to_le_bytes());
    for line in lines {
        let part = part(line.as_bytes());
        push_framed(head, part);
        let start = head.len() - part.len();
        head[start..].make_ascii_lowercase();
    }
}

/// The media type without its parameters, as it was written.
pub(super) fn essence(content_type: &[u8]) -> &[u8] {
    let essence = content_type
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or(content_type);
    essence.trim_ascii()
}

pub(super) fn is_json(essence: &[u8]) -> bool {
    let suffix = essence.last_chunk::<5>();
    let has_suffix = suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(b"+json"));
    essence.eq_ignore_ascii_case(b"application/json") || (has_suffix && essence.contains(&b'/'))
}

pub(super) fn is_multipart(essence: &[u8]) -> bool {
    let kind = essence.first_chunk::<10>();
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(b"multipart/"))
}

/// Whether the body is what its media type says, without a coding around it.
pub(super) fn is_plain(codings: &GetAll<'_, HeaderValue>) -> bool {
    let is_identity = |line: &HeaderValue| {
        let coding = line.as_bytes().trim_ascii();
        coding.eq_ignore_ascii_case(b"identity")
    };
    codings.iter().all(is_identity)
}

/// Room for the head of most requests.
const HEAD_BYTES: usize = 256;
