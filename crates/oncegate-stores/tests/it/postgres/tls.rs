//! Whom a store tells its password and its records.

use std::error::Error;
use std::time::Duration;

use oncegate_stores::{PostgresOpenError, PostgresOptions, PostgresStore};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::server::PostgresServer;
use crate::harness::{completed, get, on_threads as block_on};

/// Takes TLS from all, and nothing else from `app`, who needs a password besides.
struct WithTls {
    server: PostgresServer,
    /// The certificate of those who say who the server is.
    authority: String,
}

impl WithTls {
    fn start() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["localhost".to_owned()])
            .unwrap()
            .signed_by(&key, &authority)
            .unwrap();
        let server = PostgresServer::start_with(
            &[
                ("server.crt", &certificate.pem()),
                ("server.key", &key.serialize_pem()),
                ("pg_hba.conf", WHO_MAY_CONNECT),
            ],
            &["ssl=on"],
        );
        server.sql("CREATE ROLE app LOGIN PASSWORD 'hunter2'");
        server.sql("GRANT CREATE ON DATABASE postgres TO app");
        let file = server.folder().join("authority.pem");
        std::fs::write(&file, authority.pem()).unwrap();
        let authority = file.display().to_string();
        Self { server, authority }
    }

    fn url(&self, credentials: &str, host: &str, parameters: &str) -> String {
        let port = self.server.address().port();
        format!("postgres://{credentials}@{host}:{port}/postgres?{parameters}")
    }
}

/// With so much time that a busy machine decides nothing.
async fn open(url: &str) -> Result<PostgresStore, PostgresOpenError> {
    let mut options = PostgresOptions::default();
    options.connect_timeout = Duration::from_secs(60);
    options.answer_timeout = Duration::from_secs(60);
    PostgresStore::open_with(&url.parse().unwrap(), options).await
}

async fn refused(url: &str) -> String {
    let error = open(url).await.unwrap_err();
    assert!(
        matches!(error, PostgresOpenError::Unavailable { .. }),
        "{url}: {error:?}"
    );
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    let mut causes = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    causes.join(": ")
}

#[test]
fn a_postgresql_with_tls_is_opened_if_its_certificate_is_trusted_and_is_its_own() {
    let with_tls = WithTls::start();
    let trusting = format!("sslmode=verify-full&sslrootcert={}", with_tls.authority);
    block_on(async {
        let url = with_tls.url("app:hunter2", "localhost", &trusting);
        let store = open(&url).await.unwrap();
        completed(&store, 1, b"paid").await;
        assert!(get(&store, 1).await.is_some());
        let encrypted = with_tls.server.sql(
            "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'app'",
        );
        assert_eq!(encrypted, "t");
        // `require` means the same here, though not to the client of PostgreSQL.
        let url = url.replace("verify-full", "require");
        assert!(open(&url).await.is_ok());

        // Trusted, but not for this name; then not trusted.
        let url = with_tls.url("app:hunter2", "127.0.0.1", &trusting);
        let said = refused(&url).await;
        assert!(said.contains("certificate"), "{said}");
        let url = with_tls.url("app:hunter2", "localhost", "sslmode=require");
        let said = refused(&url).await;
        assert!(said.contains("certificate"), "{said}");
    });
}

#[test]
fn a_postgresql_that_wants_a_password_is_opened_with_it_alone() {
    let with_tls = WithTls::start();
    let trusting = format!("sslmode=verify-full&sslrootcert={}", with_tls.authority);
    block_on(async {
        let url = with_tls.url("app:hunter2", "localhost", &trusting);
        assert!(open(&url).await.is_ok());
        for credentials in ["app", "app:guess"] {
            let said = refused(&with_tls.url(credentials, "localhost", &trusting)).await;
            assert!(said.contains("password"), "{said}");
        }
        // And not without TLS.
        let said = refused(&with_tls.url("app:hunter2", "localhost", "sslmode=disable")).await;
        assert!(said.contains("no encryption"), "{said}");
    });
}

/// The password is bound to the channel: a go-between with a certificate of its own cannot pass it on.
#[test]
fn a_password_can_be_bound_to_the_channel() {
    let with_tls = WithTls::start();
    let bound = format!(
        "sslmode=verify-full&sslrootcert={}&channel_binding=require",
        with_tls.authority
    );
    block_on(async {
        let url = with_tls.url("app:hunter2", "localhost", &bound);
        assert!(open(&url).await.is_ok());
        // Nothing is bound where there is no password.
        let said = refused(&with_tls.url("oncegate", "localhost", &bound)).await;
        assert!(said.contains("authentication"), "{said}");
    });
}

#[test]
fn a_postgresql_without_tls_is_told_nothing_if_tls_is_wanted() {
    let server = PostgresServer::shared();
    block_on(async {
        let url = format!("{}&sslmode=verify-full", server.fresh_url());
        let said = refused(&url).await;
        assert!(said.contains("TLS"), "{said}");
    });
}

#[test]
fn certificates_that_cannot_be_read_are_told_by_their_file() {
    let server = PostgresServer::shared();
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "nothing of that kind").unwrap();
    block_on(async {
        for (file, says) in [
            (
                folder.path().join("missing.pem"),
                "cannot read the certificates in",
            ),
            (empty, "no certificate to trust in"),
        ] {
            let file = file.display();
            let url = format!(
                "{}&sslmode=verify-full&sslrootcert={file}",
                server.fresh_url()
            );
            let error = open(&url).await.unwrap_err();
            assert_eq!(error.to_string(), format!("{says} {file}"));
        }
    });
}

const WHO_MAY_CONNECT: &str = "hostssl all app 127.0.0.1/32 scram-sha-256\n\
                               hostssl all app ::1/128 scram-sha-256\n\
                               host all oncegate 127.0.0.1/32 trust\n\
                               host all oncegate ::1/128 trust\n";
