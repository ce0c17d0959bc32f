//! What an operator reads when settings do not go together.

use super::errors::check;

/// `(lines of [defaults], the error)`
#[test]
fn settings_that_are_wrong_together_are_reported_with_both_values() {
    let table = [
        (
            "lease = '2h'\nunknown_retention = '1h'",
            "2: `lease` (2h) cannot be longer than `unknown_retention` (1h)",
        ),
        (
            "store_timeout = '30s'",
            "2: `store_timeout` (30s) cannot be as long as `lease` (30s)",
        ),
        (
            "in_flight = 'wait'\nanswer_timeout = '5s'",
            "3: `wait_timeout` (10s) cannot be longer than `answer_timeout` (5s)",
        ),
        (
            "transient_statuses = [504]",
            "2: 504 cannot be in both `transient_statuses` and `unknown_statuses`",
        ),
        (
            "fingerprint = 'raw'\nfingerprint_exclude = ['/a']",
            "3: `fingerprint_exclude` needs `fingerprint = \"auto\"`",
        ),
        (
            "first_sent = true",
            "2: `first_sent` needs `key_format = \"uuid7\"` or `\"ulid\"`",
        ),
        (
            "scope = []\nanonymous = 'refuse'",
            "2: `scope = []` with `anonymous = \"refuse\"` refuses every key",
        ),
        (
            "scope = ['header:idempotency-key']",
            "2: `scope` cannot look at `idempotency-key`: it holds the key",
        ),
        (
            "on_unknown = 'reconcile'",
            "2: `on_unknown = \"reconcile\"` does not say where to ask: `reconcile` is missing",
        ),
        (
            "reconcile = { get = '/{key}', status = 200 }",
            "2: `reconcile` has no effect without `on_unknown = \"reconcile\"`",
        ),
    ];
    for (lines, expected) in table {
        check(
            &format!("[defaults]\n{lines}"),
            &[],
            &[],
            &[&format!("oncegate.toml:{expected}")],
        );
    }
}

#[test]
fn a_body_that_could_never_be_held_is_reported() {
    check(
        "buffer_bytes_total_max = '8MiB'\n[defaults]\nbuffer_bytes_max = '7MiB'",
        &[],
        &[],
        &[
            "oncegate.toml:1: `buffer_bytes_max` (7MiB) does not fit into `buffer_bytes_total_max` (8MiB)",
        ],
    );
}

#[test]
fn what_a_route_inherits_is_not_reported_again() {
    let file = "[[route]]\nmatch = '/a'\nlease = '2s'\n[[route]]\nmatch = '/b'\n\
                [defaults]\nstore_timeout = '31s'\nwait_timeout = '1m'";
    let expected = [
        "oncegate.toml:3: `store_timeout` (31s) cannot be longer than `lease` (2s)",
        "oncegate.toml:7: `store_timeout` (31s) cannot be longer than `lease` (30s)",
    ];
    check(file, &[], &[], &expected);
}
