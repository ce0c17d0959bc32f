//! A payments API with idempotency keys, in memory: right in everything, but for one defect that a test asks for.
//!
//! It is written for these tests, from the contract, and shares no code with what it is checked by.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What an origin does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    /// Nothing.
    None,
    /// It does not know keys at all.
    NoKeys,
    /// It looks the key up, runs, and stores it then: no claim.
    CheckThenSet,
    /// A replay has another status.
    OtherStatus,
    /// A replay is serialised anew.
    OtherBytes,
    /// A replay lacks `Location`.
    NoLocation,
    /// A replay is not marked.
    Unmarked,
    /// It does not compare bodies, and answers from the record.
    IgnoresBody,
    /// It tells a mismatch by a status that says nothing.
    VagueMismatch,
    /// It tells a duplicate in flight by a status that says nothing.
    VagueInFlight,
    /// It does not say when to come back.
    NoRetryAfter,
}

/// A running origin.
#[derive(Debug)]
pub(crate) struct Origin {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Origin {
    pub(crate) async fn start(defect: Defect) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let api = Arc::new(Api {
            defect,
            books: Mutex::default(),
        });
        let router = Router::new().fallback(handle).with_state(api);
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, server }
    }

    pub(crate) fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Api {
    defect: Defect,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    payments: Vec<Value>,
    records: HashMap<(String, String), Record>,
}

struct Record {
    fingerprint: Vec<u8>,
    /// `None`: in flight.
    outcome: Option<Outcome>,
}

#[derive(Clone)]
struct Outcome {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

async fn handle(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return problem(StatusCode::BAD_REQUEST, "no whole body");
    };
    // A caller that leaves cancels nothing.
    tokio::spawn(async move { api.answer(&parts, body).await })
        .await
        .unwrap()
}

impl Api {
    async fn answer(&self, parts: &Parts, body: Bytes) -> Response {
        if parts.method == Method::GET {
            let payments = self.books.lock().payments.clone();
            return json_answer(StatusCode::OK, &Value::from(payments));
        }
        let key = match key(parts) {
            Ok(Some(key)) if self.defect != Defect::NoKeys => key,
            Ok(_) => return response(&self.pay(parts, &body).await, false),
            Err(NoKey) => return problem(StatusCode::BAD_REQUEST, "this is no key"),
        };
        let scope = parts
            .headers
            .get(header::AUTHORIZATION)
            .map(HeaderValue::as_bytes);
        let id = (
            String::from_utf8_lossy(scope.unwrap_or_default()).into_owned(),
            key,
        );
        self.once(id, parts, &body).await
    }

    async fn once(&self, id: (String, String), parts: &Parts, body: &Bytes) -> Response {
        let fingerprint = fingerprint(parts, body);
        if let Some(answer) = self.judge(&id, &fingerprint) {
            return answer;
        }
        let outcome = self.pay(parts, body).await;
        let mut books = self.books.lock();
        let stored = (!outcome.status.is_server_error()).then(|| outcome.clone());
        match stored {
            Some(outcome) => {
                let record = Record {
                    fingerprint,
                    outcome: Some(outcome),
                };
                books.records.insert(id, record);
            }
            None => drop(books.records.remove(&id)),
        }
        drop(books);
        response(&outcome, false)
    }

    /// What a record says; without one, the key is claimed.
    fn judge(&self, id: &(String, String), fingerprint: &[u8]) -> Option<Response> {
        let mut books = self.books.lock();
        let Some(record) = books.records.get(id) else {
            if self.defect != Defect::CheckThenSet {
                let record = Record {
                    fingerprint: fingerprint.to_vec(),
                    outcome: None,
                };
                books.records.insert(id.clone(), record);
            }
            return None;
        };
        if record.fingerprint != fingerprint && self.defect != Defect::IgnoresBody {
            let status = if self.defect == Defect::VagueMismatch {
                StatusCode::BAD_REQUEST
            } else {
                StatusCode::UNPROCESSABLE_ENTITY
            };
            return Some(problem(status, "this key was used with another request"));
        }
        match &record.outcome {
            Some(outcome) => Some(self.replay(outcome)),
            None => Some(self.in_flight()),
        }
    }

    fn in_flight(&self) -> Response {
        let status = if self.defect == Defect::VagueInFlight {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::CONFLICT
        };
        let mut answer = problem(status, "the first request is still running");
        if self.defect != Defect::NoRetryAfter {
            answer
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }

    fn replay(&self, outcome: &Outcome) -> Response {
        let mut outcome = outcome.clone();
        if self.defect == Defect::OtherStatus {
            outcome.status = StatusCode::OK;
        }
        if self.defect == Defect::OtherBytes {
            let value: Value = serde_json::from_slice(&outcome.body).unwrap();
            outcome.body = serde_json::to_string_pretty(&value).unwrap().into();
        }
        if self.defect == Defect::NoLocation {
            outcome.headers.remove(header::LOCATION);
        }
        response(&outcome, self.defect != Defect::Unmarked)
    }

    /// The operation. Whatever it was asked, it takes as long as the query says.
    async fn pay(&self, parts: &Parts, body: &Bytes) -> Outcome {
        let query = parts.uri.query().unwrap_or_default();
        if let Some(milliseconds) = query.strip_prefix("slow=") {
            tokio::time::sleep(Duration::from_millis(milliseconds.parse().unwrap())).await;
        } else {
            // As a database would take: long enough for two requests at once to meet.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let order: Value = serde_json::from_slice(body).unwrap_or_default();
        let Some(amount) = order["amount"].as_u64() else {
            return outcome(
                StatusCode::BAD_REQUEST,
                &json!({"error": "amount is a number"}),
            );
        };
        let mut books = self.books.lock();
        let id = format!("pay_{}", books.payments.len() + 1);
        let payment = json!({"id": id, "amount": amount});
        books.payments.push(payment.clone());
        let mut outcome = outcome(StatusCode::CREATED, &payment);
        let location = HeaderValue::from_str(&format!("/payments/{id}")).unwrap();
        outcome.headers.insert(header::LOCATION, location);
        outcome
    }
}

/// A key line that holds no key.
struct NoKey;

/// The key, if there is one.
fn key(parts: &Parts) -> Result<Option<String>, NoKey> {
    let mut lines = parts.headers.get_all("idempotency-key").iter();
    let Some(line) = lines.next() else {
        return Ok(None);
    };
    if lines.next().is_some() {
        return Err(NoKey);
    }
    let text = line.to_str().map_err(|_| NoKey)?;
    let key = match text.strip_prefix('"') {
        Some(rest) => {
            let (key, parameters) = rest.split_once('"').ok_or(NoKey)?;
            if !parameters.is_empty() && !parameters.starts_with(';') {
                return Err(NoKey);
            }
            key
        }
        None => text,
    };
    let bare = |letter: char| letter.is_ascii_graphic() && !"\",;\\".contains(letter);
    if key.is_empty() || key.len() > 255 || !key.chars().all(bare) {
        return Err(NoKey);
    }
    Ok(Some(key.to_owned()))
}

/// JSON is compared as a value, everything else as bytes.
fn fingerprint(parts: &Parts, body: &Bytes) -> Vec<u8> {
    let body = match serde_json::from_slice::<Value>(body) {
        Ok(value) => value.to_string().into_bytes(),
        Err(_) => body.to_vec(),
    };
    [
        format!("{} {}\n", parts.method, parts.uri).into_bytes(),
        body,
    ]
    .concat()
}

fn outcome(status: StatusCode, body: &Value) -> Outcome {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    Outcome {
        status,
        headers,
        body: body.to_string().into(),
    }
}

fn json_answer(status: StatusCode, body: &Value) -> Response {
    response(&outcome(status, body), false)
}

fn problem(status: StatusCode, title: &str) -> Response {
    let body = json!({"type": "about:blank", "title": title, "status": status.as_u16()});
    let mut answer = json_answer(status, &body);
    let kind = HeaderValue::from_static("application/problem+json");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

fn response(outcome: &Outcome, replayed: bool) -> Response {
    let mut response = Response::new(Body::from(outcome.body.clone()));
    *response.status_mut() = outcome.status;
    *response.headers_mut() = outcome.headers.clone();
    if replayed {
        let marker = HeaderValue::from_static("true");
        response.headers_mut().insert("idempotent-replayed", marker);
    }
    response
}

const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
