//! A grade, by the worst promise that is broken: what costs money comes first, and nothing makes up for it.
//!
//! There are no points. Points would let ten kept courtesies outweigh a double charge.
//! What could not be told lowers the coverage and not the grade; where too little could be told there is no grade.

use std::fmt;

use super::{Report, Verdict};
use crate::case::Severity;
use crate::cases;

/// How good it is, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// Nothing that could be told is broken.
    A,
    /// Only advice is.
    B,
    /// Clients that follow the contract go wrong.
    C,
    /// It loses money.
    F,
}

/// What a report comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Score {
    /// The grade; none, if too little could be told to give one.
    pub grade: Option<Grade>,
    /// What came of the cases of each severity, the worst first.
    pub tallies: [Tally; 3],
    /// Cases that this run left out.
    pub left_out: usize,
}

/// What came of the cases of one severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Of which severity.
    pub severity: Severity,
    /// Promises that are kept.
    pub kept: usize,
    /// Promises that are broken.
    pub broken: usize,
    /// Promises of which nothing could be told.
    pub untold: usize,
}

impl Score {
    /// What a report comes to.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        let tallies = Severity::ALL.map(|severity| Tally::of(report, severity));
        let money_cases = cases::all()
            .filter(|case| case.severity == Severity::Money)
            .count();
        Self {
            grade: grade(&tallies, money_cases),
            tallies,
            left_out: cases::all().count().saturating_sub(report.findings.len()),
        }
    }

    /// How many cases could be told.
    #[must_use]
    pub fn told(&self) -> usize {
        self.tallies.iter().map(Tally::told).sum()
    }

    /// How many cases were in the run.
    #[must_use]
    pub fn tried(&self) -> usize {
        self.tallies
            .iter()
            .map(|tally| tally.told() + tally.untold)
            .sum()
    }

    /// What the grade means, as a sentence.
    #[must_use]
    pub const fn sentence(&self) -> &'static str {
        match self.grade {
            Some(Grade::A) => "It keeps every promise that could be tried.",
            Some(Grade::B) => "It keeps what clients rely on, and could tell them more.",
            Some(Grade::C) => {
                "It loses no money here, but clients that follow the contract go wrong."
            }
            Some(Grade::F) => "It loses money.",
            None => "Too little could be told for a grade.",
        }
    }

    /// How much of it could be told, as a sentence.
    #[must_use]
    pub fn coverage(&self) -> String {
        let left_out = match self.left_out {
            0 => String::new(),
            count => format!("; {count} more were left out of this run"),
        };
        format!(
            "{} of {} cases could be told{left_out}.",
            self.told(),
            self.tried()
        )
    }
}

impl Tally {
    fn of(report: &Report, severity: Severity) -> Self {
        let count = |verdict| {
            let findings = report.findings.iter();
            findings
                .filter(|finding| finding.case.severity == severity && finding.verdict == verdict)
                .count()
        };
        Self {
            severity,
            kept: count(Verdict::Pass),
            broken: count(Verdict::Fail),
            untold: count(Verdict::CannotTell),
        }
    }

    const fn told(&self) -> usize {
        self.kept + self.broken
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::F => "F",
        })
    }
}

/// Lost money is told at once. Any better grade needs half of all cases that lose money to have been told.
const fn grade(tallies: &[Tally; 3], money_cases: usize) -> Option<Grade> {
    let [money, contract, advice] = tallies;
    if money.broken > 0 {
        return Some(Grade::F);
    }
    if money.told() * 2 < money_cases || money.told() == 0 {
        return None;
    }
    Some(if contract.broken > 0 {
        Grade::C
    } else if advice.broken > 0 {
        Grade::B
    } else {
        Grade::A
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(severity: Severity, [kept, broken, untold]: [usize; 3]) -> Tally {
        Tally {
            severity,
            kept,
            broken,
            untold,
        }
    }

    #[test]
    fn the_worst_broken_promise_gives_the_grade() {
        // Kept, broken, untold; of ten cases that lose money.
        for (money, contract, advice, expected) in [
            ([10, 0, 0], [5, 0, 0], [5, 0, 0], Some(Grade::A)),
            ([10, 0, 0], [5, 0, 0], [0, 5, 0], Some(Grade::B)),
            ([10, 0, 0], [4, 1, 0], [5, 0, 0], Some(Grade::C)),
            ([9, 1, 0], [5, 0, 0], [5, 0, 0], Some(Grade::F)),
            // What could not be told is no failure ..
            ([5, 0, 5], [0, 0, 5], [0, 0, 5], Some(Grade::A)),
            // .. until too little is left, whether it was tried or left out.
            ([4, 0, 6], [5, 0, 0], [5, 0, 0], None),
            ([4, 0, 0], [5, 0, 0], [5, 0, 0], None),
            ([0, 0, 10], [4, 1, 0], [5, 0, 0], None),
            // Lost money needs no coverage.
            ([0, 1, 9], [0, 0, 5], [0, 0, 5], Some(Grade::F)),
        ] {
            let tallies = [
                tally(Severity::Money, money),
                tally(Severity::Contract, contract),
                tally(Severity::Advice, advice),
            ];
            assert_eq!(
                grade(&tallies, 10),
                expected,
                "{money:?} {contract:?} {advice:?}"
            );
        }
    }

    #[test]
    fn nothing_tried_is_no_grade() {
        let none = Severity::ALL.map(|severity| tally(severity, [0, 0, 0]));
        assert_eq!(grade(&none, 0), None);
    }
}
