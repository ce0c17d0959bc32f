//! A payments API without idempotency keys, which can answer in all the forms that cases know, and tells principals
//! apart. Written for these tests, over a server that Oncegate's own proxy does not use this way.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// An API that serves until it is dropped.
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    books: Arc<Books>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Books {
    /// Whose payment, and what it is.
    payments: Mutex<Vec<(String, Value)>>,
    /// What was asked for: method, path and query.
    asked: Mutex<Vec<String>>,
    /// Whether only those with credentials are let in.
    guarded: bool,
}

type Body = BoxBody<Bytes, Infallible>;

impl Api {
    pub(crate) async fn start() -> Self {
        Self::with(Books::default()).await
    }

    /// One that wants credentials, and believes any.
    pub(crate) async fn guarded() -> Self {
        let books = Books {
            guarded: true,
            ..Books::default()
        };
        Self::with(books).await
    }

    async fn with(books: Books) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let books = Arc::new(books);
        let serving = Arc::clone(&books);
        let accepting = tokio::spawn(async move {
            // The connections end with this task.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let books = Arc::clone(&serving);
                let service = service_fn(move |request| answer(Arc::clone(&books), request));
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                connections.spawn(async move { drop(connection.await) });
            }
        });
        Self {
            address,
            books,
            accepting,
        }
    }

    /// Methods, paths and queries that came, but for those that only look.
    pub(crate) fn asked(&self) -> Vec<String> {
        let asked = self.books.asked.lock();
        let asked = asked.iter().filter(|line| !line.starts_with("GET "));
        asked.cloned().collect()
    }

    /// Who paid.
    pub(crate) fn owners(&self) -> Vec<String> {
        let payments = self.books.payments.lock();
        payments.iter().map(|(owner, _)| owner.clone()).collect()
    }

    /// What was paid.
    pub(crate) fn payments(&self) -> Vec<Value> {
        let payments = self.books.payments.lock();
        payments
            .iter()
            .map(|(_, payment)| payment.clone())
            .collect()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn answer(
    books: Arc<Books>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let line = format!("{} {}", request.method(), request.uri());
    books.asked.lock().push(line);
    let owner = request.headers().get(header::AUTHORIZATION);
    let owner = owner.map_or("", |owner| owner.to_str().unwrap()).to_owned();
    if books.guarded && owner.is_empty() {
        return Ok(error(StatusCode::UNAUTHORIZED));
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(error(StatusCode::BAD_REQUEST));
    };
    if parts.method == Method::GET && parts.uri.path() == "/payments" {
        return Ok(list(&books, &owner));
    }
    if !parts.uri.path().starts_with("/payments") || parts.method != Method::POST {
        return Ok(error(StatusCode::NOT_FOUND));
    }
    let query = parts.uri.query().unwrap_or_default().to_owned();
    // As a real one: a caller that leaves cancels nothing.
    let paying = tokio::spawn(async move { pay(&books, &owner, &query, &body.to_bytes()).await });
    Ok(paying.await.unwrap())
}

fn list(books: &Books, owner: &str) -> Response<Body> {
    let payments = books.payments.lock();
    let own = payments.iter().filter(|(whose, _)| whose == owner);
    json_answer(
        StatusCode::OK,
        &own.map(|(_, payment)| payment.clone()).collect(),
    )
}

async fn pay(books: &Books, owner: &str, query: &str, body: &[u8]) -> Response<Body> {
    let asked = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(given, _)| *given == name)
            .map(|(_, value)| value)
    };
    if let Some(milliseconds) = asked("slow") {
        sleep(Duration::from_millis(milliseconds.parse().unwrap())).await;
    }
    if let Some(status) = asked("status") {
        return error(status.parse().unwrap());
    }
    let order: Value = serde_json::from_slice(body).unwrap_or_default();
    let Some(amount) = order["amount"].as_u64() else {
        return error(StatusCode::BAD_REQUEST);
    };
    let payment = enter(books, owner, amount);
    in_form(asked("as").unwrap_or_default(), &payment)
}

/// Here money moves.
fn enter(books: &Books, owner: &str, amount: u64) -> Value {
    let mut payments = books.payments.lock();
    let id = format!("pay_{}", payments.len() + 1);
    let payment = json!({ "id": id, "amount": amount });
    payments.push((owner.to_owned(), payment.clone()));
    payment
}

fn in_form(form: &str, payment: &Value) -> Response<Body> {
    let id = payment["id"].as_str().unwrap();
    let mut answer = match form {
        "binary" => whole(
            StatusCode::CREATED,
            [b"\x00\xff\x89PNG", id.as_bytes()].concat(),
        ),
        "empty" => whole(StatusCode::NO_CONTENT, Vec::new()),
        "chunked" => in_chunks(payment.to_string()),
        "large" => whole(StatusCode::CREATED, id.repeat(100_000).into_bytes()),
        _ => json_answer(StatusCode::CREATED, payment),
    };
    let location = HeaderValue::from_str(&format!("/payments/{id}")).unwrap();
    answer.headers_mut().insert(header::LOCATION, location);
    if form == "cookie" {
        let cookie = HeaderValue::from_str(&format!("session={id}")).unwrap();
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    answer
}

fn in_chunks(text: String) -> Response<Body> {
    let (one, two) = text.split_at(text.len() / 2);
    let frames = [one, two].map(|part| Ok(Frame::data(Bytes::from(part.to_owned()))));
    Response::new(BodyExt::boxed(StreamBody::new(futures_util::stream::iter(
        frames,
    ))))
}

fn whole(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let mut answer = Response::new(Full::new(Bytes::from(body)).boxed());
    *answer.status_mut() = status;
    answer
}

fn error(status: StatusCode) -> Response<Body> {
    json_answer(status, &json!({ "error": status.as_u16() }))
}

fn json_answer(status: StatusCode, body: &Value) -> Response<Body> {
    let mut answer = whole(status, body.to_string().into_bytes());
    let kind = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}
