//! A payments API in axum with idempotency keys: `cargo run -p axum-layer`, then send one request twice.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::Extension;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use oncegate::record::Fence;
use oncegate::{Engine, Policy};
use oncegate_tower::Oncegate;
use serde_json::{Value, json};

/// Charges: each time it is called, money moves. The fence goes to whatever must not be written twice.
async fn pay(
    fence: Option<Extension<Fence>>,
    Json(order): Json<Value>,
) -> (StatusCode, Json<Value>) {
    static CHARGED: AtomicUsize = AtomicUsize::new(0);
    let charged = CHARGED.fetch_add(1, Ordering::SeqCst) + 1;
    let fence = fence.map(|Extension(fence)| fence.number());
    let amount = &order["amount"];
    (
        StatusCode::CREATED,
        Json(json!({ "charged": charged, "amount": amount, "fence": fence })),
    )
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = oncegate_stores::open("file:axum-layer.db").await?;
    let oncegate = Oncegate::new(Engine::open(store, None).await?);
    let app = Router::new()
        .route("/payments", post(pay))
        .layer(oncegate.layer(Policy::default()));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3001").await?;
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    axum::serve(listener, app)
        .with_graceful_shutdown(stop)
        .await?;
    // Executions outlive their callers' connections: let them end before the runtime does.
    let policy = Policy::default();
    oncegate.drain(policy.answer_timeout).await;
    Ok(())
}
