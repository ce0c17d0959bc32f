//! Which Redis can be a store, and what a URL must say.

use std::path::Path;

use oncegate_stores::{OpenError, RedisOpenError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::server::{RedisServer, free_address};
use crate::harness::{completed, get, on_threads as block_on};

#[test]
fn a_url_opens_the_redis_that_it_names() {
    let server = RedisServer::start(&[]);
    block_on(async {
        let url = format!("{}/3?prefix=shop:", server.url());
        let store = oncegate_stores::open(&url).await.unwrap();
        assert_eq!(store.info().await.unwrap().value.name, "redis");
        completed(&*store, 1, b"paid").await;
    });
    assert_eq!(server.cli(&["-n", "0", "dbsize"]), "0");
    let keys = server.cli(&["-n", "3", "keys", "*"]);
    assert_eq!(keys.lines().count(), 3, "{keys}");
    assert!(keys.lines().all(|key| key.starts_with("shop:")), "{keys}");
}

#[test]
fn a_redis_that_is_not_there_is_named_without_its_password() {
    let url = format!("redis://me:hunter2@{}", free_address());
    let error = block_on(oncegate_stores::open(&url)).unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with("cannot use redis://me:***@"),
        "{message}"
    );
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[test]
fn a_redis_that_wants_a_password_is_opened_with_it_alone() {
    let server = RedisServer::start(&[]);
    server.cli(&["config", "set", "requirepass", "hunter2"]);
    block_on(async {
        let url = format!("redis://:hunter2@{}", server.address());
        let store = oncegate_stores::open(&url).await.unwrap();
        assert!(store.ping().await.is_ok());
        for credentials in ["", ":guess@"] {
            let url = format!("redis://{credentials}{}", server.address());
            let error = oncegate_stores::open(&url).await.unwrap_err();
            assert!(matches!(
                error,
                OpenError::Redis(RedisOpenError::Unavailable { .. })
            ));
        }
    });
}

#[test]
fn a_password_of_any_characters_opens_if_they_are_percent_encoded() {
    let server = RedisServer::start(&[]);
    server.cli(&["config", "set", "requirepass", "a/b?c#d@e:f%g {h}&i=j"]);
    block_on(async {
        let encoded = "a%2Fb%3Fc%23d%40e:f%25g%20{h}&i=j";
        let url = format!("redis://:{encoded}@{}", server.address());
        let store = oncegate_stores::open(&url).await.unwrap();
        assert!(store.ping().await.is_ok());
    });
}

#[test]
fn an_address_of_ipv6_opens() {
    let server = RedisServer::start(&["--bind", "127.0.0.1", "::1"]);
    block_on(async {
        let url = format!("redis://[::1]:{}", server.address().port());
        let store = oncegate_stores::open(&url).await.unwrap();
        assert!(store.ping().await.is_ok());
    });
}

/// `CONFIG` is forbidden by many who operate Redis for others: the policy is read without it.
#[test]
fn a_redis_that_evicts_keys_is_refused_with_the_command_that_mends_it() {
    let server = RedisServer::start(&[
        "--maxmemory-policy",
        "allkeys-lru",
        "--rename-command",
        "CONFIG",
        "",
    ]);
    let error = block_on(oncegate_stores::open(&server.url())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the Redis evicts keys when it is full (maxmemory-policy allkeys-lru), and an evicted key would be executed \
         again; run: redis-cli CONFIG SET maxmemory-policy noeviction"
    );
}

#[test]
fn a_redis_with_tls_is_opened_if_its_certificate_is_trusted_and_is_its_own() {
    let folder = tempfile::tempdir().unwrap();
    write_certificates(folder.path());
    let (server, port) = with_tls(folder);
    let ca = server.folder().join("ca.pem").display().to_string();
    block_on(async {
        let url = format!("rediss://localhost:{port}?ca={ca}");
        let store = oncegate_stores::open(&url).await.unwrap();
        completed(&*store, 1, b"paid").await;
        assert!(get(&*store, 1).await.is_some());
        // Trusted, but not for this name; then not trusted.
        for url in [
            format!("rediss://127.0.0.1:{port}?ca={ca}"),
            format!("rediss://localhost:{port}"),
        ] {
            let error = oncegate_stores::open(&url).await.unwrap_err();
            assert!(
                matches!(error, OpenError::Redis(RedisOpenError::Unavailable { .. })),
                "{url}: {error:?}"
            );
        }
        let missing = format!("rediss://localhost:{port}?ca={ca}.missing");
        let error = oncegate_stores::open(&missing).await.unwrap_err();
        assert!(matches!(
            error,
            OpenError::Redis(RedisOpenError::Certificates { .. })
        ));
    });
}

/// A server that takes TLS on a port of its own, beside the one that the harness asks.
fn with_tls(folder: TempDir) -> (RedisServer, u16) {
    let port = free_address().port();
    let server = RedisServer::start_in(
        folder,
        &[
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            "server.pem",
            "--tls-key-file",
            "server.key",
            "--tls-ca-cert-file",
            "ca.pem",
            "--tls-auth-clients",
            "no",
        ],
    );
    (server, port)
}

fn write_certificates(folder: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &ca)
        .unwrap();
    std::fs::write(folder.join("ca.pem"), ca.pem()).unwrap();
    std::fs::write(folder.join("server.pem"), server.pem()).unwrap();
    std::fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
}
