//! The report as one page: it needs no script, loads nothing, and says first what would cost money.
//!
//! The template escapes all that is put into it, and a policy in the page forbids scripts and requests besides: what an
//! API answered is not to be trusted.

use askama::Template;

use super::score::{Grade, Score};
use super::script::written;
use super::show::{Group, Showcase};
use super::{Finding, Imprint, Report, Verdict};
use crate::case::{Case, Severity};

/// The reports as one page.
#[must_use]
pub fn html(reports: &[Report], imprint: Imprint<'_>) -> String {
    let page = Page {
        imprint,
        reports: reports
            .iter()
            .enumerate()
            .map(|(at, report)| ReportView::of(at, report))
            .collect(),
    };
    // It is written to memory, and no value in it can fail to be text.
    page.render().unwrap_or_default()
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    imprint: Imprint<'a>,
    reports: Vec<ReportView<'a>>,
}

struct ReportView<'a> {
    operation: String,
    origin: String,
    dialect: &'a str,
    /// What the answers look like, where no dialect was named.
    resemblance: Option<String>,
    witness: String,
    requests: usize,
    seconds: String,
    grade: Option<Grade>,
    score: Score,
    rows: Vec<Row>,
    failures: Vec<Failure>,
}

/// A line of the table of all cases.
struct Row {
    case: &'static Case,
    verdict: &'static str,
    /// The name of its colour.
    tone: &'static str,
    because: String,
    /// Where its failure is described.
    anchor: Option<String>,
}

struct Failure {
    case: &'static Case,
    anchor: String,
    because: String,
    groups: Vec<Group>,
    more: usize,
    script: Option<String>,
}

impl<'a> ReportView<'a> {
    fn of(at: usize, report: &'a Report) -> Self {
        let showcase = Showcase::of(report);
        let score = Score::of(report);
        let anchor = |finding: &Finding| format!("r{at}-{}", finding.case.id);
        let findings = report.by_urgency();
        Self {
            operation: showcase.line(&report.operation.name),
            origin: report.operation.peer.origin(),
            dialect: report.dialect,
            resemblance: report.resemblance().map(|seen| seen.sentence()),
            witness: report.witness.describe(),
            requests: report.requests,
            seconds: format!("{:.1}", report.took.as_secs_f64()),
            grade: score.grade,
            score,
            rows: findings
                .iter()
                .map(|finding| Row::of(finding, &showcase, anchor(finding)))
                .collect(),
            failures: findings
                .iter()
                .filter(|finding| finding.verdict == Verdict::Fail)
                .map(|finding| Failure::of(report, finding, &showcase, anchor(finding)))
                .collect(),
        }
    }

    /// What would cost money, for the first screen.
    fn losing(&self) -> Vec<&Failure> {
        self.failures
            .iter()
            .filter(|failure| failure.case.severity == Severity::Money)
            .collect()
    }

    fn letter(&self) -> String {
        self.grade
            .map_or_else(|| "?".to_owned(), |grade| grade.to_string())
    }

    const fn tone(&self) -> &'static str {
        match self.grade {
            Some(Grade::A | Grade::B) => "good",
            Some(Grade::C) | None => "fair",
            Some(Grade::F) => "bad",
        }
    }
}

impl Row {
    fn of(finding: &Finding, showcase: &Showcase, anchor: String) -> Self {
        let (tone, anchor) = match finding.verdict {
            Verdict::Pass => ("good", None),
            Verdict::CannotTell => ("fair", None),
            Verdict::Fail => ("bad", Some(anchor)),
        };
        Self {
            case: finding.case,
            verdict: finding.verdict.name(),
            tone,
            because: if finding.verdict == Verdict::Pass {
                String::new()
            } else {
                showcase.line(&finding.because)
            },
            anchor,
        }
    }
}

impl Failure {
    fn of(report: &Report, finding: &Finding, showcase: &Showcase, anchor: String) -> Self {
        let (groups, more) = showcase.groups(finding);
        Self {
            case: finding.case,
            anchor,
            because: showcase.line(&finding.because),
            groups,
            more,
            script: written(report, finding, showcase),
        }
    }
}
