//! Reads the two logs of a run, and finds what the contract does not permit. Pure, and independent: it knows sections
//! 1 to 4 of the contract, and nothing of how they are kept.
//!
//! What a log leaves open is allowed for: a request whose connection broke may have claimed, and a holder that was
//! answered may take a while to record. What it finds is broken beyond doubt.

use std::collections::BTreeMap;
use std::fmt;

use super::logs::{Attempt, Ended, Execution, How, Logs, Micros, Outcome, Told};

/// What was promised.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contract {
    /// `on_unknown = "reexecute"`, else "refuse".
    pub(super) reexecutes: bool,
    pub(super) lease: Micros,
    /// How long after a lease it may be told that a key is in flight: what a store that is paused, and a machine that
    /// is busy, may add to it.
    pub(super) patience: Micros,
}

/// Something that the contract does not permit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Finding {
    pub(super) kind: Kind,
    pub(super) key: String,
    /// The attempts that show it.
    pub(super) attempts: Vec<u64>,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Kind {
    /// It ran again, and the policy did not permit it.
    ExecutedTwice,
    /// A later execution has no higher fence.
    FenceFell,
    /// An answer claims an execution that the origin's log does not have, or another one's.
    NoSuchExecution,
    /// Two answers for one key, and both are said to be what was recorded.
    TwoAnswers,
    /// What was told to be recorded was not replayed later.
    Forgotten,
    /// It is told to be in flight, and nobody can hold it any more.
    InFlightTooLong,
    /// It was refused, and ran.
    RanThoughRefused,
    /// An answer that the contract does not know.
    Dishonest,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            key,
            attempts,
        } = self;
        write!(f, "{kind:?}: key {key}, attempts {attempts:?}")
    }
}

/// All that is broken, key by key.
pub(super) fn check(logs: &Logs, contract: &Contract) -> Vec<Finding> {
    let mut stories: BTreeMap<&str, Story<'_>> = BTreeMap::new();
    for execution in &logs.executions {
        let story = stories.entry(&execution.key).or_default();
        story.executions.push(execution);
    }
    for attempt in &logs.attempts {
        let story = stories.entry(&attempt.key).or_default();
        story.attempts.push(attempt);
    }
    let found = stories.iter().flat_map(|(key, story)| {
        let broken = story.broken(contract).into_iter();
        broken.map(|(kind, attempts)| Finding {
            kind,
            key: (*key).to_owned(),
            attempts,
        })
    });
    found.collect()
}

/// All that is known of a key. Executions are in the order in which they arrived.
#[derive(Default)]
struct Story<'a> {
    executions: Vec<&'a Execution>,
    attempts: Vec<&'a Attempt>,
}

type Broken = Vec<(Kind, Vec<u64>)>;

impl Story<'_> {
    fn broken(&self, contract: &Contract) -> Broken {
        let mut broken = Vec::new();
        self.executions_follow(contract, &mut broken);
        for attempt in &self.attempts {
            if let Some(told) = attempt.told() {
                self.answer_is_true(attempt, told, contract, &mut broken);
            }
        }
        self.recorded_is_final(&mut broken);
        broken
    }

    /// Each execution is permitted after each that came before it, and has a higher fence.
    fn executions_follow(&self, contract: &Contract, broken: &mut Broken) {
        for (at, later) in self.executions.iter().enumerate() {
            for earlier in &self.executions[..at] {
                let both = || vec![earlier.attempt, later.attempt];
                if !self.may_follow(earlier, later, contract) {
                    broken.push((Kind::ExecutedTwice, both()));
                }
                if later.fence <= earlier.fence {
                    broken.push((Kind::FenceFell, both()));
                }
            }
        }
    }

    /// After a release, or after an unknown if the policy is to execute again; never once the outcome was told to be
    /// recorded, and never twice for one request of a client's.
    fn may_follow(&self, earlier: &Execution, later: &Execution, contract: &Contract) -> bool {
        let recorded = self
            .recorded()
            .any(|(_, told)| told.fence == Some(earlier.fence));
        if recorded || earlier.attempt == later.attempt {
            return false;
        }
        let ended = earlier
            .ended
            .as_ref()
            .filter(|ended| ended.at <= later.arrived_at);
        let freed = ended.is_some_and(|ended| end_of(ended) == End::Released);
        let unknown = ended.is_some_and(|ended| end_of(ended) == End::Unknown)
            // Fences are the store's own time: so long had the lease of the earlier one at least.
            || later.fence >= earlier.fence.saturating_add(contract.lease);
        freed || contract.reexecutes && unknown
    }

    fn answer_is_true(
        &self,
        attempt: &Attempt,
        told: &Told,
        contract: &Contract,
        broken: &mut Broken,
    ) {
        let mut breaks = |kind| broken.push((kind, vec![attempt.number]));
        let ran = self.executions_of(attempt.number).next().is_some();
        match meaning(told) {
            Meaning::Outcome => {
                if !self.is_of_an_execution(attempt, told) {
                    breaks(Kind::NoSuchExecution);
                }
            }
            Meaning::InFlight => {
                if !self.may_be_held(attempt, contract) {
                    breaks(Kind::InFlightTooLong);
                }
            }
            Meaning::Mismatch => {
                let another = self.attempts.iter().any(|other| {
                    other.request != attempt.request && other.sent_at <= attempt.ended_at
                });
                if !another {
                    breaks(Kind::Dishonest);
                }
            }
            Meaning::OutcomeUnknown | Meaning::Unavailable | Meaning::StartedSomething => {}
            Meaning::Nothing => breaks(Kind::Dishonest),
        }
        if ran && !may_be_told_to_a_holder(told, contract) {
            breaks(Kind::RanThoughRefused);
        }
    }

    /// The very answer that the origin gave to this request, and to this attempt of it unless it is a replay.
    fn is_of_an_execution(&self, attempt: &Attempt, told: &Told) -> bool {
        self.executions.iter().any(|execution| {
            let answer = execution.ended.as_ref().is_some_and(|ended| {
                matches!(&ended.how, How::Answered { status, body }
                    if *status == told.status && *body == told.body)
                    && ended.at <= attempt.ended_at
                    && is_fitting(end_of(ended), &told.became)
            });
            let own = execution.attempt == attempt.number;
            answer
                && told.fence == Some(execution.fence)
                && execution.request == attempt.request
                && own != (told.became == "replayed")
        })
    }

    /// Whether somebody may have held the key, or may just have died, when `attempt` was told that it is in flight.
    fn may_be_held(&self, attempt: &Attempt, contract: &Contract) -> bool {
        let executing = self
            .executions
            .iter()
            .filter(|execution| execution.arrived_at <= attempt.ended_at)
            .map(|execution| {
                execution
                    .ended
                    .as_ref()
                    .map_or(Micros::MAX, |ended| ended.at)
            });
        // Others that may have claimed, whether or not they came as far as the origin.
        let claiming = self
            .attempts
            .iter()
            .filter(|other| other.number != attempt.number && other.sent_at <= attempt.ended_at)
            .filter(|other| may_have_claimed(other))
            .map(|other| other.ended_at);
        let lapses = |at: Micros| at.saturating_add(contract.lease + contract.patience);
        executing
            .chain(claiming)
            .max()
            .is_some_and(|last| attempt.sent_at <= lapses(last))
    }

    /// Once somebody was told what is recorded, whoever asks later is told the same.
    fn recorded_is_final(&self, broken: &mut Broken) {
        let Some((first, recorded)) = self.recorded().min_by_key(|(attempt, _)| attempt.ended_at)
        else {
            return;
        };
        for attempt in &self.attempts {
            let Some(told) = attempt.told() else {
                continue;
            };
            let both = vec![first.number, attempt.number];
            let same = (told.status, &told.body) == (recorded.status, &recorded.body);
            if told.is_recorded() && !same {
                broken.push((Kind::TwoAnswers, both));
            } else if attempt.sent_at > first.ended_at && !may_come_after_a_record(told) {
                broken.push((Kind::Forgotten, both));
            }
        }
    }

    fn recorded(&self) -> impl Iterator<Item = (&Attempt, &Told)> {
        self.attempts.iter().filter_map(|attempt| {
            let told = attempt.told().filter(|told| told.is_recorded())?;
            Some((*attempt, told))
        })
    }

    fn executions_of(&self, attempt: u64) -> impl Iterator<Item = &&Execution> {
        let all = self.executions.iter();
        all.filter(move |execution| execution.attempt == attempt)
    }
}

/// What the end of an execution means (section 4 of the contract).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Kept,
    Released,
    Unknown,
}

fn end_of(ended: &Ended) -> End {
    match ended.how {
        How::Answered { status: 503, .. } => End::Released,
        How::Answered { status: 504, .. } | How::Cut | How::Deserted => End::Unknown,
        How::Answered { .. } => End::Kept,
    }
}

/// Whether an answer of the origin's may be said to have become this. A release after a take-over would forget what was
/// unknown before: that stays unknown.
fn is_fitting(end: End, became: &str) -> bool {
    match became {
        "executed" | "replayed" => end == End::Kept,
        "unrecorded" => end != End::Unknown,
        "released" => end == End::Released,
        "unknown" => end != End::Kept,
        _ => false,
    }
}

/// What an answer tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Meaning {
    /// What the origin answered.
    Outcome,
    InFlight,
    OutcomeUnknown,
    Mismatch,
    /// Nothing ran, and nobody knows what stands there.
    Unavailable,
    /// It runs, or ran, and there is no answer of the origin's.
    StartedSomething,
    /// The contract does not know it.
    Nothing,
}

fn meaning(told: &Told) -> Meaning {
    let Told {
        status,
        became,
        slug,
        ..
    } = told;
    match (*status, became.as_str(), slug.as_str()) {
        (_, "executed" | "replayed" | "released" | "unrecorded" | "unknown", "") => {
            Meaning::Outcome
        }
        (409, "refused", "in-flight") => Meaning::InFlight,
        (409, "refused", "outcome-unknown") => Meaning::OutcomeUnknown,
        (422, "refused", "mismatch") => Meaning::Mismatch,
        (503, "refused", "store-unavailable" | "overloaded")
        | (502, "refused", "upstream-unreachable") => Meaning::Unavailable,
        (504, "unknown", "still-running") | (502, "unknown", "upstream-outcome-unknown") => {
            Meaning::StartedSomething
        }
        _ => Meaning::Nothing,
    }
}

/// Whether somebody whose request ran may be told this. A holder that was taken over hears what stands there instead.
fn may_be_told_to_a_holder(told: &Told, contract: &Contract) -> bool {
    match meaning(told) {
        Meaning::Outcome => told.became != "replayed" || contract.reexecutes,
        Meaning::InFlight | Meaning::OutcomeUnknown => contract.reexecutes,
        Meaning::Mismatch | Meaning::Unavailable => false,
        Meaning::StartedSomething | Meaning::Nothing => true,
    }
}

/// A proxy that heard nothing from its store for too long, stopped itself perhaps, may say that it does not know.
fn may_come_after_a_record(told: &Told) -> bool {
    match meaning(told) {
        Meaning::Outcome => told.became == "replayed",
        Meaning::Mismatch | Meaning::Unavailable | Meaning::StartedSomething => true,
        Meaning::InFlight | Meaning::OutcomeUnknown | Meaning::Nothing => false,
    }
}

/// Not those who were told what stands there.
fn may_have_claimed(attempt: &Attempt) -> bool {
    match &attempt.outcome {
        Outcome::Answer(told) => match meaning(told) {
            Meaning::Outcome => told.became != "replayed",
            Meaning::Unavailable | Meaning::StartedSomething | Meaning::Nothing => true,
            Meaning::InFlight | Meaning::OutcomeUnknown | Meaning::Mismatch => false,
        },
        Outcome::Broken(_) | Outcome::Left => true,
    }
}
