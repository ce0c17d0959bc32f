//! TLS around what the harness has: certificates, an end of TLS before a server, a beginning of it before the proxy.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::Stage;

/// Somebody who vouches for others.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate and its key.
pub(crate) struct Certificate {
    pub(crate) cert: String,
    pub(crate) key: String,
}

/// How a server ends a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Goodbye {
    /// With `close_notify`.
    Said,
    /// With the end of the bytes alone.
    Unsaid,
}

/// Something that accepts, until it is dropped.
pub(crate) struct Acceptor {
    pub(crate) address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Told apart by name, as any two are.
        static NUMBER: AtomicUsize = AtomicUsize::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        params
            .distinguished_name
            .push(DnType::CommonName, format!("authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// For this machine.
    pub(crate) fn issue(&self) -> Certificate {
        self.issue_for(&["localhost", "127.0.0.1"], |_| {})
    }

    pub(crate) fn issue_for_another(&self) -> Certificate {
        self.issue_for(&["another.example"], |_| {})
    }

    pub(crate) fn issue_expired(&self) -> Certificate {
        self.issue_for(&["localhost", "127.0.0.1"], |params| {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        })
    }

    fn issue_for(&self, names: &[&str], change: fn(&mut CertificateParams)) -> Certificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, "a server or a client");
        change(&mut params);
        Certificate {
            cert: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&self.pem)).unwrap();
        roots
    }
}

impl Certificate {
    /// As `NAME.crt` and `NAME.key` in the stage's folder.
    pub(crate) fn write(&self, stage: &Stage, name: &str) -> (PathBuf, PathBuf) {
        let cert = stage.write(&format!("{name}.crt"), &self.cert);
        (cert, stage.write(&format!("{name}.key"), &self.key))
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        certificate(&self.cert)
    }

    /// A server that shows it, and that agrees to these protocols.
    pub(crate) fn server(&self, alpn: &[&str]) -> ServerConfig {
        let builder = ServerConfig::builder().with_no_client_auth();
        self.with_alpn(builder, alpn)
    }

    /// The same, for clients that this authority vouches for.
    pub(crate) fn server_for(&self, clients: &Authority, alpn: &[&str]) -> ServerConfig {
        let verifier = WebPkiClientVerifier::builder(Arc::new(clients.roots()));
        let builder = ServerConfig::builder().with_client_cert_verifier(verifier.build().unwrap());
        self.with_alpn(builder, alpn)
    }

    fn with_alpn(
        &self,
        builder: rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>,
        alpn: &[&str],
    ) -> ServerConfig {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let mut config = builder.with_single_cert(vec![self.der()], key).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}

impl Acceptor {
    /// Each connection is served by a future of its own; those end with this.
    pub(crate) async fn start<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream));
            }
        });
        Self { address, accepting }
    }

    /// Ends TLS before a server that speaks without.
    pub(crate) async fn ending_tls(
        config: ServerConfig,
        server: SocketAddr,
        goodbye: Goodbye,
    ) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::start(move |stream| end_tls(acceptor.clone(), stream, server, goodbye)).await
    }

    /// Begins TLS for clients that speak without, and that trust these.
    pub(crate) async fn beginning_tls(
        server: SocketAddr,
        trusted: &[&Authority],
        alpn: &'static str,
    ) -> Self {
        let config = client(trusted, alpn);
        Self::start(move |mut stream| {
            let config = Arc::clone(&config);
            async move {
                let mut tls = connect(server, config).await?;
                copy_bidirectional(&mut stream, &mut tls).await.map(drop)
            }
        })
        .await
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A client's side of TLS; an empty `alpn` asks for nothing.
pub(crate) fn client(trusted: &[&Authority], alpn: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for authority in trusted {
        roots.add(certificate(&authority.pem)).unwrap();
    }
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let mut config = builder.with_no_client_auth();
    if !alpn.is_empty() {
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    }
    Arc::new(config)
}

pub(crate) async fn connect(
    server: SocketAddr,
    config: Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::from(server.ip());
    TlsConnector::from(config).connect(name, stream).await
}

async fn end_tls(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    server: SocketAddr,
    goodbye: Goodbye,
) -> io::Result<()> {
    let mut tls = acceptor.accept(stream).await?;
    let mut plain = TcpStream::connect(server).await?;
    let (mut from_client, mut to_client) = tokio::io::split(&mut tls);
    let (mut from_server, mut to_server) = plain.split();
    tokio::select! {
        // The server ended it: what it sent goes out whole.
        copied = tokio::io::copy(&mut from_server, &mut to_client) => drop(copied?),
        copied = tokio::io::copy(&mut from_client, &mut to_server) => drop(copied?),
    }
    tls.flush().await?;
    match goodbye {
        Goodbye::Said => tls.shutdown().await,
        Goodbye::Unsaid => tls.get_mut().0.shutdown().await,
    }
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}
