//! The crate `axum-idempotent` as its README has it: a session, and the client's header as the key.
//! It keeps nothing for a caller without a session, so there is a page that begins one.

#[path = "../common/payments.rs"]
mod payments;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use axum_idempotent::{IdempotentLayer, IdempotentOptions};
use ruts::store::Ttl;
use ruts::store::moka::MokaStore;
use ruts::{CookieOptions, Session, SessionLayer};
use tower_cookies::CookieManagerLayer;

use payments::{Payments, serve};

const SESSION_SECONDS: i64 = 24 * 60 * 60;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = IdempotentOptions::default()
        .use_idempotency_key_header(Some("Idempotency-Key"), true)
        .expire_after(60 * 5);
    let payments = Payments::default();
    let app = Router::new()
        .merge(payments.unsafe_routes())
        .layer(IdempotentLayer::<MokaStore>::new(options))
        .route("/session", get(begin_session))
        .layer(
            SessionLayer::new(Arc::new(MokaStore::builder().build()))
                .with_cookie_options(CookieOptions::build().name("session").path("/")),
        )
        .layer(CookieManagerLayer::new())
        .merge(payments.safe_routes());
    serve(app).await
}

async fn begin_session(session: Session<MokaStore>) -> Result<&'static str, StatusCode> {
    let ttl = Ttl::new(SESSION_SECONDS).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let begun = session.set("user", &"one", ttl, None).await;
    begun.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok("begun")
}
