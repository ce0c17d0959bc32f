//! Attempts over HTTP/1.1 and HTTP/2, by reqwest. Its retries and redirects are off.

use std::error::Error;

use bytes::{Bytes, BytesMut};
use reqwest::redirect;

use super::{Attempt, BoxFuture, Transport};
use crate::answer::{Answer, Failure, FailureKind};
use crate::policy::RetryPolicy;

/// Attempts over HTTP.
#[derive(Clone, Debug)]
pub struct HttpTransport {
    http: reqwest::Client,
    response_bytes_max: usize,
}

impl HttpTransport {
    /// A transport with connections of its own.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(policy: &RetryPolicy) -> Result<Self, reqwest::Error> {
        Self::of(reqwest::Client::builder(), policy)
    }

    /// A transport on a client with settings of the caller's: certificates, proxies, time-outs.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn of(
        builder: reqwest::ClientBuilder,
        policy: &RetryPolicy,
    ) -> Result<Self, reqwest::Error> {
        let http = builder
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(policy.connect_timeout)
            .build()?;
        Ok(Self {
            http,
            response_bytes_max: policy.response_bytes_max,
        })
    }

    async fn exchange(&self, attempt: Attempt) -> Result<Answer, Failure> {
        let mut response = self
            .http
            .request(attempt.method, attempt.url)
            .headers(attempt.headers)
            .timeout(attempt.timeout)
            .body(attempt.body)
            .send()
            .await
            .map_err(failed)?;
        let body = self.whole_body(&mut response).await?;
        Ok(Answer::new(
            response.status(),
            std::mem::take(response.headers_mut()),
            body,
        ))
    }

    async fn whole_body(&self, response: &mut reqwest::Response) -> Result<Bytes, Failure> {
        let mut body = BytesMut::new();
        while let Some(part) = response.chunk().await.map_err(failed)? {
            if body.len() + part.len() > self.response_bytes_max {
                return Err(Failure::new(FailureKind::TooLarge, None::<reqwest::Error>));
            }
            body.extend_from_slice(&part);
        }
        Ok(body.freeze())
    }
}

impl Transport for HttpTransport {
    fn send(&self, attempt: Attempt) -> BoxFuture<'_, Result<Answer, Failure>> {
        Box::pin(self.exchange(attempt))
    }
}

/// What a failure proves. The URL is left out of it: it may hold secrets.
fn failed(error: reqwest::Error) -> Failure {
    let kind = if error.is_connect() {
        FailureKind::Connect
    } else if is_handed_back(&error) {
        FailureKind::HandedBack
    } else if error.is_timeout() {
        FailureKind::TimedOut
    } else {
        FailureKind::Broken
    };
    Failure::new(kind, Some(error.without_url()))
}

/// REFUSED_STREAM from the server (RFC 9113, 8.7). A GOAWAY proves nothing here: h2 can give that error to a stream
/// that was sent before it.
fn is_handed_back(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(h2) = error.downcast_ref::<h2::Error>() {
            return h2.is_remote()
                && h2.is_reset()
                && h2.reason() == Some(h2::Reason::REFUSED_STREAM);
        }
        source = error.source();
    }
    false
}
