//! Requests as bytes: built once for a connection; then only the key's digits change.

use std::net::SocketAddr;

use crate::roles::PAYMENTS;

/// How large a request's body is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, PartialOrd, Ord)]
pub enum Body {
    /// 59 bytes of JSON: a small payment.
    Small,
    /// 100,000 bytes of JSON: an order of many lines.
    Large,
}

/// Which keys the requests carry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Keys {
    /// None.
    Absent,
    /// Another one for each request.
    Fresh,
    /// So many, over and over.
    Known(u64),
}

impl Body {
    /// The bytes.
    pub fn bytes(self) -> Vec<u8> {
        match self {
            Self::Small => SMALL.into(),
            Self::Large => large(),
        }
    }

    /// As a table says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Small => "59 B",
            Self::Large => "100 KB",
        }
    }
}

impl Keys {
    /// Which key the request with this number carries.
    pub const fn number(self, request: u64) -> Option<u64> {
        match self {
            Self::Absent => None,
            Self::Fresh => Some(request),
            Self::Known(count) => Some(request % count),
        }
    }
}

/// One request, ready to be written.
pub struct Request {
    bytes: Vec<u8>,
    /// Where the key's digits are, if it has a key.
    digits: Option<usize>,
}

impl Request {
    /// A payment to `host`.
    pub fn new(host: SocketAddr, body: &[u8], keyed: bool) -> Self {
        let head = format!(
            "POST {PAYMENTS} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer sk_bench_4eC39HqLyjWDarjtT1\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        let mut bytes = head.into_bytes();
        let mut digits = None;
        if keyed {
            bytes.extend_from_slice(b"Idempotency-Key: ");
            bytes.extend_from_slice(KEY_START.as_bytes());
            digits = Some(bytes.len());
            bytes.extend_from_slice(&[b'0'; DIGITS]);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body);
        Self { bytes, digits }
    }

    /// The same request with the key of this number.
    pub fn set_key(&mut self, number: u64) {
        let Some(start) = self.digits else { return };
        let mut rest = number;
        for digit in self.bytes[start..start + DIGITS].iter_mut().rev() {
            *digit = HEX[(rest % 16) as usize];
            rest /= 16;
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn large() -> Vec<u8> {
    let mut json = String::from(r#"{"amount":5000,"currency":"EUR","lines":["#);
    for line in 0.. {
        let comma = if line == 0 { "" } else { "," };
        let more = format!(
            r#"{comma}{{"sku":"A-{line:06}","quantity":3,"price":"12.50","note":"two to a box"}}"#
        );
        if json.len() + more.len() + 2 > LARGE_BYTES {
            break;
        }
        json.push_str(&more);
    }
    json.push_str("]}");
    json.into_bytes()
}

const SMALL: &str = r#"{"amount":5000,"currency":"EUR","reference":"order-100123"}"#;
const LARGE_BYTES: usize = 100_000;
/// Keys look like UUIDs of version 4, as most clients send.
const KEY_START: &str = "5f2b8c1e-9d4a-4e6f-8a3b-";
const DIGITS: usize = 12;
const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_as_large_as_the_tables_say() {
        assert_eq!(Body::Small.bytes().len(), 59);
        let large = Body::Large.bytes().len();
        assert!((99_900..=100_000).contains(&large), "{large}");
    }

    #[test]
    fn each_number_is_another_key() {
        let host = "127.0.0.1:80".parse().unwrap();
        let mut request = Request::new(host, b"{}", true);
        request.set_key(0xab);
        let text = String::from_utf8(request.bytes().to_vec()).unwrap();
        assert!(text.contains("Idempotency-Key: 5f2b8c1e-9d4a-4e6f-8a3b-0000000000ab\r\n\r\n{}"));
        request.set_key(1);
        let text = String::from_utf8(request.bytes().to_vec()).unwrap();
        assert!(text.contains("-000000000001\r\n"));
    }
}
