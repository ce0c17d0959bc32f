//! What is loaded, from where, and that it can be printed and read again.

use std::time::Duration;

use http::{Method, StatusCode};
use oncegate::policy::{KeyUse, OnUnknown, Reconcile};
use oncegate_stores::StoreUrl;

use super::{Config, ConfigError, Environment, ServeArgs};

mod errors;
mod profiles;
mod reference;
mod together;

const FILE: &str = r#"
    listen = ["127.0.0.1:1", "[::1]:1"]
    admin = "off"
    upstream = "h2c://payments:3000/v1"
    store = "memory:"
    cors_origins = ["https://shop.example"]

    [defaults]
    lease = "10s"
    key_header = ["Idempotency-Key", "X-Request-Key"]
    drain_timeout = "1m"
    unknown_statuses = [500, 502, 504]

    [[route]]
    match = "POST,put /payments/{id}"
    key = "required"
    on_unknown = "reconcile"
    reconcile = { get = "/payments/by-key/{key}", status = 201 }

    [[route]]
    match = "/files/{*rest}"
    lease = "1m"
"#;

/// Loads this file with these variables and flags. Errors name the file `oncegate.toml`.
fn load(file: &str, variables: &[(&str, &str)], flags: &[&str]) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("oncegate.toml");
    std::fs::write(&path, file).unwrap();
    let args = ServeArgs {
        config: Some(path),
        ..args(flags)
    };
    Config::load(&args, &environment(variables))
}

fn args(flags: &[&str]) -> ServeArgs {
    #[derive(clap::Parser)]
    struct Serve {
        #[command(flatten)]
        args: ServeArgs,
    }
    clap::Parser::try_parse_from(["serve"].iter().chain(flags))
        .map(|it: Serve| it.args)
        .unwrap()
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn without_anything_the_built_in_configuration_is_in_force() {
    let config = Config::load(&ServeArgs::default(), &Environment::default()).unwrap();
    assert!(!config.warnings.is_empty());
    assert_eq!(
        Config {
            warnings: Vec::new(),
            ..config
        },
        Config::default()
    );
}

#[test]
fn a_file_sets_the_server_the_defaults_and_the_routes() {
    let config = load(FILE, &[], &[]).unwrap();
    assert_eq!(config.listen.len(), 2);
    assert_eq!(config.admin, None);
    assert_eq!(config.upstream.to_string(), "h2c://payments:3000/v1");
    assert_eq!(config.store, StoreUrl::Memory);
    assert_eq!(config.drain_timeout, Duration::from_secs(60));
    assert_eq!(config.defaults().lease, Duration::from_secs(10));
    assert_eq!(config.defaults().key_header[1], "x-request-key");

    let payments = config.routes.policy(&Method::PUT, "/payments/7");
    assert_eq!(payments.key, KeyUse::Required);
    assert_eq!(payments.lease, Duration::from_secs(10));
    let get = "/payments/by-key/{key}".to_owned();
    let reconcile = Reconcile {
        get,
        status: StatusCode::CREATED,
    };
    assert_eq!(payments.on_unknown, OnUnknown::Reconcile(reconcile));

    let files = config.routes.policy(&Method::PATCH, "/files/a/b");
    assert_eq!(
        (files.key, files.lease),
        (KeyUse::Optional, Duration::from_secs(60))
    );
}

#[test]
fn flags_win_over_the_environment_and_the_environment_over_the_file() {
    let file = "store = 'file:a'\nupstream = 'http://a'\nadmin = '127.0.0.1:1'";
    let variables = [
        ("ONCEGATE_STORE", "file:b"),
        ("ONCEGATE_UPSTREAM", "http://b"),
        ("ONCEGATE_LOG", "debug"),
    ];
    let config = load(file, &variables, &["--store", "file:c"]).unwrap();
    assert_eq!(config.store.to_string(), "file:c");
    assert_eq!(config.upstream.to_string(), "http://b");
    assert_eq!(config.admin.unwrap().port(), 1);
}

#[test]
fn a_route_wins_over_flags_and_flags_win_over_the_defaults_of_the_file() {
    let file =
        "[defaults]\nlease = '10s'\nretention = '1h'\n[[route]]\nmatch = '/a'\nlease = '20s'";
    let flags = ["--set", "lease=40s", "--set", "methods=post, PUT"];
    let config = load(file, &[("ONCEGATE_LEASE", "30s")], &flags).unwrap();
    assert_eq!(config.defaults().lease, Duration::from_secs(40));
    assert_eq!(config.defaults().retention, Duration::from_secs(3600));
    assert_eq!(config.defaults().methods, [Method::POST, Method::PUT]);
    let route = config.routes.policy(&Method::PUT, "/a");
    assert_eq!(route.lease, Duration::from_secs(20));
}

#[test]
fn the_environment_can_say_all_that_the_file_can() {
    let variables = [
        ("ONCEGATE_KEY_HEADER", "Idempotency-Key,X-Key"),
        ("ONCEGATE_UNKNOWN_STATUSES", ""),
        ("ONCEGATE_TRANSIENT_STATUSES", "409, 503"),
        ("ONCEGATE_KEY_LENGTH_MAX", "64"),
        ("ONCEGATE_BUFFER_BYTES_MAX", "65536"),
        ("ONCEGATE_ON_UNKNOWN", "reconcile"),
        ("ONCEGATE_RECONCILE", "{ get = '/by/{key}', status = 200 }"),
        ("ONCEGATE_LISTEN", "127.0.0.1:1,127.0.0.1:2"),
        // Kubernetes sets these beside a service of our name.
        ("ONCEGATE_SERVICE_HOST", "10.0.0.1"),
        ("ONCEGATE_PORT", "tcp://10.0.0.1:80"),
        ("ONCEGATE_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("HOME", "/root"),
    ];
    let config = load("", &variables, &[]).unwrap();
    let policy = config.defaults();
    assert_eq!(policy.key_header.len(), 2);
    assert!(policy.unknown_statuses.is_empty());
    assert_eq!(
        policy.transient_statuses,
        [StatusCode::CONFLICT, StatusCode::SERVICE_UNAVAILABLE]
    );
    assert_eq!(
        (policy.key_rules.length_max, policy.buffer_bytes_max),
        (64, 65_536)
    );
    assert!(matches!(policy.on_unknown, OnUnknown::Reconcile(_)));
    assert_eq!(config.listen.len(), 2);
}

#[test]
fn the_file_may_be_named_by_the_environment() {
    let variables = [("ONCEGATE_CONFIG", "/nonexistent/oncegate.toml")];
    let error = Config::load(&ServeArgs::default(), &environment(&variables)).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot read `/nonexistent/oncegate.toml`: ")
    );
}

#[test]
fn what_is_printed_reads_back_as_the_same_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "0123456789abcdef\n").unwrap();
    let with_secret = format!(
        "secret_file = {:?}\nprofile = 'ietf'",
        secret.to_str().unwrap()
    );
    let overridden = r#"
        [defaults]
        on_unknown = "reconcile"
        reconcile = { get = "/a/{key}?x=\"", status = 200 }
        fingerprint_exclude = ["/a,b", "/\"\\"]
        [[route]]
        match = "POST /refuse/a b/{{}}"
        on_unknown = "refuse"
        [[route]]
        match = "POST /other"
        reconcile = { get = "/b/{key}", status = 201 }
        request_bytes_max = 1001
        lease = "1500ms"
    "#
    .replace("?x=\\\"", "?x=1");
    for file in ["", FILE, &with_secret, &overridden] {
        let config = load(file, &[], &[]).unwrap();
        let printed = config.print();
        assert_eq!(load(&printed, &[], &[]).unwrap(), config, "{printed}");
    }
}

#[test]
fn a_secret_is_read_from_its_file_and_shown_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, "0123456789abcdef\r\n").unwrap();
    let config = load("", &[], &["--secret-file", path.to_str().unwrap()]).unwrap();
    assert_eq!(
        config.secret.as_ref().unwrap().as_bytes(),
        b"0123456789abcdef"
    );
    assert!(!format!("{config:?}{}", config.print()).contains("0123456789abcdef"));
    assert!(
        !config
            .warnings
            .iter()
            .any(|warning| warning.contains("no `secret_file`"))
    );

    std::fs::write(&path, "0123456789abcde\n").unwrap();
    let error = load("", &[], &["--secret-file", path.to_str().unwrap()]).unwrap_err();
    let expected = "it holds 15 bytes, and a secret has at least 16";
    assert!(error.to_string().ends_with(expected), "{error}");
}

#[cfg(unix)]
#[test]
fn a_secret_that_everybody_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, "0123456789abcdef").unwrap();
    let warned = |mode| {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        let config = load("", &[], &["--secret-file", path.to_str().unwrap()]).unwrap();
        config
            .warnings
            .iter()
            .any(|warning| warning.contains("`chmod 600`"))
    };
    assert!(warned(0o644));
    assert!(!warned(0o600));
}

#[test]
fn start_up_warns_of_what_costs_a_promise() {
    let warnings = |file| load(file, &[], &[]).unwrap().warnings;
    let calm = warnings("[defaults]\nscope = ['header:x-api-key']");
    assert_eq!(calm.len(), 1, "{calm:?}");
    let file = r#"
        store = "memory:"
        admin = "0.0.0.0:9090"
        [defaults]
        store_down = "execute"
        [[route]]
        match = "POST /a"
        on_unknown = "reexecute"
        [[route]]
        match = "POST /b"
        key = "ignored"
    "#;
    let all = warnings(file);
    let has = |text: &str| all.iter().any(|warning| warning.contains(text));
    assert!(has("`store = \"memory:\"`"), "{all:?}");
    assert!(has("`admin = \"0.0.0.0:9090\"`"));
    assert!(has(
        "is a stranger, and its retries execute again ([defaults], POST /a)"
    ));
    assert!(has(
        "`store_down = \"execute\"`: while the store is down, no promise holds"
    ));
    assert!(has("Idempotency-Fence (POST /a)"));
}
