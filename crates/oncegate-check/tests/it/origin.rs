//! A payments API with idempotency keys, in memory: right in everything, but for one defect that a test asks for.
//!
//! It is written for these tests, from the contract, and shares no code with what it is checked by.

use std::collections::{HashMap, HashSet};
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

mod answers;
mod callers;
pub(crate) mod journal;
mod list;

use journal::Journal;
use list::Payment;

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
    /// A replay has another content type.
    OtherType,
    /// It takes two equal requests without a key for one.
    KeylessOnce,
    /// It looks at the key of a `GET`.
    KeyedGet,
    /// It stores a body as text.
    LossyText,
    /// It replays nothing as `null`.
    EmptyAsNull,
    /// It stores the first chunk.
    FirstChunk,
    /// It stores so much of a body, and no more.
    CutBody,
    /// It replays cookies.
    OldCookie,
    /// It replays what was for one connection.
    HopByHop,
    /// It replays the date.
    OldDate,
    /// It compares the framing of requests.
    ComparesFraming,
    /// It forgets the key when the caller leaves, and runs on.
    ForgetsTheLeft,
    /// It stops when the caller leaves, and keeps the claim.
    StopsWithCaller,
    /// It runs what it has of a body.
    RunsHalf,
    /// It claims the key before the body is there, and keeps the claim.
    ClaimsBeforeBody,
    /// It stores what was sent of an answer when the caller left.
    KeepsHalfAnswers,
    /// It breaks when many wait for one key.
    CrowdBreaks,
    /// It holds duplicates, and does not compare them.
    HoldsAny,
    /// It says that the first is running before it compares.
    ConflictFirst,
    /// It stores the refusal of a duplicate.
    KeepsRefusal,
    /// It has its keys in memory only.
    ForgetsAtRestart,
    /// It takes up again what had not ended.
    RunsAgainAfterCrash,
    /// It waits for what ran when it died.
    WaitsForTheDead,
    /// It is slow once, whatever is asked of it then.
    SlowOnce,
    /// Its list has places for so many; it answers without ids.
    FullPage,
    /// Its list sees payments late; it answers without ids.
    LateList,
    /// Others pay at the same time; it answers without ids.
    BusyList,
    /// One other pays once; it answers without ids.
    OneStranger,
    /// One other pays once, between two cases; it answers without ids.
    StrangerBetween,
    /// It answers without ids, and does not know keys.
    Blind,
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
        let server = tokio::spawn(serve(listener, defect, None));
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

/// Serves until it is dropped; with a journal, it begins where the last one ended.
pub(crate) async fn serve(listener: TcpListener, defect: Defect, journal: Option<Journal>) {
    let books = journal
        .as_ref()
        .map(|journal| journal.books(defect))
        .unwrap_or_default();
    let api = Arc::new(Api {
        defect,
        books: Arc::new(Mutex::new(books)),
        journal,
    });
    let router = Router::new().fallback(handle).with_state(api);
    axum::serve(listener, router).await.unwrap();
}

struct Api {
    defect: Defect,
    books: Arc<Mutex<Books>>,
    journal: Option<Journal>,
}

/// The credentials and the key of a request.
type Id = (String, String);

#[derive(Default)]
struct Books {
    payments: Vec<Payment>,
    records: HashMap<Id, Record>,
    /// Whether it has been slow.
    was_slow: bool,
    /// How often the list was looked at.
    looks: usize,
    /// Keys whose callers left.
    left: HashSet<Id>,
}

struct Record {
    fingerprint: Vec<u8>,
    /// `None`: in flight.
    outcome: Option<Outcome>,
    /// How many duplicates came while it was in flight.
    crowd: usize,
}

#[derive(Clone)]
struct Outcome {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

async fn handle(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let early = callers::claim_early(&api, &parts);
    match to_bytes(body, BODY_BYTES_MAX).await {
        Ok(body) => callers::answer(api, parts, body, early).await,
        Err(_) => callers::half(&api),
    }
}

impl Api {
    async fn answer(&self, parts: &Parts, body: Bytes) -> Response {
        if parts.method == Method::GET && self.defect != Defect::KeyedGet {
            return self.list();
        }
        let key = match key(parts) {
            Ok(Some(key)) if !matches!(self.defect, Defect::NoKeys | Defect::Blind) => key,
            Ok(None) if self.defect == Defect::KeylessOnce => "none".to_owned(),
            Ok(None) if parts.method == Method::GET => return self.list(),
            Ok(_) => return answers::fresh(parts, &self.pay(parts, &body).await),
            Err(NoKey) => return problem(StatusCode::BAD_REQUEST, "this is no key"),
        };
        self.once((scope(parts), key), parts, &body).await
    }

    async fn once(&self, id: Id, parts: &Parts, body: &Bytes) -> Response {
        let fingerprint = fingerprint(self.defect, parts, body);
        if self.defect == Defect::HoldsAny {
            self.hold(&id).await;
        }
        if let Some(answer) = self.judge(&id, &fingerprint) {
            return answer;
        }
        self.note(|journal| journal.claimed(&id));
        let outcome = self.pay(parts, body).await;
        let stored = answers::stored(self.defect, parts, &outcome);
        self.note(|journal| journal.completed(&id, &fingerprint, &stored));
        self.complete(&id, fingerprint, stored);
        if self.defect == Defect::KeepsHalfAnswers && outcome.body.len() > answers::SMALL {
            return answers::piecemeal(Arc::clone(&self.books), id, &outcome);
        }
        answers::fresh(parts, &outcome)
    }

    fn complete(&self, id: &Id, fingerprint: Vec<u8>, outcome: Outcome) {
        let mut books = self.books.lock();
        let refused = |record: &Record| record.outcome.is_some();
        if self.defect == Defect::KeepsRefusal && books.records.get(id).is_some_and(refused) {
            return;
        }
        if outcome.status.is_server_error() {
            books.records.remove(id);
            return;
        }
        let record = Record {
            fingerprint,
            outcome: Some(outcome),
            crowd: 0,
        };
        books.records.insert(id.clone(), record);
    }

    /// What a record says; without one, the key is claimed.
    fn judge(&self, id: &Id, fingerprint: &[u8]) -> Option<Response> {
        let mut books = self.books.lock();
        if books.records.contains_key(id) && books.left.remove(id) {
            books.records.remove(id);
        }
        let Some(record) = books.records.get_mut(id) else {
            if self.defect != Defect::CheckThenSet {
                let record = Record::claimed(fingerprint.to_vec());
                books.records.insert(id.clone(), record);
            }
            return None;
        };
        if self.defect == Defect::ConflictFirst && record.outcome.is_none() {
            return Some(self.in_flight());
        }
        let compares = !matches!(self.defect, Defect::IgnoresBody | Defect::HoldsAny);
        if compares && !record.fingerprint.is_empty() && record.fingerprint != fingerprint {
            let status = if self.defect == Defect::VagueMismatch {
                StatusCode::BAD_REQUEST
            } else {
                StatusCode::UNPROCESSABLE_ENTITY
            };
            return Some(problem(status, "this key was used with another request"));
        }
        match &record.outcome {
            Some(outcome) => Some(self.replay(outcome)),
            None => Some(self.duplicate(record)),
        }
    }

    fn duplicate(&self, record: &mut Record) -> Response {
        record.crowd += 1;
        if self.defect == Defect::CrowdBreaks && record.crowd > CROWD {
            return problem(StatusCode::INTERNAL_SERVER_ERROR, "no lock to be had");
        }
        if self.defect == Defect::KeepsRefusal {
            let refusal = json!({"title": "the first request is still running"});
            record.outcome = Some(outcome(StatusCode::CONFLICT, &refusal));
        }
        self.in_flight()
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
        if self.defect == Defect::OtherType {
            let text = HeaderValue::from_static("text/plain");
            outcome.headers.insert(header::CONTENT_TYPE, text);
        }
        response(&outcome, self.defect != Defect::Unmarked)
    }

    /// The operation.
    async fn pay(&self, parts: &Parts, body: &Bytes) -> Outcome {
        let query = parts.uri.query().unwrap_or_default();
        let order: Value = serde_json::from_slice(body).unwrap_or_default();
        let Some(amount) = order["amount"].as_u64() else {
            return outcome(
                StatusCode::BAD_REQUEST,
                &json!({"error": "amount is a number"}),
            );
        };
        if self.defect == Defect::RunsAgainAfterCrash {
            let payment = self.book(amount);
            self.work(query).await;
            return answers::outcome(self.defect, query, &payment);
        }
        self.work(query).await;
        let payment = self.book(amount);
        answers::outcome(self.defect, query, &payment)
    }

    /// Whatever it was asked, it takes as long as the query says.
    async fn work(&self, query: &str) {
        let mut slow = query.strip_prefix("slow=");
        if self.defect == Defect::SlowOnce && slow.is_some() && self.is_tired() {
            slow = None;
        }
        let usual = if matches!(self.defect, Defect::CrowdBreaks | Defect::ForgetsTheLeft) {
            // Long enough for a crowd to gather, and for a caller to be gone.
            300
        } else {
            // As a database would take: long enough for two requests at once to meet.
            5
        };
        let milliseconds = slow.map_or(usual, |milliseconds| milliseconds.parse().unwrap());
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }

    /// From the second time on.
    fn is_tired(&self) -> bool {
        std::mem::replace(&mut self.books.lock().was_slow, true)
    }

    fn book(&self, amount: u64) -> Value {
        let mut books = self.books.lock();
        let id = format!("pay_{}", books.payments.len() + 1);
        let payment = json!({"id": id, "amount": amount});
        books.payments.push(Payment::new(payment.clone()));
        list::strangers(self.defect, &mut books);
        drop(books);
        self.note(|journal| journal.paid(&payment));
        payment
    }

    fn note(&self, write: impl FnOnce(&Journal)) {
        if let Some(journal) = &self.journal {
            write(journal);
        }
    }
}

impl Record {
    fn claimed(fingerprint: Vec<u8>) -> Self {
        Self {
            fingerprint,
            outcome: None,
            crowd: 0,
        }
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

/// Whom a key belongs to: the credentials.
fn scope(parts: &Parts) -> String {
    let line = parts.headers.get(header::AUTHORIZATION);
    let bytes = line.map(HeaderValue::as_bytes).unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

/// JSON is compared as a value, everything else as bytes.
fn fingerprint(defect: Defect, parts: &Parts, body: &Bytes) -> Vec<u8> {
    let framing = match parts.headers.get(header::TRANSFER_ENCODING) {
        Some(coding) if defect == Defect::ComparesFraming => coding.as_bytes(),
        Some(_) | None => b"",
    };
    let body = match serde_json::from_slice::<Value>(body) {
        Ok(value) => value.to_string().into_bytes(),
        Err(_) => body.to_vec(),
    };
    [
        format!("{} {}\n", parts.method, parts.uri).into_bytes(),
        framing.to_vec(),
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
/// So many duplicates are borne by an origin that breaks when many wait.
const CROWD: usize = 3;
