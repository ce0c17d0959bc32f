//! An operation: what is to happen once. Key, method, URL, headers and the exact bytes, made before the first
//! attempt and the same on all of them (M-44, M-47).
//!
//! Promises: nothing of it changes once it is made. A mended request is another operation, with another key.

use std::fmt;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use oncegate::key::{IdempotencyKey, KeyError, KeyFormat, KeyRules};
use reqwest::Url;
use uuid::Uuid;

use crate::body::{Body, FileBody};
use crate::dialect::Dialect;

/// What is to happen once.
#[derive(Clone)]
pub struct Operation {
    key: IdempotencyKey,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Body,
}

/// Why something is no operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperationError {
    /// The URL cannot be read.
    #[error("{url:?} is no URL")]
    Url {
        /// What was given.
        url: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The URL has a scheme that this client does not speak, or names no host.
    #[error("{scheme}: is not spoken here, http: and https: are")]
    Scheme {
        /// What was given.
        scheme: String,
    },
    /// The name or the value cannot be a header.
    #[error("the header {name:?} cannot be sent")]
    Header {
        /// Its name.
        name: String,
    },
    /// The header follows from the body, the URL or the key, and is not set by hand.
    #[error("the header {name} is set by the client itself")]
    OwnHeader {
        /// Its name.
        name: HeaderName,
    },
    /// The key cannot be one.
    #[error("the idempotency key cannot be used")]
    Key(#[from] KeyError),
}

impl Operation {
    /// A POST to `url`. The key is made here, once.
    ///
    /// # Errors
    /// If the URL cannot be read, or is neither `http:` nor `https:`.
    pub fn post(url: &str) -> Result<OperationBuilder, OperationError> {
        Self::with(Method::POST, url)
    }

    /// The same with another method.
    ///
    /// # Errors
    /// If the URL cannot be read, or is neither `http:` nor `https:`.
    pub fn with(method: Method, url: &str) -> Result<OperationBuilder, OperationError> {
        let parsed = Url::parse(url).map_err(|source| OperationError::Url {
            url: url.to_owned(),
            source: source.into(),
        })?;
        if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
            return Err(OperationError::Scheme {
                scheme: parsed.scheme().to_owned(),
            });
        }
        let operation = Self {
            key: new_key(KeyFormat::Any),
            method,
            url: parsed,
            headers: HeaderMap::new(),
            body: Body::Bytes(Bytes::new()),
        };
        Ok(OperationBuilder(operation, KeyOrigin::Made))
    }

    /// An operation whose parts were made elsewhere.
    #[cfg(any(feature = "journal", feature = "middleware"))]
    pub(crate) const fn of_parts(
        key: IdempotencyKey,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Body,
    ) -> Self {
        Self {
            key,
            method,
            url,
            headers,
            body,
        }
    }

    /// The same request under the key that it has in the journal.
    #[cfg(feature = "journal")]
    pub(crate) fn under(&self, key: IdempotencyKey) -> Self {
        Self {
            key,
            ..self.clone()
        }
    }

    /// The same request with the headers that it has in the journal.
    #[cfg(feature = "journal")]
    pub(crate) fn with_headers(&self, headers: HeaderMap) -> Self {
        Self {
            headers,
            ..self.clone()
        }
    }

    /// The key that all attempts carry.
    #[must_use]
    pub const fn key(&self) -> &IdempotencyKey {
        &self.key
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// Where it is sent first.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// The headers that the caller gave.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// What every attempt carries.
    #[must_use]
    pub const fn body(&self) -> &Body {
        &self.body
    }
}

impl fmt::Debug for Operation {
    /// Shows neither the key, nor headers, nor the body: they hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation")
            .field("key", &self.key.digest())
            .field("method", &self.method)
            .field("host", &self.url.host_str())
            .field("path", &self.url.path())
            .field("body_bytes", &self.body.length())
            .finish_non_exhaustive()
    }
}

/// An operation that is not whole yet.
#[derive(Clone, Debug)]
pub struct OperationBuilder(Operation, KeyOrigin);

/// Whose the key is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum KeyOrigin {
    Made,
    Given,
}

impl OperationBuilder {
    /// Uses this key, which the caller keeps elsewhere, instead of a new one.
    ///
    /// # Errors
    /// If it is empty, or holds what no key may.
    pub fn key(mut self, key: &str) -> Result<Self, OperationError> {
        self.0.key = read_key(key)?;
        self.1 = KeyOrigin::Given;
        Ok(self)
    }

    /// Makes the key as servers of this dialect want keys. A key that the caller gave is judged instead.
    ///
    /// # Errors
    /// If the caller's key is not as they want it.
    pub fn dialect(mut self, dialect: Dialect) -> Result<Self, OperationError> {
        match self.1 {
            KeyOrigin::Made => self.0.key = new_key(dialect.key_rules().format),
            KeyOrigin::Given => dialect.admit(&self.0.key)?,
        }
        Ok(self)
    }

    /// Adds a header.
    ///
    /// # Errors
    /// If it cannot be a header, or follows from the body, the URL or the key.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, OperationError> {
        let unfit = || OperationError::Header {
            name: name.to_owned(),
        };
        let parsed = HeaderName::try_from(name).map_err(|_unfit| unfit())?;
        let mut value = HeaderValue::try_from(value).map_err(|_unfit| unfit())?;
        let of_ours = [HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&parsed);
        if of_ours || Dialect::is_key_header(&parsed) {
            return Err(OperationError::OwnHeader { name: parsed });
        }
        value.set_sensitive([AUTHORIZATION, COOKIE].contains(&parsed));
        self.0.headers.append(parsed, value);
        Ok(self)
    }

    /// Sets the bytes that every attempt carries.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.0.body = Body::Bytes(body.into());
        self
    }

    /// Sends the bytes of a file, which is read again for each attempt.
    #[must_use]
    pub fn body_file(mut self, file: FileBody) -> Self {
        self.0.body = Body::File(file);
        self
    }

    /// The operation. Nothing of it changes from here on.
    #[must_use]
    pub fn build(self) -> Operation {
        self.0
    }
}

/// A key that nobody else has: a UUID that begins with the time, so that servers can tell a very late retry by it,
/// or a random one where servers insist.
pub(crate) fn new_key(format: KeyFormat) -> IdempotencyKey {
    let uuid = if format == KeyFormat::Uuid4 {
        Uuid::new_v4()
    } else {
        Uuid::now_v7()
    };
    read_key(&uuid.to_string()).expect("a UUID is a key")
}

/// A key as a caller writes it: the identity, without quotes.
pub(crate) fn read_key(key: &str) -> Result<IdempotencyKey, KeyError> {
    let quoted = quote(key);
    IdempotencyKey::parse(quoted.as_bytes(), &KeyRules::default())
}

/// The key as a structured-field String.
pub(crate) fn quote(key: &str) -> String {
    let escaped = key.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::{Operation, OperationError};
    use crate::dialect::Dialect;

    #[test]
    fn two_operations_have_two_keys_and_a_copy_has_the_same() -> Result<(), OperationError> {
        let first = Operation::post("http://127.0.0.1/payments")?.build();
        let second = Operation::post("http://127.0.0.1/payments")?.build();
        assert_ne!(first.key(), second.key());
        assert_eq!(first.key(), first.clone().key());
        Ok(())
    }

    #[test]
    fn a_key_is_made_as_the_dialect_wants_it_and_a_given_one_is_judged()
    -> Result<(), OperationError> {
        let operation = || Operation::post("http://127.0.0.1/payments");
        let made = operation()?.dialect(Dialect::Adyen)?.build();
        assert!(Dialect::Adyen.admit(made.key()).is_ok());
        assert!(operation()?.key("a")?.dialect(Dialect::Adyen).is_err());
        let given = operation()?.key("a")?.dialect(Dialect::PayPal)?.build();
        assert_eq!(given.key().as_str(), "a");
        Ok(())
    }

    #[test]
    fn what_cannot_be_sent_is_refused_before_a_key_is_spent() {
        let refused = |url: &str| Operation::post(url).is_err();
        assert!(refused("payments"));
        assert!(refused("ftp://127.0.0.1/payments"));
        assert!(refused("data:,x"));
        let operation = || Operation::post("http://127.0.0.1/").expect("a URL");
        assert!(operation().key("").is_err());
        assert!(operation().key("a\nb").is_err());
        assert!(operation().header("a b", "c").is_err());
        assert!(operation().header("a", "b\nc").is_err());
        assert!(operation().header("Content-Length", "7").is_err());
        assert!(operation().header("Idempotency-Key", "a").is_err());
        assert!(operation().header("PayPal-Request-Id", "a").is_err());
    }

    #[test]
    fn debug_output_holds_no_secret() -> Result<(), OperationError> {
        let operation = Operation::post("http://user:hush@127.0.0.1/?q=hush")?
            .key("hush")?
            .header("authorization", "hush")?
            .body("hush")
            .build();
        assert!(!format!("{operation:?}").contains("hush"));
        Ok(())
    }
}
