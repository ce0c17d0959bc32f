//! The report as a JSON document, for programs. `docs/checks.md` describes it member by member.

use serde::Serialize;

use crate::dialect::Resemblance;

use super::score::{Score, Tally};
use super::script::written;
use super::show::{Showcase, Shown};
use super::{Finding, Imprint, Report, Verdict};

/// The version of the document. Members may be added within one; nothing else changes.
pub const FORMAT: u32 = 1;

/// The reports as one JSON document, with a line end behind it.
#[must_use]
pub fn json(reports: &[Report], imprint: Imprint<'_>) -> String {
    let document = Document {
        format: FORMAT,
        tool: imprint.tool,
        at: imprint.at,
        reports: reports.iter().map(ReportMember::of).collect(),
    };
    // Names are text and numbers finite: nothing of it can fail to be JSON.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    tool: &'a str,
    at: &'a str,
    reports: Vec<ReportMember<'a>>,
}

#[derive(Serialize)]
struct ReportMember<'a> {
    operation: &'a str,
    origin: String,
    dialect: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resemblance: Option<Resemblance>,
    witness: String,
    requests: usize,
    seconds: f64,
    score: ScoreMember,
    findings: Vec<FindingMember<'a>>,
}

#[derive(Serialize)]
struct ScoreMember {
    grade: Option<String>,
    sentence: &'static str,
    told: usize,
    cases: usize,
    left_out: usize,
    money: TallyMember,
    contract: TallyMember,
    advice: TallyMember,
}

#[derive(Serialize)]
struct TallyMember {
    kept: usize,
    broken: usize,
    untold: usize,
}

#[derive(Serialize)]
struct FindingMember<'a> {
    case: &'a str,
    title: &'a str,
    severity: &'static str,
    rules: &'a [&'a str],
    verdict: &'static str,
    because: String,
    why: &'a str,
    fix: &'a str,
    exchanges: Vec<Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script: Option<String>,
}

impl<'a> ReportMember<'a> {
    fn of(report: &'a Report) -> Self {
        let showcase = Showcase::of(report);
        Self {
            operation: &report.operation.name,
            origin: report.operation.peer.origin(),
            dialect: report.dialect,
            resemblance: report.resemblance(),
            witness: report.witness.describe(),
            requests: report.requests,
            seconds: report.took.as_secs_f64(),
            score: ScoreMember::of(&Score::of(report)),
            findings: report
                .findings
                .iter()
                .map(|finding| FindingMember::of(report, finding, &showcase))
                .collect(),
        }
    }
}

impl ScoreMember {
    fn of(score: &Score) -> Self {
        let [money, contract, advice] = score.tallies.map(TallyMember::of);
        Self {
            grade: score.grade.map(|grade| grade.to_string()),
            sentence: score.sentence(),
            told: score.told(),
            cases: score.tried(),
            left_out: score.left_out,
            money,
            contract,
            advice,
        }
    }
}

impl TallyMember {
    const fn of(tally: Tally) -> Self {
        Self {
            kept: tally.kept,
            broken: tally.broken,
            untold: tally.untold,
        }
    }
}

impl<'a> FindingMember<'a> {
    fn of(report: &Report, finding: &'a Finding, showcase: &Showcase) -> Self {
        let case = finding.case;
        Self {
            case: case.id,
            title: case.title,
            severity: case.severity.name(),
            rules: case.rules,
            verdict: verdict(finding.verdict),
            because: showcase.line(&finding.because),
            why: case.why,
            fix: case.fix,
            exchanges: showcase.exchanges(finding),
            script: (finding.verdict == Verdict::Fail)
                .then(|| written(report, finding, showcase))
                .flatten(),
        }
    }
}

const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::CannotTell => "cannot-tell",
    }
}
