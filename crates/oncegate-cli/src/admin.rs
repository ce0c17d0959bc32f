//! The admin listener: liveness, readiness, metrics, and a way out for unknown keys.
//!
//! | endpoint | what |
//! |---|---|
//! | `GET /live` | 200 while the process runs |
//! | `GET /ready` | 200 if the store answers and no drain has begun, else 503 |
//! | `GET /metrics` | Prometheus' text format |
//! | `GET /keys?state=&key_digest=&after=&limit=` | records, as JSON |
//! | `GET /keys/{id}` | one record |
//! | `POST /keys/{id}/resolve` | "this was the outcome": `{"status": 201, "headers": {..}, "body": ".."}` |
//! | `POST /keys/{id}/release` | "it was not executed": the key is free |
//! | `POST /purge` | one full round of the purge |
//!
//! It asks for no credential: whoever reaches it may settle keys. So it listens on loopback by default, and a
//! browser is kept from it: writes need a JSON content type, and any request a host that is no foreign name.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use oncegate::clock::Timestamp;
use oncegate::engine::Settled;
use oncegate::hash::RecordId;
use oncegate::record::{Phase, Record, RecordState, Retention};
use oncegate::store::{Cursor, Filter, Inspect, Settlement};
use oncegate::{Policy, StoreError, StoredResponse};
use oncegate_tower::Oncegate;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::live::LiveRoutes;
use crate::metrics::Metrics;
use crate::proxy::ServerBody;
use crate::routes::Routes;

/// What the admin listener looks at.
#[derive(Debug)]
pub struct Admin {
    /// The engine and the executions.
    pub oncegate: Oncegate,
    /// The store, for listing.
    pub store: Arc<dyn Inspect>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The routes, which say how long a resolved outcome is kept.
    pub routes: Arc<LiveRoutes>,
    /// Cancelled when a drain begins.
    pub stopping: CancellationToken,
}

/// The service of the admin listener.
#[derive(Clone, Debug)]
pub struct AdminService(Arc<Admin>);

/// A record as people and scripts see it. Shared with the `keys` command.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct KeyView {
    /// Where it is found; what the other commands take.
    pub id: String,
    /// `in-flight`, `unknown`, `completed` or `expired`.
    pub state: String,
    /// Short digest of the key, as logs show it.
    pub key_digest: String,
    /// Method and path of the request.
    pub operation: String,
    /// The number that went to the upstream.
    pub fence: u64,
    /// Seconds since the first request.
    pub age_seconds: u64,
    /// Seconds until it expires.
    pub expires_in_seconds: u64,
    /// The stored answer, without its body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<ResponseView>,
}

/// A stored answer, without its body.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ResponseView {
    /// Its status.
    pub status: u16,
    /// Whether the body was kept.
    pub kept: bool,
    /// The size of the body.
    pub body_bytes: usize,
}

/// A list of records.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct KeysPage {
    /// The records.
    pub keys: Vec<KeyView>,
    /// Where the list goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// "This was the outcome."
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Resolution {
    /// The status to replay.
    pub status: u16,
    /// The headers to replay.
    #[serde(default)]
    pub headers: std::collections::BTreeMap<String, String>,
    /// The body to replay.
    #[serde(default)]
    pub body: String,
}

type Answer = Response<Full<Bytes>>;

impl AdminService {
    /// Serves `admin`.
    #[must_use]
    pub fn new(admin: Admin) -> Self {
        Self(Arc::new(admin))
    }
}

impl tower_service::Service<Request<ServerBody>> for AdminService {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ServerBody>) -> Self::Future {
        let admin = Arc::clone(&self.0);
        Box::pin(async move { Ok(admin.answer(request).await.unwrap_or_else(refuse)) })
    }
}

/// A refusal: a status and a sentence.
type Refused = (StatusCode, String);

impl Admin {
    async fn answer(&self, request: Request<ServerBody>) -> Result<Answer, Refused> {
        check_host(request.headers())?;
        let path = request.uri().path().to_owned();
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        if request.method() == Method::POST {
            check_json(request.headers())?;
            return match segments.as_slice() {
                ["keys", id, "resolve"] => self.resolve(parse_id(id)?, request).await,
                ["keys", id, "release"] => {
                    self.settle(parse_id(id)?, Settlement::NotExecuted).await
                }
                ["purge"] => self.purge().await,
                _ => Err(not_found()),
            };
        }
        if request.method() != Method::GET {
            return Err((
                StatusCode::METHOD_NOT_ALLOWED,
                "only GET and POST".to_owned(),
            ));
        }
        match segments.as_slice() {
            ["live"] => Ok(text("live\n")),
            ["ready"] => self.ready().await,
            ["metrics"] => Ok(text(self.metrics.render(self.oncegate.running()))),
            ["keys"] => self.list(request.uri()).await,
            ["keys", id] => self.show(parse_id(id)?).await,
            _ => Err(not_found()),
        }
    }

    async fn ready(&self) -> Result<Answer, Refused> {
        if self.stopping.is_cancelled() {
            return Err((StatusCode::SERVICE_UNAVAILABLE, "draining".to_owned()));
        }
        match timeout(READY_TIMEOUT, self.store.ping()).await {
            Ok(Ok(_pong)) => Ok(text("ready\n")),
            Ok(Err(error)) => Err(store_failed(error)),
            Err(_elapsed) => Err((
                StatusCode::SERVICE_UNAVAILABLE,
                "the store does not answer".to_owned(),
            )),
        }
    }

    async fn list(&self, uri: &Uri) -> Result<Answer, Refused> {
        let query = Query(uri.query().unwrap_or_default());
        let phase = query.get("state").map(parse_phase).transpose()?;
        let key_digest = match query.get("key_digest") {
            Some(text) => Some(
                text.parse()
                    .map_err(|_source| bad("key_digest is 16 hex digits"))?,
            ),
            None => None,
        };
        let limit = match query.get("limit") {
            Some(text) => text
                .parse::<usize>()
                .map_err(|_source| bad("limit is a number"))?,
            None => LIST_DEFAULT,
        };
        let after = query.get("after").map(|text| Cursor(text.to_owned()));
        let listed = self
            .store
            .list(
                Filter { phase, key_digest },
                after,
                limit.clamp(1, LIST_MAX),
            )
            .await
            .map_err(store_failed)?;
        let keys = listed
            .value
            .records
            .iter()
            .map(|record| view(record, listed.at))
            .collect();
        Ok(json_answer(&KeysPage {
            keys,
            next: listed.value.next.map(|cursor| cursor.0),
        }))
    }

    async fn show(&self, id: RecordId) -> Result<Answer, Refused> {
        let seen = self
            .oncegate
            .engine()
            .look(id)
            .await
            .map_err(store_failed)?;
        let record = seen.value.ok_or_else(no_record)?;
        Ok(json_answer(&view(&record, seen.at)))
    }

    async fn resolve(&self, id: RecordId, request: Request<ServerBody>) -> Result<Answer, Refused> {
        let body = Limited::new(request.into_body(), RESOLUTION_BYTES_MAX)
            .collect()
            .await;
        let body = body
            .map_err(|_source| bad("the resolution is not whole, or too large"))?
            .to_bytes();
        let resolution: Resolution =
            serde_json::from_slice(&body).map_err(|error| bad(error.to_string()))?;
        let response = stored(&resolution)?;
        self.settle(
            id,
            Settlement::Completed {
                response,
                retention: settled_retention(&self.routes.now()),
            },
        )
        .await
    }

    async fn settle(&self, id: RecordId, settlement: Settlement) -> Result<Answer, Refused> {
        let settled = self
            .oncegate
            .engine()
            .settle(id, settlement)
            .await
            .map_err(store_failed)?;
        match settled {
            Settled::Done => {
                tracing::info!(record = %id, "an operator settled an unknown key");
                Ok(json_answer(&json!({ "settled": id.to_string() })))
            }
            Settled::Absent => Err(no_record()),
            Settled::NotUnknown(phase) => Err((
                StatusCode::CONFLICT,
                format!(
                    "only an unknown key can be settled; this one is {}",
                    phase.name()
                ),
            )),
            Settled::Changed => Err((
                StatusCode::CONFLICT,
                "it changed meanwhile: look again".to_owned(),
            )),
        }
    }

    async fn purge(&self) -> Result<Answer, Refused> {
        let (mut removed, mut stripped) = (0, 0);
        for _ in 0..PURGE_STEPS_MAX {
            let step = self
                .oncegate
                .engine()
                .purge(PURGE_RECORDS)
                .await
                .map_err(store_failed)?;
            removed += step.removed;
            stripped += step.stripped;
            if step.finished {
                break;
            }
        }
        Ok(json_answer(
            &json!({ "removed": removed, "stripped": stripped }),
        ))
    }
}

fn view(record: &Record, now: Timestamp) -> KeyView {
    let response = match &record.state {
        RecordState::Completed { response, .. } => {
            response.parts().ok().map(|parts| ResponseView {
                status: parts.status.as_u16(),
                kept: parts.kept,
                body_bytes: parts.body.len(),
            })
        }
        RecordState::InFlight { .. } | RecordState::Unknown { .. } | RecordState::Expired => None,
    };
    KeyView {
        id: record.id.to_string(),
        state: record.phase(now).name().to_owned(),
        key_digest: record.about.key_digest.to_string(),
        operation: record.about.operation.to_string(),
        fence: record.fence.number(),
        age_seconds: now.since(record.created_at).as_secs(),
        expires_in_seconds: record.expires_at.since(now).as_secs(),
        response,
    }
}

/// How long an operator's word is kept: as long as any route keeps an outcome. The record does not say which route it
/// came from, and too long is the safe side.
fn settled_retention(routes: &Routes) -> Retention {
    let policies = || routes.policies().map(Policy::completed);
    Retention {
        live: policies().map(|kept| kept.live).max().unwrap_or_default(),
        tombstone: policies()
            .map(|kept| kept.tombstone)
            .max()
            .unwrap_or_default(),
    }
}

fn stored(resolution: &Resolution) -> Result<StoredResponse, Refused> {
    let status = StatusCode::from_u16(resolution.status)
        .ok()
        .filter(|status| (200..600).contains(&status.as_u16()))
        .ok_or_else(|| bad("status is 200 to 599"))?;
    let mut headers = HeaderMap::new();
    for (name, value) in &resolution.headers {
        let name =
            HeaderName::try_from(name).map_err(|_source| bad(format!("no header name: {name}")))?;
        let value =
            HeaderValue::try_from(value).map_err(|_source| bad(format!("no value for {name}")))?;
        headers.append(name, value);
    }
    Ok(StoredResponse::kept(
        status,
        &headers,
        None,
        resolution.body.as_bytes(),
        &HeaderMap::new(),
    ))
}

/// A page on the web can send requests here, under a name that it points at this machine: only an address or
/// `localhost` is let in.
fn check_host(headers: &HeaderMap) -> Result<(), Refused> {
    let host = headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    if host.is_empty() || name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    Err((
        StatusCode::MISDIRECTED_REQUEST,
        "ask by address, or as localhost".to_owned(),
    ))
}

/// A page on the web cannot send JSON across origins without being allowed to.
fn check_json(headers: &HeaderMap) -> Result<(), Refused> {
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if content_type.is_some_and(|value| value.starts_with(b"application/json")) {
        return Ok(());
    }
    Err((
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "writes need `Content-Type: application/json`".to_owned(),
    ))
}

/// A query whose values need no decoding: digits, hex and our own words.
struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.0
            .split('&')
            .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))
            .map(|(_, value)| value)
    }
}

fn parse_id(text: &str) -> Result<RecordId, Refused> {
    text.parse()
        .map_err(|_source| bad("an id is 64 hex digits"))
}

fn parse_phase(text: &str) -> Result<Phase, Refused> {
    [
        Phase::InFlight,
        Phase::Unknown,
        Phase::Completed,
        Phase::Expired,
    ]
    .into_iter()
    .find(|phase| phase.name() == text)
    .ok_or_else(|| bad("state is in-flight, unknown, completed or expired"))
}

fn text(body: impl Into<Bytes>) -> Answer {
    answer(StatusCode::OK, "text/plain; charset=utf-8", body)
}

fn json_answer(value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => answer(StatusCode::OK, "application/json", body),
        Err(error) => refuse((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

fn refuse((status, sentence): Refused) -> Answer {
    answer(status, "text/plain; charset=utf-8", format!("{sentence}\n"))
}

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

fn bad(sentence: impl Into<String>) -> Refused {
    (StatusCode::BAD_REQUEST, sentence.into())
}

fn not_found() -> Refused {
    (StatusCode::NOT_FOUND, "no such endpoint".to_owned())
}

fn no_record() -> Refused {
    (StatusCode::NOT_FOUND, "no record has this id".to_owned())
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "maps an error that nobody else needs"
)]
fn store_failed(error: StoreError) -> Refused {
    tracing::error!(
        error = &error as &dyn std::error::Error,
        "the store could not answer an operator"
    );
    (StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

const READY_TIMEOUT: Duration = Duration::from_secs(1);
const LIST_DEFAULT: usize = 100;
const LIST_MAX: usize = 1_000;
const RESOLUTION_BYTES_MAX: usize = 1024 * 1024;
const PURGE_RECORDS: usize = 1_000;
const PURGE_STEPS_MAX: usize = 1_000_000;
