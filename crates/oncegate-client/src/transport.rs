//! One attempt on the wire: a request goes out, a whole answer or a failure comes back. Decides nothing.

mod http;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use ::http::{HeaderMap, Method};
use reqwest::Url;

use crate::answer::{Answer, Failure};
use crate::body::Body;

pub use http::HttpTransport;
#[cfg(feature = "middleware")]
pub(crate) use http::{failed, sendable, whole};

/// A boxed future.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Sends attempts.
///
/// # Contract
/// * What is sent is the attempt, byte for byte, once: no retry, no redirect.
/// * An answer is whole, or it is a failure.
/// * A failure that says that nothing ran has a proof.
/// * A future that is dropped ends the exchange; it may have run.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends one attempt.
    fn send(&self, attempt: Attempt) -> BoxFuture<'_, Result<Answer, Failure>>;
}

/// One transmission of an operation.
#[derive(Clone)]
#[non_exhaustive]
pub struct Attempt {
    /// Counted from 1.
    pub number: u32,
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// All headers, the key among them.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
    /// How long it may take in all.
    pub timeout: Duration,
}

impl fmt::Debug for Attempt {
    /// Shows neither headers nor the body: they hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("number", &self.number)
            .field("method", &self.method)
            .field("host", &self.url.host_str())
            .finish_non_exhaustive()
    }
}
