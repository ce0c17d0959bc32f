//! The sample payments API: what a team would have before it had idempotency keys. Every POST that it handles
//! charges; nothing in it knows about duplicates.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::command::Failed;
use crate::proxy::{ServerBody, ServerSettings, serve};

/// A payments API that runs.
#[derive(Clone, Debug)]
pub(super) struct PaymentsApi {
    books: Arc<Books>,
    address: SocketAddr,
}

#[derive(Debug, Default)]
struct Books {
    payments: Mutex<Vec<Value>>,
    charged: AtomicUsize,
    charge_happened: Notify,
    /// The next charge fails before anything happens.
    fail_next: AtomicBool,
    /// The next answer never comes, though the charge happens.
    hang_next: AtomicBool,
}

impl PaymentsApi {
    /// Serves on a free port, for as long as the runtime lives.
    pub(super) async fn start() -> Result<Self, Failed> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener =
            listener.map_err(|error| Failed::unavailable("no free port").because(error))?;
        let address = listener
            .local_addr()
            .map_err(|error| Failed::unavailable("no free port").because(error))?;
        let api = Self {
            books: Arc::default(),
            address,
        };
        let service = Service(api.clone());
        drop(tokio::spawn(async move {
            serve(
                listener,
                service,
                ServerSettings::default(),
                std::future::pending(),
            )
            .await;
        }));
        Ok(api)
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often a payment really ran.
    pub(super) fn charged(&self) -> usize {
        self.books.charged.load(Ordering::SeqCst)
    }

    /// The next payment fails, before anything is charged.
    pub(super) fn fail_next(&self) {
        self.books.fail_next.store(true, Ordering::SeqCst);
    }

    /// The next payment is charged, but its answer never comes.
    pub(super) fn hang_next(&self) {
        self.books.hang_next.store(true, Ordering::SeqCst);
    }

    /// Resolves once more than `before` payments ran.
    pub(super) async fn charged_more_than(&self, before: usize) {
        loop {
            let happened = self.books.charge_happened.notified();
            let mut happened = std::pin::pin!(happened);
            happened.as_mut().enable();
            if self.charged() > before {
                return;
            }
            happened.await;
        }
    }

    /// The payment that ran last.
    pub(super) fn last_payment(&self) -> Value {
        self.books
            .payments
            .lock()
            .last()
            .cloned()
            .unwrap_or_default()
    }

    async fn answer(&self, request: Request<ServerBody>) -> Response<Full<Bytes>> {
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/payments") => self.charge(request).await,
            (&Method::GET, "/payments") => answer(
                StatusCode::OK,
                &Value::Array(self.books.payments.lock().clone()),
            ),
            _ => answer(
                StatusCode::NOT_FOUND,
                &json!({ "error": "no such resource" }),
            ),
        }
    }

    async fn charge(&self, request: Request<ServerBody>) -> Response<Full<Bytes>> {
        let Ok(body) = Limited::new(request.into_body(), BODY_BYTES_MAX)
            .collect()
            .await
        else {
            return answer(
                StatusCode::BAD_REQUEST,
                &json!({ "error": "no whole body" }),
            );
        };
        let amount = serde_json::from_slice::<Value>(&body.to_bytes())
            .ok()
            .and_then(|order| order.get("amount")?.as_u64());
        let Some(amount) = amount else {
            return answer(
                StatusCode::BAD_REQUEST,
                &json!({ "error": "amount is a number of cents" }),
            );
        };
        if self.books.fail_next.swap(false, Ordering::SeqCst) {
            return answer(
                StatusCode::INTERNAL_SERVER_ERROR,
                &json!({ "error": "no connection to the bank" }),
            );
        }
        let payment = self.enter(amount);
        if self.books.hang_next.swap(false, Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let mut created = answer(StatusCode::CREATED, &payment);
        let location = format!("/payments/{}", payment["id"].as_str().unwrap_or_default());
        if let Ok(location) = location.try_into() {
            created.headers_mut().insert(header::LOCATION, location);
        }
        created
    }

    /// Here money moves.
    fn enter(&self, amount: u64) -> Value {
        let mut payments = self.books.payments.lock();
        let payment = json!({ "id": format!("pay_{}", payments.len() + 1), "amount": amount });
        payments.push(payment.clone());
        drop(payments);
        self.books.charged.fetch_add(1, Ordering::SeqCst);
        self.books.charge_happened.notify_waiters();
        payment
    }
}

/// The API as a service.
#[derive(Clone)]
struct Service(PaymentsApi);

impl tower_service::Service<Request<ServerBody>> for Service {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(
        &mut self,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ServerBody>) -> Self::Future {
        let api = self.0.clone();
        Box::pin(async move { Ok(api.answer(request).await) })
    }
}

fn answer(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(value.to_string())));
    *answer.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}

const BODY_BYTES_MAX: usize = 64 * 1024;
