//! The engine over the memory store, without HTTP.

use std::hint::black_box;
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use oncegate::fingerprint::{Fingerprint, FingerprintRules};
use oncegate::key::{IdempotencyKey, KeyRules};
use oncegate::record::About;
use oncegate::scope::{Scope, ScopeRules};
use oncegate::{BeginRequest, Claim, Engine, MemoryStore, Policy, StoredResponse, Verdict};

/// A small payment, as in every other figure.
pub const SMALL: &str = r#"{"amount":5000,"currency":"EUR","reference":"order-100123"}"#;
/// What every handler answers.
pub const RECEIPT: &str = r#"{"id":"pay_1001234","amount":5000,"status":"succeeded"}"#;

/// A claim on a new key, and its completion.
pub fn begin_complete(times: u32) {
    block_on(async {
        let engine = engine().await;
        for number in 0..times {
            let claim = claimed(begin(&engine, number).await);
            let retention = Policy::default().completed();
            let ended = claim.complete(response(), retention).await;
            black_box(ended.expect("the memory store does not fail"));
        }
    });
}

/// A replay of a stored response.
pub fn replay(times: u32) {
    block_on(async {
        let engine = engine().await;
        let claim = claimed(begin(&engine, 0).await);
        let retention = Policy::default().completed();
        let ended = claim.complete(response(), retention).await;
        ended.expect("the memory store does not fail");
        for _ in 0..times {
            let verdict = begin(&engine, 0).await;
            assert!(matches!(verdict, Verdict::Replay(_)), "it is replayed");
            drop(black_box(verdict));
        }
    });
}

/// The fingerprint of a small payment.
pub fn fingerprint_small(times: u32) {
    fingerprints(times, SMALL.as_bytes());
}

/// The fingerprint of an order of many lines.
pub fn fingerprint_large(times: u32) {
    let line = r#"{"sku":"A-000001","quantity":3,"price":"12.50","note":"two to a box"}"#;
    let lines = vec![line; LARGE_BYTES / (line.len() + 1)].join(",");
    fingerprints(times, format!(r#"{{"lines":[{lines}]}}"#).as_bytes());
}

pub fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime starts").block_on(future)
}

pub async fn engine() -> Engine {
    let opened = Engine::open(Arc::new(MemoryStore::new()), Some(b"a secret of the bench")).await;
    opened.expect("the memory store does not fail")
}

fn fingerprints(times: u32, body: &[u8]) {
    block_on(async {
        let engine = engine().await;
        for _ in 0..times {
            black_box(fingerprint(&engine, black_box(body)));
        }
    });
}

async fn begin(engine: &Engine, number: u32) -> Verdict {
    let key = format!("5f2b8c1e-9d4a-4e6f-8a3b-{number:012x}");
    let key = IdempotencyKey::parse(key.as_bytes(), &KeyRules::default()).expect("a key");
    let scope = Scope::resolve(&HeaderMap::new(), &ScopeRules::default()).expect("a scope");
    let about = About::new(key.digest(), &Method::POST, "/payments");
    let id = engine.record_id(&scope, &key);
    let request = BeginRequest::new(id, fingerprint(engine, SMALL.as_bytes()), about);
    let begun = engine.begin(&request, &Policy::default()).await;
    begun.expect("the memory store does not fail")
}

fn fingerprint(engine: &Engine, body: &[u8]) -> Fingerprint {
    let mut request = Request::post("/payments").body(()).expect("a request");
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(CONTENT_TYPE, json);
    let (parts, ()) = request.into_parts();
    let mut fingerprinter = engine.fingerprinter(&parts, &FingerprintRules::default());
    fingerprinter.update(body);
    fingerprinter.finish()
}

fn claimed(verdict: Verdict) -> Claim {
    let Verdict::Execute(claim) = verdict else {
        panic!("a new key is claimed");
    };
    claim
}

fn response() -> StoredResponse {
    let none = HeaderMap::new();
    StoredResponse::kept(StatusCode::CREATED, &none, None, RECEIPT.as_bytes(), &none)
}

const LARGE_BYTES: usize = 100_000;
