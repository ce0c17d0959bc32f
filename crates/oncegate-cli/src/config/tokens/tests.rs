//! Which files make keys for tokens, and what an operator reads when one does not.

use std::path::Path;

use super::super::{Config, ConfigError, Environment, ServeArgs};

/// Loads this configuration with these files beside it; `DIR` in it is their folder.
fn load(config: &str, files: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(folder.path(), name, text);
    }
    let text = config.replace("DIR", folder.path().to_str().unwrap());
    write(folder.path(), "oncegate.toml", &text);
    let args = ServeArgs {
        config: Some(folder.path().join("oncegate.toml")),
        ..ServeArgs::default()
    };
    Config::load(&args, &Environment::default())
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

/// The only error: what it says after the name of the file, and its help.
#[track_caller]
fn error(config: &str, files: &[(&str, &str)]) -> (String, String) {
    let error = load(config, files).unwrap_err();
    assert_eq!(error.findings().count(), 1, "{error}");
    let finding = error.findings().next().unwrap();
    let help = miette::Diagnostic::help(finding).map(|help| help.to_string());
    (finding.to_string(), help.unwrap_or_default())
}

const BY_SECRET: &str =
    "jwt_secret_file = 'DIR/key'\njwt_audience = ['a']\n[defaults]\nscope = ['jwt:sub']";
const BY_KEY_SET: &str =
    "jwt_jwks_file = 'DIR/key'\njwt_audience = ['a']\n[[route]]\nmatch = '/a'\nscope = ['jwt:sub']";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const ED25519: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

#[test]
fn keys_for_tokens_come_from_a_secret_or_from_a_key_set() {
    let config = load(BY_SECRET, &[("key", &format!("{SECRET}\n"))]).unwrap();
    let shown = format!("{config:?}{}", config.print());
    assert!(config.jwt_keys.is_some() && !shown.contains(SECRET));
    let about_tokens = |warning: &&String| warning.contains("jwt") || warning.contains("token");
    assert_eq!(config.warnings.iter().find(about_tokens), None);

    let set = format!(r#"{{"keys":[{ED25519},{{"kty":"new"}}]}}"#);
    let config = load(BY_KEY_SET, &[("key", &set)]).unwrap();
    assert_eq!(config.jwt_keys.as_ref().unwrap().unusable(), 1);
    let has = |text: &str| config.warnings.iter().any(|warning| warning.contains(text));
    assert!(
        has("1 of its keys cannot verify tokens"),
        "{:?}",
        config.warnings
    );
}

#[test]
fn what_is_no_key_for_tokens_is_refused_with_the_fix() {
    let table = [
        (
            BY_SECRET,
            "short\r\n",
            "it holds 5 bytes, and a secret has at least 32",
            "decode it",
        ),
        (
            BY_SECRET,
            "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n",
            "it holds a public key, and no secret",
            "public keys go into `jwt_jwks_file`",
        ),
        (
            BY_SECRET,
            r#"{"keys":[{"kty":"RSA","n":"0123456789","e":"AQAB"}]}"#,
            "it holds a public key, and no secret",
            "public keys go into `jwt_jwks_file`",
        ),
        (
            BY_KEY_SET,
            SECRET,
            "it holds no JSON Web Key Set",
            "jwks_uri",
        ),
        (
            BY_KEY_SET,
            ED25519,
            "it holds no JSON Web Key Set",
            "jwks_uri",
        ),
        (
            BY_KEY_SET,
            r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#,
            "and a key set is a public document",
            "a shared secret goes into `jwt_secret_file`",
        ),
        (
            BY_KEY_SET,
            r#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#,
            "none of its 1 keys can verify a token",
            "",
        ),
    ];
    for (config, key, why, fix) in table {
        let (said, help) = error(config, &[("key", key)]);
        assert!(said.contains(why) && said.contains("/key`"), "{said}");
        assert!(help.contains(fix), "{help}");
        assert!(!said.contains(key.trim()), "{said}");
    }
    let (said, _) = error(BY_KEY_SET, &[]);
    assert!(
        said.contains("oncegate.toml:1: there are no keys for tokens in"),
        "{said}"
    );
}

#[test]
fn a_claim_as_a_scope_needs_exactly_one_source_of_keys() {
    let (said, help) = error("[defaults]\nscope = ['jwt:sub']", &[]);
    assert!(
        said.ends_with("oncegate.toml:2: `scope` has `jwt:`, and nothing says who may sign tokens")
    );
    assert!(help.contains("`jwt_jwks_file = "), "{help}");
    let both = format!("jwt_jwks_file = 'DIR/key'\n{BY_SECRET}");
    let (said, _) = error(&both, &[("key", SECRET)]);
    assert!(said.contains("cannot both be given"), "{said}");
}

/// Nobody shall believe that tokens are verified where they are not.
#[test]
fn settings_about_tokens_without_a_claim_as_a_scope_are_warned_of() {
    let config = "jwt_jwks_file = '/nowhere'\njwt_issuer = ['a']\njwt_audience = ['b']\n\
                  [[route]]\nmatch = '/a'\nkey = 'ignored'\nscope = ['jwt:sub']";
    let warnings = load(config, &[]).unwrap().warnings;
    for name in ["jwt_jwks_file", "jwt_issuer", "jwt_audience"] {
        let expected = format!("`{name}` has no effect");
        assert!(
            warnings
                .iter()
                .any(|warning| warning.starts_with(&expected)),
            "{warnings:?}"
        );
    }
    let without_audience = BY_SECRET.replace("jwt_audience = ['a']\n", "");
    let warnings = load(&without_audience, &[("key", SECRET)])
        .unwrap()
        .warnings;
    assert!(
        warnings
            .iter()
            .any(|warning| warning.starts_with("no `jwt_audience`"))
    );
}
