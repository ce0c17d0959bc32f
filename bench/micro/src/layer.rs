//! The layer around a handler that does nothing, over the memory store, without a network.

use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::hint::black_box;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use oncegate::Policy;
use oncegate_tower::{Body, IDEMPOTENCY_STATUS, Oncegate, OncegateService};
use tower_layer::Layer;
use tower_service::Service;

use crate::engine::{RECEIPT, SMALL, block_on, engine};

/// A request without a key.
pub fn unkeyed_passes(times: u32) {
    block_on(async {
        let mut service = service().await;
        for _ in 0..times {
            assert_eq!(send(&mut service, None).await, None, "it passes");
        }
    });
}

/// A request with a new key: claimed, executed in a task of its own, recorded, answered.
pub fn fresh(times: u32) {
    block_on(async {
        let mut service = service().await;
        for number in 0..times {
            let status = send(&mut service, Some(number)).await;
            assert!(status.is_some_and(|status| status.starts_with("executed")));
        }
    });
}

/// A request whose key is stored.
pub fn replay(times: u32) {
    block_on(async {
        let mut service = service().await;
        send(&mut service, Some(0)).await;
        for _ in 0..times {
            let status = send(&mut service, Some(0)).await;
            assert!(status.is_some_and(|status| status.starts_with("replayed")));
        }
    });
}

async fn service() -> OncegateService<Pay> {
    Oncegate::new(engine().await)
        .layer(Policy::default())
        .layer(Pay)
}

/// Sends a payment, reads the answer to its end, and says what its `Idempotency-Status` is.
async fn send(service: &mut OncegateService<Pay>, key: Option<u32>) -> Option<String> {
    let mut request = Request::post("/payments")
        .body(Full::new(Bytes::from_static(SMALL.as_bytes())))
        .expect("a request");
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(SMALL.len()));
    headers.insert(
        AUTHORIZATION,
        HeaderValue::from_static("Bearer sk_bench_4eC39HqLyjWDarjtT1"),
    );
    if let Some(number) = key {
        let key = format!("5f2b8c1e-9d4a-4e6f-8a3b-{number:012x}");
        let key = HeaderValue::from_str(&key).expect("a key");
        headers.insert("idempotency-key", key);
    }
    let Ok(()) = poll_fn(|cx| Service::<Request<Full<Bytes>>>::poll_ready(service, cx)).await;
    let Ok(response) = service.call(request).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("an answer comes to its end");
    assert_eq!(black_box(body.to_bytes()), RECEIPT);
    let status = parts.headers.get(IDEMPOTENCY_STATUS)?;
    Some(status.to_str().expect("a status is text").to_owned())
}

/// The handler.
#[derive(Clone, Copy, Debug)]
struct Pay;

impl Service<Request<Body>> for Pay {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<Body>) -> Self::Future {
        let receipt = Response::builder()
            .status(StatusCode::CREATED)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from_static(RECEIPT.as_bytes())));
        ready(Ok(receipt.expect("the parts of this answer are constants")))
    }
}
