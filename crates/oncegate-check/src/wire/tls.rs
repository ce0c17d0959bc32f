//! TLS to the server under test: whom to trust, and the handshake.
//!
//! One provider (aws-lc-rs), TLS 1.2 and 1.3, HTTP/1.1 by ALPN. It shows no certificate of its own.

use std::io;
use std::sync::{Arc, LazyLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature,
    verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Whose certificates are believed.
#[derive(Clone, Debug)]
pub struct Trust(Arc<ClientConfig>);

/// Bytes from which no trust can be had.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTrust {
    /// They hold no certificate in PEM.
    #[error("there is no certificate in it")]
    NoCertificate,
    /// One that is none.
    #[error("a certificate in it cannot be used: {0}")]
    Unusable(String),
}

impl Trust {
    /// What the operating system trusts. If that is nobody, no handshake succeeds.
    #[must_use]
    pub fn of_system() -> Self {
        SYSTEM.clone()
    }

    /// These authorities, in PEM, and no others.
    ///
    /// # Errors
    /// If there is none, or one that is no certificate.
    pub fn of(pem: &[u8]) -> Result<Self, InvalidTrust> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let unusable = |problem: String| InvalidTrust::Unusable(problem);
            let certificate = certificate.map_err(|error| unusable(format!("{error:?}")))?;
            let added = roots.add(certificate);
            added.map_err(|error| unusable(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(InvalidTrust::NoCertificate);
        }
        Ok(Self::with(roots))
    }

    /// Whoever answers. For a server on this machine that made its certificate itself.
    #[must_use]
    pub fn of_anybody() -> Self {
        let mut config = config(RootCertStore::empty());
        let anybody = Anybody(PROVIDER.signature_verification_algorithms);
        config
            .dangerous()
            .set_certificate_verifier(Arc::new(anybody));
        Self(Arc::new(config))
    }

    fn with(roots: RootCertStore) -> Self {
        Self(Arc::new(config(roots)))
    }

    pub(super) async fn handshake(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(Arc::clone(&self.0))
            .connect(name, stream)
            .await
    }
}

fn config(roots: RootCertStore) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
        .with_safe_default_protocol_versions()
        .expect("the provider has what both versions need")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// Believes any certificate, but not a signature that does not fit it.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));

/// Read once: it takes milliseconds, and a check makes hundreds of connections.
static SYSTEM: LazyLock<Trust> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    // Systems carry odd ones along; those that can be read are what counts.
    let (_added, _ignored) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Trust::with(roots)
});
