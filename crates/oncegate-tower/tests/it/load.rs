//! Services that take few at a time, and processes that have enough to do.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use http::{Method, Request};
use oncegate::Policy;
use oncegate::policy::{OnUnknown, Reconcile};
use oncegate_tower::{Body, EXECUTIONS_MAX};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_layer::Layer;
use tower_service::Service;

use crate::handler::{Gate, Handler, HandlerError, Reply, respond};
use crate::harness::{Answer, Bench, code, pay, seconds, settle};

/// A service that is ready when it has found a place among few, as tower's `ConcurrencyLimit` is.
struct Limited {
    inner: Handler,
    places: Arc<Semaphore>,
    waiting: Option<BoxFuture<'static, OwnedSemaphorePermit>>,
    place: Option<OwnedSemaphorePermit>,
}

impl Limited {
    fn new(inner: Handler, places: Arc<Semaphore>) -> Self {
        Self {
            inner,
            places,
            waiting: None,
            place: None,
        }
    }
}

/// A clone has no place.
impl Clone for Limited {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.places.clone())
    }
}

impl Service<Request<Body>> for Limited {
    type Response = http::Response<Body>;
    type Error = HandlerError;
    type Future = BoxFuture<'static, Reply>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HandlerError>> {
        if self.place.is_none() {
            let places = self.places.clone();
            let waiting = self.waiting.get_or_insert_with(|| {
                Box::pin(async move { places.acquire_owned().await.expect("never closed") })
            });
            self.place = Some(ready!(waiting.as_mut().poll(cx)));
            self.waiting = None;
        }
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let place = self.place.take().expect("called when ready");
        let answering = self.inner.call(request);
        Box::pin(async move {
            let reply = answering.await;
            drop(place);
            reply
        })
    }
}

/// One request after another through `layered`, in a task of its own.
fn start<S>(layered: &S, request: Request<Body>) -> tokio::task::JoinHandle<Answer>
where
    S: Service<Request<Body>, Response = http::Response<Body>, Error = HandlerError>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    let mut layered = layered.clone();
    tokio::spawn(async move {
        std::future::poll_fn(|cx| layered.poll_ready(cx))
            .await
            .unwrap();
        Answer::read(layered.call(request).await.unwrap()).await
    })
}

fn reconciling() -> Policy {
    Policy {
        on_unknown: OnUnknown::Reconcile(Reconcile {
            get: "/payments/by-key/{key}".to_owned(),
            status: code(201),
        }),
        ..Policy::default()
    }
}

/// M-28: to ask the upstream takes the one place that the request has, and no second one. It asked for a place of its
/// own while it held one: behind a limit of one it waited for itself.
#[tokio::test(start_paused = true)]
async fn to_ask_takes_no_second_place() {
    let handler = Handler::answering(|call| match (call.number, &call.parts.method) {
        (1, _) => respond(504, "no answer"),
        (_, &Method::GET) => respond(404, ""),
        (number, _) => respond(201, format!("executed {number}")),
    });
    let bench = Bench::new(handler.clone()).await;
    let places = Arc::new(Semaphore::new(1));
    let limited = Limited::new(handler, places.clone());
    let layered = bench.oncegate.layer(reconciling()).layer(limited);
    let first = start(&layered, pay("k")).await.unwrap();
    assert_eq!(first.became(), "unknown");
    start(&layered, pay("k"))
        .await
        .unwrap()
        .is_executed("executed 4");
    start(&layered, pay("k"))
        .await
        .unwrap()
        .is_replayed("executed 4");
    settle().await;
    assert_eq!(places.available_permits(), 1);
}

/// M-28: and what is found needs no further place: the answer does not wait for one.
#[tokio::test(start_paused = true)]
async fn an_outcome_that_is_found_waits_for_no_place() {
    let gate = Gate::default();
    let at = gate.clone();
    let handler = Handler::new(move |call| {
        let at = at.clone();
        async move {
            if call.parts.method == Method::POST {
                return Ok(respond(504, "no answer"));
            }
            at.pass().await;
            Ok(respond(200, "found"))
        }
    });
    let bench = Bench::new(handler.clone()).await;
    let places = Arc::new(Semaphore::new(1));
    let limited = Limited::new(handler, places.clone());
    let layered = bench.oncegate.layer(reconciling()).layer(limited);
    start(&layered, pay("k")).await.unwrap();
    let retry = start(&layered, pay("k"));
    let asked = tokio::time::timeout(seconds(60), gate.entered());
    asked.await.expect("it asks at once");
    // Somebody else is next, and does not give the place back.
    let next = tokio::spawn(places.acquire_owned());
    settle().await;
    gate.open();
    let answer = retry.await.unwrap();
    assert_eq!((answer.status(), answer.text()), (201, "found"));
    let _place = next.await.unwrap();
}

/// M-32: executions whose callers are gone are bounded too: beyond that nothing new begins, what was executed before
/// is still answered, and each end makes room.
#[tokio::test(start_paused = true)]
async fn executions_in_one_process_are_bounded() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::new(handler).await;
    gate.open();
    bench.send(pay("done")).await.is_executed("payment 1");
    gate.entered().await;
    let started: Vec<_> = (0..EXECUTIONS_MAX)
        .map(|number| bench.start(pay(&format!("k{number}"))))
        .collect();
    for _ in 0..EXECUTIONS_MAX {
        let entered = tokio::time::timeout(seconds(20), gate.entered());
        entered.await.expect("so many execute at once");
    }
    assert_eq!(bench.oncegate.running(), EXECUTIONS_MAX);
    let one_more = bench.send(pay("more")).await;
    one_more.is_refused(503, "overloaded");
    assert_eq!(one_more.became(), "refused");
    bench.send(pay("done")).await.is_replayed("payment 1");
    bench.send(pay("k0")).await.is_refused(409, "in-flight");
    assert_eq!(bench.handler.calls(), 1 + EXECUTIONS_MAX);

    gate.open();
    settle().await;
    let one_more = bench.start(pay("more"));
    gate.entered().await;
    for _ in 0..EXECUTIONS_MAX {
        gate.open();
    }
    let last = one_more.await.unwrap();
    last.is_executed(&format!("payment {}", 2 + EXECUTIONS_MAX));
    for first in started {
        assert_eq!(first.await.unwrap().became(), "executed");
    }
}
