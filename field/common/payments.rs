//! The payments API that every Rust host of the field serves: field/README.md says what it does.
//! Each payment in the list is one effect, so that a duplicate can be counted.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

const SLOW_MS_MAX: u64 = 30_000;
const BREAKS_BEFORE: u64 = 666;
const BREAKS_AFTER: u64 = 667;
const UNAVAILABLE: u64 = 668;

#[derive(Clone, Default)]
pub struct Payments {
    made: Arc<Mutex<Vec<Value>>>,
}

#[derive(Deserialize)]
struct Pace {
    #[serde(default)]
    slow: u64,
}

impl Payments {
    /// The route that a middleware goes before, apart from those that need none.
    pub fn unsafe_routes(&self) -> Router {
        Router::new()
            .route("/payments", post(pay))
            .with_state(self.clone())
    }

    pub fn safe_routes(&self) -> Router {
        Router::new()
            .route("/payments", get(all))
            .route("/payments/{id}", get(one))
            .with_state(self.clone())
    }

    fn all(&self) -> Vec<Value> {
        self.made.lock().expect("nobody panics under it").clone()
    }

    fn charge(&self, amount: u64) -> Value {
        let payment =
            json!({"id": format!("pay_{}", uuid::Uuid::new_v4().simple()), "amount": amount});
        let mut made = self.made.lock().expect("nobody panics under it");
        made.push(payment.clone());
        payment
    }
}

/// Serves on the port that `field/run` has chosen.
pub async fn serve(app: Router) -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = std::env::var("PORT")?.parse()?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    Ok(axum::serve(listener, app).await?)
}

/// Where the other hosts throw an exception, an axum handler returns an error, which is answered 500.
async fn pay(State(payments): State<Payments>, pace: Query<Pace>, order: Json<Value>) -> Response {
    let amount = order.get("amount").and_then(Value::as_u64).unwrap_or(0);
    if amount == 0 {
        return refused(
            StatusCode::UNPROCESSABLE_ENTITY,
            "amount must be a positive integer",
        );
    }
    tokio::time::sleep(Duration::from_millis(pace.slow.min(SLOW_MS_MAX))).await;
    match amount {
        UNAVAILABLE => return refused(StatusCode::SERVICE_UNAVAILABLE, "the bank is closed"),
        BREAKS_BEFORE => {
            return refused(StatusCode::INTERNAL_SERVER_ERROR, "broke before the charge");
        }
        _ => {}
    }
    let payment = payments.charge(amount);
    if amount == BREAKS_AFTER {
        return refused(StatusCode::INTERNAL_SERVER_ERROR, "broke after the charge");
    }
    let location = format!("/payments/{}", payment["id"].as_str().unwrap_or_default());
    (StatusCode::CREATED, [(LOCATION, location)], Json(payment)).into_response()
}

async fn all(State(payments): State<Payments>) -> Json<Vec<Value>> {
    Json(payments.all())
}

async fn one(State(payments): State<Payments>, Path(id): Path<String>) -> Response {
    match payments
        .all()
        .into_iter()
        .find(|payment| payment["id"] == id.as_str())
    {
        Some(payment) => Json(payment).into_response(),
        None => refused(StatusCode::NOT_FOUND, "no such payment"),
    }
}

fn refused(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}
