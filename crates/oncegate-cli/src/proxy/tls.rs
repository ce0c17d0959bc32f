//! TLS on both sides: certificates, what is trusted, and handshakes.
//!
//! Promises: one provider (aws-lc-rs), TLS 1.2 and 1.3, `h2` and `http/1.1` by ALPN; a certificate whose key is
//! another one's is refused here and not at the first handshake; what is exchanged counts for the next handshake and
//! leaves open connections alone; no handshake takes longer than its time. How many are under way is bounded by the
//! places for connections alone: whatever else they shared, clients that halt could take from the others. Early data
//! is off on both sides: a request that can be replayed on the wire is no request. It deliberately asks no
//! client for a certificate: a credential that no scope covers must not come in unseen.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem};
use rustls::server::Acceptor;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, InconsistentKeys, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{LazyConfigAcceptor, TlsConnector, TlsStream};

use super::transport::Transport;

/// A chain of certificates and the key of the first one.
#[derive(Clone)]
pub struct Identity(Arc<CertifiedKey>);

/// Whose certificates are trusted, and what we show of our own.
#[derive(Clone)]
pub struct Trust {
    roots: Arc<RootCertStore>,
    identity: Option<Identity>,
}

/// Why there is no certificate, no key or no trust in some bytes.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPem {
    /// It is no PEM, or damaged.
    #[error("it is no PEM: {0:?}")]
    Malformed(pem::Error),
    /// PEM, but nothing of the kind in it.
    #[error("there is no certificate in it")]
    NoCertificate,
    /// The same for keys.
    #[error("there is no private key in it")]
    NoKey,
    /// We would have to ask for a password.
    #[error("the private key in it is encrypted")]
    KeyEncrypted,
    /// A certificate that cannot be used.
    #[error("certificate {number} in it cannot be used: {source}")]
    CertificateUnusable {
        /// Counted from 1.
        number: usize,
        /// Why.
        source: rustls::Error,
    },
}

/// Why a chain and a key are no [`Identity`].
#[derive(Debug, thiserror::Error)]
pub enum InvalidIdentity {
    /// The key is another one's.
    #[error("the key does not belong to the first certificate")]
    KeyMismatch,
    /// The key is of a kind that is not known, or damaged.
    #[error("the key cannot be used: {0}")]
    KeyUnusable(rustls::Error),
    /// The first certificate is damaged.
    #[error("the first certificate cannot be used: {0}")]
    CertificateUnusable(rustls::Error),
}

/// TLS for the connections of clients. A clone is the same.
#[derive(Clone)]
pub struct ServerTls {
    current: Arc<ArcSwap<ServerConfig>>,
    handshake_timeout: Duration,
}

impl PartialEq for ServerTls {
    /// Whether an exchange of one is an exchange of the other.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.current, &other.current)
    }
}

impl Eq for ServerTls {}

/// TLS for the connections to the upstream. A clone is the same.
#[derive(Clone)]
pub struct UpstreamTls {
    current: Arc<ArcSwap<Connectors>>,
    name: ServerName<'static>,
}

/// The request came over TLS; the server puts it into the request's extensions.
#[derive(Clone, Copy, Debug)]
pub(super) struct OverTls;

/// What may be spoken with the upstream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Offer {
    /// Whatever it prefers.
    Any,
    /// What can be upgraded.
    Http1,
}

struct Connectors {
    any: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
}

impl Identity {
    /// A chain, the server's own certificate first, and its key.
    ///
    /// # Errors
    /// If the two do not belong together, or cannot be used.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, InvalidIdentity> {
        let key = provider()
            .key_provider
            .load_private_key(key)
            .map_err(InvalidIdentity::KeyUnusable)?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
                Ok(Self(Arc::new(certified)))
            }
            Err(rustls::Error::InconsistentKeys(_)) => Err(InvalidIdentity::KeyMismatch),
            Err(error) => Err(InvalidIdentity::CertificateUnusable(error)),
        }
    }
}

/// A certificate names its key: that the chains are the same is enough.
impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.0.cert == other.0.cert
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({} certificates)", self.0.cert.len())
    }
}

impl Trust {
    /// Trusts these authorities and no others.
    ///
    /// # Errors
    /// If one of them is no certificate.
    pub fn of(authorities: Vec<CertificateDer<'static>>) -> Result<Self, InvalidPem> {
        let mut roots = RootCertStore::empty();
        for (index, authority) in authorities.into_iter().enumerate() {
            roots
                .add(authority)
                .map_err(|source| InvalidPem::CertificateUnusable {
                    number: index + 1,
                    source,
                })?;
        }
        Ok(Self::new(roots))
    }

    /// Trusts what the operating system trusts; `None` if that is nobody.
    #[must_use]
    pub fn of_system() -> Option<Self> {
        let mut roots = RootCertStore::empty();
        // Systems carry odd ones along; those that can be read are what counts.
        let (added, _ignored) =
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        (added > 0).then(|| Self::new(roots))
    }

    /// Shows the upstream who we are, if it asks.
    #[must_use]
    pub fn with_identity(mut self, identity: Option<Identity>) -> Self {
        self.identity = identity;
        self
    }

    fn new(roots: RootCertStore) -> Self {
        Self {
            roots: Arc::new(roots),
            identity: None,
        }
    }
}

impl PartialEq for Trust {
    fn eq(&self, other: &Self) -> bool {
        self.roots.roots == other.roots.roots && self.identity == other.identity
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { roots, identity } = self;
        f.debug_struct("Trust")
            .field("roots", &roots.len())
            .field("identity", identity)
            .finish()
    }
}

/// All certificates in a PEM file, at least one; what else is in it is passed over.
///
/// # Errors
/// If there is none, or the file is damaged.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, InvalidPem> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(InvalidPem::NoCertificate),
        Ok(found) => Ok(found),
        Err(error) => Err(InvalidPem::Malformed(error)),
    }
}

/// The first private key in a PEM file.
///
/// # Errors
/// If there is none that can be read without a password, or the file is damaged.
pub fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, InvalidPem> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        if !matches!(error, pem::Error::NoItemsFound) {
            InvalidPem::Malformed(error)
        } else if contains(pem, ENCRYPTED) {
            InvalidPem::KeyEncrypted
        } else {
            InvalidPem::NoKey
        }
    })
}

impl ServerTls {
    /// Shows `identity` to clients.
    #[must_use]
    pub fn new(identity: &Identity, handshake_timeout: Duration) -> Self {
        Self {
            current: Arc::new(ArcSwap::new(server_config(identity))),
            handshake_timeout,
        }
    }

    /// Shows `identity` from the next handshake on.
    pub fn exchange(&self, identity: &Identity) {
        self.current.store(server_config(identity));
    }

    /// Shakes hands, within `handshake_timeout`. A certificate is chosen, and the work of a handshake begins, only when
    /// all is there that a client says at first.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<Transport> {
        let shaken = timeout(self.handshake_timeout, async {
            // Who sends nothing costs nothing.
            stream.readable().await?;
            let begun = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
            begun.into_stream(self.current.load_full()).await
        });
        let stream = shaken.await.map_err(io::Error::from)??;
        Ok(Transport::Tls(Box::new(TlsStream::Server(stream))))
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls")
            .field("handshake_timeout", &self.handshake_timeout)
            .finish_non_exhaustive()
    }
}

impl UpstreamTls {
    /// Expects an upstream of this name that `trust` vouches for.
    #[must_use]
    pub fn new(name: ServerName<'static>, trust: &Trust) -> Self {
        Self {
            current: Arc::new(ArcSwap::from_pointee(Connectors::new(trust))),
            name,
        }
    }

    /// Trusts and shows others from the next handshake on.
    pub fn exchange(&self, trust: &Trust) {
        self.current.store(Arc::new(Connectors::new(trust)));
    }

    /// Shakes hands. Of a request not one byte is sent by this.
    pub(super) async fn connect(&self, stream: TcpStream, offer: Offer) -> io::Result<Transport> {
        let config = {
            let connectors = self.current.load();
            Arc::clone(match offer {
                Offer::Any => &connectors.any,
                Offer::Http1 => &connectors.http1,
            })
        };
        let connector = TlsConnector::from(config);
        let stream = connector.connect(self.name.clone(), stream).await?;
        Ok(Transport::Tls(Box::new(TlsStream::Client(stream))))
    }
}

impl fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamTls")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Connectors {
    fn new(trust: &Trust) -> Self {
        Self {
            any: client_config(trust, &[HTTP2, HTTP1]),
            http1: client_config(trust, &[HTTP1]),
        }
    }
}

fn server_config(identity: &Identity) -> Arc<ServerConfig> {
    let resolver = SingleCertAndKey::from(Arc::clone(&identity.0));
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider speaks the default versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    Arc::new(config)
}

fn client_config(trust: &Trust, protocols: &[&[u8]]) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider speaks the default versions")
        .with_root_certificates(Arc::clone(&trust.roots));
    let mut config = match &trust.identity {
        Some(identity) => builder
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&identity.0)))),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The names of the protocols in ALPN.
pub(super) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";
const ENCRYPTED: &[u8] = b"ENCRYPTED";
