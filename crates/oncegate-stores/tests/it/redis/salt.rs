//! A Redis that lost its salt: no record may be written that no other proxy can compare.

use std::sync::Arc;

use http::{Method, Request};
use oncegate::engine::{BeginRequest, EngineError, Verdict};
use oncegate::fingerprint::{Fingerprint, FingerprintRules};
use oncegate::key::KeyDigest;
use oncegate::record::About;
use oncegate::{Engine, Policy, StoreErrorKind};

use super::server::RedisServer;
use crate::harness::{id, on_threads as block_on};

fn fingerprint(engine: &Engine) -> Fingerprint {
    let (parts, ()) = Request::post("/payments").body(()).unwrap().into_parts();
    engine
        .fingerprinter(&parts, &FingerprintRules::default())
        .finish()
}

fn request(engine: &Engine, number: u64) -> BeginRequest {
    let digest = KeyDigest::from_bytes(number.to_be_bytes());
    let about = About::new(digest, &Method::POST, "/payments");
    BeginRequest::new(id(number), fingerprint(engine), about)
}

async fn begin(engine: &Engine, number: u64) -> Result<Verdict, EngineError> {
    engine
        .begin(&request(engine, number), &Policy::default())
        .await
}

async fn engine(server: &RedisServer) -> Engine {
    Engine::open(Arc::new(server.open().await), None)
        .await
        .unwrap()
}

/// Until the store of `engine` has noticed that its server is another one now.
async fn again(engine: &Engine) {
    for _attempt in 0..ATTEMPTS {
        if engine.store().ping().await.is_ok() {
            return;
        }
    }
    panic!("the store did not connect again");
}

#[test]
fn proxies_of_one_redis_have_one_salt() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let (one, two) = (engine(&server).await, engine(&server).await);
        assert!(matches!(begin(&one, 1).await, Ok(Verdict::Execute(_))));
        assert!(matches!(begin(&two, 1).await, Ok(Verdict::InFlight(_))));
    });
}

/// The one who knows the salt puts it back: records that come after can be compared with those of other proxies.
#[test]
fn a_salt_that_a_redis_forgot_is_put_back_by_those_who_know_it() {
    let mut server = RedisServer::start(&[]);
    block_on(async {
        let old = engine(&server).await;
        let salt = old.store().info().await.unwrap().value.salt;
        server.restart();
        again(&old).await;
        assert!(matches!(begin(&old, 1).await, Ok(Verdict::Execute(_))));
        let new = engine(&server).await;
        assert_eq!(new.store().info().await.unwrap().value.salt, salt);
        assert!(matches!(begin(&new, 1).await, Ok(Verdict::InFlight(_))));
    });
}

/// Nothing is executed under the old salt, and nothing is called a mismatch: one refusal, then all is well.
#[test]
fn a_proxy_that_meets_another_salt_after_a_reconnect_refuses_once_and_goes_on_under_the_new_one() {
    let mut server = RedisServer::start(&[]);
    block_on(async {
        let old = engine(&server).await;
        let under_the_old_salt = request(&old, 2);
        server.restart();
        // A proxy that never knew the old salt comes first.
        let new = engine(&server).await;
        assert!(matches!(begin(&new, 1).await, Ok(Verdict::Execute(_))));
        again(&old).await;

        let Err(EngineError::Store(refused)) = begin(&old, 1).await else {
            panic!("a request under the old salt was judged");
        };
        assert_eq!(refused.kind(), StoreErrorKind::Resalted);
        assert!(matches!(begin(&old, 1).await, Ok(Verdict::InFlight(_))));

        // One that was fingerprinted before and comes only now would leave a record that nobody can compare.
        let late = old.begin(&under_the_old_salt, &Policy::default()).await;
        assert!(matches!(late, Err(EngineError::Incomparable)));
        assert!(matches!(begin(&old, 2).await, Ok(Verdict::Execute(_))));
        assert!(matches!(begin(&new, 2).await, Ok(Verdict::InFlight(_))));
    });
}

/// `FLUSHALL` breaks no connection: the record of another proxy tells, or else the next purge.
#[test]
fn a_proxy_that_meets_a_foreign_record_reads_the_salt_again() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let old = engine(&server).await;
        server.cli(&["flushall"]);
        let new = engine(&server).await;
        assert!(matches!(begin(&new, 1).await, Ok(Verdict::Execute(_))));
        assert!(matches!(
            begin(&old, 1).await,
            Err(EngineError::Incomparable)
        ));
        assert!(matches!(begin(&old, 1).await, Ok(Verdict::InFlight(_))));
    });
}

#[test]
fn a_purge_looks_after_the_salt() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let old = engine(&server).await;
        server.cli(&["flushall"]);
        let _new = engine(&server).await;
        old.store().purge(100).await.unwrap();
        let Err(EngineError::Store(refused)) = begin(&old, 1).await else {
            panic!("a request under the old salt was judged");
        };
        assert_eq!(refused.kind(), StoreErrorKind::Resalted);
        assert!(matches!(begin(&old, 1).await, Ok(Verdict::Execute(_))));
    });
}

const ATTEMPTS: usize = 1_000;
