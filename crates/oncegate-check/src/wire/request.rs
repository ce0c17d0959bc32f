//! A request, written as it is told.

use std::fmt::Write;

/// A request whose lines stand on the wire in this order and spelling. Nothing is checked: what a case sends may be wrong on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method, as written.
    pub method: String,
    /// Path and query, as written.
    pub target: String,
    /// Name and value of each header line, but for those that [`Framing`] adds.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// How the end of the body is told.
    pub framing: Framing,
}

/// How a request says where its body ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `Content-Length`; with no body, only for methods that usually have one.
    Length,
    /// In chunks, with these lines behind the last one.
    Chunked {
        /// Names and values of the trailers.
        trailers: Vec<(String, Vec<u8>)>,
    },
}

impl Request {
    /// The value of the first line of that name, in any case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        super::first_field(&self.fields, name)
    }

    /// The head, with the empty line that ends it.
    #[must_use]
    pub fn head(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.fields {
            write_field(&mut head, name, value);
        }
        match &self.framing {
            Framing::Length if self.body.is_empty() && self.takes_no_body() => {}
            Framing::Length => {
                write_field(
                    &mut head,
                    "Content-Length",
                    self.body.len().to_string().as_bytes(),
                );
            }
            Framing::Chunked { .. } => write_field(&mut head, "Transfer-Encoding", b"chunked"),
        }
        head.extend_from_slice(b"Connection: close\r\n\r\n");
        head
    }

    /// The body with its framing.
    #[must_use]
    pub fn framed_body(&self) -> Vec<u8> {
        match &self.framing {
            Framing::Length => self.body.clone(),
            Framing::Chunked { trailers } => chunked(&self.body, trailers),
        }
    }

    fn takes_no_body(&self) -> bool {
        matches!(self.method.as_str(), "GET" | "HEAD" | "DELETE" | "OPTIONS")
    }
}

/// In three chunks where it can be, so that a reader that takes the first for the whole is found out.
fn chunked(body: &[u8], trailers: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(body.len() + CHUNK_OVERHEAD_BYTES);
    for chunk in body.chunks(body.len().div_ceil(3).max(1)) {
        let mut size = String::new();
        // A string takes all that is written to it.
        let _infallible = write!(size, "{:x}\r\n", chunk.len());
        framed.extend_from_slice(size.as_bytes());
        framed.extend_from_slice(chunk);
        framed.extend_from_slice(b"\r\n");
    }
    framed.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        write_field(&mut framed, name, value);
    }
    framed.extend_from_slice(b"\r\n");
    framed
}

fn write_field(lines: &mut Vec<u8>, name: &str, value: &[u8]) {
    lines.extend_from_slice(name.as_bytes());
    lines.extend_from_slice(b": ");
    lines.extend_from_slice(value);
    lines.extend_from_slice(b"\r\n");
}

/// What three sizes, line ends and the last chunk take.
const CHUNK_OVERHEAD_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn payment(framing: Framing) -> Request {
        Request {
            method: "POST".to_owned(),
            target: "/payments".to_owned(),
            fields: vec![("Host".to_owned(), b"localhost".to_vec())],
            body: b"abcdefg".to_vec(),
            framing,
        }
    }

    #[test]
    fn lines_stand_as_they_were_given() {
        let mut request = payment(Framing::Length);
        request
            .fields
            .push(("Idempotency-Key".to_owned(), b"a\x01\xff".to_vec()));
        request
            .fields
            .push(("idempotency-key".to_owned(), b"".to_vec()));
        let head = request.head();
        let expected: &[u8] = b"POST /payments HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: a\x01\xff\r\nidempotency-key: \r\nContent-Length: 7\r\nConnection: close\r\n\r\n";
        assert_eq!(head, expected);
    }

    #[test]
    fn a_chunked_body_ends_with_its_trailers() {
        let trailers = vec![("Idempotency-Key".to_owned(), b"k".to_vec())];
        let request = payment(Framing::Chunked { trailers });
        let expected: &[u8] = b"3\r\nabc\r\n3\r\ndef\r\n1\r\ng\r\n0\r\nIdempotency-Key: k\r\n\r\n";
        assert_eq!(request.framed_body(), expected);
    }
}
