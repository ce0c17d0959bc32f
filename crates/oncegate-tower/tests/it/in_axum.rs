//! The layer in axum: what a user writes, and what a handler can see.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::State;
use axum::routing::post;
use axum::{Extension, Json, Router};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use oncegate::policy::KeyUse;
use oncegate::record::Fence;
use oncegate::{Engine, MemoryStore, Policy};
use oncegate_tower::Oncegate;
use tower_service::Service;

async fn oncegate() -> Oncegate {
    let store = Arc::new(MemoryStore::new());
    Oncegate::new(Engine::open(store, None).await.unwrap())
}

async fn create(
    State(payments): State<Arc<AtomicUsize>>,
    fence: Option<Extension<Fence>>,
    headers: HeaderMap,
    Json(payment): Json<serde_json::Value>,
) -> (StatusCode, Json<serde_json::Value>) {
    let number = payments.fetch_add(1, Ordering::SeqCst) + 1;
    let sent = headers
        .get("idempotency-fence")
        .map(|value| value.to_str().unwrap());
    let fence = fence.map(|Extension(fence)| fence.to_string());
    assert_eq!(sent, fence.as_deref());
    let answer = serde_json::json!({
        "number": number,
        "amount": payment["amount"],
        "fence": fence,
    });
    (StatusCode::CREATED, Json(answer))
}

async fn send(router: &Router, path: &str, key: Option<&str>) -> (http::response::Parts, String) {
    let request = Request::post(path).header("content-type", "application/json");
    let request = match key {
        Some(key) => request.header("idempotency-key", key),
        None => request,
    };
    let request = request
        .body(axum::body::Body::from(r#"{"amount":100}"#))
        .unwrap();
    let answer = router.clone().call(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (parts, String::from_utf8(bytes.to_vec()).unwrap())
}

/// M-10: one line gives an axum router idempotency keys; the handler reads the fence from the extensions.
#[tokio::test]
async fn a_router_with_the_layer_executes_once_and_sees_the_fence() {
    let payments = Arc::new(AtomicUsize::new(0));
    let oncegate = oncegate().await;
    let router = Router::new()
        .route("/payments", post(create))
        .with_state(payments.clone())
        .layer(oncegate.layer(Policy::default()));

    let (first, body) = send(&router, "/payments", Some("k")).await;
    assert_eq!(first.status, StatusCode::CREATED);
    let status = first.headers["idempotency-status"].to_str().unwrap();
    assert!(status.starts_with("executed;fence="), "{status}");
    let document: serde_json::Value = serde_json::from_str(&body).unwrap();
    let fence = document["fence"]
        .as_str()
        .expect("a keyed request has a fence");
    assert!(status.contains(fence));

    let (replay, again) = send(&router, "/payments", Some("k")).await;
    assert_eq!(replay.headers["idempotent-replayed"], "true");
    assert_eq!(replay.headers["content-type"], "application/json");
    assert_eq!(again, body);
    assert_eq!(payments.load(Ordering::SeqCst), 1);
}

/// M-07: without a key the handler runs as ever, and there is no fence.
#[tokio::test]
async fn a_request_without_a_key_has_no_fence() {
    let payments = Arc::new(AtomicUsize::new(0));
    let router = Router::new()
        .route("/payments", post(create))
        .with_state(payments.clone())
        .layer(oncegate().await.layer(Policy::default()));
    for _ in 0..2 {
        let (answer, body) = send(&router, "/payments", None).await;
        assert!(!answer.headers.contains_key("idempotency-status"));
        assert!(body.contains("\"fence\":null"));
    }
    assert_eq!(payments.load(Ordering::SeqCst), 2);
}

/// M-06: each route can have a policy of its own, over one store and one drain.
#[tokio::test]
async fn routes_have_policies_of_their_own() {
    let oncegate = oncegate().await;
    let required = Policy {
        key: KeyUse::Required,
        ..Policy::default()
    };
    let router = Router::new()
        .route("/payments", post(create).layer(oncegate.layer(required)))
        .route(
            "/notes",
            post(create).layer(oncegate.layer(Policy::default())),
        )
        .with_state(Arc::new(AtomicUsize::new(0)));
    let (refused, body) = send(&router, "/payments", None).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(body.contains("key-missing"));
    let (passed, _) = send(&router, "/notes", None).await;
    assert_eq!(passed.status, StatusCode::CREATED);

    // The path is fingerprint, not scope: one key, two routes, a mismatch.
    let (first, _) = send(&router, "/payments", Some("k")).await;
    assert_eq!(first.status, StatusCode::CREATED);
    let (other, body) = send(&router, "/notes", Some("k")).await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(body.contains("mismatch"));
}
