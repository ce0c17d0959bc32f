//! Each case passes on an origin that does it right, and fails, for the stated reason, on one that is broken there.

use std::time::Duration;

use oncegate_check::case::{Case, Need, Variant};
use oncegate_check::dialect::ONCEGATE;
use oncegate_check::operation::{Form, Operation};
use oncegate_check::report::{Finding, Report, Verdict};
use oncegate_check::wire::Peer;
use oncegate_check::{Limits, cases, run};

use futures_util::stream::{self, StreamExt};

use crate::origin::{Defect, Origin};
use crate::{requests, restartable};

/// The operation with all that its owner could tell of it.
pub(crate) fn operation(url: &str) -> Operation {
    let (peer, target) = Peer::of(url).unwrap();
    let field = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    let plain = Form {
        method: "POST".to_owned(),
        target,
        fields: vec![
            field("Content-Type", "application/json"),
            field("Authorization", "Bearer first"),
        ],
        body: br#"{"amount":5000,"currency":"EUR"}"#.to_vec(),
    };
    let form = |query: &str| Form {
        target: format!("{}?{query}", plain.target),
        ..plain.clone()
    };
    let forms = [
        (Variant::Slow, form("slow=400")),
        (Variant::ServerError, form("fail=503")),
        (Variant::RateLimited, form("fail=429")),
        (Variant::ClientError, form("fail=402")),
    ];
    let mut operation = Operation::new(peer, plain.clone());
    for variant in KINDS {
        let query = format!("kind={}", variant.name());
        operation.forms.insert(*variant, form(&query));
    }
    operation.forms.extend(forms);
    operation.second = Some(vec![field("Authorization", "Bearer second")]);
    operation
}

/// Kinds of answers that the origin gives when it is asked for them by name.
const KINDS: &[Variant] = &[
    Variant::Cookie,
    Variant::Binary,
    Variant::Empty,
    Variant::Chunked,
    Variant::Large,
];

/// As always, but that a key which stays in flight is given up soon.
pub(crate) fn limits() -> Limits {
    Limits {
        settle_timeout: Duration::from_secs(3),
        ..Limits::default()
    }
}

async fn check(defect: Defect, path: &str, cases: &[&'static Case]) -> Report {
    let origin = Origin::start(defect).await;
    run(
        &operation(&origin.url(path)),
        &ONCEGATE,
        cases,
        &limits(),
        |_| {},
    )
    .await
    .unwrap()
}

/// The one finding of a case on a broken origin. Keys are optional for payments and required for orders.
pub(crate) async fn finding(defect: Defect, id: &str) -> Finding {
    let case = cases::named(id).expect("a case of that name");
    let is_of_orders = case.needs.contains(&Need::KeyRequired) || id == "documented-optional";
    let path = if is_of_orders { "/orders" } else { "/payments" };
    let report = check(defect, path, &[case]).await;
    report
        .findings
        .into_iter()
        .next()
        .expect("a finding for each case")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_does_it_right_passes_everything() {
    let needs_no_restart = |case: &&Case| !case.needs.contains(&Need::Chaos);
    let cases: Vec<_> = cases::all().filter(needs_no_restart).collect();
    let payments = check(Defect::None, "/payments", &cases).await;
    let orders = check(Defect::None, "/orders", &cases).await;
    for (one, other) in payments.findings.iter().zip(&orders.findings) {
        for finding in [one, other] {
            assert_ne!(
                finding.verdict,
                Verdict::Fail,
                "{}: {}",
                finding.case.id,
                finding.because
            );
        }
        let passes = [one, other]
            .iter()
            .any(|finding| finding.verdict == Verdict::Pass);
        assert!(passes, "{}: {}", one.case.id, one.because);
    }
}

/// Most of them wait for something slow.
const AT_ONCE: usize = 8;

/// The broken origin of each case, and a part of what the finding has to say.
const BROKEN: &[(&str, Defect, &str)] = &[
    ("replay-runs-once", Defect::NoKeys, "ran again"),
    (
        "replay-same-status",
        Defect::OtherStatus,
        "first 201, then 200",
    ),
    ("replay-same-body", Defect::OtherBytes, "another one"),
    (
        "replay-same-fields",
        Defect::OtherType,
        "content-type: first application/json, then text/plain",
    ),
    ("later-retry-runs-once", Defect::ForgetsSoon, "ran again"),
    ("replay-marked", Defect::Unmarked, "on a replay"),
    (
        "no-key-no-replay",
        Defect::KeylessOnce,
        "it ran 1 times, where 2 have to be",
    ),
    ("get-is-no-replay", Defect::KeyedGet, "first 200, then 422"),
    ("burst-runs-once", Defect::CheckThenSet, "different answers"),
    (
        "burst-is-told",
        Defect::CrowdBreaks,
        "a duplicate was answered 500",
    ),
    ("in-flight-runs-once", Defect::CheckThenSet, "ran"),
    ("in-flight-answer", Defect::VagueInFlight, "answered 400"),
    (
        "in-flight-retry-after",
        Defect::NoRetryAfter,
        "without Retry-After",
    ),
    (
        "in-flight-is-not-kept",
        Defect::KeepsRefusal,
        "still told that the first is in flight",
    ),
    (
        "in-flight-other-body",
        Defect::HoldsAny,
        "given the answer of the other request",
    ),
    (
        "in-flight-mismatch",
        Defect::ConflictFirst,
        "answered 409, where 422 says so",
    ),
    (
        "lost-answer-runs-once",
        Defect::ForgetsTheLeft,
        "times, where 1 may be",
    ),
    (
        "left-while-running",
        Defect::StopsWithCaller,
        "still told that the first is in flight",
    ),
    (
        "half-body-runs-nothing",
        Defect::RunsHalf,
        "it ran 1 times, where 0 may be",
    ),
    (
        "half-body-frees-key",
        Defect::ClaimsBeforeBody,
        "still told that the first is in flight",
    ),
    ("cut-answer-is-whole", Defect::KeepsHalfAnswers, "the other"),
    (
        "replay-binary",
        Defect::LossyText,
        "the body is another one",
    ),
    ("replay-empty", Defect::EmptyAsNull, "first 204, then 200"),
    (
        "replay-chunked",
        Defect::FirstChunk,
        "the body is another one",
    ),
    ("replay-large", Defect::CutBody, "32768"),
    (
        "replay-location",
        Defect::NoLocation,
        "location: first /payments/pay_",
    ),
    ("replay-no-cookie", Defect::OldCookie, "it has set-cookie"),
    ("replay-no-hop-by-hop", Defect::HopByHop, "it repeats x-hop"),
    ("replay-fresh-date", Defect::OldDate, "a second later"),
    (
        "chunked-is-the-same",
        Defect::ComparesFraming,
        "answered 422, where the outcome is due",
    ),
    ("other-body", Defect::IgnoresBody, "answer of the other"),
    (
        "other-body-answer",
        Defect::VagueMismatch,
        "answered 400, where 422",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_case_fails_on_the_origin_that_is_broken_there() {
    let each = stream::iter(BROKEN.iter().chain(requests::BROKEN));
    each.for_each_concurrent(AT_ONCE, |(id, defect, says)| async move {
        let finding = finding(*defect, id).await;
        let because = &finding.because;
        assert_eq!(
            finding.verdict,
            Verdict::Fail,
            "{id} on {defect:?}: {because}"
        );
        assert!(because.contains(says), "{id} on {defect:?}: {because}");
    })
    .await;
}

#[test]
fn every_case_has_a_broken_origin() {
    for case in cases::all() {
        assert!(
            BROKEN
                .iter()
                .chain(requests::BROKEN)
                .chain(restartable::BROKEN)
                .any(|(id, ..)| *id == case.id),
            "{} cannot be seen to fail",
            case.id
        );
    }
}
