//! A payments API with idempotency keys, in memory: right in everything, but for one defect that a test asks for.
//!
//! It is written for these tests, from the contract, and shares no code with what it is checked by.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use http_body_util::{BodyExt, Limited};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

mod accent;
mod keys;
mod washing;
mod words;

pub(crate) use accent::Accent;
use keys::NoKey;
use washing::Washing;
use words::Refusal;

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
    /// It takes an empty line for none.
    EmptyIsNone,
    /// It takes a key that is too long for none.
    LongIsNone,
    /// It cuts keys that are too long.
    CutsKeys,
    /// It takes one byte less than it should.
    ShortKeys,
    /// It takes what it cannot parse for none.
    MalformedIsNone,
    /// It takes two lines for none.
    TwoLinesAreNone,
    /// It takes whatever it gets for a key.
    AnythingIsKey,
    /// It takes quotes for a part of the key.
    QuotesAreKey,
    /// It takes parameters for a part of the key.
    ParametersAreKey,
    /// It compares keys without case.
    FoldsCase,
    /// It reads keys from trailers.
    TrailerIsKey,
    /// It takes requests without the key that it requires.
    ForgivesMissing,
    /// It does not repeat the key.
    NoEcho,
    /// It does not say what became of a request.
    NoStatus,
    /// It does not compare bodies, and answers from the record.
    IgnoresBody,
    /// It compares the first part of bodies.
    ComparesHeads,
    /// It compares JSON as bytes.
    ComparesBytes,
    /// It does not compare queries.
    IgnoresQuery,
    /// It does not compare paths.
    IgnoresPath,
    /// It does not compare methods.
    IgnoresMethod,
    /// It has a record for each spelling of a path.
    ScopesByPath,
    /// It compares bytes, and runs what differs as a new request.
    RunsOtherBytes,
    /// It forgets the record after a mismatch.
    MismatchForgets,
    /// Its refusals are no problem documents.
    NoProblems,
    /// Its refusals advise what is wrong.
    NoAdvice,
    /// It finds records by the key alone.
    OneScope,
    /// It answers from records before it looks at credentials.
    RecordFirst,
    /// It refuses keys that somebody else has used.
    ForeignKeys,
    /// It keeps the 401 of a request without credentials.
    KeepsUnauthorized,
    /// It completes the record of a failure with the last success.
    MixesUp,
    /// It leaves the key in flight after a failure.
    Stuck,
    /// It keeps server errors.
    KeepsServerErrors,
    /// It does not keep what was refused for what it says.
    ReleasesRefusals,
    /// It keeps 429.
    KeepsRateLimits,
    /// It documents another policy than it has.
    DocumentsLie,
    /// Its published policy has no version that is known.
    NoVersion,
    /// It is not wrong, and speaks as others do.
    Speaks(Accent),
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
        let listener = Washing {
            listener,
            washes: defect == Defect::MalformedIsNone,
        };
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
    last_success: Option<Outcome>,
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
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        return json_answer(StatusCode::BAD_REQUEST, &json!({"error": "no whole body"}));
    };
    let trailers = body.trailers().cloned();
    let body = body.to_bytes();
    // A caller that leaves cancels nothing.
    tokio::spawn(async move {
        let mut answer = api.answer(&parts, trailers.as_ref(), &body).await;
        words::finish(&mut answer, &parts.headers, api.defect);
        answer
    })
    .await
    .unwrap()
}

impl Api {
    async fn answer(&self, parts: &Parts, trailers: Option<&HeaderMap>, body: &Bytes) -> Response {
        if parts.method == Method::GET {
            return self.show(parts);
        }
        let unauthorized = !parts.headers.contains_key(header::AUTHORIZATION);
        let looks_later = matches!(self.defect, Defect::RecordFirst | Defect::KeepsUnauthorized);
        if unauthorized && !looks_later {
            return self.refuse(words::UNAUTHORIZED);
        }
        let requires_key = parts.uri.path() == "/orders" && self.defect != Defect::ForgivesMissing;
        match keys::key(&parts.headers, trailers, self.defect) {
            Ok(Some(key)) if self.defect != Defect::NoKeys => {
                self.once(self.id(parts, key), parts, body).await
            }
            Ok(None) if requires_key => self.refuse(words::MISSING),
            Ok(_) => response(&self.pay(parts, body).await),
            Err(NoKey) => self.refuse(words::MALFORMED),
        }
    }

    fn show(&self, parts: &Parts) -> Response {
        if parts.uri.path() == "/.well-known/idempotency" {
            if matches!(self.defect, Defect::Speaks(_)) {
                return response(&failure(StatusCode::NOT_FOUND));
            }
            return json_answer(StatusCode::OK, &words::discovery(self.defect));
        }
        let payments = self.books.lock().payments.clone();
        json_answer(StatusCode::OK, &Value::from(payments))
    }

    fn refuse(&self, refusal: Refusal) -> Response {
        refusal.answer(self.defect)
    }

    /// Whose key it is.
    fn id(&self, parts: &Parts, key: String) -> (String, String) {
        let has_one_scope = matches!(
            self.defect,
            Defect::OneScope | Defect::RecordFirst | Defect::KeepsUnauthorized
        );
        let scope = if has_one_scope {
            String::new()
        } else if self.defect == Defect::ScopesByPath {
            parts.uri.path().to_owned()
        } else {
            principal(parts)
        };
        (scope, key)
    }

    async fn once(&self, id: (String, String), parts: &Parts, body: &Bytes) -> Response {
        let fingerprint = self.fingerprint(parts, body);
        if let Some(answer) = self.judge(&id, &fingerprint) {
            return answer;
        }
        let outcome = self.pay(parts, body).await;
        let mut books = self.books.lock();
        let kept = if self.keeps(outcome.status) {
            Some(outcome.clone())
        } else if self.defect == Defect::MixesUp {
            books.last_success.clone()
        } else {
            None
        };
        if outcome.status.is_success() {
            books.last_success = Some(outcome.clone());
        }
        let is_kept = kept.is_some();
        if is_kept {
            let record = Record {
                fingerprint,
                outcome: kept,
            };
            books.records.insert(id, record);
        } else if self.defect != Defect::Stuck {
            books.records.remove(&id);
        }
        drop(books);
        let mut answer = response(&outcome);
        words::tell(&mut answer, if is_kept { "executed" } else { "released" });
        answer
    }

    /// Which outcomes stay with the key.
    fn keeps(&self, status: StatusCode) -> bool {
        match status.as_u16() {
            401 => self.defect == Defect::KeepsUnauthorized,
            429 => self.defect == Defect::KeepsRateLimits,
            400..=499 => self.defect != Defect::ReleasesRefusals,
            500.. => self.defect == Defect::KeepsServerErrors,
            _ => true,
        }
    }

    /// What a record says; without one, the key is claimed.
    fn judge(&self, id: &(String, String), fingerprint: &[u8]) -> Option<Response> {
        let mut books = self.books.lock();
        let has_key = |(scope, key): &(String, String)| *key == id.1 && *scope != id.0;
        if self.defect == Defect::ForeignKeys && books.records.keys().any(has_key) {
            return Some(self.refuse(words::FOREIGN));
        }
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
            if self.defect == Defect::RunsOtherBytes {
                return None;
            }
            if self.defect == Defect::MismatchForgets {
                books.records.remove(id);
            }
            return Some(self.mismatch());
        }
        match &record.outcome {
            Some(outcome) => Some(self.replay(outcome)),
            None => Some(self.in_flight()),
        }
    }

    fn mismatch(&self) -> Response {
        let mut refusal = words::MISMATCH;
        if self.defect == Defect::VagueMismatch {
            refusal.status = StatusCode::BAD_REQUEST;
        }
        self.refuse(refusal)
    }

    /// JSON is compared as a value, everything else as bytes.
    fn fingerprint(&self, parts: &Parts, body: &Bytes) -> Vec<u8> {
        let unless = |defect: Defect, part: &str| {
            if self.defect == defect {
                String::new()
            } else {
                part.to_owned()
            }
        };
        let head = [
            unless(Defect::IgnoresMethod, parts.method.as_str()),
            unless(Defect::IgnoresPath, parts.uri.path()),
            unless(Defect::IgnoresQuery, parts.uri.query().unwrap_or_default()),
        ];
        let compares_bytes = matches!(self.defect, Defect::ComparesBytes | Defect::RunsOtherBytes);
        let body = match serde_json::from_slice::<Value>(body) {
            _ if self.defect == Defect::ComparesHeads => body[..body.len().min(1024)].to_vec(),
            Ok(value) if !compares_bytes => value.to_string().into_bytes(),
            Ok(_) | Err(_) => body.to_vec(),
        };
        [head.join("\n").into_bytes(), body].concat()
    }

    fn in_flight(&self) -> Response {
        let mut refusal = words::IN_FLIGHT;
        if self.defect == Defect::VagueInFlight {
            refusal.status = StatusCode::BAD_REQUEST;
        }
        let mut answer = self.refuse(refusal);
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
        let mut answer = response(&outcome);
        words::tell(&mut answer, "replayed");
        if self.defect != Defect::Unmarked {
            let marker = HeaderValue::from_static("true");
            answer.headers_mut().insert("idempotent-replayed", marker);
        }
        answer
    }

    /// The operation. Whatever it was asked, it takes as long as the query says, and fails as the query says.
    async fn pay(&self, parts: &Parts, body: &Bytes) -> Outcome {
        if principal(parts).is_empty() {
            return failure(words::UNAUTHORIZED.status);
        }
        let query = parts.uri.query().unwrap_or_default();
        if let Some(status) = query.strip_prefix("fail=") {
            return failure(StatusCode::from_bytes(status.as_bytes()).unwrap());
        }
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

/// Who asks.
fn principal(parts: &Parts) -> String {
    let line = parts.headers.get(header::AUTHORIZATION);
    let line = line.map(HeaderValue::as_bytes).unwrap_or_default();
    String::from_utf8_lossy(line).into_owned()
}

fn failure(status: StatusCode) -> Outcome {
    outcome(status, &json!({"error": status.as_u16()}))
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
    response(&outcome(status, body))
}

fn response(outcome: &Outcome) -> Response {
    let mut response = Response::new(Body::from(outcome.body.clone()));
    *response.status_mut() = outcome.status;
    *response.headers_mut() = outcome.headers.clone();
    response
}

const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
