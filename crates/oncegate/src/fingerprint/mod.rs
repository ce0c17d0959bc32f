//! The fingerprint: three keyed digests that prove a retry to be the same request.
//!
//! Promises: two requests that differ in method, path, query, media type, coding or in what their
//! body means are never the same; a body re-serialised by a client library still is. Memory is
//! bounded whatever the body: at most [`JSON_BYTES_MAX`] of it are held, for JSON alone.
//!
//! Deliberately absent: any notion of a similar number or text. `1.0` is not `1`: where money is
//! at stake a false mismatch costs a support call, a false match costs a payment.
//!
//! ```
//! use http::{HeaderMap, HeaderValue, Method, Uri, header};
//! use oncegate::fingerprint::{Fingerprint, FingerprintRules, Fingerprinter};
//! use oncegate::hash::HashKey;
//!
//! fn fingerprint(body: &str) -> Fingerprint {
//!     let hash_key = HashKey::from_secret(b"the same on every proxy");
//!     let uri = Uri::from_static("/payments");
//!     let mut headers = HeaderMap::new();
//!     headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
//!     let rules = FingerprintRules::default();
//!     let mut it = Fingerprinter::new(&hash_key, &Method::POST, &uri, &headers, &rules);
//!     it.update(body.as_bytes());
//!     it.finish()
//! }
//!
//! let first = fingerprint(r#"{"amount": 100, "currency": "EUR"}"#);
//! assert!(first.same_request(&fingerprint(r#"{"currency":"EUR","amount":100}"#)));
//! assert!(!first.same_request(&fingerprint(r#"{"currency":"EUR","amount":101}"#)));
//! ```

mod fingerprinter;
mod head;
mod json;
mod multipart;
mod pointer;
mod value;

pub use fingerprinter::Fingerprinter;
pub use json::JSON_BYTES_MAX;
pub use pointer::{JsonPointer, JsonPointerError};
pub use value::{
    Comparability, FINGERPRINT_BYTES, FINGERPRINT_VERSION, Fingerprint, FingerprintMode,
    FingerprintRules,
};
