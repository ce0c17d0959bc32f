//! The service behind the layer: it counts its calls, remembers what it saw, and answers as the test says.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response, StatusCode, request};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use oncegate_tower::{Body, BoxError};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};
use tower_service::Service;

/// What a handler answers.
pub(crate) type Reply = Result<Response<Body>, HandlerError>;

/// The handler's own error, which the layer must hand on as it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct HandlerError(pub(crate) &'static str);

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for HandlerError {}

/// One call of the handler, with its body read.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Counted from one.
    pub(crate) number: usize,
    pub(crate) parts: request::Parts,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Call {
    /// The value of a header that it carried.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }
}

/// A service over a closure. Clones count together.
#[derive(Clone)]
pub(crate) struct Handler(Arc<Behind>);

struct Behind {
    calls: AtomicUsize,
    seen: Mutex<Vec<Call>>,
    answer: Box<dyn Fn(usize, Request<Body>, Handler) -> BoxFuture<'static, Reply> + Send + Sync>,
}

impl Handler {
    /// Reads each request to its end, remembers it and answers as `answer` says.
    pub(crate) fn new<F>(answer: impl Fn(Call) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        Self::streaming(move |number, request, handler| {
            let answer = answer.clone();
            async move {
                let (parts, body) = request.into_parts();
                let Ok(collected) = body.collect().await else {
                    return Err(HandlerError("the request's body broke off"));
                };
                let trailers = collected.trailers().cloned();
                let body = collected.to_bytes();
                let call = Call {
                    number,
                    parts,
                    body,
                    trailers,
                };
                handler.0.seen.lock().push(call.clone());
                answer(call).await
            }
        })
    }

    /// Hands each request to `answer` as it comes, with its number.
    pub(crate) fn streaming<F>(
        answer: impl Fn(usize, Request<Body>, Self) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        Self(Arc::new(Behind {
            calls: AtomicUsize::new(0),
            seen: Mutex::default(),
            answer: Box::new(move |number, request, handler| {
                Box::pin(answer(number, request, handler))
            }),
        }))
    }

    /// Answers `201 Created` with `payment N`, where N counts the calls.
    pub(crate) fn paying() -> Self {
        Self::new(|call| async move { Ok(paid(call.number)) })
    }

    /// The same, but each call stands at the gate first.
    pub(crate) fn gated() -> (Self, Gate) {
        let gate = Gate::default();
        let at = gate.clone();
        let handler = Self::new(move |call| {
            let at = at.clone();
            async move {
                at.pass().await;
                Ok(paid(call.number))
            }
        });
        (handler, gate)
    }

    /// Answers each call by `answer`, which is not async.
    pub(crate) fn answering(
        answer: impl Fn(&Call) -> Response<Body> + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::new(move |call| {
            let response = answer(&call);
            async move { Ok(response) }
        })
    }

    /// Answers with this status and nothing else.
    pub(crate) fn with_status(status: u16) -> Self {
        Self::answering(move |call| respond(status, format!("answer {}", call.number)))
    }

    /// How often it was called.
    pub(crate) fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    /// The last request that it read to the end.
    pub(crate) fn last(&self) -> Call {
        self.0.seen.lock().last().expect("it was called").clone()
    }
}

impl Service<Request<Body>> for Handler {
    type Response = Response<Body>;
    type Error = HandlerError;
    type Future = BoxFuture<'static, Reply>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), HandlerError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let number = self.0.calls.fetch_add(1, Ordering::SeqCst) + 1;
        (self.0.answer)(number, request, self.clone())
    }
}

/// Where calls stand until the test lets them go on.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    entered: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            entered: Arc::new(Semaphore::new(0)),
            open: Arc::new(Semaphore::new(0)),
        }
    }
}

impl Gate {
    /// For the handler: says that it is here, and stands until it may go on.
    pub(crate) async fn pass(&self) {
        self.entered.add_permits(1);
        self.open.acquire().await.expect("never closed").forget();
    }

    /// For the test: resolves when a call stands here.
    pub(crate) async fn entered(&self) {
        self.entered.acquire().await.expect("never closed").forget();
    }

    /// For the test: lets one call go on.
    pub(crate) fn open(&self) {
        self.open.add_permits(1);
    }
}

/// A body that the test feeds, frame by frame.
pub(crate) struct Feed(mpsc::UnboundedSender<Result<Frame<Bytes>, BoxError>>);

impl Feed {
    /// The hand that feeds, and the body that it feeds.
    pub(crate) fn new() -> (Self, Body) {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let frames = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
        (Self(sender), Body::foreign(StreamBody::new(frames)))
    }

    pub(crate) fn data(&self, text: impl Into<Bytes>) {
        drop(self.0.send(Ok(Frame::data(text.into()))));
    }

    pub(crate) fn trailers(&self, trailers: HeaderMap) {
        drop(self.0.send(Ok(Frame::trailers(trailers))));
    }

    /// Breaks the body off.
    pub(crate) fn broken(self) {
        drop(self.0.send(Err("cut".into())));
    }

    /// Ends the body cleanly.
    pub(crate) fn ended(self) {}

    /// Whether the body was dropped.
    pub(crate) fn is_unread(&self) -> bool {
        self.0.is_closed()
    }
}

/// A body of these frames, of a length that nobody announced.
pub(crate) fn frames(frames: Vec<Result<Frame<Bytes>, BoxError>>) -> Body {
    Body::foreign(StreamBody::new(futures_util::stream::iter(frames)))
}

/// The answer of [`Handler::paying`] to its nth call.
pub(crate) fn paid(number: usize) -> Response<Body> {
    let mut response = respond(201, format!("payment {number}"));
    let location = format!("/payments/{number}").parse().unwrap();
    response
        .headers_mut()
        .insert(http::header::LOCATION, location);
    response
}

/// An answer of text.
pub(crate) fn respond(status: u16, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::whole(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}
