//! Servers that a client must not talk to: nothing is sent to them, and nothing is tried again.

use std::sync::Arc;

use oncegate_client::{Client, FailureKind, HttpTransport, Operation, Outcome};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::origin::Deed::{Hang, Read, Write};
use crate::origin::Origin;
use crate::wire::{failure, policy};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let der = params
            .self_signed(&key)
            .expect("a certificate")
            .der()
            .clone();
        Self {
            issuer: Issuer::new(params, key),
            der,
        }
    }

    /// A server on a port of this machine, with a certificate of this authority's.
    async fn serve(&self, name: &str, change: fn(&mut CertificateParams)) -> (String, JoinSet<()>) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        change(&mut params);
        let signed = params.signed_by(&key, &self.issuer).expect("a certificate");
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(
                vec![signed.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).expect("a key"),
            )
            .expect("the key is the certificate's");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("a bound socket").port();
        let mut task = JoinSet::new();
        task.spawn(answer_all(listener, TlsAcceptor::from(Arc::new(config))));
        (format!("https://127.0.0.1:{port}/payments"), task)
    }
}

async fn answer_all(listener: TcpListener, acceptor: TlsAcceptor) {
    while let Ok((stream, _)) = listener.accept().await {
        // A client that does not trust us says so by an alert.
        let Ok(mut stream) = acceptor.accept(stream).await else {
            continue;
        };
        let mut request = [0; 4096];
        let read = stream.read(&mut request).await;
        assert!(read.is_ok_and(|read| read > 0), "a request");
        let paid = b"HTTP/1.1 201 Created\r\nconnection: close\r\ncontent-length: 4\r\n\r\npaid";
        stream.write_all(paid).await.expect("a client that listens");
        stream.shutdown().await.expect("a client that listens");
    }
}

async fn run(trusted: &Authority, url: &str) -> Outcome {
    let policy = policy(3);
    let root = reqwest::Certificate::from_der(&trusted.der).expect("a certificate");
    let builder = reqwest::Client::builder().tls_certs_only([root]);
    let transport = HttpTransport::of(builder, &policy).expect("a transport");
    let client = Client::builder()
        .policy(policy)
        .transport(Arc::new(transport));
    let operation = Operation::post(url).expect("a URL").build();
    client.build().expect("a client").execute(&operation).await
}

#[tokio::test]
async fn a_server_with_a_certificate_that_does_not_hold_is_sent_nothing_and_not_asked_again() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let expired = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    };
    let rows = [
        ("untrusted", theirs.serve("127.0.0.1", |_| {}).await),
        ("expired", ours.serve("127.0.0.1", expired).await),
        ("another's", ours.serve("another.example", |_| {}).await),
    ];
    for (what, (url, _server)) in &rows {
        let outcome = run(&ours, url).await;
        assert_eq!(failure(&outcome), (FailureKind::Untrusted, false), "{what}");
        assert_eq!(outcome.attempts(), 1, "{what}");
    }

    let (url, _server) = ours.serve("127.0.0.1", |_| {}).await;
    let outcome = run(&ours, &url).await;
    assert!(matches!(outcome, Outcome::Yes(_)), "{outcome:?}");
}

/// A server that speaks no TLS answers the first flight by something else: no request was sent.
#[tokio::test]
async fn a_handshake_that_fails_is_no_connection() {
    let plain = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    let origin = Origin::play([vec![Write(plain), Read, Hang]]).await;
    let url = origin.url().replace("http:", "https:");
    let mut policy = policy(1);
    policy.attempts_max = 1;
    let client = Client::builder().policy(policy).build().expect("a client");
    let operation = Operation::post(&url).expect("a URL").build();
    let outcome = client.execute(&operation).await;
    assert_eq!(failure(&outcome), (FailureKind::Connect, false));
}
