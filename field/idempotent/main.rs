//! The crate `idempotent` with its memory store, and a scope as its README tells a service with several clients.

#[path = "../common/payments.rs"]
mod payments;

use axum::http::header::AUTHORIZATION;
use idempotent::memory::MemoryStore;
use idempotent::middleware::IdempotencyLayer;

use payments::{Payments, serve};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let layer = IdempotencyLayer::new(MemoryStore::builder().try_build()?).scope(|parts| {
        let credential = parts.headers.get(AUTHORIZATION)?;
        credential.to_str().ok().map(String::from)
    });
    let payments = Payments::default();
    serve(
        payments
            .unsafe_routes()
            .layer(layer)
            .merge(payments.safe_routes()),
    )
    .await
}
