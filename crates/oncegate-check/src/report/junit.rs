//! The report as JUnit XML, for CI servers: a suite for each operation, a test for each case.
//!
//! What could not be told is skipped there, with the reason: no CI server knows a better word.

use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::script::written;
use super::show::Showcase;
use super::{Finding, Report, Verdict};

/// The reports as one JUnit document.
#[must_use]
pub fn junit(reports: &[Report]) -> String {
    let mut document = quick_junit::Report::new("oncegate check");
    for report in reports {
        document.add_test_suite(suite(report));
    }
    // It is written to memory, and letters that XML cannot hold are taken out on the way in.
    document.to_string().unwrap_or_default()
}

fn suite(report: &Report) -> TestSuite {
    let showcase = Showcase::of(report);
    let mut suite = TestSuite::new(showcase.line(&report.operation.name));
    suite.set_time(report.took);
    suite.add_property(("dialect", report.dialect));
    suite.add_property(("witness", report.witness.describe().as_str()));
    for finding in &report.findings {
        suite.add_test_case(case(report, finding, &showcase));
    }
    suite
}

fn case(report: &Report, finding: &Finding, showcase: &Showcase) -> TestCase {
    let mut case = TestCase::new(finding.case.id, status(report, finding, showcase));
    case.set_classname(format!("oncegate.{}", finding.case.severity.name()));
    case.set_time(took(finding));
    case
}

fn status(report: &Report, finding: &Finding, showcase: &Showcase) -> TestCaseStatus {
    let because = showcase.line(&finding.because);
    match finding.verdict {
        Verdict::Pass => TestCaseStatus::success(),
        Verdict::Fail => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(because.as_str());
            status.set_type(finding.case.severity.name());
            status.set_description(description(report, finding, showcase, &because));
            status
        }
        Verdict::CannotTell => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(format!("cannot tell: {because}"));
            status
        }
    }
}

fn description(report: &Report, finding: &Finding, showcase: &Showcase, because: &str) -> String {
    let case = finding.case;
    let script = written(report, finding, showcase).unwrap_or_default();
    format!(
        "{}\n\nWhat was seen: {because}\nWhy it matters: {}\nWhat to do: {}\n\n{script}",
        case.title, case.why, case.fix
    )
}

fn took(finding: &Finding) -> Duration {
    let ends = finding.exchanges.iter().map(|exchange| exchange.ended);
    ends.max().unwrap_or_default()
}
