//! The stored response: status, kept headers, body and trailers in one owned buffer, versioned.
//!
//! One buffer, because anything that hyper hands out pins a read buffer of 8 KiB for as long as the record lives.
//! The encoding is read back by newer versions; a version that this code does not know is an error, never a guess.

use std::fmt;

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// An outcome as it is stored and replayed. Cloning shares the buffer.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct StoredResponse(Bytes);

/// The parts of a stored response, decoded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResponseParts {
    /// The original status.
    pub status: StatusCode,
    /// Whether the body was kept. If not, only `Location` is left of the headers.
    pub kept: bool,
    /// The kept headers.
    pub headers: HeaderMap,
    /// The `Origin` of the request that was executed, for which CORS headers are valid.
    pub origin: Option<HeaderValue>,
    /// The body bytes, sharing the stored buffer.
    pub body: Bytes,
    /// The trailers.
    pub trailers: HeaderMap,
}

/// A stored response that cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// A newer version wrote it.
    #[error("stored response has version {0}, which this version does not know")]
    Version(u8),
    /// The bytes make no sense.
    #[error("stored response is damaged")]
    Damaged,
}

impl StoredResponse {
    /// Encodes an outcome whose body is kept. `headers` are filtered here: see [`is_kept`].
    #[must_use]
    pub fn kept(
        status: StatusCode,
        headers: &HeaderMap,
        origin: Option<&HeaderValue>,
        body: &[u8],
        trailers: &HeaderMap,
    ) -> Self {
        let named = named_by_connection(headers);
        let kept =
            |name: &HeaderName| is_kept(name) && (is_always_kept(name) || !named.contains(name));
        let room = fields_bytes_max(headers) + fields_bytes_max(trailers) + body.len();
        let mut buffer = head(status, true, origin, room);
        put_fields(&mut buffer, headers.iter().filter(|(name, _)| kept(name)));
        put_fields(&mut buffer, trailers.iter().filter(|(name, _)| kept(name)));
        buffer.extend_from_slice(body);
        Self::from_bytes(buffer)
    }

    /// Encodes an outcome that was executed, but whose answer is not kept: its retry is told so, and where the
    /// result can be found if the answer said that.
    #[must_use]
    pub fn not_kept(status: StatusCode, headers: &HeaderMap) -> Self {
        let mut buffer = head(status, false, None, 0);
        put_fields(
            &mut buffer,
            headers
                .iter()
                .filter(|(name, _)| **name == header::LOCATION),
        );
        put_fields(&mut buffer, std::iter::empty());
        Self::from_bytes(buffer)
    }

    /// The same outcome without its body and headers, for a store that has no room for them.
    ///
    /// # Errors
    /// If the stored bytes cannot be read.
    pub fn without_body(&self) -> Result<Self, ResponseError> {
        let parts = self.parts()?;
        Ok(Self::not_kept(parts.status, &parts.headers))
    }

    /// The bytes to store.
    #[must_use]
    pub const fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The stored response with these bytes, as a store reads it back. They are judged when they are decoded.
    ///
    /// Room behind them goes: stores count the bytes alone, and the record would hold the rest unseen for a day.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes.into_boxed_slice().into())
    }

    /// Decodes it.
    ///
    /// # Errors
    /// If a newer version wrote it, or the bytes make no sense.
    pub fn parts(&self) -> Result<ResponseParts, ResponseError> {
        let mut reader = Reader { bytes: &self.0 };
        match reader.u8()? {
            ENCODING_VERSION => {}
            version => return Err(ResponseError::Version(version)),
        }
        let kept = reader.u8()? != 0;
        let status =
            StatusCode::from_u16(reader.u16()?).map_err(|_source| ResponseError::Damaged)?;
        let origin = match reader.field(2)? {
            [] => None,
            bytes => Some(value(bytes)?),
        };
        let headers = reader.fields()?;
        let trailers = reader.fields()?;
        let body = self.0.slice(self.0.len() - reader.bytes.len()..);
        Ok(ResponseParts {
            status,
            kept,
            headers,
            origin,
            body,
            trailers,
        })
    }
}

impl fmt::Debug for StoredResponse {
    /// Shows the size alone: bodies are never logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredResponse({} bytes)", self.0.len())
    }
}

/// Whether an answer's header of this name is stored and replayed.
///
/// Never: what belongs to one connection, one moment or one caller's session.
#[must_use]
pub fn is_kept(name: &HeaderName) -> bool {
    if is_always_kept(name) {
        return true;
    }
    let text = name.as_str();
    !(is_hop_by_hop(name)
        || NEVER_KEPT.contains(&text)
        || text.starts_with("proxy-")
        || text.starts_with("ratelimit")
        || text.starts_with("x-ratelimit-")
        || text.starts_with("idempotency-"))
}

/// Whether a header belongs to one connection (RFC 9110, 7.6.1).
#[must_use]
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(&name.as_str())
}

/// The header names that `Connection` lists: they too belong to one connection.
#[must_use]
pub fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|token| HeaderName::from_bytes(token.trim().as_bytes()).ok())
        .collect()
}

/// Whether an answer's header of this name is stored and replayed even if `Connection` names it.
#[must_use]
pub fn is_always_kept(name: &HeaderName) -> bool {
    // Lengths are computed anew for each answer.
    match name.as_str() {
        "location" | "etag" | "last-modified" | "link" | "vary" | "cache-control" => true,
        name => name.starts_with("content-") && name != "content-length",
    }
}

/// What stands before the fields, with room behind it: a buffer that grew would be moved.
fn head(status: StatusCode, kept: bool, origin: Option<&HeaderValue>, room: usize) -> Vec<u8> {
    // An origin that does not fit is none: its CORS headers are then replayed to nobody.
    let origin = origin
        .map(HeaderValue::as_bytes)
        .filter(|origin| origin.len() <= ORIGIN_BYTES_MAX)
        .unwrap_or_default();
    let mut buffer = Vec::with_capacity(6 + origin.len() + 8 + room);
    buffer.extend_from_slice(&[ENCODING_VERSION, u8::from(kept)]);
    buffer.extend_from_slice(&status.as_u16().to_be_bytes());
    put_field(&mut buffer, origin, 2);
    buffer
}

/// What these fields take at most: of those that are not kept, the room goes again.
fn fields_bytes_max(fields: &HeaderMap) -> usize {
    let field_bytes =
        |(name, value): (&HeaderName, &HeaderValue)| 2 + name.as_str().len() + 4 + value.len();
    fields.iter().map(field_bytes).sum()
}

/// A count, then name and value of each field, each behind its length.
fn put_fields<'a>(
    buffer: &mut Vec<u8>,
    fields: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
) {
    let at = buffer.len();
    buffer.extend_from_slice(&[0; 4]);
    let mut count = 0_u32;
    for (name, value) in fields {
        put_field(buffer, name.as_str().as_bytes(), 2);
        put_field(buffer, value.as_bytes(), 4);
        count += 1;
    }
    buffer[at..at + 4].copy_from_slice(&count.to_be_bytes());
}

/// `bytes` behind their length in `width` bytes, big-endian.
fn put_field(buffer: &mut Vec<u8>, bytes: &[u8], width: usize) {
    let length = (bytes.len() as u64).to_be_bytes();
    // Money: a length that was cut off would make the stored answer unreadable.
    assert!(
        length[..8 - width].iter().all(|byte| *byte == 0),
        "a field fits its length"
    );
    buffer.extend_from_slice(&length[8 - width..]);
    buffer.extend_from_slice(bytes);
}

fn value(bytes: &[u8]) -> Result<HeaderValue, ResponseError> {
    HeaderValue::from_bytes(bytes).map_err(|_source| ResponseError::Damaged)
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], ResponseError> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(count)
            .ok_or(ResponseError::Damaged)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn number(&mut self, width: usize) -> Result<usize, ResponseError> {
        Ok(self
            .take(width)?
            .iter()
            .fold(0, |number, byte| (number << 8) | usize::from(*byte)))
    }

    fn u8(&mut self) -> Result<u8, ResponseError> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, ResponseError> {
        u16::try_from(self.number(2)?).map_err(|_source| ResponseError::Damaged)
    }

    fn field(&mut self, width: usize) -> Result<&'a [u8], ResponseError> {
        let length = self.number(width)?;
        self.take(length)
    }

    fn fields(&mut self) -> Result<HeaderMap, ResponseError> {
        let mut fields = HeaderMap::new();
        for _ in 0..self.number(4)? {
            let name =
                HeaderName::from_bytes(self.field(2)?).map_err(|_source| ResponseError::Damaged)?;
            // Copied: a header value that shared the buffer would keep the record alive with every answer.
            let value = value(self.field(4)?)?;
            fields
                .try_append(name, value)
                .map_err(|_source| ResponseError::Damaged)?;
        }
        Ok(fields)
    }
}

const ENCODING_VERSION: u8 = 1;
/// The longest `Origin` that is stored; no browser sends one as long.
const ORIGIN_BYTES_MAX: usize = 4_096;

const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "content-length",
];

const NEVER_KEPT: [&str; 8] = [
    "set-cookie",
    "www-authenticate",
    "authentication-info",
    "date",
    "age",
    "server-timing",
    "retry-after",
    "idempotent-replayed",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn a_stored_response_reads_back_as_it_was() {
        let kept = headers(&[("location", "/p/1"), ("x-thing", "a"), ("etag", "\"v\"")]);
        let trailers = headers(&[("x-checksum", "9")]);
        let origin = HeaderValue::from_static("https://shop.example");
        let stored = StoredResponse::kept(
            StatusCode::CREATED,
            &kept,
            Some(&origin),
            b"\0body",
            &trailers,
        );
        let parts = StoredResponse::from_bytes(stored.as_bytes().to_vec())
            .parts()
            .unwrap();
        assert_eq!(parts.status, StatusCode::CREATED);
        assert_eq!(parts.headers, kept);
        assert_eq!(parts.trailers, trailers);
        assert_eq!(parts.origin, Some(origin));
        assert_eq!(&parts.body[..], b"\0body");
        assert!(parts.kept);
    }

    #[test]
    fn what_belongs_to_one_connection_moment_or_session_is_never_kept() {
        let answer = headers(&[
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("set-cookie", "a=b"),
            ("date", "now"),
            ("retry-after", "1"),
            ("ratelimit-remaining", "1"),
            ("x-ratelimit-limit", "1"),
            ("proxy-status", "x"),
            ("idempotency-status", "executed"),
            ("content-length", "4"),
            ("transfer-encoding", "chunked"),
        ]);
        let stored = StoredResponse::kept(StatusCode::OK, &answer, None, b"", &HeaderMap::new());
        assert!(stored.parts().unwrap().headers.is_empty());
    }

    /// A cookie is not kept, and yet room was once made for it that stayed as long as the record: a store said to hold
    /// a gigabyte could take many.
    #[test]
    fn a_stored_response_takes_no_more_memory_than_stores_count() {
        let cookie = "a".repeat(60_000);
        let mut answer = headers(&[("location", "/p/1"), ("date", "now")]);
        answer.insert("set-cookie", HeaderValue::from_str(&cookie).unwrap());
        let mut roomy = Vec::with_capacity(60_000);
        roomy.push(ENCODING_VERSION);
        for stored in [
            StoredResponse::kept(StatusCode::OK, &answer, None, b"paid", &HeaderMap::new()),
            StoredResponse::not_kept(StatusCode::OK, &answer),
            StoredResponse::from_bytes(roomy),
        ] {
            let counted = stored.as_bytes().len();
            let taken = stored.0.try_into_mut().unwrap().capacity();
            assert_eq!(taken, counted);
        }
    }

    #[test]
    fn content_headers_are_kept_even_if_connection_names_them() {
        let answer = headers(&[
            ("connection", "content-type"),
            ("content-type", "text/plain"),
        ]);
        let stored = StoredResponse::kept(StatusCode::OK, &answer, None, b"", &HeaderMap::new());
        assert_eq!(
            stored.parts().unwrap().headers,
            headers(&[("content-type", "text/plain")])
        );
    }

    #[test]
    fn an_answer_that_is_not_kept_still_says_where_the_result_is() {
        let answer = headers(&[("location", "/p/1"), ("x-thing", "a")]);
        let stored =
            StoredResponse::kept(StatusCode::CREATED, &answer, None, b"x", &HeaderMap::new());
        let parts = stored.without_body().unwrap().parts().unwrap();
        assert!(!parts.kept && parts.body.is_empty());
        assert_eq!(parts.headers, headers(&[("location", "/p/1")]));
    }

    #[test]
    fn an_origin_of_absurd_length_does_not_make_the_answer_unreadable() {
        let origin = HeaderValue::try_from("x".repeat(70_000)).unwrap();
        let none = HeaderMap::new();
        let stored = StoredResponse::kept(StatusCode::OK, &none, Some(&origin), b"body", &none);
        let parts = stored.parts().unwrap();
        assert_eq!((parts.origin, &parts.body[..]), (None, &b"body"[..]));
    }

    /// A header map holds 32,768 names, and panics at one more: a damaged count must not end the reader's thread.
    #[test]
    fn more_header_names_than_a_map_can_hold_are_damage() {
        let none = HeaderMap::new();
        let stored = StoredResponse::kept(StatusCode::OK, &none, None, b"", &none);
        let names = 40_000_u32;
        let mut bytes = stored.as_bytes()[..6].to_vec();
        bytes.extend_from_slice(&names.to_be_bytes());
        for number in 0..names {
            put_field(&mut bytes, format!("x-{number}").as_bytes(), 2);
            put_field(&mut bytes, b"", 4);
        }
        put_fields(&mut bytes, std::iter::empty());
        let error = StoredResponse::from_bytes(bytes).parts().unwrap_err();
        assert_eq!(error, ResponseError::Damaged);
    }

    #[test]
    fn damaged_bytes_and_newer_versions_are_errors() {
        let stored = StoredResponse::kept(
            StatusCode::OK,
            &HeaderMap::new(),
            None,
            b"",
            &HeaderMap::new(),
        );
        let whole = stored.as_bytes();
        for cut in 0..whole.len() {
            let error = StoredResponse::from_bytes(whole[..cut].to_vec())
                .parts()
                .unwrap_err();
            assert_eq!(error, ResponseError::Damaged, "cut at {cut}");
        }
        let newer = StoredResponse::from_bytes(vec![9]).parts().unwrap_err();
        assert_eq!(newer, ResponseError::Version(9));
    }
}
