//! The normal form of a path: what routes are matched against (rule M-07).
//!
//! Promises: whatever spelling of a path an upstream may take for `/payments` is `/payments` here,
//! and [`NormalPath::changed`] says whenever the spelling leaves room for two readings. Any text is
//! accepted, in time that grows with its length.
//!
//! Deliberately absent: rewriting. The upstream gets the path as the client wrote it, and so does
//! the fingerprint. Letter case and a slash at the end are left alone: `/Payments` and `/payments/`
//! are other paths, here as in HTTP. Parameters (`/payments;v=1`) are dropped, as servlet containers
//! do before they route.
//!
//! ```
//! use oncegate_tower::path::normal_path;
//!
//! let plain = normal_path("/caf%C3%A9s/a%20b");
//! assert_eq!((&*plain.path, plain.changed), ("/caf\u{e9}s/a b", false));
//!
//! let dodging = normal_path("/static/%2e%2E/payments");
//! assert_eq!((&*dodging.path, dodging.changed), ("/payments", true));
//! ```

use std::borrow::Cow;

/// A path as routes see it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data: the two answers of `normal_path`"
)]
pub struct NormalPath<'p> {
    /// Percent-decoded, without dot segments, empty segments and parameters (`;v=1`).
    pub path: Cow<'p, str>,
    /// Whether another program may read the raw path as another one.
    pub changed: bool,
}

/// Brings a raw path (without query) into normal form.
///
/// A path that does not start with a slash (`*`, or the authority of a CONNECT) stays as it is. One
/// whose bytes are not UTF-8 is read as Latin-1, so that it can be matched and nothing gets lost.
#[must_use]
pub fn normal_path(raw: &str) -> NormalPath<'_> {
    if !raw.starts_with('/') || is_normal(raw) {
        return NormalPath {
            path: Cow::Borrowed(raw),
            changed: false,
        };
    }
    let (decoded, ambiguous) = decode(raw.as_bytes());
    let (path, resolved) = resolve(&decoded);
    let path = String::from_utf8(path)
        .unwrap_or_else(|bytes| bytes.as_bytes().iter().copied().map(char::from).collect());
    NormalPath {
        path: Cow::Owned(path),
        changed: ambiguous || resolved,
    }
}

/// True only if nothing has to be done; most paths are like that and cost no allocation.
fn is_normal(raw: &str) -> bool {
    let bytes = raw.as_bytes();
    !bytes
        .iter()
        .any(|byte| matches!(byte, b'%' | b'\\' | b';' | 0))
        && !bytes.windows(2).any(|pair| matches!(pair, b"//" | b"/."))
}

/// Decodes the percent triplets, and says whether anything in there can be read in two ways.
fn decode(raw: &[u8]) -> (Vec<u8>, bool) {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut ambiguous = false;
    let mut rest = raw;
    while let [first, tail @ ..] = rest {
        let triplet = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)),
            _ => None,
        };
        let byte = match triplet {
            Some((high, low)) => {
                let byte = high << 4 | low;
                ambiguous |= is_unreserved(byte) || byte == b'/';
                rest = &rest[3..];
                byte
            }
            None => {
                ambiguous |= *first == b'%';
                rest = tail;
                *first
            }
        };
        ambiguous |= matches!(byte, b'\\' | 0);
        // Many programs take a backslash for a slash. So does this one: it is the reading in which
        // a request could otherwise slip past a route.
        decoded.push(if byte == b'\\' { b'/' } else { byte });
    }
    (decoded, ambiguous)
}

/// Drops parameters, resolves dot segments and merges empty ones, and says whether there were any.
fn resolve(decoded: &[u8]) -> (Vec<u8>, bool) {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut changed = false;
    let mut slash_at_end = false;
    let mut segments = decoded[1..].split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        // Servlet containers drop `;parameters` first, and see `..` in `..;x`.
        let name = segment
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or(segment);
        // So does the match, and a path that has parameters can be read in two ways.
        changed |= name.len() < segment.len();
        match name {
            b"." => changed = true,
            b".." => {
                kept.pop();
                changed = true;
            }
            b"" => changed |= !is_last,
            _ => {
                kept.push(name);
                continue;
            }
        }
        slash_at_end = is_last;
    }
    let mut path = Vec::with_capacity(decoded.len());
    for segment in &kept {
        path.push(b'/');
        path.extend_from_slice(segment);
    }
    if slash_at_end || kept.is_empty() {
        path.push(b'/');
    }
    (path, changed)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// What RFC 3986 wants nobody to encode: encoding it is legal, pointless, and a way to hide.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, path: &str, changed: bool) {
        assert_eq!(
            normal_path(raw),
            NormalPath {
                path: Cow::Borrowed(path),
                changed
            },
            "{raw}"
        );
    }

    #[test]
    fn a_path_with_one_reading_only_is_not_called_changed() {
        let table = [
            ("/", "/"),
            ("/payments", "/payments"),
            ("/payments/", "/payments/"),
            ("/Payments", "/Payments"),
            ("/.well-known/idempotency", "/.well-known/idempotency"),
            ("/a/..b/.c/...", "/a/..b/.c/..."),
            ("/a%20b", "/a b"),
            ("/caf%C3%A9", "/caf\u{e9}"),
            ("/caf%c3%a9", "/caf\u{e9}"),
            ("/caf\u{e9}", "/caf\u{e9}"),
            ("/100%25", "/100%"),
            ("/%252e%252e/a", "/%2e%2e/a"),
            ("/a%3Ab%40c", "/a:b@c"),
            ("/%7Bid%7D", "/{id}"),
            ("*", "*"),
            ("", ""),
            ("example.com:443", "example.com:443"),
        ];
        for (raw, path) in table {
            check(raw, path, false);
        }
    }

    #[test]
    fn a_path_that_can_be_read_in_two_ways_is_called_changed() {
        let table = [
            ("/a/./b", "/a/b"),
            ("/a/../payments", "/payments"),
            ("/../../payments", "/payments"),
            ("/a/.", "/a/"),
            ("/a/b/..", "/a/"),
            ("/..", "/"),
            ("/%2e%2E/payments", "/payments"),
            ("/a/.%2e/payments", "/payments"),
            ("/a/..;/payments", "/payments"),
            ("/a/..;x=1/payments", "/payments"),
            ("/a;v=1/b", "/a/b"),
            ("/payments;jsessionid=1", "/payments"),
            ("/payments;", "/payments"),
            ("/payments%3Bv=1", "/payments"),
            ("/payments/;v=1", "/payments/"),
            ("/;v=1/payments", "/payments"),
            ("//payments", "/payments"),
            ("/payments//1", "/payments/1"),
            ("/payments//", "/payments/"),
            ("/%70ayments", "/payments"),
            ("/a%2Dpayments", "/a-payments"),
            ("/a%7e", "/a~"),
            ("/payments%2f1", "/payments/1"),
            ("/a%2F..%2Fpayments", "/payments"),
            ("/a%5c..%5Cpayments", "/payments"),
            ("/a\\b", "/a/b"),
            ("/payments%00", "/payments\0"),
            ("/100%", "/100%"),
            ("/100%2", "/100%2"),
            ("/%zz", "/%zz"),
            ("/%%2e", "/%."),
        ];
        for (raw, path) in table {
            check(raw, path, true);
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_read_as_latin_1() {
        check("/caf%E9", "/caf\u{e9}", false);
        check("/%FF/%2e%2e/a", "/a", true);
        check("/%C3/b", "/\u{c3}/b", false);
    }

    /// All texts of up to six characters that matter: some 300,000.
    #[test]
    fn every_path_comes_out_without_dot_and_empty_segments() {
        fn grow(text: &mut String, left: usize) {
            holds(text);
            for character in ['/', '.', '%', '2', 'e', 'f', ';', '\\'] {
                if left > 0 {
                    text.push(character);
                    grow(text, left - 1);
                    text.pop();
                }
            }
        }
        fn holds(raw: &str) {
            let normal = normal_path(raw);
            assert!(normal.path.starts_with('/'), "{raw} {normal:?}");
            let mut segments: Vec<&str> = normal.path[1..].split('/').collect();
            segments.pop_if(|last| last.is_empty());
            assert!(
                !segments.iter().any(|s| matches!(*s, "" | "." | "..")),
                "{raw} {normal:?}"
            );
            // What is not called changed differs from the raw path in needed triplets only.
            let needed = |c: char| !(c == '/' || c == ';' || c == '.' || c.is_alphanumeric());
            let encode = |c| {
                if needed(c) {
                    format!("%{:02x}", c as u32)
                } else {
                    c.to_string()
                }
            };
            let encoded: String = normal.path.chars().map(encode).collect();
            let same = encoded == raw || !encoded.is_ascii();
            assert!(normal.changed || same, "{raw} {normal:?}");
        }
        grow(&mut "/".to_owned(), 6);
    }
}
