//! What a run found, and the forms in which it is told.

use std::time::Duration;

use crate::case::{Case, Severity};
use crate::operation::Operation;
use crate::wire::Exchange;
use crate::witness::Witness;

pub mod html;
pub mod json;
pub mod junit;
mod mask;
pub mod score;
pub mod script;
mod shell;
mod show;
pub mod text;

/// By what and when reports were made. It is given: nothing here reads a clock.
#[derive(Clone, Copy, Debug)]
pub struct Imprint<'a> {
    /// Name and version of the program.
    pub tool: &'a str,
    /// The time, as RFC 3339 has it.
    pub at: &'a str,
}

/// What a run found.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was tested.
    pub operation: Operation,
    /// The dialect by which refusals were judged.
    pub dialect: &'static str,
    /// By what executions were told apart.
    pub witness: Witness,
    /// How many requests were sent.
    pub requests: usize,
    /// How long it took.
    pub took: Duration,
    /// One for each case, in the order of the cases.
    pub findings: Vec<Finding>,
}

/// What came of a case.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The case.
    pub case: &'static Case,
    /// Whether it holds.
    pub verdict: Verdict,
    /// Why that is the verdict.
    pub because: String,
    /// What was sent and what came, in the order of sending.
    pub exchanges: Vec<Exchange>,
    /// The keys that it was tried with; a script that reproduces it has its own in their place.
    pub keys: Vec<String>,
}

/// Whether a promise is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It was tried, and it holds.
    Pass,
    /// It was tried, and it does not hold.
    Fail,
    /// It could not be tried, or what came did not show it.
    CannotTell,
}

impl Verdict {
    /// As reports say it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::CannotTell => "cannot tell",
        }
    }
}

/// The beginning of what an API answered, as it may be shown to anybody: on one line, without secrets.
pub(crate) fn excerpt(operation: &Operation, body: &[u8]) -> String {
    let near = body.get(..EXCERPT_BYTES_READ).unwrap_or(body);
    let shown = show::Showcase::of_operation(operation).line(&String::from_utf8_lossy(near));
    shown.chars().take(EXCERPT_SHOWN).collect()
}

/// Most letters of an answer in a message.
const EXCERPT_SHOWN: usize = 200;
/// Secrets are masked before it is cut.
const EXCERPT_BYTES_READ: usize = 8 * 1024;

impl Report {
    /// How many findings have this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.verdict == verdict)
            .count()
    }

    /// The findings, those first that a reader has to see first: failures that lose money, other failures, what could
    /// not be told, and what holds.
    #[must_use]
    pub fn by_urgency(&self) -> Vec<&Finding> {
        let mut findings: Vec<&Finding> = self.findings.iter().collect();
        findings.sort_by_key(|finding| {
            let urgency = match finding.verdict {
                Verdict::Fail => 0,
                Verdict::CannotTell => 1,
                Verdict::Pass => 2,
            };
            (urgency, finding.case.severity)
        });
        findings
    }

    /// The failures of that severity.
    pub fn failures(&self, severity: Severity) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| {
            finding.verdict == Verdict::Fail && finding.case.severity == severity
        })
    }
}
