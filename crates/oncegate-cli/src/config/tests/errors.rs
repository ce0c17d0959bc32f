//! What an operator reads when something is wrong.

use super::load;

/// The errors, without their lines of source, and the name of the file as if it were here.
#[track_caller]
pub(super) fn check(file: &str, variables: &[(&str, &str)], flags: &[&str], expected: &[&str]) {
    let error = load(file, variables, flags).unwrap_err();
    let found: Vec<String> = error
        .findings()
        .map(|finding| plain(&finding.to_string()))
        .collect();
    assert_eq!(found, expected);
}

/// The help of the only error.
#[track_caller]
fn help(file: &str) -> String {
    let error = load(file, &[], &[]).unwrap_err();
    assert_eq!(error.findings().count(), 1, "{error}");
    let finding = error.findings().next().unwrap();
    miette::Diagnostic::help(finding)
        .map(|help| help.to_string())
        .unwrap_or_default()
}

/// The path of the file is another one on each run.
fn plain(text: &str) -> String {
    let start = |at: usize| text[..at].rfind(['[', ' ']).map_or(0, |space| space + 1);
    match text.find("oncegate.toml") {
        Some(at) => text.replace(&text[start(at)..at], ""),
        None => text.to_owned(),
    }
}

#[test]
fn a_misspelt_setting_is_reported_with_its_line_and_the_nearest_name() {
    let error = load(
        "store = 'memory:'\n\n[defaults]\nretentoin = '24h'\n",
        &[],
        &[],
    )
    .unwrap_err();
    let expected = "  x oncegate.toml:4: unknown setting `retentoin` in `[defaults]`
   ,-[oncegate.toml:4:1]
 3 | [defaults]
 4 | retentoin = '24h'
   : ^^^^^^^^^
   `----
  help: did you mean `retention`?
";
    assert_eq!(plain(&error.render(false)), expected);
}

#[test]
fn a_wrong_value_is_reported_with_what_is_allowed_and_an_example_that_works() {
    let error = load("[defaults]\nlease = 30\n", &[], &[]).unwrap_err();
    let expected = "  x oncegate.toml:2: cannot use `lease = 30`: a duration needs a unit
   ,-[oncegate.toml:2:1]
 1 | [defaults]
 2 | lease = 30
   : ^^^^^^^^^^
   `----
  help: add the unit: `30s` for seconds, `30ms` for milliseconds
        a lease is renewed after a third of it, and a store may need that long
        `lease` takes a duration from 1s to 24h: `lease = \"30s\"`
";
    assert_eq!(plain(&error.render(false)), expected);
}

#[test]
fn a_misspelt_variable_or_flag_is_an_error_too() {
    let error = load("", &[("ONCEGATE_LEESE", "10s")], &[]).unwrap_err();
    let expected = "  x environment: unknown variable `ONCEGATE_LEESE`
   ,-[environment:1:1]
 1 | ONCEGATE_LEESE=10s
   : ^^^^^^^^^^^^^^^^^^
   `----
  help: did you mean `ONCEGATE_LEASE`?
";
    assert_eq!(error.render(false), expected);
    check(
        "",
        &[],
        &["--set", "leese=1s"],
        &["command line: unknown setting `leese`"],
    );
    check(
        "",
        &[],
        &["--set", "lease"],
        &["command line: `--set lease` has no value"],
    );
    let expected = ["command line: cannot use `--set lease=10`: a duration needs a unit"];
    check("", &[], &["--set", "lease=10"], &expected);
    let expected = [
        "environment: cannot use `ONCEGATE_KEY=no`: `no` is none of required, \
                     optional, ignored",
    ];
    check("", &[("ONCEGATE_KEY", "no")], &[], &expected);
    let expected = [
        "command line: cannot use `--store mysql://h`: store mysql: is not known; supported are: memory:, \
                     file:PATH, redis://HOST:PORT, redis-cluster://HOST:PORT,HOST:PORT, postgres://HOST:PORT/DATABASE",
    ];
    check("", &[], &["--store", "mysql://h"], &expected);
    let flags = ["--store", "memory:", "--set", "store=memory:"];
    check("", &[], &flags, &["command line: `store` is given twice"]);
    let expected = ["command line: `match` cannot stand in `[defaults]`"];
    check("", &[], &["--set", "match=/a"], &expected);
}

#[test]
fn all_errors_come_together_in_the_order_of_the_file() {
    let file = r#"upstrem = "http://a"
        [[route]]
        match = "POST /a"
        keey = "required"
        [defaults]
        fingerprint = "RAW"
        tls_client_ca_file = "a.pem"
    "#;
    let expected = [
        "oncegate.toml:1: unknown setting `upstrem` above the first table",
        "oncegate.toml:4: unknown setting `keey` in `[[route]]`",
        "oncegate.toml:6: cannot use `fingerprint = \"RAW\"`: `RAW` is none of auto, raw, none",
        "oncegate.toml:7: `tls_client_ca_file` is not supported yet",
        "environment: unknown variable `ONCEGATE_LEESE`",
    ];
    check(file, &[("ONCEGATE_LEESE", "1s")], &[], &expected);
    let error = load(file, &[], &[]).unwrap_err();
    let all = plain(&error.to_string());
    assert!(
        all.ends_with("`upstrem` above the first table (and 3 more errors)"),
        "{all}"
    );
}

/// `(value, why it is refused)`
#[test]
fn a_quota_that_cannot_be_read_is_refused() {
    let none = "a quota of none would refuse every key";
    let wrong = "it is no number for each unit of time";
    for (value, why) in [
        ("0/h", none),
        ("1000", wrong),
        ("many/h", wrong),
        ("-1/h", wrong),
        ("10/w", wrong),
        ("10/2h", wrong),
    ] {
        let expected = format!("oncegate.toml:1: cannot use `quota_total = \"{value}\"`: {why}");
        check(&format!("quota_total = '{value}'"), &[], &[], &[&expected]);
    }
    let shown = load("quota_total = ' 24 / d '", &[], &[]).unwrap().print();
    assert!(shown.contains("quota_total = \"24/d\"\n"), "{shown}");
}

#[test]
fn a_setting_in_the_wrong_place_is_told_where_it_stands() {
    let expected = ["oncegate.toml:1: `lease` cannot stand above the first table"];
    check("lease = '1s'", &[], &[], &expected);
    assert_eq!(
        help("lease = '1s'"),
        "it stands in `[defaults]` or `[[route]]`"
    );
    assert_eq!(
        help("[defaults]\nstore = 'memory:'"),
        "it stands above the first table"
    );
    let route = "[[route]]\nmatch = '/a'\ndrain_timeout = '1s'";
    assert_eq!(help(route), "it stands in `[defaults]`");
    let typo = "did you mean `lease`? It stands in `[defaults]` or `[[route]]`";
    assert_eq!(help("leese = '1s'"), typo);
    assert_eq!(help("[route]\nmatch = '/a'"), "write `[[route]]`");
    assert_eq!(help("defaults = 1"), "write `[defaults]`");
    assert_eq!(help("ttl = 1"), "docs/configuration.md lists all settings");
}

#[test]
fn what_is_not_toml_is_reported_with_its_line() {
    let duplicate = "store = 'memory:'\nstore = 'memory:'";
    check(
        duplicate,
        &[],
        &[],
        &["oncegate.toml:2: this is not TOML: duplicate key"],
    );
    let error = load("[defaults]\nlease = 30s\n", &[], &[]).unwrap_err();
    assert!(plain(&error.to_string()).starts_with("oncegate.toml:2: this is not TOML: "));
}

/// `(line in [defaults], why it is refused)`
#[test]
fn each_type_of_setting_refuses_what_it_cannot_use() {
    let table = [
        ("key = true", "it has to be a string, not a boolean"),
        ("methods = 'POST'", "it has to be a list, not a string"),
        (
            "methods = ['GET']",
            "GET cannot take keys: it changes nothing, and always passes",
        ),
        (
            "methods = ['connect']",
            "CONNECT cannot take keys: it opens a tunnel",
        ),
        ("methods = ['PO ST']", "`PO ST` cannot be an HTTP method"),
        (
            "key_length_max = '255'",
            "it has to be an integer, not a string",
        ),
        ("key_length_max = 0", "the least is 1"),
        ("key_length_max = 1025", "the most is 1024"),
        ("key_header = []", "a key has to come under some name"),
        (
            "key_header = ['a b']",
            "`a b` cannot be the name of a header",
        ),
        (
            "key_header = ['Idempotency-Fence']",
            "`idempotency-fence` means something else already",
        ),
        (
            "key_header = ['idempotency_key']",
            "`idempotency_key` can be taken for another header",
        ),
        (
            "scope = ['jwt:exp']",
            "the claim `exp` is another one in each token: a retry would be a stranger",
        ),
        ("scope = ['jwt:']", "`` cannot be the name of a claim"),
        (
            "scope = ['ip']",
            "`ip` is neither `header:NAME` nor `cookie:NAME` nor `jwt:CLAIM`",
        ),
        (
            "fingerprint_exclude = ['a']",
            "the JSON pointer `a` does not start with `/`",
        ),
        (
            "fingerprint_exclude = ['']",
            "an empty pointer leaves out the whole body",
        ),
        ("retention = '0s'", "the least is 1s"),
        ("lease = '500ms'", "the least is 1s"),
        ("lease = 1.5", "it has to be a duration, not that"),
        ("retention = '2w'", "`w` is no unit of time"),
        ("buffer_bytes_max = '2GiB'", "the most is 1GiB"),
        ("buffer_bytes_max = -1", "a size cannot be negative"),
        ("response_bytes_max = '8M'", "`M` is no unit of size"),
        ("unknown_statuses = [600]", "the most is 599"),
        (
            "unknown_statuses = 504",
            "it has to be a list, not an integer",
        ),
        ("mismatch_status = 500", "the most is 499"),
        (
            "on_unknown = 'retry'",
            "`retry` is none of refuse, reexecute, reconcile",
        ),
        (
            "reconcile = '/a/{key}'",
            "it has to be a table, not a string",
        ),
        (
            "reconcile = { get = '/a/{key}' }",
            "`status` is missing in it",
        ),
        ("reconcile = { status = 200 }", "`get` is missing in it"),
        (
            "reconcile = { get = '/a', status = 200 }",
            "`get` does not say where the key goes: `{key}` is missing",
        ),
        (
            "reconcile = { get = 'a/{key}', status = 200 }",
            "`get` is no path: it has to start with one `/`",
        ),
        (
            "reconcile = { get = '/{a}/{key}', status = 200 }",
            "`get` is no path, with or without a query",
        ),
        ("reconcile = { got = '/a/{key}' }", "`got` is unknown in it"),
    ];
    for (line, why) in table {
        let error = load(&format!("[defaults]\n{line}"), &[], &[]).unwrap_err();
        let found = error.findings().next().unwrap().to_string();
        assert!(found.ends_with(&format!("`: {why}")), "{line}: {found}");
    }
}

/// `(line above the first table, why it is refused)`
#[test]
fn addresses_and_urls_are_checked_before_anything_is_bound() {
    let table = [
        ("listen = []", "there has to be an address to listen on"),
        ("listen = ':8080'", "`:8080` is no IP address with a port"),
        (
            "listen = 'example.com:80'",
            "`example.com:80` is no IP address with a port",
        ),
        ("listen = 'localhost:http'", "`http` is no port"),
        ("admin = 'no'", "`no` is no IP address with a port"),
        (
            "upstream = 'ftp://a'",
            "unknown scheme: write http://host:port, https://host:port or h2c://host:port",
        ),
        (
            "store = 'file:'",
            "store file: has no path; write file:PATH",
        ),
        (
            "store = 'memory:x'",
            "store memory: takes nothing behind the colon",
        ),
        (
            "store = 'keys.db'",
            "store has no scheme; write one of: memory:, file:PATH, redis://HOST:PORT, redis-cluster://HOST:PORT,HOST:PORT, postgres://HOST:PORT/DATABASE",
        ),
        (
            "store = 'mysql://a'",
            "store mysql: is not known; supported are: memory:, file:PATH, redis://HOST:PORT, redis-cluster://HOST:PORT,HOST:PORT, postgres://HOST:PORT/DATABASE",
        ),
        (
            "profile = 'visa'",
            "`visa` is none of oncegate, ietf, stripe, adyen, paypal",
        ),
        ("secret_file = ''", "it is empty"),
        (
            "cors_origins = ['*']",
            "`*` in `cors_origins` is not supported yet",
        ),
        (
            "cors_origins = ['https://a/']",
            "`https://a/` is no origin as browsers send it",
        ),
        (
            "cors_origins = ['a.example']",
            "`a.example` is no origin as browsers send it",
        ),
    ];
    for (line, why) in table {
        let error = load(line, &[], &[]).unwrap_err();
        let found = error.findings().next().unwrap().to_string();
        assert!(found.ends_with(&format!("`: {why}")), "{line}: {found}");
    }
    let file = "admin = 'localhost:1'\nlisten = 'localhost:1'";
    check(
        file,
        &[],
        &[],
        &["oncegate.toml:1: `admin` and `listen` cannot both be 127.0.0.1:1"],
    );
}

/// `(value of match, why it is refused)`
#[test]
fn a_pattern_that_could_never_match_is_refused() {
    let table = [
        (
            "POST payments",
            "the pattern `payments` does not start with `/`",
        ),
        (
            "POST",
            "there is no path pattern in it that starts with `/`",
        ),
        ("POST, PUT /a", "`POST,` is no list of methods"),
        (
            "GET /a",
            "GET cannot take keys: it changes nothing, and always passes",
        ),
        ("POST /a%20b", "a pattern with `%` in it never matches"),
        (
            "POST /a?b",
            "a pattern matches the path alone, without a query",
        ),
        ("POST /a//b", "the pattern `/a//b` never matches"),
        ("POST /a;v=1/b", "the pattern `/a;v=1/b` never matches"),
        ("POST /a/../b", "the pattern `/a/../b` never matches"),
        (
            "POST /{}",
            "parameters must be registered with a valid name",
        ),
        (
            "POST /{*a}/b",
            "catch-all parameters are only allowed at the end of a route",
        ),
        (
            "POST /{a}{b}",
            "only one parameter is allowed per path segment",
        ),
    ];
    for (pattern, why) in table {
        let error = load(&format!("[[route]]\nmatch = '{pattern}'"), &[], &[]).unwrap_err();
        let found = plain(&error.to_string());
        let expected = format!("oncegate.toml:2: cannot use `match = \"{pattern}\"`: {why}");
        assert_eq!(found, expected);
    }
}

#[test]
fn a_route_without_a_match_or_a_method_and_two_that_conflict_are_reported_with_their_lines() {
    let file = "[[route]]\nkey = 'required'";
    check(
        file,
        &[],
        &[],
        &["oncegate.toml:1: the route does not say what it is for"],
    );
    let file = "[[route]]\nmatch = '/a'\nmethods = []";
    check(
        file,
        &[],
        &[],
        &["oncegate.toml:1: the route `/a` is for no method"],
    );
    let file = "[[route]]\nmatch = '/a/{b}'\n[[route]]\nmatch = 'PATCH /a/{c}'";
    let expected = "oncegate.toml:4: the route `PATCH /a/{c}` conflicts with `PATCH /a/{b}`";
    check(file, &[], &[], &[expected]);
}
