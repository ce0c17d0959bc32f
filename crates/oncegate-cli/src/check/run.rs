//! Runs a plan, one operation after the other, and says by its end whether all is well.

use oncegate_check::Trouble;
use oncegate_check::case::Severity;
use oncegate_check::report::{Finding, Report, Verdict};

use super::output::Output;
use super::plan::Plan;
use crate::command::Failed;

/// Runs it, and tells what was found.
pub(super) async fn run(plan: &Plan, output: &Output, fail_on: Severity) -> Result<(), Failed> {
    let teller = output.teller()?;
    let mut reports = Vec::with_capacity(plan.operations.len());
    for operation in &plan.operations {
        let report = oncegate_check::run(
            operation,
            plan.dialect,
            &plan.cases,
            &plan.limits,
            |progress| teller.progress(operation, progress),
        );
        reports.push(report.await.map_err(in_vain)?);
    }
    teller.conclude(&reports);
    output.write(&reports)?;
    conclude(&reports, fail_on)
}

fn in_vain(trouble: Trouble) -> Failed {
    let sentence = trouble.to_string();
    match trouble {
        Trouble::Unreachable(..) | Trouble::Broken(..) => Failed::unavailable(sentence),
        Trouble::Refused(..) => Failed::usage(sentence),
    }
}

/// The exit code, and the sentence that goes with it.
fn conclude(reports: &[Report], fail_on: Severity) -> Result<(), Failed> {
    let count = |severity| -> usize {
        let failures = reports
            .iter()
            .map(|report| report.failures(severity).count());
        failures.sum()
    };
    let counts = Severity::ALL.map(|severity| (severity, count(severity)));
    let fails: usize = counts
        .iter()
        .filter(|(severity, _)| *severity <= fail_on)
        .map(|(_, count)| count)
        .sum();
    if fails > 0 {
        let counts = counts.map(|(severity, count)| format!("{count} {}", severity.name()));
        return Err(Failed::refused(format!(
            "cases fail: {}",
            counts.join(", ")
        )));
    }
    // Nothing was shown to be wrong, nor to be right: whoever relies on the exit code must not take that for a pass.
    let findings = reports.iter().flat_map(|report| &report.findings);
    let mut told = findings.filter(|finding| finding.verdict != Verdict::CannotTell);
    if told.next().is_none() {
        return Err(Failed::unavailable("nothing could be told of this API"));
    }
    let heart = |finding: &&Finding| finding.case.id == HEART;
    let findings = reports.iter().flat_map(|report| &report.findings);
    if let Some(untold) = findings
        .filter(heart)
        .find(|finding| finding.verdict == Verdict::CannotTell)
    {
        return Err(Failed::unavailable(format!(
            "whether a retry runs again could not be told ({HEART}): {}",
            untold.because
        )));
    }
    Ok(())
}

/// The case without which no API passes that was asked about it, whatever else it keeps.
const HEART: &str = "replay-runs-once";
