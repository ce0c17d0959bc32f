//! What a run found.

use std::time::Duration;

use crate::case::{Case, Severity};
use crate::wire::Exchange;

pub mod text;

/// What a run found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The operation's name.
    pub operation: String,
    /// The dialect by which refusals were judged.
    pub dialect: &'static str,
    /// By what executions were told apart.
    pub witness: String,
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

impl Report {
    /// How many findings have this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.verdict == verdict)
            .count()
    }

    /// The failures of that severity.
    pub fn failures(&self, severity: Severity) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| {
            finding.verdict == Verdict::Fail && finding.case.severity == severity
        })
    }
}
