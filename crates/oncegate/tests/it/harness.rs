//! What the tests of this binary share: an executor, a bench with an engine on it, and requests.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; clippy knows only the tests themselves"
)]

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};
use oncegate::clock::{ManualClock, Timestamp};
use oncegate::fingerprint::{Fingerprint, FingerprintRules};
use oncegate::key::{IdempotencyKey, KeyRules};
use oncegate::policy::{OnUnknown, StoreDown};
use oncegate::record::{About, Record};
use oncegate::scope::{Scope, ScopeRules};
use oncegate::store::Update;
use oncegate::testing::{CountingStore, FaultyStore};
use oncegate::{
    BeginRequest, Claim, Engine, EngineError, MEMORY_BYTES_MAX, MemoryStore, Policy, Replay,
    StoredResponse, Verdict,
};

/// Runs a future to its end on this thread. Time of tokio plays no part: the store has its own clock.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime starts").block_on(future)
}

/// An engine over a counting, faulty memory store, and the hand on its clock.
pub(crate) struct Bench {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) faulty: Arc<FaultyStore>,
    pub(crate) counting: Arc<CountingStore>,
    pub(crate) engine: Engine,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(ManualClock::at(START));
        let memory = MemoryStore::with(clock.clone(), MEMORY_BYTES_MAX);
        let faulty = Arc::new(FaultyStore::new(Arc::new(memory)));
        let counting = Arc::new(CountingStore::new(faulty.clone()));
        let engine = Engine::open(counting.clone(), None).await.unwrap();
        counting.take_round_trips();
        Self {
            clock,
            faulty,
            counting,
            engine,
        }
    }

    /// A request to pay, as one attempt of one client: a new owner each time.
    pub(crate) fn request(&self, key: &str, body: &str) -> BeginRequest {
        request(&self.engine, key, body)
    }

    pub(crate) async fn begin(&self, key: &str, body: &str) -> Verdict {
        self.begin_under(key, body, &Policy::default()).await
    }

    pub(crate) async fn begin_under(&self, key: &str, body: &str, policy: &Policy) -> Verdict {
        self.engine
            .begin(&self.request(key, body), policy)
            .await
            .unwrap()
    }

    pub(crate) async fn begin_fails(&self, request: &BeginRequest) -> EngineError {
        self.engine
            .begin(request, &Policy::default())
            .await
            .unwrap_err()
    }

    pub(crate) async fn claim(&self, key: &str, body: &str) -> Claim {
        execute(self.begin(key, body).await)
    }

    /// Begins, executes and completes.
    pub(crate) async fn complete(&self, key: &str, body: &str, answer: &str) {
        let claim = self.claim(key, body).await;
        applied(end(claim, answer).await);
    }

    pub(crate) async fn record(&self, key: &str) -> Option<Record> {
        let id = self.request(key, "").id;
        self.engine.look(id).await.unwrap().value
    }
}

pub(crate) fn request(engine: &Engine, key: &str, body: &str) -> BeginRequest {
    let key = IdempotencyKey::parse(key.as_bytes(), &KeyRules::default()).unwrap();
    let scope = Scope::resolve(&HeaderMap::new(), &ScopeRules::default()).unwrap();
    let about = About::new(key.digest(), &Method::POST, "/payments");
    BeginRequest::new(
        engine.record_id(&scope, &key),
        fingerprint(engine, body),
        about,
    )
}

fn fingerprint(engine: &Engine, body: &str) -> Fingerprint {
    let (parts, ()) = http::Request::post("/payments")
        .body(())
        .unwrap()
        .into_parts();
    let mut fingerprinter = engine.fingerprinter(&parts, &FingerprintRules::default());
    fingerprinter.update(body.as_bytes());
    fingerprinter.finish()
}

pub(crate) fn response(body: &str) -> StoredResponse {
    let none = HeaderMap::new();
    StoredResponse::kept(StatusCode::CREATED, &none, None, body.as_bytes(), &none)
}

/// Completes with `answer` over a store that works.
pub(crate) async fn end(claim: Claim, answer: &str) -> Update {
    let kept = Policy::default().completed();
    claim.complete(response(answer), kept).await.unwrap().value
}

#[track_caller]
pub(crate) fn applied(update: Update) -> Option<Record> {
    match update {
        Update::Applied(record) => record,
        Update::Refused(stands) => panic!("refused; there stands {stands:?}"),
    }
}

#[track_caller]
pub(crate) fn refused(update: Update) -> Option<Record> {
    match update {
        Update::Refused(stands) => stands,
        Update::Applied(record) => panic!("applied: {record:?}"),
    }
}

#[track_caller]
pub(crate) fn execute(verdict: Verdict) -> Claim {
    match verdict {
        Verdict::Execute(claim) => claim,
        Verdict::Bypass(_)
        | Verdict::Replay(_)
        | Verdict::InFlight(_)
        | Verdict::Unknown(_)
        | Verdict::Mismatch
        | Verdict::Expired => panic!("no claim: {verdict:?}"),
    }
}

#[track_caller]
pub(crate) fn replay(verdict: Verdict) -> Replay {
    match verdict {
        Verdict::Replay(replay) => *replay,
        Verdict::Execute(_)
        | Verdict::Bypass(_)
        | Verdict::InFlight(_)
        | Verdict::Unknown(_)
        | Verdict::Mismatch
        | Verdict::Expired => panic!("no replay: {verdict:?}"),
    }
}

pub(crate) fn reexecute() -> Policy {
    Policy {
        on_unknown: OnUnknown::Reexecute,
        ..Policy::default()
    }
}

pub(crate) fn bypassing() -> Policy {
    Policy {
        store_down: StoreDown::Execute,
        ..Policy::default()
    }
}

/// Some day in November 2026.
pub(crate) const START: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);
