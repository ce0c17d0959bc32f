//! Each case passes on an origin that does it right, and fails, for the stated reason, on one that is broken there.

use oncegate_check::case::{Case, Variant};
use oncegate_check::dialect::ONCEGATE;
use oncegate_check::operation::{Form, Operation};
use oncegate_check::report::{Finding, Report, Verdict};
use oncegate_check::wire::Peer;
use oncegate_check::{Limits, cases, run};

use crate::origin::{Defect, Origin};

/// The operation with all that its owner could tell of it.
fn operation(origin: &Origin) -> Operation {
    let (peer, target) = Peer::of(&origin.url("/payments")).unwrap();
    let plain = Form {
        method: "POST".to_owned(),
        target,
        fields: vec![("Content-Type".to_owned(), b"application/json".to_vec())],
        body: br#"{"amount":5000}"#.to_vec(),
    };
    let slow = Form {
        target: "/payments?slow=400".to_owned(),
        ..plain.clone()
    };
    let mut operation = Operation::new(peer, plain);
    operation.forms.insert(Variant::Slow, slow);
    operation
}

async fn check(defect: Defect, cases: &[&'static Case]) -> Report {
    let origin = Origin::start(defect).await;
    run(
        &operation(&origin),
        &ONCEGATE,
        cases,
        &Limits::default(),
        |_| {},
    )
    .await
    .unwrap()
}

/// The one finding of a case on a broken origin.
async fn finding(defect: Defect, id: &str) -> Finding {
    let case = cases::named(id).expect("a case of that name");
    let report = check(defect, &[case]).await;
    report
        .findings
        .into_iter()
        .next()
        .expect("a finding for each case")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_does_it_right_passes_everything() {
    let cases: Vec<_> = cases::all().collect();
    let report = check(Defect::None, &cases).await;
    for finding in &report.findings {
        assert_eq!(
            finding.verdict,
            Verdict::Pass,
            "{}: {}",
            finding.case.id,
            finding.because
        );
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
    for (id, defect, says) in BROKEN {
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
            BROKEN.iter().any(|(id, ..)| *id == case.id),
            "{} cannot be seen to fail",
            case.id
        );
    }
}
