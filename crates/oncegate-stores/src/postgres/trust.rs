//! Whose word for a server's name is taken: rustls with aws-lc-rs, and never nobody's.

use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::PostgresAddress;

/// Nobody can be trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The file cannot be read, or is no PEM.
    #[error("cannot read the certificates in {}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// There is none in it that could be used.
    #[error("no certificate to trust in {}", file.display())]
    Empty {
        /// The file.
        file: PathBuf,
    },
    /// The system has none, either.
    #[error("the system trusts no certificate; name those to trust by sslrootcert=FILE")]
    Nobody,
    /// The provider lacks what TLS needs.
    #[error("cannot speak TLS")]
    Provider(#[from] rustls::Error),
}

/// How the client encrypts, if it does.
pub(super) fn tls(address: &PostgresAddress) -> Result<MakeRustlsConnect, TrustError> {
    let roots = match address.root_certificates() {
        _ if !address.is_encrypted() => RootCertStore::empty(),
        Some(file) => in_file(file)?,
        None => of_the_system()?,
    };
    // Someone else's choice of a provider for the process does not count here.
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let mut config = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Servers that are spoken to in TLS from the first byte insist on it.
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(MakeRustlsConnect::new(config))
}

fn in_file(file: &Path) -> Result<RootCertStore, TrustError> {
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|source| TrustError::Unreadable {
            file: file.to_owned(),
            source,
        })?;
    roots(certificates).ok_or_else(|| TrustError::Empty {
        file: file.to_owned(),
    })
}

fn of_the_system() -> Result<RootCertStore, TrustError> {
    roots(rustls_native_certs::load_native_certs().certs).ok_or(TrustError::Nobody)
}

/// Systems carry odd ones along; those that can be read are what counts.
fn roots(certificates: Vec<CertificateDer<'static>>) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let (added, _ignored) = roots.add_parsable_certificates(certificates);
    (added > 0).then_some(roots)
}
