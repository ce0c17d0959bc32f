//! Attempts over HTTP/1.1 and HTTP/2, by reqwest. Its retries and redirects are off.

use std::error::Error;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use reqwest::redirect;

use super::{Attempt, BoxFuture, Transport};
use crate::answer::{Answer, Failure, FailureKind};
use crate::body::{Body, BodyError};
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
        let builder = reqwest::Client::builder().pool_idle_timeout(IDLE_MAX);
        Self::of(builder, policy)
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
        let body = sendable(attempt.body).await?;
        let sent = self
            .http
            .request(attempt.method, attempt.url)
            .headers(attempt.headers)
            .timeout(attempt.timeout)
            .body(body)
            .send();
        whole(sent.await.map_err(failed)?, self.response_bytes_max).await
    }
}

impl Transport for HttpTransport {
    fn send(&self, attempt: Attempt) -> BoxFuture<'_, Result<Answer, Failure>> {
        Box::pin(self.exchange(attempt))
    }
}

/// The whole answer, or a failure that has its head.
pub(crate) async fn whole(
    mut response: reqwest::Response,
    bytes_max: usize,
) -> Result<Answer, Failure> {
    let status = response.status();
    let headers = std::mem::take(response.headers_mut());
    match whole_body(&mut response, &headers, bytes_max).await {
        Ok(body) => Ok(Answer::new(status, headers, body)),
        Err(failure) => Err(failure.behind(Answer::new(status, headers, Bytes::new()))),
    }
}

async fn whole_body(
    response: &mut reqwest::Response,
    headers: &http::HeaderMap,
    bytes_max: usize,
) -> Result<Bytes, Failure> {
    let too_large = || Failure::new(FailureKind::TooLarge, None::<reqwest::Error>);
    let declared = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: usize| length > bytes_max) {
        return Err(too_large());
    }
    let Some(first) = response.chunk().await.map_err(failed)? else {
        return Ok(Bytes::new());
    };
    if first.len() > bytes_max {
        return Err(too_large());
    }
    // Most answers are one part, which is the body as it is.
    let Some(second) = response.chunk().await.map_err(failed)? else {
        return Ok(first);
    };
    let mut body = BytesMut::from(&first[..]);
    let mut next = Some(second);
    while let Some(part) = next {
        if body.len() + part.len() > bytes_max {
            return Err(too_large());
        }
        body.extend_from_slice(&part);
        next = response.chunk().await.map_err(failed)?;
    }
    Ok(body.freeze())
}

pub(crate) async fn sendable(body: Body) -> Result<reqwest::Body, Failure> {
    match body {
        Body::Bytes(bytes) => Ok(bytes.into()),
        Body::File(file) => {
            let reader = file.read().await;
            reader.map(reqwest::Body::wrap).map_err(unreadable)
        }
    }
}

/// Nothing was sent yet.
fn unreadable(error: BodyError) -> Failure {
    let kind = match error {
        BodyError::Changed { .. } => FailureKind::BodyChanged,
        BodyError::Unreadable { .. } => FailureKind::Unsendable,
    };
    Failure::new(kind, Some(error))
}

/// What a failure proves. The URL is left out of it: it may hold secrets.
pub(crate) fn failed(error: reqwest::Error) -> Failure {
    let kind = if error.is_builder() {
        FailureKind::Unsendable
    } else if error.is_connect() {
        why_no_connection(&error)
    } else if cause::<BodyError>(&error).is_some() {
        FailureKind::BodyTorn
    } else if is_handed_back(&error) {
        FailureKind::HandedBack
    } else if error.is_timeout() {
        FailureKind::TimedOut
    } else {
        FailureKind::Broken
    };
    Failure::new(kind, Some(error.without_url()))
}

fn why_no_connection(error: &reqwest::Error) -> FailureKind {
    let untrusted = |error: &rustls::Error| matches!(error, rustls::Error::InvalidCertificate(_));
    if error.is_dns() {
        FailureKind::NameUnknown
    } else if cause::<rustls::Error>(error).is_some_and(untrusted) {
        FailureKind::Untrusted
    } else {
        FailureKind::Connect
    }
}

/// REFUSED_STREAM from the server (RFC 9113, 8.7). A GOAWAY proves nothing here: h2 can give that error to a stream
/// that was sent before it.
fn is_handed_back(error: &reqwest::Error) -> bool {
    let refused = |error: &h2::Error| {
        error.is_remote() && error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM)
    };
    cause::<h2::Error>(error).is_some_and(refused)
}

/// The first cause of this type. An `io::Error` shows what it wraps only to those who ask it by name.
fn cause<T: Error + 'static>(error: &reqwest::Error) -> Option<&T> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let inner = error
            .downcast_ref::<std::io::Error>()
            .and_then(|error| error.get_ref());
        source = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// Below the five seconds after which the quickest of common servers close an idle connection: a request that crosses
/// the close cannot be told apart from one that ran.
const IDLE_MAX: Duration = Duration::from_secs(4);
