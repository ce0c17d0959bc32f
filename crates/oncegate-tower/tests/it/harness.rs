//! What the tests of this binary share: a layer over a faulty store whose clock they hold, requests, and answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, response};
use http_body::Body as _;
use http_body_util::BodyExt;
use oncegate::clock::{ManualClock, Timestamp};
use oncegate::key::{IdempotencyKey, KeyRules};
use oncegate::problem::{Executed, PROBLEM_BASE};
use oncegate::record::{Phase, Record};
use oncegate::scope::Scope;
use oncegate::testing::{CountingStore, FaultyStore};
use oncegate::{Engine, MEMORY_BYTES_MAX, MemoryStore, Policy, ProblemKind, Store};
use oncegate_tower::{Body, Oncegate, OncegateService, Settings};
use tokio::task::JoinHandle;
use tower_layer::Layer;
use tower_service::Service;

use crate::handler::{Handler, HandlerError};

/// What a bench is made of, where it is not the usual.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) policy: Policy,
    pub(crate) settings: Settings,
    pub(crate) bytes_max: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            settings: Settings::default(),
            bytes_max: MEMORY_BYTES_MAX,
        }
    }
}

/// A layer around a handler, over a counting, faulty memory store, and the hand on its clock.
#[derive(Clone)]
pub(crate) struct Bench {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) faulty: Arc<FaultyStore>,
    pub(crate) counting: Arc<CountingStore>,
    pub(crate) oncegate: Oncegate,
    pub(crate) service: OncegateService<Handler>,
    pub(crate) handler: Handler,
    pub(crate) policy: Policy,
}

impl Setup {
    pub(crate) async fn bench(self, handler: Handler) -> Bench {
        let clock = Arc::new(ManualClock::at(START));
        let memory = MemoryStore::with(clock.clone(), self.bytes_max);
        let faulty = Arc::new(FaultyStore::new(Arc::new(memory)));
        let counting = Arc::new(CountingStore::new(faulty.clone()));
        let engine = Engine::open(counting.clone(), None).await.unwrap();
        counting.take_round_trips();
        let oncegate = Oncegate::with(engine, self.settings);
        Bench {
            clock,
            faulty,
            counting,
            service: oncegate.layer(self.policy.clone()).layer(handler.clone()),
            oncegate,
            handler,
            policy: self.policy,
        }
    }
}

impl Bench {
    pub(crate) async fn new(handler: Handler) -> Self {
        Setup::default().bench(handler).await
    }

    pub(crate) async fn under(policy: Policy, handler: Handler) -> Self {
        let setup = Setup {
            policy,
            ..Setup::default()
        };
        setup.bench(handler).await
    }

    /// Another process over the same store, with an engine of its own, around the same handler.
    pub(crate) async fn beside(&self, policy: Policy) -> Self {
        self.over(self.counting.clone(), policy).await
    }

    /// The same handler behind a layer over another store.
    pub(crate) async fn over(&self, store: Arc<dyn Store>, policy: Policy) -> Self {
        let engine = Engine::open(store, None).await.unwrap();
        let oncegate = Oncegate::new(engine);
        Self {
            service: oncegate.layer(policy.clone()).layer(self.handler.clone()),
            oncegate,
            policy,
            ..self.clone()
        }
    }

    /// Calls the service and reads its answer to the end.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        self.try_send(request).await.unwrap()
    }

    pub(crate) async fn try_send(&self, request: Request<Body>) -> Result<Answer, HandlerError> {
        Ok(Answer::read(self.head(request).await?).await)
    }

    /// Calls the service, for an answer whose body the test reads itself.
    pub(crate) async fn head(
        &self,
        request: Request<Body>,
    ) -> Result<Response<Body>, HandlerError> {
        let mut service = self.service.clone();
        std::future::poll_fn(|cx| Service::<Request<Body>>::poll_ready(&mut service, cx)).await?;
        service.call(request).await
    }

    /// The same in a task of its own.
    pub(crate) fn start(&self, request: Request<Body>) -> JoinHandle<Answer> {
        let bench = self.clone();
        tokio::spawn(async move { bench.send(request).await })
    }

    /// Lets time pass on both clocks, in small steps, so that every timer fires in its turn.
    pub(crate) async fn pass_time(&self, duration: Duration) {
        let step = (duration / 200).max(Duration::from_millis(50));
        let mut left = duration;
        while !left.is_zero() {
            let by = step.min(left);
            self.clock.advance(by);
            tokio::time::advance(by).await;
            settle().await;
            left -= by;
        }
    }

    /// The record of an anonymous caller's key.
    pub(crate) async fn record(&self, key: &str) -> Option<Record> {
        let key = IdempotencyKey::parse(key.as_bytes(), &KeyRules::default()).unwrap();
        let scope = Scope::resolve(&HeaderMap::new(), &self.policy.scope).unwrap();
        let id = self.oncegate.engine().record_id(&scope, &key);
        self.oncegate.engine().look(id).await.unwrap().value
    }

    /// Where the record of an anonymous caller's key stands.
    pub(crate) async fn phase(&self, key: &str) -> Option<Phase> {
        use oncegate::clock::Clock as _;
        let now = self.clock.now();
        self.record(key).await.map(|record| record.phase(now))
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) parts: response::Parts,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
    /// Whether its body ended cleanly.
    pub(crate) finished: bool,
    /// What the body said of its length before it was read.
    pub(crate) announced: Option<u64>,
}

impl Answer {
    pub(crate) async fn read(response: Response<Body>) -> Self {
        let (parts, mut body) = response.into_parts();
        let announced = body.size_hint().exact();
        let mut bytes = Vec::new();
        let mut trailers = None;
        let mut finished = true;
        while let Some(frame) = body.frame().await {
            match frame.map(http_body::Frame::into_data) {
                Ok(Ok(data)) => bytes.extend_from_slice(&data),
                Ok(Err(frame)) => trailers = frame.into_trailers().ok(),
                Err(_) => finished = false,
            }
        }
        Self {
            parts,
            body: bytes.into(),
            trailers,
            finished,
            announced,
        }
    }

    pub(crate) fn status(&self) -> u16 {
        self.parts.status.as_u16()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let value = self.parts.headers.get(name)?;
        Some(value.to_str().unwrap())
    }

    /// The token of `Idempotency-Status`.
    #[track_caller]
    pub(crate) fn became(&self) -> &str {
        let status = self.header("idempotency-status");
        status
            .expect("every answer to a keyed unsafe request has a status")
            .split(';')
            .next()
            .unwrap()
    }

    /// A parameter of `Idempotency-Status`, as it stands there.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let status = self.header("idempotency-status")?;
        let parameters = status.split(';').skip(1);
        let mut pairs = parameters.filter_map(|parameter| parameter.split_once('='));
        pairs.find(|(found, _)| *found == name).map(|(_, v)| v)
    }

    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.header("retry-after")
            .map(|value| value.parse().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON document")
    }

    /// The slug of a refusal; everything else that a problem has to have is asserted on the way.
    #[track_caller]
    pub(crate) fn slug(&self) -> &'static str {
        self.slug_saying(None)
    }

    /// The same of one that says of the execution what the table does not.
    #[track_caller]
    fn slug_saying(&self, executed: Option<Executed>) -> &'static str {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{} {:?}",
            self.parts.status,
            self.body
        );
        let document = self.json();
        let link = document["type"].as_str().unwrap();
        let slug = link.rsplit('/').next().unwrap();
        let kind = ProblemKind::from_slug(slug).expect("a slug of the table");
        let row = kind.row();
        assert_eq!(link, format!("{PROBLEM_BASE}{slug}"));
        assert_eq!(document["title"], row.title);
        assert_eq!(document["status"], self.status());
        assert!(document["detail"].as_str().unwrap().ends_with(row.detail));
        assert_eq!(
            document["executed"],
            serde_json::to_value(executed.unwrap_or(row.executed)).unwrap()
        );
        assert_eq!(document["next"], serde_json::to_value(row.next).unwrap());
        let described = format!("<{link}>; rel=\"describedby\"");
        assert_eq!(self.header("link"), Some(&*described));
        assert!(matches!(self.became(), "refused" | "unknown"));
        assert_eq!(self.header("idempotent-replayed"), None);
        row.slug
    }

    /// Asserts a refusal of this status and slug.
    #[track_caller]
    pub(crate) fn is_refused(&self, status: u16, slug: &str) {
        assert_eq!((self.status(), self.slug()), (status, slug));
    }

    /// The same of an operation that an earlier request executed, whatever the table says.
    #[track_caller]
    pub(crate) fn is_refused_though_executed(&self, status: u16, slug: &str) {
        let found = self.slug_saying(Some(Executed::Yes));
        assert_eq!((self.status(), found), (status, slug));
    }

    /// Asserts a fresh answer of a recorded execution.
    #[track_caller]
    pub(crate) fn is_executed(&self, body: &str) {
        assert_eq!(self.became(), "executed", "{self:?}");
        assert_eq!(self.header("idempotent-replayed"), None);
        assert_eq!(self.text(), body);
        assert!(self.finished);
    }

    /// Asserts a replay.
    #[track_caller]
    pub(crate) fn is_replayed(&self, body: &str) {
        assert_eq!(self.became(), "replayed", "{self:?}");
        assert_eq!(self.header("idempotent-replayed"), Some("true"));
        assert_eq!(self.text(), body);
        assert!(self.finished);
    }
}

/// A payment under this key, by a caller without credentials.
pub(crate) fn pay(key: &str) -> Request<Body> {
    with_header(unkeyed(), "idempotency-key", key)
}

/// The same payment without a key.
pub(crate) fn unkeyed() -> Request<Body> {
    Request::post("/payments")
        .header("content-type", "application/json")
        .body(Body::whole(PAYMENT))
        .unwrap()
}

/// The same request with one more header line.
pub(crate) fn with_header(mut request: Request<Body>, name: &str, value: &str) -> Request<Body> {
    let name = HeaderName::try_from(name).unwrap();
    let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
    request.headers_mut().append(name, value);
    request
}

/// The same request with another body.
pub(crate) fn with_body(request: Request<Body>, body: impl Into<Bytes>) -> Request<Body> {
    let body = Body::whole(body);
    request.map(|_| body)
}

/// Lets all tasks do what they can without time passing.
pub(crate) async fn settle() {
    for _ in 0..SETTLING_TURNS {
        tokio::task::yield_now().await;
    }
}

/// Seconds, for short.
pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A status of a policy.
pub(crate) fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap()
}

/// More turns than any chain of wake-ups in these tests takes.
const SETTLING_TURNS: usize = 64;

/// Some day in November 2026.
pub(crate) const START: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);

pub(crate) const PAYMENT: &str = r#"{"amount":100,"currency":"EUR"}"#;
