//! What cannot be told: no verdict may rest on a counter that is wrong, or on what did not meet. None is a pass by default.

use oncegate_check::case::{Case, Step, Variant};
use oncegate_check::dialect::ONCEGATE;
use oncegate_check::operation::{Count, Operation, Probe};
use oncegate_check::report::{Finding, Report, Verdict};
use oncegate_check::{Limits, Progress, cases, run};

use crate::origin::{Defect, Origin};
use crate::verdicts::operation;

/// So many cases that say the same, each by one retry more than the last: what was sent shows one of them alone.
fn retried(count: usize) -> Vec<&'static Case> {
    let case = cases::named("replay-runs-once").unwrap();
    let retry = case.steps[1];
    let cases = (1..=count).map(|retries| {
        let steps = [vec![case.steps[0]], vec![retry; retries]].concat();
        let steps: &'static [Step] = Box::leak(steps.into_boxed_slice());
        let case: &'static Case = Box::leak(Box::new(Case { steps, ..*case }));
        case
    });
    cases.collect()
}

/// The report on these cases, and the names of those whose verdicts were revised.
async fn check(
    origin: &Origin,
    cases: &[&'static Case],
    probe: Option<Probe>,
) -> (Report, Vec<String>) {
    let mut operation = Operation {
        probe,
        ..operation(&origin.url("/payments"))
    };
    // So that few payments are made before the first case.
    operation
        .forms
        .retain(|variant, _| *variant == Variant::Plain);
    let limits = Limits::default();
    let mut revised = Vec::new();
    let report = run(&operation, &ONCEGATE, cases, &limits, |told| {
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

/// The first slow request is the one by which the checker learns how slow it is.
#[tokio::test(flavor = "multi_thread")]
async fn what_never_meets_the_first_request_is_not_told() {
    let origin = Origin::start(Defect::SlowOnce).await;
    let operation = operation(&origin.url("/payments"));
    let ids = [
        "in-flight-answer",
        "in-flight-mismatch",
        "left-while-running",
    ];
    let cases = ids.map(|id| cases::named(id).unwrap());
    let limits = Limits::default();
    let report = run(&operation, &ONCEGATE, &cases, &limits, |_| {}).await;
    for finding in &report.unwrap().findings {
        assert_verdict(finding, Verdict::CannotTell, "that is slower (3 tries)");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_convicts_where_answers_look_alike() {
    let origin = Origin::start(Defect::Blind).await;
    let (report, revised) = check(&origin, &retried(1), None).await;
    assert_verdict(&report.findings[0], Verdict::Fail, "it ran 2 times");
    assert!(revised.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_full_acquits_nobody() {
    let origin = Origin::start(Defect::FullPage).await;
    let cases = retried(8);
    let (report, revised) = check(&origin, &cases, None).await;
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
    let cases = retried(4);
    let (report, _) = check(&origin, &cases, None).await;
    for finding in &report.findings {
        assert_verdict(finding, Verdict::CannotTell, "counts what others do");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_convicts_twice_or_not_at_all() {
    let origin = Origin::start(Defect::OneStranger).await;
    let cases = retried(3);
    let (report, _) = check(&origin, &cases, None).await;
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
    let cases = retried(2);
    let (report, revised) = check(&origin, &cases, None).await;
    let says = "moved by 1 after the case";
    assert_verdict(&report.findings[0], Verdict::CannotTell, says);
    assert_verdict(&report.findings[1], Verdict::Pass, "");
    assert_eq!(revised, ["replay-runs-once"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_that_lags_is_waited_for() {
    let origin = Origin::start(Defect::LateList).await;
    let ids = ["replay-runs-once", "no-key-no-replay"];
    let cases = ids.map(|id| cases::named(id).unwrap());
    let (report, _) = check(&origin, &cases, None).await;
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
        let (report, _) = check(&origin, &retried(1), Some(probe)).await;
        assert_verdict(&report.findings[0], Verdict::CannotTell, says);
    }
}

/// Five cases look at one retry.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_for_one_case_is_not_sent_again_for_another() {
    let origin = Origin::start(Defect::None).await;
    let steps = cases::named("replay-runs-once").unwrap().steps;
    let cases: Vec<_> = cases::all().filter(|case| case.steps == steps).collect();
    let (one, _) = check(&origin, &cases[..1], None).await;
    let (all, _) = check(&origin, &cases, None).await;
    assert!(cases.len() >= 5, "{}", cases.len());
    assert_eq!(all.requests, one.requests);
    for finding in &all.findings {
        assert_verdict(finding, Verdict::Pass, "");
        assert_eq!(finding.exchanges.len(), 2, "{}", finding.case.id);
    }
}
