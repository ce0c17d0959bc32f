//! Each case passes on an origin that does it right, and fails, for the stated reason, on one that is broken there.

use oncegate_check::case::{Case, Need, Variant};
use oncegate_check::dialect::ONCEGATE;
use oncegate_check::operation::{Form, Operation};
use oncegate_check::report::{Finding, Report, Verdict};
use oncegate_check::wire::Peer;
use oncegate_check::{Limits, cases, run};

use crate::origin::{Defect, Origin};

/// The operation with all that its owner could tell of it.
pub(crate) fn operation(origin: &Origin, path: &str) -> Operation {
    let (peer, target) = Peer::of(&origin.url(path)).unwrap();
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
        target: format!("{path}?{query}"),
        ..plain.clone()
    };
    let forms = [
        (Variant::Slow, form("slow=400")),
        (Variant::ServerError, form("fail=503")),
        (Variant::RateLimited, form("fail=429")),
        (Variant::ClientError, form("fail=402")),
    ];
    let mut operation = Operation::new(peer, plain);
    operation.forms.extend(forms);
    operation.second = Some(vec![field("Authorization", "Bearer second")]);
    operation
}

async fn check(defect: Defect, path: &str, cases: &[&'static Case]) -> Report {
    let origin = Origin::start(defect).await;
    run(
        &operation(&origin, path),
        &ONCEGATE,
        cases,
        &Limits::default(),
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
    let cases: Vec<_> = cases::all().collect();
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
        Defect::NoLocation,
        "location: first /payments/pay_",
    ),
    ("replay-marked", Defect::Unmarked, "on a replay"),
    ("burst-runs-once", Defect::CheckThenSet, "different answers"),
    ("in-flight-runs-once", Defect::CheckThenSet, "ran"),
    ("in-flight-answer", Defect::VagueInFlight, "answered 400"),
    (
        "in-flight-retry-after",
        Defect::NoRetryAfter,
        "without Retry-After",
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
    for (id, defect, says) in BROKEN.iter().chain(crate::requests::BROKEN) {
        let finding = finding(*defect, id).await;
        assert_eq!(
            finding.verdict,
            Verdict::Fail,
            "{id} on {defect:?}: {}",
            finding.because
        );
        assert!(
            finding.because.contains(says),
            "{id} on {defect:?}: {}",
            finding.because
        );
    }
}

#[test]
fn every_case_has_a_broken_origin() {
    for case in cases::all() {
        assert!(
            BROKEN
                .iter()
                .chain(crate::requests::BROKEN)
                .any(|(id, ..)| *id == case.id),
            "{} cannot be seen to fail",
            case.id
        );
    }
}
