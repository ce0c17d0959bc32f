//! The report as text, for a terminal: a line for each case as it ends, then each failure, then what it comes to.
//!
//! Colours are escape sequences; whoever prints it takes them out where they are not wanted.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use super::score::{Grade, Score};
use super::script::{actions, written};
use super::show::{Group, Showcase, ShownBody, ShownField};
use super::{Finding, Report, Verdict};
use crate::case::Severity;
use crate::operation::Operation;

/// The whole report.
#[must_use]
pub fn text(report: &Report, width: usize) -> String {
    let lines: String = report
        .findings
        .iter()
        .map(|finding| line(&report.operation, finding, width))
        .collect();
    format!(
        "{lines}{}{}",
        failures(report, width),
        summary(report, width)
    )
}

/// What came of one case.
#[must_use]
pub fn line(operation: &Operation, finding: &Finding, width: usize) -> String {
    let case = finding.case;
    let style = style(finding.verdict);
    let because = Showcase::of_one(operation, finding).line(&finding.because);
    let head = format!(
        "{style}{:<11}{style:#}  {:<8}  {:<HEAD_ID_WIDTH$}",
        finding.verdict.name(),
        case.severity.name(),
        case.id
    );
    if width < TABLE_WIDTH_MIN {
        return format!("{head}\n{}\n", wrapped(&because, width, "    "));
    }
    let room = width - HEAD_WIDTH;
    let indent = " ".repeat(HEAD_WIDTH);
    let lines = textwrap::wrap(&because, room).join(&format!("\n{indent}"));
    format!("{head}  {lines}\n")
}

/// Each failure: what, why, what to do, what shows it, and how to see it again. Those that lose money come first.
#[must_use]
pub fn failures(report: &Report, width: usize) -> String {
    let showcase = Showcase::of(report);
    let mut told = String::new();
    let mut scripts: Vec<(&str, String)> = Vec::new();
    let failures = report.by_urgency();
    for finding in failures
        .iter()
        .filter(|finding| finding.verdict == Verdict::Fail)
    {
        told.push_str(&failure(finding, &showcase, width));
        if let Some(script) = written(report, finding, &showcase) {
            told.push_str(&reproduction(finding, script, &mut scripts));
        }
    }
    told
}

/// What it comes to.
#[must_use]
pub fn summary(report: &Report, width: usize) -> String {
    let score = Score::of(report);
    let mut lines = format!(
        "\n{BOLD}{}{BOLD:#} at {}, judged as {}\n",
        Showcase::of(report).line(&report.operation.name),
        report.operation.peer.origin(),
        report.dialect
    );
    let grade = match score.grade {
        Some(grade) => {
            let style = grade_style(grade);
            format!("{style}Grade {grade}.{style:#} ")
        }
        None => String::new(),
    };
    line_to(
        &mut lines,
        &format!("{grade}{} {}", score.sentence(), score.coverage()),
    );
    for tally in score.tallies {
        line_to(
            &mut lines,
            &format!(
                "  {:<8}  {:>2} kept  {:>2} broken  {:>2} cannot tell",
                tally.severity.name(),
                tally.kept,
                tally.broken,
                tally.untold
            ),
        );
    }
    let losing: Vec<&str> = report
        .failures(Severity::Money)
        .map(|finding| finding.case.id)
        .collect();
    if !losing.is_empty() {
        let named = format!("Loses money: {}.", losing.join(", "));
        line_to(&mut lines, &wrapped(&named, width, ""));
    }
    if let Some(resemblance) = report.resemblance() {
        line_to(&mut lines, &wrapped(&resemblance.sentence(), width, ""));
    }
    let effort = format!(
        "{} requests in {:.1} s. Executions told apart by: {}.",
        report.requests,
        report.took.as_secs_f64(),
        report.witness.describe()
    );
    line_to(&mut lines, &wrapped(&effort, width, ""));
    lines
}

fn failure(finding: &Finding, showcase: &Showcase, width: usize) -> String {
    let case = finding.case;
    let style = style(Verdict::Fail);
    let mut told = format!(
        "\n{style}{}{style:#}: {} ({})\n",
        case.severity.name(),
        case.id,
        case.rules.join(", ")
    );
    for (name, text) in [
        ("What must hold", case.title),
        ("What was seen", &showcase.line(&finding.because)),
        ("Why it matters", case.why),
        ("What to do", case.fix),
    ] {
        let text = format!("{name:<14}  {text}");
        let options = textwrap::Options::new(width).subsequent_indent("                ");
        line_to(&mut told, &textwrap::fill(&text, options));
    }
    let (groups, more) = showcase.groups(finding);
    for group in &groups {
        exchange(&mut told, group);
    }
    if more > 0 {
        line_to(&mut told, &format!("\n  .. and {more} more exchanges"));
    }
    told
}

fn exchange(told: &mut String, group: &Group) {
    let shown = &group.shown;
    let times = match group.times {
        1 => String::new(),
        times => format!(", {times} times alike"),
    };
    line_to(
        told,
        &format!(
            "\n  {BOLD}{}{BOLD:#}, {} to {} ms{times}",
            shown.label, shown.began_ms, shown.ended_ms
        ),
    );
    let request = &shown.request;
    line_to(
        told,
        &format!("  > {} {} HTTP/1.1", request.method, request.target),
    );
    message(told, '>', &request.fields, &request.body);
    line_to(told, &format!("  < {}", shown.outcome_line()));
    if let Some(answer) = &shown.answer {
        message(told, '<', &answer.fields, &answer.body);
    }
}

fn message(told: &mut String, mark: char, fields: &[ShownField], body: &ShownBody) {
    for field in fields {
        line_to(told, &format!("  {mark} {}: {}", field.name, field.value));
    }
    if body.bytes == 0 {
        return;
    }
    line_to(told, &format!("  {mark}"));
    for line in body.text.lines() {
        line_to(told, &format!("  {mark} {line}"));
    }
    if body.cut {
        line_to(told, &format!("  {mark} {}", body.note()));
    }
}

/// The script, or which other one does the same.
fn reproduction<'a>(
    finding: &'a Finding,
    script: String,
    scripts: &mut Vec<(&'a str, String)>,
) -> String {
    let does = actions(&script);
    if let Some((id, _)) = scripts.iter().find(|(_, known)| *known == does) {
        return format!("\nThe script of {id} shows it, too.\n");
    }
    scripts.push((finding.case.id, does));
    format!("\n{DIM}A script that shows it:{DIM:#}\n{script}")
}

fn wrapped(text: &str, width: usize, indent: &str) -> String {
    let options = textwrap::Options::new(width)
        .initial_indent(indent)
        .subsequent_indent(indent);
    textwrap::fill(text, options)
}

fn line_to(lines: &mut String, line: &str) {
    // A string takes all that is written to it.
    let _infallible = writeln!(lines, "{line}");
}

const fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Pass => AnsiColor::Green.on_default(),
        Verdict::Fail => AnsiColor::Red.on_default().bold(),
        Verdict::CannotTell => AnsiColor::Yellow.on_default(),
    }
}

const fn grade_style(grade: Grade) -> Style {
    match grade {
        Grade::A | Grade::B => AnsiColor::Green.on_default().bold(),
        Grade::C => AnsiColor::Yellow.on_default().bold(),
        Grade::F => AnsiColor::Red.on_default().bold(),
    }
}

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
/// Room for the longest id of a case.
const HEAD_ID_WIDTH: usize = 26;
/// What stands before the reason.
const HEAD_WIDTH: usize = 11 + 2 + 8 + 2 + HEAD_ID_WIDTH + 2;
/// On a narrower terminal the reason has a line of its own.
const TABLE_WIDTH_MIN: usize = HEAD_WIDTH + 40;
