//! What a row holds beside its narrow part: of an open operation the request's headers and body, of a decided one the
//! answer's. Once it is decided, nothing of the request is left but a digest.

#[cfg(unix)]
use std::ffi::OsStr;
use std::path::PathBuf;

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::row::{Id, Sum};
use crate::answer::Answer;
use crate::body::{Body, FileBody};
use crate::operation::Operation;

/// Headers and a body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Contents {
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

/// The same as SQLite has it.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) headers: Vec<u8>,
    pub(super) body: Bytes,
    /// Whether `body` names a file: its digest, its length and its path.
    pub(super) in_file: bool,
}

impl Contents {
    /// Nothing: no answer came.
    pub(super) fn none() -> Self {
        Self {
            headers: HeaderMap::new(),
            body: Body::Bytes(Bytes::new()),
        }
    }

    /// What is to be sent.
    pub(super) fn of_request(operation: &Operation, with_credentials: bool) -> Self {
        let mut headers = operation.headers().clone();
        if !with_credentials {
            for name in &CREDENTIALS {
                headers.remove(name);
            }
        }
        Self {
            headers,
            body: operation.body().clone(),
        }
    }

    /// The headers, with `operation`'s credentials if none were kept.
    pub(super) fn headers_with_credentials_of(&self, operation: &Operation) -> HeaderMap {
        let mut headers = self.headers.clone();
        if CREDENTIALS.iter().any(|name| headers.contains_key(name)) {
            return headers;
        }
        let brought = operation.headers().iter();
        for (name, value) in brought.filter(|(name, _)| CREDENTIALS.contains(name)) {
            headers.append(name, value.clone());
        }
        headers
    }

    /// What was answered, as far as it is kept; and whether its body is.
    pub(super) fn of_answer(answer: &Answer, body_bytes_max: usize) -> (Self, bool) {
        let mut headers = answer.headers.clone();
        for name in [&SET_COOKIE, &WWW_AUTHENTICATE] {
            headers.remove(name);
        }
        let fits = answer.body.len() <= body_bytes_max;
        let body = if fits {
            answer.body.clone()
        } else {
            Bytes::new()
        };
        let body = Body::Bytes(body);
        (Self { headers, body }, fits)
    }

    /// As it is written.
    pub(super) fn write(&self) -> Written {
        let (body, in_file) = match &self.body {
            Body::Bytes(bytes) => (bytes.clone(), false),
            Body::File(file) => (write_file(file), true),
        };
        Written {
            headers: write_headers(&self.headers),
            body,
            in_file,
        }
    }
}

impl Written {
    /// A sum over all of it, and over whose it is.
    pub(super) fn seal(&self, id: Id) -> [u8; 32] {
        Sum::new("oncegate journal contents")
            .part(&id.0.to_le_bytes())
            .part(&self.headers)
            .part(&[u8::from(self.in_file)])
            .part(&self.body)
            .end()
    }

    /// What was written, if it can be read.
    pub(super) fn read(self) -> Option<Contents> {
        let headers = read_headers(&self.headers)?;
        let body = if self.in_file {
            Body::File(read_file(&self.body)?)
        } else {
            Body::Bytes(self.body)
        };
        Some(Contents { headers, body })
    }
}

/// A file by what it holds and where it is, from whichever folder it is looked for.
fn write_file(file: &FileBody) -> Bytes {
    let path = std::path::absolute(file.path()).unwrap_or_else(|_| file.path().to_owned());
    let mut written = file.digest().to_vec();
    written.extend_from_slice(&file.length().to_le_bytes());
    written.extend_from_slice(path.as_os_str().as_encoded_bytes());
    written.into()
}

fn read_file(written: &[u8]) -> Option<FileBody> {
    let (digest, rest) = written.split_first_chunk()?;
    let (length, path) = rest.split_first_chunk()?;
    let path = path_of(path)?;
    Some(FileBody::recorded(
        path,
        u64::from_le_bytes(*length),
        *digest,
    ))
}

#[cfg(unix)]
fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    let path: &OsStr = std::os::unix::ffi::OsStrExt::from_bytes(bytes);
    Some(path.into())
}

#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    str::from_utf8(bytes).ok().map(Into::into)
}

/// Header lines as HTTP/1.1 has them: no value can hold what separates them.
fn write_headers(headers: &HeaderMap) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in headers {
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value.as_bytes());
        lines.push(b'\n');
    }
    lines
}

/// The headers of such lines, if they are ones.
fn read_headers(lines: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n")?;
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(colon);
        let name = HeaderName::from_bytes(name).ok()?;
        let mut value = HeaderValue::from_bytes(value.strip_prefix(b": ")?).ok()?;
        value.set_sensitive(CREDENTIALS.contains(&name));
        headers.append(name, value);
    }
    Some(headers)
}

/// What proves who sends. The rest of a request's headers is taken for part of it.
pub(super) const CREDENTIALS: [HeaderName; 5] = [
    AUTHORIZATION,
    PROXY_AUTHORIZATION,
    COOKIE,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_survive_the_way_to_the_disk_and_back() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("accept", &b"a: b, c"[..]),
            ("x-empty", b""),
            ("x-twice", b"1"),
            ("x-twice", b"2"),
            ("x-latin", b"caf\xe9\tau lait"),
        ] {
            let value = HeaderValue::from_bytes(value).expect("a value");
            headers.append(HeaderName::from_static(name), value);
        }
        assert_eq!(read_headers(&write_headers(&headers)), Some(headers));
        assert_eq!(read_headers(b""), Some(HeaderMap::new()));
        for broken in [
            &b"accept: a"[..],
            b"accept\n",
            b"acc ept: a\n",
            b"accept:a\n",
        ] {
            assert_eq!(read_headers(broken), None);
        }
    }

    #[test]
    fn a_file_is_named_by_what_it_holds_and_where_it_is() {
        let file = FileBody::recorded("/tmp/a b\n", 7, [9; 32]);
        let contents = Contents {
            headers: HeaderMap::new(),
            body: Body::File(file),
        };
        let read = contents.write().read().expect("it was written");
        let Body::File(file) = read.body else {
            panic!("it is a file")
        };
        assert_eq!(file.path(), "/tmp/a b\n");
        assert_eq!((file.length(), file.digest()), (7, &[9; 32]));
    }
}
