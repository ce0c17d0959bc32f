//! The keys that tokens are verified with: read, and held against the settings around them.
//!
//! Promises: with `jwt:` in any scope there is exactly one source of keys. Without it the settings about tokens are
//! warned of: nobody shall believe that tokens are verified where they are not. Errors say nothing of a secret.

use std::path::Path;

use oncegate::policy::KeyUse;
use oncegate_tower::{JWT_SECRET_BYTES_MIN, JwtKeys, JwtKeysError};

use super::bounded;
use super::check::Origins;
use super::error::Finding;
use super::in_force::Config;
use super::secret::{Secret, SecretError};

/// What was read, and what an operator should know about it.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    pub(super) keys: Option<JwtKeys>,
    pub(super) warnings: Vec<String>,
}

/// Reads the keys that `config` names. `given` are the settings outside routes.
pub(super) fn read(config: &Config, given: &Origins) -> Result<Tokens, Box<Finding>> {
    let at = |finding: Finding, names: &[&str]| {
        let origin = names.iter().find_map(|name| given.get(name));
        Box::new(match origin {
            Some(origin) => finding.at(origin),
            None => finding,
        })
    };
    if !is_wanted(config) {
        return Ok(Tokens {
            keys: None,
            warnings: without_effect(config),
        });
    }
    match (&config.jwt_secret_file, &config.jwt_jwks_file) {
        (Some(_), Some(_)) => {
            let why = "`jwt_secret_file` and `jwt_jwks_file` cannot both be given";
            let help = "name the one that your issuer signs with: a secret (HS256) or public keys";
            let finding = Finding::new(why.to_owned()).with_help(help);
            Err(at(finding, &["jwt_secret_file", "jwt_jwks_file"]))
        }
        (None, None) => {
            let why = "`scope` has `jwt:`, and nothing says who may sign tokens";
            let help = "add `jwt_jwks_file = \"/etc/oncegate/jwks.json\"`, or `jwt_secret_file` for a \
                        shared secret, above the first table";
            let finding = Finding::new(why.to_owned()).with_help(help);
            Err(at(finding, &["scope"]))
        }
        (Some(path), None) => {
            secret(path, config).map_err(|finding| at(finding, &["jwt_secret_file"]))
        }
        (None, Some(path)) => {
            key_set(path, config).map_err(|finding| at(finding, &["jwt_jwks_file"]))
        }
    }
}

/// Whether any request can need a verified token.
fn is_wanted(config: &Config) -> bool {
    let mut policies = config.routes.policies();
    policies.any(|policy| policy.key != KeyUse::Ignored && policy.scope.want_token())
}

fn without_effect(config: &Config) -> Vec<String> {
    let set = [
        ("jwt_secret_file", config.jwt_secret_file.is_some()),
        ("jwt_jwks_file", config.jwt_jwks_file.is_some()),
        ("jwt_issuer", !config.jwt_issuer.is_empty()),
        ("jwt_audience", !config.jwt_audience.is_empty()),
    ];
    set.into_iter()
        .filter(|(_, is_set)| *is_set)
        .map(|(name, _)| {
            format!("`{name}` has no effect: no `scope` has `jwt:`, and no token is verified")
        })
        .collect()
}

fn secret(path: &Path, config: &Config) -> Result<Tokens, Finding> {
    let shown = path.display();
    let cannot = |why: &dyn std::fmt::Display, help: &str| {
        Finding::new(format!("there is no secret for tokens in `{shown}`: {why}")).with_help(help)
    };
    let file = Secret::read_at_least(JWT_SECRET_BYTES_MIN, path).map_err(|error| match error {
        SecretError::Unreadable(cause) => cannot(&format!("it cannot be read: {cause}"), ""),
        SecretError::TooShort { .. } | SecretError::TooLong => cannot(&error, SECRET_HELP),
    })?;
    let keys = JwtKeys::from_secret(file.secret.as_bytes()).map_err(|error| {
        let help = if matches!(error, JwtKeysError::SecretIsPublic) {
            "public keys go into `jwt_jwks_file`, as a JSON Web Key Set"
        } else {
            SECRET_HELP
        };
        cannot(&error, help)
    })?;
    let mut warnings = about_claims(config);
    if file.world_readable {
        warnings.push(format!(
            "every user of this host can read `{shown}`, and sign tokens: `chmod 600` would do"
        ));
    }
    Ok(Tokens {
        keys: Some(keys),
        warnings,
    })
}

fn key_set(path: &Path, config: &Config) -> Result<Tokens, Finding> {
    let shown = path.display();
    let cannot = |why: &dyn std::fmt::Display, help: &str| {
        Finding::new(format!("there are no keys for tokens in `{shown}`: {why}")).with_help(help)
    };
    let document =
        bounded::read(path, DOCUMENT_MEBIBYTES_MAX).map_err(|error| cannot(&error, ""))?;
    let keys = JwtKeys::from_jwks(&document).map_err(|error| {
        let help = if matches!(error, JwtKeysError::SecretInKeySet) {
            "a shared secret goes into `jwt_secret_file`, as it is"
        } else if matches!(error, JwtKeysError::NoKeySet { .. }) {
            "it is what the issuer serves as `jwks_uri`: `{ \"keys\": [ .. ] }`"
        } else {
            ""
        };
        cannot(&error, help)
    })?;
    let mut warnings = about_claims(config);
    if keys.unusable() > 0 {
        warnings.push(format!(
            "`{shown}`: {} of its keys cannot verify tokens here and are passed over",
            keys.unusable()
        ));
    }
    Ok(Tokens {
        keys: Some(keys),
        warnings,
    })
}

fn about_claims(config: &Config) -> Vec<String> {
    let mut all = Vec::new();
    if config.jwt_audience.is_empty() {
        all.push(
            "no `jwt_audience`: whoever holds a client's token for another service can read that client's answers here"
                .to_owned(),
        );
    }
    all
}

const SECRET_HELP: &str = "it is the secret that the issuer signs with, as it is: if it was given to you in base64, decode it";
/// A thousand keys and their certificates fit.
const DOCUMENT_MEBIBYTES_MAX: u64 = 1;

#[cfg(test)]
mod tests;
