//! The published contract and the layer say the same: every refusal that can be met is in the table, with these
//! headers and members, and every row of the table can be met.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use oncegate::contract::{Contract, Refused, Served, ServedBy};
use oncegate::key::KeyFormat;
use oncegate::policy::{InFlight, KeyUse, OnUnknown, StoreDown};
use oncegate::scope::Anonymous;
use oncegate::{Dialect, Policy};
use oncegate_tower::{Failure, Quota, Quotas, Settings};

use crate::handler::{Handler, frames, respond};
use crate::harness::{Answer, Setup, code, pay, seconds, unkeyed, with_body, with_header};

/// Sends what can be refused under `policy`, and keeps what is.
async fn meet(policy: &Policy, quotas: Quotas) -> Vec<Answer> {
    let mut settings = Settings::default();
    settings.quotas = quotas;
    let setup = Setup {
        policy: policy.clone(),
        settings,
        ..Setup::default()
    };
    let bench = setup.bench(wayward()).await;
    let doing = |key, what| with_header(pay(key), "x-do", what);
    let mut ambiguous = pay("k");
    *ambiguous.uri_mut() = "//payments".parse().expect("a path");
    let mut answers = Vec::new();
    for request in [
        pay("done"),
        doing("unknown", "unknown"),
        doing("large", "large"),
        unkeyed(),
        pay("\"broken"),
        ambiguous,
        with_header(pay("k"), "cookie", "a=b"),
        with_body(pay("k"), "x".repeat(101)),
        pay("k").map(|_| frames(vec![Err("cut".into())])),
        with_body(pay("done"), "{}"),
        doing("large", "large"),
        doing("hanging", "hang"),
        pay("hanging"),
        doing("unreachable", "unreachable"),
        doing("broken", "break"),
        doing("late", "late"),
        doing("panicking", "panic"),
    ] {
        answers.push(bench.send(request).await);
    }
    bench.oncegate.drain(seconds(1)).await;
    answers.push(bench.send(pay("new")).await);
    answers.push(bench.send(doing("unknown", "unknown")).await);
    bench.faulty.set_down(true);
    answers.push(bench.send(pay("k")).await);
    bench.faulty.set_down(false);
    bench.clock.advance(bench.policy.retention);
    answers.push(bench.send(pay("done")).await);
    answers.retain(is_refusal);
    answers
}

/// A handler that does what `X-Do` says.
fn wayward() -> Handler {
    Handler::new(|call| async move {
        let mut answer = respond(201, "paid");
        let failure = match call.header("x-do") {
            Some("hang") => std::future::pending().await,
            Some("panic") => panic!("as told"),
            Some("unknown") => {
                *answer.status_mut() = code(504);
                None
            }
            Some("large") => {
                answer = respond(201, "x".repeat(21));
                let location = "/payments/7".parse().expect("a value");
                answer.headers_mut().insert("location", location);
                None
            }
            Some("unreachable") => Some(Failure::NotSent),
            Some("break") => Some(Failure::Broken),
            Some("late") => Some(Failure::TimedOut),
            _ => None,
        };
        if let Some(failure) = failure {
            answer.extensions_mut().insert(failure);
        }
        Ok(answer)
    })
}

fn is_refusal(answer: &Answer) -> bool {
    answer.header("link").is_some()
}

fn slug(answer: &Answer) -> &str {
    let link = answer.header("link").expect("a refusal has one");
    let (uri, _) = link.split_once('>').expect("a link");
    uri.rsplit('/').next().expect("a segment")
}

fn names<B>(answer: &http::Response<B>) -> BTreeSet<String> {
    answer.headers().keys().map(ToString::to_string).collect()
}

fn members(document: &[u8]) -> BTreeSet<String> {
    let document: serde_json::Value = serde_json::from_slice(document).expect("it is JSON");
    let inner = document.get("error").unwrap_or(&document);
    inner
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .collect()
}

/// What is told of each example holds of the real one.
fn must_be_as_told(answer: &Answer, row: &Refused) {
    let told = names(&row.example);
    let real: BTreeSet<_> = answer
        .parts
        .headers
        .keys()
        .map(ToString::to_string)
        .collect();
    let always = row.sometimes.iter().fold(told.clone(), |mut told, name| {
        told.remove(name.as_str());
        told
    });
    let slug = row.kind.row().slug;
    assert!(real.is_subset(&told), "{slug}: {real:?} {told:?}");
    assert!(real.is_superset(&always), "{slug}: {real:?} {always:?}");
    for same in ["content-type", "link", "cache-control"] {
        let example = row.example.headers().get(same);
        assert_eq!(answer.parts.headers.get(same), example, "{slug}");
    }
    let example = &row.example.headers()["idempotency-status"];
    assert_eq!(example, answer.became(), "{slug}");
    let mut optional = members(row.example.body());
    let real = members(&answer.body);
    assert!(real.is_subset(&optional), "{slug}: {real:?}");
    for sometimes in ["location", "original_status"] {
        optional.remove(sometimes);
    }
    assert!(real.is_superset(&optional), "{slug}: {real:?}");
}

async fn check(policy: Policy, quotas: Quotas) {
    let served = Served {
        by: ServedBy::Handler,
        quotas: quotas != Quotas::default(),
        ..Served::default()
    };
    let table = Contract::new(&policy, &served).refusals();
    let rows: BTreeMap<_, _> = table
        .iter()
        .map(|row| ((row.status.as_u16(), row.kind.row().slug), row))
        .collect();
    assert_eq!(rows.len(), table.len(), "no row is there twice");
    let mut met = BTreeSet::new();
    for answer in meet(&policy, quotas).await {
        let name = (answer.status(), slug(&answer));
        let row = rows
            .get(&name)
            .unwrap_or_else(|| panic!("{name:?} is in no row"));
        must_be_as_told(&answer, row);
        met.insert((answer.status(), row.kind.row().slug));
    }
    if served.quotas {
        met.extend(rows.keys().filter(|(status, _)| *status != 429));
        assert!(met.contains(&(429, "quota-reached")));
    }
    assert_eq!(met, rows.keys().copied().collect(), "{policy:?}");
}

fn narrow() -> Policy {
    Policy {
        key: KeyUse::Required,
        request_bytes_max: 100,
        answer_timeout: seconds(1),
        wait_timeout: seconds(1),
        response_bytes_max: 20,
        ..Policy::default()
    }
}

#[tokio::test(start_paused = true)]
async fn every_refusal_is_in_the_contract_and_each_of_the_contract_can_be_met() {
    check(narrow(), Quotas::default()).await;
    for dialect in [Dialect::Stripe, Dialect::Adyen, Dialect::PayPal] {
        let policy = Policy {
            dialect,
            mismatch_status: code(400),
            ..narrow()
        };
        check(policy, Quotas::default()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_contract_follows_the_policy() {
    let no_credentials = |anonymous| {
        let mut policy = narrow();
        policy.scope.sources.clear();
        policy.scope.credential_headers.clear();
        policy.scope.anonymous = anonymous;
        policy
    };
    for policy in [
        Policy {
            key: KeyUse::Optional,
            ..narrow()
        },
        Policy {
            in_flight: InFlight::Wait,
            ..narrow()
        },
        Policy {
            on_unknown: OnUnknown::Reexecute,
            ..narrow()
        },
        Policy {
            store_down: StoreDown::Execute,
            ..narrow()
        },
        Policy {
            tombstones: Duration::ZERO,
            ..narrow()
        },
        no_credentials(Anonymous::Allow),
    ] {
        check(policy, Quotas::default()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_quota_is_in_the_contract_where_there_is_one() {
    let one = Quota::new(1, seconds(3600));
    let quotas = Quotas {
        total: one,
        ..Quotas::default()
    };
    check(narrow(), quotas).await;
}

/// Without tombstones as well, a key that says of itself that it is too old is refused.
#[tokio::test(start_paused = true)]
async fn a_key_that_may_be_forgotten_is_in_the_contract() {
    let mut policy = Policy {
        first_sent: true,
        tombstones: Duration::ZERO,
        ..Policy::default()
    };
    policy.key_rules.format = KeyFormat::Uuid7;
    let served = Served::default();
    let table = Contract::new(&policy, &served).refusals();
    let row = table
        .iter()
        .find(|row| row.kind.row().slug == "key-expired");
    let bench = Setup {
        policy: policy.clone(),
        ..Setup::default()
    };
    let bench = bench.bench(Handler::paying()).await;
    let old = bench
        .send(pay("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"))
        .await;
    must_be_as_told(&old, row.expect("it is in the table"));
    assert_eq!(old.status(), 410);
}
