//! The report as text, for a terminal.

use std::fmt::Write;

use super::{Report, Verdict};

/// The report as lines.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut lines = String::new();
    for finding in &report.findings {
        // A string takes all that is written to it.
        let _infallible = writeln!(
            lines,
            "{:<12} {:<9} {:<24} {}",
            finding.verdict.name(),
            finding.case.severity.name(),
            finding.case.id,
            finding.because
        );
    }
    let _infallible = writeln!(
        lines,
        "{} pass, {} fail, {} cannot tell; {} requests in {:.1} s; told apart by {}",
        report.count(Verdict::Pass),
        report.count(Verdict::Fail),
        report.count(Verdict::CannotTell),
        report.requests,
        report.took.as_secs_f64(),
        report.witness
    );
    lines
}
