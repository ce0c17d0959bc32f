//! The files of TLS: read, and checked before any port is bound.
//!
//! Promises: a certificate that no client could use, or whose key is another one's, is an error here, with the
//! setting and the file; nothing of a key shows in it. Deliberately absent: whether a certificate is still valid and
//! whom it names; clients judge that, and their clocks may differ from ours.

use std::fs::File;
use std::path::Path;

use super::bounded;
use super::error::Finding;
use super::in_force::Config;
use super::secret::is_world_readable;
use crate::proxy::{
    Identity, InvalidIdentity, InvalidPem, Scheme, Trust, certificates, private_key,
};

/// What came of reading the files.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// What is wrong, and the setting that it is wrong with.
    pub(super) findings: Vec<(&'static str, Finding)>,
    pub(super) warnings: Vec<String>,
}

/// Reads what the settings name into `config`.
pub(super) fn load(config: &mut Config) -> Loaded {
    let mut loaded = Loaded::default();
    config.tls = loaded.identity(
        ("tls_cert_file", config.tls_cert_file.as_deref()),
        ("tls_key_file", config.tls_key_file.as_deref()),
    );
    match config.upstream.scheme() {
        Scheme::Https => config.upstream_trust = loaded.trust(config),
        Scheme::Http | Scheme::H2c => loaded.must_be_unused(config),
    }
    loaded
}

type Named<'c> = (&'static str, Option<&'c Path>);

impl Loaded {
    fn trust(&mut self, config: &Config) -> Option<Trust> {
        let identity = self.identity(
            (
                "upstream_client_cert_file",
                config.upstream_client_cert_file.as_deref(),
            ),
            (
                "upstream_client_key_file",
                config.upstream_client_key_file.as_deref(),
            ),
        );
        let trust = match config.upstream_ca_file.as_deref() {
            Some(path) => self.trust_in("upstream_ca_file", path),
            None => self.trust_of_system(),
        };
        Some(trust?.with_identity(identity))
    }

    fn trust_in(&mut self, setting: &'static str, path: &Path) -> Option<Trust> {
        let pem = self.read(setting, path)?;
        let trust = certificates(&pem).and_then(Trust::of);
        self.understood(setting, path, trust)
    }

    fn trust_of_system(&mut self) -> Option<Trust> {
        let trust = Trust::of_system();
        if trust.is_none() {
            let finding = Finding::new("this system trusts nobody's certificates".to_owned());
            let help =
                "install them (Debian: `ca-certificates`), or name a file in `upstream_ca_file`";
            self.findings.push(("upstream", finding.with_help(help)));
        }
        trust
    }

    fn identity(
        &mut self,
        (cert, cert_path): Named<'_>,
        (key, key_path): Named<'_>,
    ) -> Option<Identity> {
        let (cert_path, key_path) = match (cert_path, key_path) {
            (None, None) => return None,
            (Some(cert_path), Some(key_path)) => (cert_path, key_path),
            (Some(_), None) => return self.half(cert, key),
            (None, Some(_)) => return self.half(key, cert),
        };
        let chain = self.read(cert, cert_path);
        let chain = chain.and_then(|pem| self.understood(cert, cert_path, certificates(&pem)));
        let pem = self.read(key, key_path);
        let private = pem.and_then(|pem| self.understood(key, key_path, private_key(&pem)));
        let invalid = match Identity::new(chain?, private?) {
            Ok(identity) => {
                self.warn_of_readers(key_path);
                return Some(identity);
            }
            Err(invalid) => invalid,
        };
        let (at, path, help) = match invalid {
            InvalidIdentity::KeyMismatch => (key, key_path, OWN_FIRST),
            InvalidIdentity::KeyUnusable(_) => (key, key_path, ""),
            InvalidIdentity::CertificateUnusable(_) => (cert, cert_path, ""),
        };
        let others = if at == key { cert_path } else { key_path };
        let message = format!("{} ({})", cannot_use(at, path, &invalid), others.display());
        self.findings
            .push((at, Finding::new(message).with_help(help)));
        None
    }

    fn half<T>(&mut self, given: &'static str, missing: &'static str) -> Option<T> {
        let finding = Finding::new(format!("`{given}` needs `{missing}`"));
        let help = "a certificate and its key are two settings; they may name the same file";
        self.findings.push((given, finding.with_help(help)));
        None
    }

    /// Whoever writes them down must not believe that they do anything.
    fn must_be_unused(&mut self, config: &Config) {
        let unused = [
            ("upstream_ca_file", &config.upstream_ca_file),
            (
                "upstream_client_cert_file",
                &config.upstream_client_cert_file,
            ),
            ("upstream_client_key_file", &config.upstream_client_key_file),
        ];
        for (setting, _) in unused.into_iter().filter(|(_, path)| path.is_some()) {
            let finding = Finding::new(format!(
                "`{setting}` has no effect without TLS to the upstream"
            ));
            let help = "write `upstream = \"https://...\"`, or take it away";
            self.findings.push((setting, finding.with_help(help)));
        }
    }

    fn read(&mut self, setting: &'static str, path: &Path) -> Option<Vec<u8>> {
        match bounded::read(path, FILE_MEBIBYTES_MAX) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                let message = cannot_use(setting, path, &format!("it cannot be read: {error}"));
                self.findings.push((setting, Finding::new(message)));
                None
            }
        }
    }

    fn understood<T>(
        &mut self,
        setting: &'static str,
        path: &Path,
        result: Result<T, InvalidPem>,
    ) -> Option<T> {
        let invalid = match result {
            Ok(understood) => return Some(understood),
            Err(invalid) => invalid,
        };
        let help = match invalid {
            InvalidPem::Malformed(_) | InvalidPem::CertificateUnusable { .. } => "",
            InvalidPem::NoCertificate => "it has to hold `-----BEGIN CERTIFICATE-----`",
            InvalidPem::NoKey => "it has to hold `-----BEGIN PRIVATE KEY-----`",
            InvalidPem::KeyEncrypted => "take its password off: `openssl pkey -in OLD -out NEW`",
        };
        let message = cannot_use(setting, path, &invalid);
        self.findings
            .push((setting, Finding::new(message).with_help(help)));
        None
    }

    fn warn_of_readers(&mut self, path: &Path) {
        if File::open(path)
            .and_then(|file| is_world_readable(&file))
            .unwrap_or(false)
        {
            let path = path.display();
            self.warnings.push(format!(
                "every user of this host can read `{path}`: `chmod 600` would do"
            ));
        }
    }
}

fn cannot_use(setting: &str, path: &Path, why: &dyn std::fmt::Display) -> String {
    format!("cannot use `{setting} = \"{}\"`: {why}", path.display())
}

const OWN_FIRST: &str =
    "the server's own certificate comes first in its file, before those that vouch for it";
/// All authorities of a system are a quarter of a megabyte.
const FILE_MEBIBYTES_MAX: u64 = 4;
