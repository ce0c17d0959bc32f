//! What holds after an ordeal, judged by three books that know nothing of each other: what the origin executed, what
//! the clients said, and what the journal has.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use oncegate_client::journal::{Entry, Stands};

use super::payer::{Heard, Report, body, digest, number_of};
use crate::harness::{Act, Execution};

/// What the origin does with an operation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Money moves.
    Paid,
    /// It is refused for good: 402.
    Declined,
    /// It is never let in: 429.
    Busy,
}

pub(super) const fn kind(operation: u32) -> Kind {
    match operation % 64 {
        0 => Kind::Declined,
        1 => Kind::Busy,
        _ => Kind::Paid,
    }
}

/// What the origin answers: some at once, some so slowly that a kill finds them in the middle.
pub(super) fn act(key: &str) -> Act {
    let number = number_of(key).unwrap_or(2);
    match kind(number) {
        Kind::Declined => Act::status("402 Payment Required"),
        Kind::Busy => Act::status("429 Too Many Requests"),
        Kind::Paid if number.is_multiple_of(3) => Act::Create,
        Kind::Paid => {
            Act::CreateAfter(std::time::Duration::from_millis(u64::from(number * 7 % 23)))
        }
    }
}

/// What is wrong. Nothing may be.
pub(super) fn faults(
    operations: u32,
    book: &[Execution],
    reports: &[Report],
    entries: &[Entry],
) -> Vec<String> {
    let payments = payments(book);
    let mut faults = in_the_book(book);
    faults.extend((0..operations).filter_map(|number| {
        let times = payments.get(&number).map_or(0, Vec::len);
        let wanted = usize::from(kind(number) == Kind::Paid);
        (times != wanted).then(|| format!("op-{number} was executed {times} times"))
    }));
    faults.extend(reports.iter().filter_map(|report| {
        let paid = payments
            .get(&report.operation)
            .map_or(&[][..], Vec::as_slice);
        lie(report, paid).map(|what| format!("{what}: {report:?}"))
    }));
    faults.extend(at_the_end(operations, reports, entries));
    faults
}

/// The executions that moved money, by operation.
fn payments(book: &[Execution]) -> HashMap<u32, Vec<&Execution>> {
    let mut payments: HashMap<u32, Vec<&Execution>> = HashMap::new();
    for execution in book {
        let key = execution.key.as_deref().unwrap_or_default();
        if let Some(number) = number_of(key)
            && kind(number) == Kind::Paid
        {
            payments.entry(number).or_default().push(execution);
        }
    }
    payments
}

/// M-44, M-47: each request came as it was made, and a key stands for one operation and runs once.
fn in_the_book(book: &[Execution]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut faults = Vec::new();
    for execution in book {
        let Some(key) = execution.key.as_deref() else {
            faults.push(format!("{execution:?} has no key"));
            continue;
        };
        let Some(number) = number_of(key) else {
            faults.push(format!("{key} is no key of ours"));
            continue;
        };
        if execution.request.body != body(number).as_bytes() {
            faults.push(format!("{key} came with other bytes: {execution:?}"));
        }
        if kind(number) != Kind::Busy && !seen.insert(key) {
            faults.push(format!("{key} ran twice"));
        }
    }
    faults
}

/// Why what a client said is not true.
fn lie(report: &Report, paid: &[&Execution]) -> Option<&'static str> {
    match (report.outcome, kind(report.operation)) {
        (Heard::Yes, Kind::Declined | Kind::Busy) => Some("yes, and it never happened"),
        (Heard::Yes, Kind::Paid) => {
            let [execution] = paid else {
                return Some("yes, and it did not happen once");
            };
            if execution.key.as_ref() != Some(&report.key) {
                return Some("yes, under another key");
            }
            // An answer that is lost is said to be lost.
            let answer = report.answer?;
            let same = answer == digest(&execution.answer) && report.status == Some(201);
            (!same).then_some("yes, with another answer")
        }
        (Heard::No, Kind::Paid) => (!paid.is_empty()).then_some("no, and it happened"),
        (Heard::No, Kind::Declined) => (report.status != Some(402)).then_some("no for no reason"),
        (Heard::No, Kind::Busy) => (report.status != Some(429)).then_some("no for no reason"),
        // What is said of a moment is judged where it is the last word.
        (Heard::Unknown, Kind::Paid | Kind::Declined | Kind::Busy) => None,
    }
}

/// The last word on each operation, and the journal's.
fn at_the_end(operations: u32, reports: &[Report], entries: &[Entry]) -> Vec<String> {
    let last: BTreeMap<u32, &Report> = reports.iter().map(|it| (it.operation, it)).collect();
    let mut written: HashMap<u32, &Entry> = HashMap::new();
    let mut faults = Vec::new();
    for entry in entries {
        let name = entry.name.as_ref().map_or("", |name| name.as_str());
        match name.strip_prefix("op-").and_then(|it| it.parse().ok()) {
            Some(number) if written.insert(number, entry).is_none() => {}
            _ => faults.push(format!("the journal should not have {entry:?}")),
        }
    }
    for number in 0..operations {
        let (Some(said), Some(entry)) = (last.get(&number), written.get(&number)) else {
            faults.push(format!("op-{number} is lost"));
            continue;
        };
        let settled = match (kind(number), said.outcome) {
            (Kind::Paid, Heard::Yes) => entry.stands == Stands::Yes,
            (Kind::Declined | Kind::Busy, Heard::No) => matches!(entry.stands, Stands::No(_)),
            // An attempt that is in doubt, and never an answer that speaks of it.
            (Kind::Busy, Heard::Unknown) => entry.stands == Stands::Open { in_use: false },
            (Kind::Paid, Heard::No | Heard::Unknown)
            | (Kind::Declined, Heard::Yes | Heard::Unknown)
            | (Kind::Busy, Heard::Yes) => false,
        };
        if !settled || entry.key.as_str() != said.key {
            faults.push(format!(
                "op-{number} ends as {said:?}, the journal has {entry:?}"
            ));
        }
    }
    faults
}
