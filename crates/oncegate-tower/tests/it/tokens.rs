//! Scopes by a verified claim: who verifies, when, and what becomes of a request whose token is not believed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Request;
use http::request::Parts;
use oncegate::Policy;
use oncegate::claims::{ClaimValue, VerifiedClaims};
use oncegate::scope::{Anonymous, ScopeRules};
use oncegate_tower::{Body, Settings, TokenError, TokenVerifier};

use crate::handler::Handler;
use crate::harness::{Bench, Setup, pay, unkeyed, with_header};

/// Believes `Bearer NAME/ANYTHING`, and refuses what starts with `expired`.
#[derive(Debug, Default)]
struct ByName(AtomicUsize);

impl TokenVerifier for ByName {
    fn verify(&self, request: &Parts) -> Result<Option<VerifiedClaims>, TokenError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let Some(value) = request.headers.get("authorization") else {
            return Ok(None);
        };
        let token = value.to_str().unwrap().strip_prefix("Bearer ");
        let (name, _) = token.and_then(|token| token.split_once('/')).unwrap();
        if name == "expired" {
            return Err(TokenError::new("the token has expired"));
        }
        let sub = ClaimValue::Text(name.to_owned());
        Ok(Some(VerifiedClaims::by(None).with("sub", sub)))
    }
}

fn bearer(token: &str) -> Request<Body> {
    with_header(pay("k"), "authorization", &format!("Bearer {token}"))
}

fn by_claim(claim: &str) -> Policy {
    Policy {
        scope: ScopeRules {
            sources: vec![claim.parse().unwrap()],
            anonymous: Anonymous::Allow,
            ..ScopeRules::default()
        },
        ..Policy::default()
    }
}

async fn bench(claim: &str) -> (Bench, Arc<ByName>) {
    let verifier = Arc::new(ByName::default());
    let mut settings = Settings::default();
    settings.token_verifier = Some(verifier.clone());
    let setup = Setup {
        policy: by_claim(claim),
        settings,
        ..Setup::default()
    };
    (setup.bench(Handler::paying()).await, verifier)
}

/// M-33: a verified claim survives a refresh of the token, and two principals with one key never meet.
#[tokio::test(start_paused = true)]
async fn a_claim_survives_a_refresh_of_its_token() {
    let (bench, _) = bench("jwt:sub").await;
    bench.send(bearer("alice/1")).await.is_executed("payment 1");
    bench.send(bearer("alice/2")).await.is_replayed("payment 1");
    bench.send(bearer("bob/1")).await.is_executed("payment 2");
    bench.send(pay("k")).await.is_executed("payment 3");
    bench.send(bearer("alice/3")).await.is_replayed("payment 1");
}

/// M-35: a token that is refused costs no step of the store, runs nothing, and is told what is wrong; the same key
/// with a fresh token then goes on where it was.
#[tokio::test(start_paused = true)]
async fn a_token_that_is_not_believed_is_refused_before_the_store_is_asked() {
    let (bench, _) = bench("jwt:sub").await;
    let refused = bench.send(bearer("expired/1")).await;
    refused.is_refused(401, "scope-missing");
    assert_eq!(
        refused.header("www-authenticate"),
        Some("Bearer realm=\"idempotency\", error=\"invalid_token\"")
    );
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("the token has expired. "), "{detail}");
    assert_eq!(
        (bench.handler.calls(), bench.counting.round_trips()),
        (0, 0)
    );
    bench.send(bearer("alice/1")).await.is_executed("payment 1");
}

/// M-35: without a verifier, and without the claim, nobody is believed.
#[tokio::test(start_paused = true)]
async fn an_unverified_claim_is_no_scope() {
    let unverified = Bench::under(by_claim("jwt:sub"), Handler::paying()).await;
    let (without_claim, _) = bench("jwt:tenant").await;
    for bench in [unverified, without_claim] {
        let refused = bench.send(bearer("alice/1")).await;
        refused.is_refused(401, "scope-missing");
        assert_eq!(
            (bench.handler.calls(), bench.counting.round_trips()),
            (0, 0)
        );
        bench.send(pay("k")).await.is_executed("payment 1");
    }
}

/// M-07: where no key is sent nobody needs to know who it is; nor is a token verified where no claim is a scope.
#[tokio::test(start_paused = true)]
async fn a_token_is_verified_only_where_a_claim_is_the_scope_of_a_key() {
    let (by_claim, verifier) = bench("jwt:sub").await;
    let unkeyed = with_header(unkeyed(), "authorization", "Bearer expired/1");
    assert_eq!(by_claim.send(unkeyed).await.text(), "payment 1");
    let (by_header, other) = bench("header:authorization").await;
    by_header
        .send(bearer("expired/1"))
        .await
        .is_executed("payment 1");
    assert_eq!(
        (
            verifier.0.load(Ordering::SeqCst),
            other.0.load(Ordering::SeqCst)
        ),
        (0, 0)
    );
}
