//! What the layer asks of the services that it wraps, said once.
//!
//! Both traits are implemented for everything that fits; nobody implements them by hand.

use std::future::Future;

use bytes::Bytes;
use http::{Request, Response};
use tower_service::Service;

use crate::body::{Body, BoxError};

/// Any body of bytes.
pub trait AnyBody:
    http_body::Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static
{
}

impl<B> AnyBody for B
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError> + Send,
{
}

/// Any service that takes our bodies and can be moved into a task of its own.
pub trait Inner:
    Service<
        Request<Body>,
        Response = Response<Self::Answer>,
        Error: Send,
        Future: Future<Output = Result<Response<Self::Answer>, Self::Error>> + Send,
    > + Clone
    + Send
    + 'static
{
    /// The body of its answers.
    type Answer: AnyBody;
}

impl<S, B> Inner for S
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Send,
    S::Future: Send,
    B: AnyBody,
{
    type Answer = B;
}
