//! The settings about executions and records: times, sizes, and what an outcome means.

use std::time::Duration;

use http::StatusCode;
use oncegate::policy::{InFlight, OnServerError, OnUnknown, Reconcile, StoreDown};
use oncegate::{Dialect, Policy};

use super::{DAY, Done, duration, integer, policy, set, text};
use crate::config::setting::{Choice, PolicyDraft, Setting};
use crate::config::units::show_size;
use crate::config::value::{Shape, Value};
use crate::config::{check, read};

pub(super) static EXECUTION: [Setting; 22] = [
    policy(
        "retention",
        Shape::Word,
        |d, v| set(&mut d.policy.retention, read::duration(v, SECOND..=YEARS)),
        |p| duration(p.retention),
    )
    .takes("a duration from 1s to 3650d", "\"24h\"")
    .does("how long a completed record is replayed, from its completion"),
    policy(
        "tombstones",
        Shape::Word,
        |d, v| {
            set(
                &mut d.policy.tombstones,
                read::duration(v, Duration::ZERO..=YEARS),
            )
        },
        |p| duration(p.tombstones),
    )
    .takes("a duration from 0s to 3650d", "\"7d\"")
    .does("how long an expired record is remembered, so that a late retry is refused"),
    policy(
        "unknown_retention",
        Shape::Word,
        |d, v| {
            set(
                &mut d.policy.unknown_retention,
                read::duration(v, SECOND..=YEARS),
            )
        },
        |p| duration(p.unknown_retention),
    )
    .takes("a duration from 1s to 3650d", "\"30d\"")
    .does("how long an unknown outcome stays unknown"),
    policy(
        "lease",
        Shape::Word,
        |d, v| set(&mut d.policy.lease, check::lease(v)),
        |p| duration(p.lease),
    )
    .takes("a duration from 1s to 24h", "\"30s\"")
    .does("how long a claim is honoured without renewal"),
    policy(
        "in_flight",
        Shape::Word,
        |d, v| set(&mut d.policy.in_flight, read::choice(v, &IN_FLIGHT)),
        |p| Some(read::word_for(&p.in_flight, &IN_FLIGHT)),
    )
    .takes("`reject` (409 at once) or `wait`", "\"wait\"")
    .does("what a duplicate of a request in flight gets"),
    policy(
        "wait_timeout",
        Shape::Word,
        |d, v| {
            set(
                &mut d.policy.wait_timeout,
                read::duration(v, MILLISECOND..=DAY),
            )
        },
        |p| duration(p.wait_timeout),
    )
    .takes("a duration from 1ms to 24h", "\"10s\"")
    .does("how long a duplicate waits with `in_flight = \"wait\"`"),
    policy(
        "on_server_error",
        Shape::Word,
        |d, v| {
            set(
                &mut d.policy.on_server_error,
                read::choice(v, &ON_SERVER_ERROR),
            )
        },
        |p| Some(read::word_for(&p.on_server_error, &ON_SERVER_ERROR)),
    )
    .takes("`release`, `keep` or `unknown`", "\"unknown\"")
    .does("what an answer of 5xx means"),
    policy(
        "transient_statuses",
        Shape::List,
        |d, v| {
            set(
                &mut d.policy.transient_statuses,
                read::statuses(v, &(200..=599)),
            )
        },
        |p| Some(statuses(&p.transient_statuses)),
    )
    .takes("a list of statuses from 200 to 599", "[409, 503]")
    .does("answers that mean: nothing ran, the key is free"),
    policy(
        "unknown_statuses",
        Shape::List,
        |d, v| {
            set(
                &mut d.policy.unknown_statuses,
                read::statuses(v, &(200..=599)),
            )
        },
        |p| Some(statuses(&p.unknown_statuses)),
    )
    .takes("a list of statuses from 200 to 599", "[500, 502, 504]")
    .does("answers that mean: it may have run"),
    policy(
        "mismatch_status",
        Shape::Word,
        |d, v| set(&mut d.policy.mismatch_status, read::status(v, 400..=499)),
        |p| integer(p.mismatch_status.as_u16()),
    )
    .takes("a status from 400 to 499", "422")
    .does("the answer to a key that comes with another request"),
    policy(
        "dialect",
        Shape::Word,
        |d, v| set(&mut d.policy.dialect, read::choice(v, &DIALECTS)),
        |p| Some(read::word_for(&p.dialect, &DIALECTS)),
    )
    .takes("`problem`, `stripe`, `adyen` or `paypal`", "\"stripe\"")
    .does("in whose words refusals are written: problem details, or a vendor's error object"),
    policy("on_unknown", Shape::Word, read_on_unknown, show_on_unknown)
        .takes("`refuse`, `reexecute` or `reconcile`", "\"refuse\"")
        .does("what a retry gets whose outcome is unknown"),
    policy(
        "reconcile",
        Shape::Table,
        |d, v| set(&mut d.reconcile, read::reconcile(v).map(Some)),
        show_reconcile,
    )
    .takes(
        "a table of a path and a status from 200 to 299",
        "{ get = \"/payments/by-key/{key}\", status = 201 }",
    )
    .does("where to ask what became of it, and the status of what is found"),
    policy(
        "store_down",
        Shape::Word,
        |d, v| set(&mut d.policy.store_down, read::choice(v, &STORE_DOWN)),
        |p| Some(read::word_for(&p.store_down, &STORE_DOWN)),
    )
    .takes(
        "`refuse` (503) or `execute` (without any promise)",
        "\"refuse\"",
    )
    .does("what happens to a keyed request while the store is down"),
    policy(
        "store_timeout",
        Shape::Word,
        |d, v| {
            set(
                &mut d.policy.store_timeout,
                read::duration(v, MILLISECOND..=MINUTE),
            )
        },
        |p| duration(p.store_timeout),
    )
    .takes("a duration from 1ms to 1m", "\"500ms\"")
    .does("how long one step of the store may take"),
    policy(
        "complete_timeout",
        Shape::Word,
        |d, v| {
            set(
                &mut d.policy.complete_timeout,
                read::duration(v, MILLISECOND..=HOUR),
            )
        },
        |p| duration(p.complete_timeout),
    )
    .takes("a duration from 1ms to 1h", "\"5s\"")
    .does("how long an answer is held until its outcome is recorded"),
    policy(
        "answer_timeout",
        Shape::Word,
        |d, v| {
            set(
                &mut d.policy.answer_timeout,
                read::duration(v, MILLISECOND..=DAY),
            )
        },
        |p| duration(p.answer_timeout),
    )
    .takes("a duration from 1ms to 24h", "\"30s\"")
    .does("then the caller gets 504 `still-running`; the execution goes on"),
    policy(
        "upstream_timeout",
        Shape::Word,
        |d, v| {
            set(
                &mut d.policy.upstream_timeout,
                read::duration(v, MILLISECOND..=DAY),
            )
        },
        |p| duration(p.upstream_timeout),
    )
    .takes("a duration from 1ms to 24h", "\"10m\"")
    .does("how long an execution may take in all"),
    policy(
        "keyed_idle_max",
        Shape::Word,
        |d, v| {
            set(
                &mut d.policy.keyed_idle_max,
                read::duration(v, Duration::ZERO..=HOUR),
            )
        },
        |p| duration(p.keyed_idle_max),
    )
    .takes("a duration from 0s to 1h", "\"1s\"")
    .does("keyed requests take no upstream connection that was idle longer"),
    policy(
        "buffer_bytes_max",
        Shape::Word,
        |d, v| set(&mut d.policy.buffer_bytes_max, read::size(v, 0..=GIBIBYTE)),
        |p| text(&show_size(p.buffer_bytes_max)),
    )
    .takes("a size up to 1GiB", "\"1MiB\"")
    .does("request bodies up to this are held in memory, larger ones on disk"),
    policy(
        "request_bytes_max",
        Shape::Word,
        |d, v| {
            set(
                &mut d.policy.request_bytes_max,
                read::size(v, 0..=1024 * GIBIBYTE),
            )
        },
        |p| text(&show_size(p.request_bytes_max)),
    )
    .takes("a size up to 1024GiB", "\"100MiB\"")
    .does("the largest body of a keyed request"),
    policy(
        "response_bytes_max",
        Shape::Word,
        |d, v| {
            set(
                &mut d.policy.response_bytes_max,
                read::size(v, 0..=GIBIBYTE),
            )
        },
        |p| text(&show_size(p.response_bytes_max)),
    )
    .takes("a size up to 1GiB", "\"8MiB\"")
    .does("the largest answer that is kept; larger ones are passed on whole"),
];

fn read_on_unknown(draft: &mut PolicyDraft, value: &Value) -> Done {
    set(&mut draft.on_unknown, read::choice(value, &ON_UNKNOWN))
}

fn show_on_unknown(policy: &Policy) -> Option<Value> {
    let choice = match policy.on_unknown {
        OnUnknown::Refuse => Choice::Refuse,
        OnUnknown::Reexecute => Choice::Reexecute,
        OnUnknown::Reconcile(_) => Choice::Reconcile,
    };
    Some(read::word_for(&choice, &ON_UNKNOWN))
}

fn show_reconcile(policy: &Policy) -> Option<Value> {
    match &policy.on_unknown {
        OnUnknown::Refuse | OnUnknown::Reexecute => None,
        OnUnknown::Reconcile(Reconcile { get, status }) => Some(Value::Table(vec![
            ("get".to_owned(), Value::String(get.clone())),
            ("status".to_owned(), Value::Integer(status.as_u16().into())),
        ])),
    }
}

fn statuses(statuses: &[StatusCode]) -> Value {
    Value::List(
        statuses
            .iter()
            .map(|status| Value::Integer(status.as_u16().into()))
            .collect(),
    )
}

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const YEARS: Duration = Duration::from_secs(3650 * 24 * 60 * 60);
const GIBIBYTE: u64 = 1 << 30;

const IN_FLIGHT: [(&str, InFlight); 2] = [("reject", InFlight::Reject), ("wait", InFlight::Wait)];
const ON_SERVER_ERROR: [(&str, OnServerError); 3] = [
    ("release", OnServerError::Release),
    ("keep", OnServerError::Keep),
    ("unknown", OnServerError::Unknown),
];
const DIALECTS: [(&str, Dialect); 4] = [
    ("problem", Dialect::Problem),
    ("stripe", Dialect::Stripe),
    ("adyen", Dialect::Adyen),
    ("paypal", Dialect::PayPal),
];
const ON_UNKNOWN: [(&str, Choice); 3] = [
    ("refuse", Choice::Refuse),
    ("reexecute", Choice::Reexecute),
    ("reconcile", Choice::Reconcile),
];
const STORE_DOWN: [(&str, StoreDown); 2] = [
    ("refuse", StoreDown::Refuse),
    ("execute", StoreDown::Execute),
];
