//! Counters that are not what they seem: no verdict may rest on one that is wrong, and none is a pass by default.

use oncegate_check::case::Variant;
use oncegate_check::dialect::ONCEGATE;
use oncegate_check::operation::{Count, Operation, Probe};
use oncegate_check::report::{Finding, Report, Verdict};
use oncegate_check::{Limits, Progress, cases, run};

use crate::origin::{Defect, Origin};
use crate::verdicts::operation;

/// The report on the cases of those names, and the names of those whose verdicts were revised.
async fn check(origin: &Origin, ids: &[&str], probe: Option<Probe>) -> (Report, Vec<String>) {
    let mut operation = Operation {
        probe,
        ..operation(&origin.url("/payments"))
    };
    // So that few payments are made before the first case.
    operation
        .forms
        .retain(|variant, _| *variant == Variant::Plain);
    let limits = Limits::default();
    let cases: Vec<_> = ids.iter().map(|id| cases::named(id).unwrap()).collect();
    let mut revised = Vec::new();
    let report = run(&operation, &ONCEGATE, &cases, &limits, |told| {
        if let Progress::Revised(finding) = told {
            revised.push(finding.case.id.to_owned());
        }
    });
    let report = report.await.unwrap();
    (report, revised)
}

fn assert_verdict(finding: &Finding, verdict: Verdict, says: &str) {
    let Finding { case, because, .. } = finding;
    assert_eq!(finding.verdict, verdict, "{}: {because}", case.id);
    assert!(because.contains(says), "{}: {because}", case.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_convicts_where_answers_look_alike() {
    let origin = Origin::start(Defect::Blind).await;
    let (report, revised) = check(&origin, &["replay-runs-once"], None).await;
    assert_verdict(&report.findings[0], Verdict::Fail, "it ran 2 times");
    assert!(revised.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_full_acquits_nobody() {
    let origin = Origin::start(Defect::FullPage).await;
    let ids = ["replay-runs-once"; 8];
    let (report, revised) = check(&origin, &ids, None).await;
    for finding in &report.findings {
        assert_verdict(finding, Verdict::CannotTell, "does not count all");
    }
    assert!(!revised.is_empty(), "the first had passed");
    let witness = report.witness.describe();
    assert!(witness.contains("not believed"), "{witness}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_convicted_of_what_others_did() {
    let origin = Origin::start(Defect::BusyList).await;
    let ids = ["replay-runs-once"; 4];
    let (report, _) = check(&origin, &ids, None).await;
    for finding in &report.findings {
        assert_verdict(finding, Verdict::CannotTell, "counts what others do");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_convicts_twice_or_not_at_all() {
    let origin = Origin::start(Defect::OneStranger).await;
    let ids = ["replay-runs-once"; 3];
    let (report, _) = check(&origin, &ids, None).await;
    let told = |verdict| report.count(verdict);
    assert_eq!((told(Verdict::Fail), told(Verdict::CannotTell)), (0, 1));
    let doubtful = report
        .findings
        .iter()
        .find(|finding| finding.verdict == Verdict::CannotTell);
    assert_verdict(doubtful.unwrap(), Verdict::CannotTell, "in one try");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_counter_sees_between_two_cases_voids_the_first() {
    let origin = Origin::start(Defect::StrangerBetween).await;
    let ids = ["replay-runs-once"; 2];
    let (report, revised) = check(&origin, &ids, None).await;
    let says = "moved by 1 after the case";
    assert_verdict(&report.findings[0], Verdict::CannotTell, says);
    assert_verdict(&report.findings[1], Verdict::Pass, "");
    assert_eq!(revised, ["replay-runs-once"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_that_lags_is_waited_for() {
    let origin = Origin::start(Defect::LateList).await;
    let ids = ["replay-runs-once", "no-key-no-replay"];
    let (report, _) = check(&origin, &ids, None).await;
    for finding in &report.findings {
        assert_verdict(finding, Verdict::Pass, "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_that_does_not_count_is_not_taken() {
    let origin = Origin::start(Defect::Blind).await;
    for (target, count, says) in [
        (
            "/payments",
            Count::Number("/total".to_owned()),
            "has no count",
        ),
        (
            "/payments?kind=none",
            Count::Length("/0".to_owned()),
            "has no count",
        ),
    ] {
        let target = target.to_owned();
        let probe = Probe { target, count };
        let (report, _) = check(&origin, &["replay-runs-once"], Some(probe)).await;
        assert_verdict(&report.findings[0], Verdict::CannotTell, says);
    }
}
