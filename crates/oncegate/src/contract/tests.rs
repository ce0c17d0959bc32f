//! The table follows the policy, and its examples are accepted.

use http::HeaderMap;

use super::*;
use crate::key::{KeyRules, SentKey};

fn kinds(policy: &Policy, served: &Served) -> Vec<ProblemKind> {
    let table = Contract::new(policy, served).refusals();
    table.iter().map(|row| row.kind).collect()
}

#[test]
fn what_a_policy_rules_out_is_not_in_its_table() {
    use std::time::Duration;
    let served = Served::default();
    let all = Policy {
        key: KeyUse::Required,
        ..Policy::default()
    };
    let quotas = Served {
        quotas: true,
        ..Served::default()
    };
    let mut met = kinds(&all, &quotas);
    met.dedup();
    assert_eq!(met, ProblemKind::ALL);
    assert!(!kinds(&all, &served).contains(&ProblemKind::QuotaReached));
    let optional = kinds(&Policy::default(), &served);
    assert!(!optional.contains(&ProblemKind::KeyMissing));
    assert!(!optional.contains(&ProblemKind::PathAmbiguous));
    let forgetful = Policy {
        tombstones: Duration::ZERO,
        ..Policy::default()
    };
    assert!(!kinds(&forgetful, &served).contains(&ProblemKind::KeyExpired));
    let neighbour = Served {
        tombstones: true,
        ..Served::default()
    };
    assert!(kinds(&forgetful, &neighbour).contains(&ProblemKind::KeyExpired));
    let ignored = Policy {
        key: KeyUse::Ignored,
        ..Policy::default()
    };
    assert!(kinds(&ignored, &quotas).is_empty());
}

#[test]
fn an_example_key_is_one_that_is_accepted() {
    let name = HeaderName::from_static("idempotency-key");
    for syntax in [KeySyntax::Lenient, KeySyntax::Strict] {
        for (format, length_max) in [
            (KeyFormat::Any, 8),
            (KeyFormat::Any, 255),
            (KeyFormat::Uuid, 255),
            (KeyFormat::Uuid4, 36),
            (KeyFormat::Uuid7, 36),
            (KeyFormat::Ulid, 26),
        ] {
            let policy = Policy {
                key_rules: KeyRules {
                    syntax,
                    format,
                    length_max,
                },
                ..Policy::default()
            };
            let served = Served::default();
            let example = Contract::new(&policy, &served).example_key();
            let mut headers = HeaderMap::new();
            headers.insert(&name, example.parse().unwrap());
            let found = SentKey::find(&headers, &policy.key_header, &policy.key_rules);
            assert!(found.unwrap().is_some(), "{format:?}: {example}");
        }
    }
}

#[test]
fn each_status_of_an_answer_is_in_one_list() {
    let policy = Policy::default();
    let served = Served::default();
    let outcomes = Contract::new(&policy, &served).outcomes();
    let show = |ranges: &[RangeInclusive<u16>]| {
        let shown: Vec<_> = ranges.iter().map(show_range).collect();
        shown.join(" ")
    };
    assert_eq!(
        show(&outcomes.kept),
        "200-306 309-400 402 404-406 409-420 422 424 426-428 430-499"
    );
    assert_eq!(
        show(&outcomes.released),
        "307-308 401 403 407-408 421 423 425 429 500-503 505-599"
    );
    assert_eq!(show(&outcomes.unknown), "504");
}
