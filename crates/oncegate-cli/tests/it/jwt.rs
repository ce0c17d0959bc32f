//! Scopes by a claim of a token, against the real binary: who is believed, who is not, and what that costs.
//!
//! The tokens are made by hand, with keys of the test's own: a library would not make the wrong ones.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512,
    RSA_PSS_SHA256, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::harness::{Answer, Proxy, Request, Setup, Stage, pay};

/// M-33: whoever has a token for the same account is the same caller, before a refresh and after it, over a restart
/// too; another subject, and another issuer's subject of the same name, are others.
#[tokio::test]
async fn a_retry_with_a_refreshed_token_replays() {
    let stage = Stage::new().await;
    let proxy = by_secret(&stage).start().await;
    let first = send(&proxy, "k", &hs256(&claims("alice", ""))).await;
    first.must_be_executed();
    let refreshed = hs256(&claims("alice", r#","jti":"2","scope":"more""#));
    send(&proxy, "k", &refreshed).await.must_replay(&first);
    let others = [
        hs256(&claims("bob", "")),
        hs256(&claims("alice", r#","iss":"https://a""#)),
        hs256(&claims("alice", r#","iss":"https://b""#)),
    ];
    for other in &others {
        send(&proxy, "k", other).await.must_be_executed();
    }
    proxy.send(&pay("k")).await.must_be_executed();
    assert_eq!(stage.origin.executions("k"), 5);
    let proxy = proxy.stop().await.start().await;
    send(&proxy, "k", &refreshed).await.must_replay(&first);
    assert_eq!(stage.origin.executions("k"), 5);
}

/// M-33: a retry with an expired token is refused and told to refresh; with a fresh one, the same key replays.
#[tokio::test]
async fn an_expired_token_is_refused_and_a_fresh_one_replays_under_the_same_key() {
    let stage = Stage::new().await;
    let proxy = by_secret(&stage).start().await;
    let first = send(&proxy, "k", &hs256(&claims("alice", ""))).await;
    first.must_be_executed();
    let expired = format!(r#"{{"sub":"alice","exp":{}}}"#, now() - 120);
    let refused = send(&proxy, "k", &hs256(&expired)).await;
    refused.must_be_problem(401, "scope-missing", "no", "fix-request");
    let challenge = refused.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Bearer ") && challenge.contains("error=\"invalid_token\""));
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.contains("expired") && detail.contains("keep the idempotency key"),
        "{detail}"
    );
    let fresh = hs256(&claims("alice", r#","jti":"fresh""#));
    send(&proxy, "k", &fresh).await.must_replay(&first);
    assert_eq!(stage.origin.executions("k"), 1);
}

/// M-35: every algorithm of a key set is verified, and each key selected by its `kid`.
#[tokio::test]
async fn tokens_signed_with_the_keys_of_a_set_are_believed() {
    let stage = Stage::new().await;
    let keys = Keys::new();
    let proxy = by_set(&stage, &keys).start().await;
    let claims = claims("alice", r#","aud":["payments","other"],"iss":"https://id""#);
    let first = send(&proxy, "k", &keys.rs256(&claims)).await;
    first.must_be_executed();
    let same = [
        keys.rsa("RS512", &RSA_PKCS1_SHA512, &claims),
        keys.rsa("PS256", &RSA_PSS_SHA256, &claims),
        keys.ec("ES256", "p256", &claims),
        keys.ec("ES384", "p384", &claims),
        keys.ed25519(&claims),
    ];
    for token in &same {
        send(&proxy, "k", token).await.must_replay(&first);
    }
    assert_eq!(stage.origin.book().len(), 1);
}

/// M-35: forged, broken, foreign and undated tokens. Each is a 401 that ran nothing and touched no record.
#[tokio::test]
async fn no_token_that_should_not_be_believed_is() {
    let stage = Stage::new().await;
    let keys = Keys::new();
    let proxy = by_set(&stage, &keys).log("debug").start().await;
    let good = claims("alice", AUDIENCE);
    let (message, signature) = split(keys.rs256(&good));
    let unsigned = |header: &str| format!("{}.{}.", base64url(header), base64url(&good));
    let hmac_with = |key: &[u8]| hmac_token(r#"{"alg":"HS256","kid":"rsa"}"#, &good, key);
    let dated = |members: &str| keys.rs256(&format!(r#"{{"sub":"alice"{AUDIENCE}{members}}}"#));
    let later = now() + 3_600;
    let mut tokens = vec![
        unsigned(r#"{"alg":"none"}"#),
        unsigned(r#"{"alg":"None"}"#),
        unsigned(r#"{"alg":"nOnE"}"#),
        unsigned(r#"{"alg":""}"#),
        unsigned(r#"{"alg":"RS256","kid":"rsa"}"#),
        // The public key as an HMAC secret, in each form in which it is published.
        hmac_with(keys.rsa_pem().as_bytes()),
        hmac_with(keys.rsa_pem().trim_end().as_bytes()),
        hmac_with(keys.rsa.public_key().as_ref()),
        hmac_with(keys.set().as_bytes()),
        hmac_with(b""),
        // The signature cut off, cut short, another token's, and changed.
        format!("{message}."),
        message.clone(),
        format!("{message}.{}", &signature[..signature.len() - 4]),
        format!(
            "{message}.{}",
            split(keys.rs256(&claims("bob", AUDIENCE))).1
        ),
        format!(
            "{}.{}.{signature}",
            split(message.clone()).0,
            base64url(claims("bob", AUDIENCE))
        ),
        // Another key, another curve, another algorithm than the key is for.
        Keys::new().rs256(&good),
        keys.ec("ES384", "p256", &good),
        keys.ec("ES256", "p384", &good),
        keys.signed(r#"{"alg":"ES256","kid":"rsa"}"#, &good),
        keys.signed(r#"{"alg":"RS256","kid":"p256"}"#, &good),
        // Names of keys that are paths, queries, or nothing.
        keys.signed(r#"{"alg":"RS256","kid":"../../../../dev/null"}"#, &good),
        keys.signed(r#"{"alg":"RS256","kid":"' OR 1=1 --"}"#, &good),
        keys.signed(r#"{"alg":"RS256","kid":["rsa"]}"#, &good),
        keys.signed(r#"{"alg":"RS256","kid":"rsa","crit":["exp"]}"#, &good),
        keys.signed(r#"{"alg":"RS256","kid":"rsa","alg":"none"}"#, &good),
        // A key that the token brings along.
        Keys::new().with_own_key(&good),
        // Times.
        dated(""),
        dated(&format!(r#","exp":{}"#, now() - 120)),
        dated(r#","exp":-1"#),
        dated(&format!(r#","exp":"{later}""#)),
        dated(r#","exp":1e300"#),
        dated(&format!(r#","exp":{later}000"#)),
        dated(&format!(r#","exp":{later},"nbf":{}"#, now() + 600)),
        dated(&format!(r#","exp":{later},"nbf":"0""#)),
        // Claims.
        dated(&format!(r#","exp":{later},"sub":"bob""#)),
        dated(&format!(r#","exp":{later},"s\u0075b":"bob""#)),
        keys.rs256(&format!(r#"{{"exp":{later}{AUDIENCE}}}"#)),
        keys.rs256(&claims("alice", "")),
        keys.rs256(&claims("alice", r#","aud":"other","iss":"https://id""#)),
        keys.rs256(&claims(
            "alice",
            r#","aud":"payments","iss":"https://evil""#,
        )),
        keys.rs256("[]"),
        keys.rs256("no JSON"),
    ];
    for sub in ["\"\"", "null", "true", "1.5", "[\"alice\"]", "{}"] {
        let claims = format!(r#"{{"sub":{sub},"exp":{later}{AUDIENCE}}}"#);
        tokens.push(keys.rs256(&claims));
    }
    for (number, token) in tokens.iter().enumerate() {
        let answer = send(&proxy, "k", token).await;
        assert_eq!(answer.code(), 401, "token {number}: {token}: {answer:?}");
        answer.must_be_problem(401, "scope-missing", "no", "fix-request");
        assert!(answer.header("www-authenticate").is_some());
    }
    let twice = bearer("k", &keys.rs256(&good)).header("Authorization", "Bearer x");
    let long = format!("Bearer {}", "x".repeat(17 * 1024));
    for request in [
        twice,
        pay("k").header("Authorization", &long),
        pay("k").header("Authorization", "Basic YWxpY2U6"),
        pay("k").header("Authorization", ""),
        bearer("k", &keys.rs256(&good)).header("Cookie", "session=1"),
    ] {
        let answer = proxy.send(&request).await;
        answer.must_be_problem(401, "scope-missing", "no", "fix-request");
    }
    assert!(stage.origin.book().is_empty(), "{:?}", stage.origin.book());
    let kept = proxy.keys(&["list", "--json"]).await.stdout;
    assert!(!kept.contains("/payments"), "{kept}");
    // And the same key with a token that is right is new.
    let first = send(&proxy, "k", &keys.rs256(&good)).await;
    first.must_be_executed();
    // M-37: nothing of a token, and nobody's name, is in the log.
    let logged = proxy.logged();
    assert!(logged.contains("\"level\":\"DEBUG\""));
    for secret in [&*message, &*signature, &*base64url(&good), "alice"] {
        assert!(!logged.contains(secret), "{secret} is in the log");
    }
}

/// M-34: what is no token is no way around: another credential is uncovered, and none at all is anonymous or refused.
#[tokio::test]
async fn without_a_token_the_rules_for_anonymous_requests_hold() {
    let stage = Stage::new().await;
    let proxy = by_secret(&stage).set("anonymous=refuse").start().await;
    let refused = proxy.send(&pay("k")).await;
    refused.must_be_problem(401, "scope-missing", "no", "fix-request");
    assert!(refused.text().contains("jwt:sub"));
    let api_key = proxy.send(&pay("k").header("X-Api-Key", "a")).await;
    api_key.must_be_problem(401, "scope-missing", "no", "fix-request");
    assert!(stage.origin.book().is_empty());
    send(&proxy, "k", &hs256(&claims("alice", "")))
        .await
        .must_be_executed();
}

/// A key that is taken out of the set is believed no longer once the set is read again; its tokens' records stay.
#[tokio::test]
async fn a_reload_exchanges_the_keys_that_tokens_are_verified_with() {
    let stage = Stage::new().await;
    let (old, new) = (Keys::new(), Keys::new());
    let proxy = by_set(&stage, &old).start().await;
    let claims = claims("alice", AUDIENCE);
    let first = send(&proxy, "k", &old.rs256(&claims)).await;
    first.must_be_executed();
    let unknown = send(&proxy, "k", &new.rs256(&claims)).await;
    unknown.must_be_problem(401, "scope-missing", "no", "fix-request");
    stage.write("jwks.json", &new.set());
    assert!(proxy.reload().await, "{}", proxy.logged());
    let withdrawn = send(&proxy, "k", &old.rs256(&claims)).await;
    withdrawn.must_be_problem(401, "scope-missing", "no", "fix-request");
    send(&proxy, "k", &new.rs256(&claims))
        .await
        .must_replay(&first);
    assert_eq!(stage.origin.executions("k"), 1);
}

fn by_secret(stage: &Stage) -> Setup {
    let secret = stage.write("jwt-secret", &format!("{SECRET}\n"));
    let setup = stage.proxy().set("scope=jwt:sub");
    setup.set(&format!("jwt_secret_file={}", secret.display()))
}

fn by_set(stage: &Stage, keys: &Keys) -> Setup {
    let set = stage.write("jwks.json", &keys.set());
    let setup = stage.proxy().set("scope=jwt:sub");
    setup
        .set(&format!("jwt_jwks_file={}", set.display()))
        .set("jwt_issuer=https://id")
        .set("jwt_audience=payments")
}

fn bearer(key: &str, token: &str) -> Request {
    pay(key).header("Authorization", &format!("Bearer {token}"))
}

async fn send(proxy: &Proxy, key: &str, token: &str) -> Answer {
    proxy.send(&bearer(key, token)).await
}

/// Claims of a token for this subject that is valid for an hour.
fn claims(sub: &str, more: &str) -> String {
    format!(r#"{{"sub":"{sub}","exp":{}{more}}}"#, now() + 3_600)
}

fn hs256(claims: &str) -> String {
    hmac_token(r#"{"alg":"HS256","typ":"JWT"}"#, claims, SECRET.as_bytes())
}

fn hmac_token(header: &str, claims: &str, key: &[u8]) -> String {
    let message = format!("{}.{}", base64url(header), base64url(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let signature = hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", base64url(signature))
}

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What stands before the last dot, and what behind it.
fn split(token: String) -> (String, String) {
    let (message, signature) = token.rsplit_once('.').unwrap();
    (message.to_owned(), signature.to_owned())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a token is stamped with the time of day, as its issuer would"
)]
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_secs()
}

/// An issuer's keys, one of each kind.
struct Keys {
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

impl Keys {
    fn new() -> Self {
        let ec =
            |algorithm: &'static EcdsaSigningAlgorithm| EcdsaKeyPair::generate(algorithm).unwrap();
        Self {
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            p256: ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
            p384: ec(&ECDSA_P384_SHA384_FIXED_SIGNING),
            ed25519: Ed25519KeyPair::generate().unwrap(),
        }
    }

    /// What the issuer publishes.
    fn set(&self) -> String {
        let ec = |kid, curve, key: &EcdsaKeyPair| {
            let point = key.public_key().as_ref();
            let (x, y) = point[1..].split_at(point.len() / 2);
            let (x, y) = (base64url(x), base64url(y));
            format!(r#"{{"kty":"EC","kid":"{kid}","crv":"{curve}","x":"{x}","y":"{y}"}}"#)
        };
        let ed = base64url(self.ed25519.public_key());
        format!(
            r#"{{"keys":[{},{},{},{{"kty":"OKP","kid":"ed","crv":"Ed25519","x":"{ed}"}}]}}"#,
            self.rsa_jwk(),
            ec("p256", "P-256", &self.p256),
            ec("p384", "P-384", &self.p384),
        )
    }

    fn rsa_jwk(&self) -> String {
        let public = RsaPublicKeyComponents::<Vec<u8>>::from(self.rsa.public_key());
        let (n, e) = (base64url(public.n), base64url(public.e));
        format!(r#"{{"kty":"RSA","kid":"rsa","use":"sig","n":"{n}","e":"{e}"}}"#)
    }

    fn rsa_pem(&self) -> String {
        let der = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(self.rsa.public_key());
        let text = STANDARD.encode(der.unwrap().as_ref());
        let lines: Vec<&str> = (0..text.len().div_ceil(64))
            .map(|line| &text[line * 64..text.len().min(line * 64 + 64)])
            .collect();
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            lines.join("\n")
        )
    }

    fn rs256(&self, claims: &str) -> String {
        self.rsa("RS256", &RSA_PKCS1_SHA256, claims)
    }

    fn rsa(&self, name: &str, encoding: &'static dyn RsaEncoding, claims: &str) -> String {
        let header = format!(r#"{{"alg":"{name}","kid":"rsa"}}"#);
        self.rsa_signed(&header, encoding, claims)
    }

    /// Signed as RS256, whatever the header says.
    fn signed(&self, header: &str, claims: &str) -> String {
        self.rsa_signed(header, &RSA_PKCS1_SHA256, claims)
    }

    /// Signed by a key that the header brings along, under the name of the issuer's.
    fn with_own_key(&self, claims: &str) -> String {
        let header = format!(r#"{{"alg":"RS256","kid":"rsa","jwk":{}}}"#, self.rsa_jwk());
        self.signed(&header, claims)
    }

    fn rsa_signed(&self, header: &str, encoding: &'static dyn RsaEncoding, claims: &str) -> String {
        let message = format!("{}.{}", base64url(header), base64url(claims));
        let mut signature = vec![0; self.rsa.public_modulus_len()];
        let random = SystemRandom::new();
        self.rsa
            .sign(encoding, &random, message.as_bytes(), &mut signature)
            .unwrap();
        format!("{message}.{}", base64url(signature))
    }

    /// Signed with the key `kid`, by the algorithm of its curve, whatever the token says.
    fn ec(&self, name: &str, kid: &str, claims: &str) -> String {
        let key = if kid == "p256" {
            &self.p256
        } else {
            &self.p384
        };
        let header = format!(r#"{{"alg":"{name}","kid":"{kid}"}}"#);
        let message = format!("{}.{}", base64url(header), base64url(claims));
        let signature = key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", base64url(signature))
    }

    fn ed25519(&self, claims: &str) -> String {
        let header = r#"{"alg":"EdDSA","kid":"ed"}"#;
        let message = format!("{}.{}", base64url(header), base64url(claims));
        let signature = self.ed25519.sign(message.as_bytes());
        format!("{message}.{}", base64url(signature))
    }
}

const SECRET: &str = "a-secret-of-more-than-32-bytes-for-tokens";
const AUDIENCE: &str = r#","aud":"payments","iss":"https://id""#;
