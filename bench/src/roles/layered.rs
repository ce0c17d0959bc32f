//! One axum handler, in process: bare, under our layer, or under the layer of the crate `idempotent`.
//!
//! Both layers keep their records in memory, or in the same kind of Redis. The other crate asks for a scope as ours does: the credential.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use axum::http::request::Parts;
use axum::routing::{get, post};
use idempotent::middleware::IdempotencyLayer;
use oncegate::{Engine, MemoryStore, Policy, Store};
use oncegate_tower::Oncegate;
use tokio::net::TcpListener;

use super::{EXECUTIONS, PAYMENTS, RECEIPT};

/// What stands before the handler.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Layer {
    /// Nothing.
    None,
    /// `oncegate-tower`.
    Oncegate,
    /// The crate `idempotent`.
    Idempotent,
}

/// Serves until it is killed.
pub fn run(listen: SocketAddr, layer: Layer, redis: Option<&str>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(listen, layer, redis))
}

async fn serve(listen: SocketAddr, layer: Layer, redis: Option<&str>) -> Result<()> {
    let executions = Arc::new(AtomicU64::new(0));
    let payments = Router::new().route(PAYMENTS, post(pay));
    let payments = match layer {
        Layer::None => payments,
        Layer::Oncegate => {
            let store: Arc<dyn Store> = match redis {
                None => Arc::new(MemoryStore::new()),
                Some(url) => oncegate_stores::open(url).await?,
            };
            let engine = Engine::open(store, None).await?;
            payments.layer(Oncegate::new(engine).layer(Policy::default()))
        }
        Layer::Idempotent => match redis {
            None => {
                let store = idempotent::memory::MemoryStore::builder().try_build()?;
                payments.layer(IdempotencyLayer::new(store).scope(credential))
            }
            Some(url) => {
                let store = idempotent::valkey::ValkeyStore::with_url(url);
                let store = store.try_build().await?;
                payments.layer(IdempotencyLayer::new(store).scope(credential))
            }
        },
    };
    let app = payments
        .route(EXECUTIONS, get(count))
        .with_state(executions);
    axum::serve(TcpListener::bind(listen).await?, app).await?;
    Ok(())
}

/// Whose key it is.
fn credential(parts: &Parts) -> Option<String> {
    let credential = parts.headers.get(AUTHORIZATION)?;
    credential.to_str().ok().map(str::to_owned)
}

async fn pay(
    State(executions): State<Arc<AtomicU64>>,
    _order: Bytes,
) -> (StatusCode, [(HeaderName, &'static str); 1], &'static str) {
    executions.fetch_add(1, Ordering::Relaxed);
    let content_type = [(CONTENT_TYPE, "application/json")];
    (StatusCode::CREATED, content_type, RECEIPT)
}

async fn count(State(executions): State<Arc<AtomicU64>>) -> String {
    executions.load(Ordering::Relaxed).to_string()
}
