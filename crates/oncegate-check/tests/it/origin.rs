//! A payments API with idempotency keys, in memory: right in everything, but for one defect that a test asks for.
//!
//! It is written for these tests, from the contract, and shares no code with what it is checked by.

use std::collections::{HashMap, HashSet};
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
use tokio::time::Instant;

mod accent;
mod answers;
mod callers;
pub(crate) mod journal;
mod keys;
mod list;
mod records;
mod washing;
mod words;

pub(crate) use accent::Accent;
use journal::Journal;
use keys::NoKey;
use list::Payment;
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
    /// It takes an empty line for none.
    EmptyIsNone,
    /// It takes a key that is too long for none.
    LongIsNone,
    /// It cuts keys that are too long.
    CutsKeys,
    /// It cuts keys that it takes.
    CutsPermittedKeys,
    /// It forgets keys within a second.
    ForgetsSoon,
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
    /// It documents a header for keys that it does not look at.
    DocumentsAnotherHeader,
    /// Its published policy has no version that is known.
    NoVersion,
    /// It is not wrong, and speaks as others do.
    Speaks(Accent),
    /// It tells a mismatch by a status that says nothing.
    VagueMismatch,
    /// It tells a duplicate in flight by a status that says nothing.
    VagueInFlight,
    /// It breaks on a duplicate in flight.
    BreaksInFlight,
    /// It replays what was done as a conflict.
    ReplaysAsConflict,
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
    let listener = Washing {
        listener,
        washes: defect == Defect::MalformedIsNone,
    };
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
    last_success: Option<Outcome>,
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
    made_at: Instant,
}

#[derive(Clone)]
struct Outcome {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

async fn handle(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let (asked, defect) = (parts.headers.clone(), api.defect);
    let early = callers::claim_early(&api, &parts);
    let mut answer = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(body) => {
            parts.extensions.insert(Trailers(body.trailers().cloned()));
            callers::answer(api, parts, body.to_bytes(), early).await
        }
        Err(_) => callers::half(&api),
    };
    words::finish(&mut answer, &asked, defect);
    answer
}

/// What stood behind the body.
#[derive(Clone)]
struct Trailers(Option<HeaderMap>);

impl Api {
    async fn answer(&self, parts: &Parts, body: Bytes) -> Response {
        let reads = parts.method == Method::GET;
        if reads && self.defect != Defect::KeyedGet {
            return self.show(parts);
        }
        if principal(parts).is_empty() && !self.looks_later() {
            return self.refuse(words::UNAUTHORIZED);
        }
        let requires_key = parts.uri.path() == "/orders" && self.defect != Defect::ForgivesMissing;
        let key = match keys::key(parts, self.defect) {
            Ok(Some(key)) if !matches!(self.defect, Defect::NoKeys | Defect::Blind) => key,
            Ok(None) if self.defect == Defect::KeylessOnce => "none".to_owned(),
            Ok(None) if reads => return self.show(parts),
            Ok(None) if requires_key => return self.refuse(words::MISSING),
            Ok(_) => return answers::fresh(parts, &self.pay(parts, &body).await),
            Err(NoKey) => return self.refuse(words::MALFORMED),
        };
        self.once(self.id(parts, key), parts, &body).await
    }

    /// Whether credentials are looked at when everything else is done.
    fn looks_later(&self) -> bool {
        matches!(self.defect, Defect::RecordFirst | Defect::KeepsUnauthorized)
    }

    fn show(&self, parts: &Parts) -> Response {
        let path = parts.uri.path();
        if path != "/.well-known/idempotency" {
            return self.list();
        }
        if matches!(self.defect, Defect::Speaks(_)) {
            return response(&failure(StatusCode::NOT_FOUND));
        }
        json_answer(StatusCode::OK, &words::discovery(self.defect))
    }

    fn refuse(&self, refusal: Refusal) -> Response {
        refusal.answer(self.defect)
    }

    /// Whose key it is.
    fn id(&self, parts: &Parts, key: String) -> Id {
        let scope = if self.defect == Defect::OneScope || self.looks_later() {
            String::new()
        } else if self.defect == Defect::ScopesByPath {
            parts.uri.path().to_owned()
        } else {
            principal(parts)
        };
        (scope, key)
    }

    /// The operation. It fails as the query says.
    async fn pay(&self, parts: &Parts, body: &Bytes) -> Outcome {
        if principal(parts).is_empty() {
            return failure(words::UNAUTHORIZED.status);
        }
        let query = parts.uri.query().unwrap_or_default();
        if let Some(status) = query.strip_prefix("fail=") {
            return failure(StatusCode::from_bytes(status.as_bytes()).unwrap());
        }
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
            made_at: Instant::now(),
        }
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
