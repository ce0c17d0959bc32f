//! One key per operation for programs that are built on `reqwest-middleware`, feature `middleware`.
//!
//! Each unsafe request is an operation: its key is made once, or taken from the request if the caller put it there,
//! and the rest of the stack is run for each attempt. What comes back is the answer of a definite ending, with an
//! [`Ended`] among its extensions; all else is an error, which carries the key. Safe requests pass.
//!
//! Build the `reqwest::Client` below it with `redirect::Policy::none()` and `retry::never()`: what it does by itself is
//! not seen here, and reqwest takes a key along to wherever a redirect leads.
//!
//! ```no_run
//! use oncegate_client::{Client, Dialect};
//! use reqwest_middleware::ClientBuilder;
//!
//! # fn build() -> Result<(), reqwest::Error> {
//! let http = reqwest::Client::builder()
//!     .redirect(reqwest::redirect::Policy::none())
//!     .retry(reqwest::retry::never())
//!     .build()?;
//! let one_key = Client::builder().dialect(Dialect::Stripe).build_middleware();
//! let client = ClientBuilder::new(http).with(one_key).build();
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::Extensions;
use oncegate::key::{IdempotencyKey, KeyError, SentKey};
use reqwest::{Request, Response, ResponseBuilderExt};
use reqwest_middleware::{Error, Middleware, Next, Result};
use tokio::sync::Mutex;

use crate::answer::{Answer, Failure, FailureKind};
use crate::body::Body;
use crate::client::Client;
use crate::course::{Course, Ending};
use crate::operation::{Operation, new_key};
use crate::outcome::{Last, Outcome, Undone, Yes};
use crate::transport::{Attempt, BoxFuture, Transport, failed, sendable, whole};

/// The middleware. [`ClientBuilder::build_middleware`](crate::ClientBuilder::build_middleware) makes it.
#[derive(Clone, Debug)]
pub struct OneKey(pub(crate) Client);

/// How the operation ended that an answer belongs to: among the extensions of the answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ended {
    /// The key.
    pub key: IdempotencyKey,
    /// How it ended.
    pub ending: Ending,
    /// Attempts made.
    pub attempts: u32,
}

/// Why there is no answer to give. It is what [`reqwest_middleware::Error::Middleware`] holds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MiddlewareError {
    /// It is not known to have happened.
    #[error(transparent)]
    Undone(#[from] Undone),
    /// It happened, and its answer is gone.
    #[error("{0}")]
    AnswerLost(Box<Yes>),
    /// The body is a stream, which can be sent only once. Nothing was sent.
    #[error("a body that is a stream cannot be sent again, so it is not sent at all")]
    BodyIsStream,
    /// The caller's key cannot be one. Nothing was sent.
    #[error("the idempotency key cannot be used")]
    Key(#[from] KeyError),
}

impl MiddlewareError {
    /// The key, if an operation was made.
    #[must_use]
    pub fn key(&self) -> Option<&IdempotencyKey> {
        match self {
            Self::Undone(undone) => Some(undone.key()),
            Self::AnswerLost(yes) => Some(&yes.key),
            Self::BodyIsStream | Self::Key(_) => None,
        }
    }
}

#[async_trait::async_trait]
impl Middleware for OneKey {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        if request.method().is_safe() {
            return next.run(request, extensions).await;
        }
        let timeout = request.timeout().copied();
        let operation = self.operation(request).map_err(Error::middleware)?;
        let rest = Rest {
            next,
            extensions: Mutex::new(extensions),
            bytes_max: self.0.policy().response_bytes_max,
            timeout,
        };
        let course = Course::new(self.0.policy().clone());
        let outcome = self.0.run_over(&rest, &operation, course).await;
        told(&operation, outcome).map_err(Error::middleware)
    }
}

impl OneKey {
    fn operation(&self, mut request: Request) -> std::result::Result<Operation, MiddlewareError> {
        let body = match request.body() {
            None => Bytes::new(),
            Some(body) => body
                .as_bytes()
                .map(Bytes::copy_from_slice)
                .ok_or(MiddlewareError::BodyIsStream)?,
        };
        let dialect = self.0.dialect();
        let name = [dialect.key_header()];
        let rules = dialect.key_rules();
        let key = match SentKey::find(request.headers(), &name, &rules)? {
            Some(sent) => sent.key().clone(),
            None => new_key(rules.format),
        };
        let headers = std::mem::take(request.headers_mut());
        Ok(Operation::of_parts(
            key,
            request.method().clone(),
            request.url().clone(),
            headers,
            Body::Bytes(body),
        ))
    }
}

fn told(operation: &Operation, outcome: Outcome) -> std::result::Result<Response, MiddlewareError> {
    let ended = Ended {
        key: outcome.key().clone(),
        ending: outcome.ending(),
        attempts: outcome.attempts(),
    };
    match outcome {
        Outcome::Yes(yes) if yes.lost => Err(MiddlewareError::AnswerLost(Box::new(yes))),
        Outcome::Yes(mut yes) => match yes.answer.take() {
            Some(answer) => Ok(response(operation, answer, ended)),
            None => Err(MiddlewareError::AnswerLost(Box::new(yes))),
        },
        Outcome::No(mut no) => match no.last {
            Last::Answer(answer) => Ok(response(operation, answer, ended)),
            Last::Failure(failure) => {
                no.last = Last::Failure(failure);
                Err(Undone::No(Box::new(no)).into())
            }
        },
        Outcome::Unknown(unknown) => Err(Undone::Unknown(Box::new(unknown)).into()),
    }
}

fn response(operation: &Operation, answer: Answer, ended: Ended) -> Response {
    let builder = http::Response::builder()
        .status(answer.status)
        .url(operation.url().clone());
    let mut response = builder
        .body(answer.body)
        .expect("a status that was received can be given");
    *response.headers_mut() = answer.headers;
    response.extensions_mut().insert(ended);
    response.into()
}

/// What of the stack is below the middleware, as a transport.
struct Rest<'a> {
    next: Next<'a>,
    /// Attempts come one after the other, so that nobody ever waits for it.
    extensions: Mutex<&'a mut Extensions>,
    bytes_max: usize,
    /// The caller's own limit on an attempt.
    timeout: Option<Duration>,
}

impl fmt::Debug for Rest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rest")
    }
}

impl Rest<'_> {
    async fn exchange(&self, attempt: Attempt) -> std::result::Result<Answer, Failure> {
        let mut request = Request::new(attempt.method, attempt.url);
        *request.headers_mut() = attempt.headers;
        *request.body_mut() = Some(sendable(attempt.body).await?);
        let mut extensions = self.extensions.lock().await;
        let sent = self.next.clone().run(request, &mut extensions).await;
        match sent {
            Ok(response) => whole(response, self.bytes_max).await,
            Err(Error::Reqwest(error)) => Err(failed(error)),
            // Whether it failed before or behind the request, only it knows.
            Err(Error::Middleware(error)) => Err(Failure::new(FailureKind::Broken, Some(error))),
        }
    }
}

impl Transport for Rest<'_> {
    fn send(&self, attempt: Attempt) -> BoxFuture<'_, std::result::Result<Answer, Failure>> {
        let limit = attempt.timeout.min(self.timeout.unwrap_or(Duration::MAX));
        Box::pin(async move {
            let exchanged = tokio::time::timeout(limit, self.exchange(attempt)).await;
            exchanged.unwrap_or_else(|late| Err(Failure::new(FailureKind::TimedOut, Some(late))))
        })
    }
}

/// A middleware's client sends by what is below the middleware, and by nothing else.
#[derive(Debug)]
pub(crate) struct Elsewhere;

impl Transport for Elsewhere {
    fn send(&self, _attempt: Attempt) -> BoxFuture<'_, std::result::Result<Answer, Failure>> {
        let unsendable = Failure::new(FailureKind::Unsendable, None::<KeyError>);
        Box::pin(async { Err(unsendable) })
    }
}
