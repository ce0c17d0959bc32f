//! What a proxy that runs can take over from a new configuration, and what needs a restart.
//!
//! Promises: whatever differs and is not listed here as taken over is named, so that no change is half in force.

use std::collections::BTreeSet;

use super::in_force::Config;
use super::setting::Access;
use super::settings::settings;

impl Config {
    /// The settings in which `new` differs and that a proxy which runs with `self` cannot follow, by name.
    #[must_use]
    pub fn restart_needed_for(&self, new: &Self) -> Vec<&'static str> {
        let mut names = BTreeSet::new();
        for setting in settings() {
            let Access::Config { show, .. } = setting.access else {
                continue;
            };
            if !FOLLOWED.contains(&setting.name) && show(self) != show(new) {
                names.insert(setting.name);
            }
        }
        // The same file with another secret in it: all keys would be new.
        if self.secret != new.secret {
            names.insert("secret_file");
        }
        // Another password does not show.
        if self.store != new.store {
            names.insert("store");
        }
        // A port that begins or ceases to speak TLS is another port.
        if self.tls.is_some() != new.tls.is_some() {
            names.insert("tls_cert_file");
        }
        names.into_iter().collect()
    }
}

/// Beside all that makes policies: `[defaults]` and the routes.
pub(super) const FOLLOWED: [&str; 12] = [
    "profile",
    "discovery",
    "tls_cert_file",
    "tls_key_file",
    "upstream_ca_file",
    "upstream_client_cert_file",
    "upstream_client_key_file",
    "jwt_secret_file",
    "jwt_jwks_file",
    "jwt_issuer",
    "jwt_audience",
    "jwt_leeway",
];
