//! What happened in a run, counted off its logs: a run in which little happened shows nothing.

use std::collections::{HashMap, HashSet};

use super::logs::{Ended, Execution, How, Logs};

/// How often.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) keys: usize,
    pub(super) attempts: usize,
    pub(super) executions: usize,
    /// Executions whose holder was killed before the origin answered.
    pub(super) struck: usize,
    /// Executions of a key that had run before.
    pub(super) repeated: usize,
    pub(super) replays: usize,
    /// Replays for those who asked while it still ran: they were held.
    pub(super) waited: usize,
    pub(super) in_flight: usize,
    pub(super) unknown: usize,
    pub(super) mismatches: usize,
    pub(super) still_running: usize,
    pub(super) unrecorded: usize,
    /// Refused since the store did not answer.
    pub(super) unavailable: usize,
    /// No answer at all.
    pub(super) broken: usize,
}

impl Tally {
    pub(super) fn of(logs: &Logs) -> Self {
        let mut tally = Self {
            attempts: logs.attempts.len(),
            executions: logs.executions.len(),
            ..Self::default()
        };
        let mut executed = HashMap::new();
        for execution in &logs.executions {
            tally.struck += usize::from(is_struck(execution));
            executed.insert((execution.key.as_str(), execution.fence), execution);
        }
        let ran: HashSet<&str> = logs.executions.iter().map(|one| one.key.as_str()).collect();
        tally.repeated = tally.executions - ran.len();
        let keys: HashSet<&str> = logs.attempts.iter().map(|one| one.key.as_str()).collect();
        tally.keys = keys.len();
        for attempt in &logs.attempts {
            let Some(told) = attempt.told() else {
                tally.broken += 1;
                continue;
            };
            match (told.became.as_str(), told.slug.as_str()) {
                ("replayed", _) => {
                    tally.replays += 1;
                    let fence = told.fence.unwrap_or_default();
                    let original = executed.get(&(attempt.key.as_str(), fence));
                    let ended = original.and_then(|execution| execution.ended.as_ref());
                    tally.waited += usize::from(ended.is_some_and(|end| end.at > attempt.sent_at));
                }
                ("unrecorded", _) => tally.unrecorded += 1,
                (_, "in-flight") => tally.in_flight += 1,
                (_, "outcome-unknown") => tally.unknown += 1,
                (_, "mismatch") => tally.mismatches += 1,
                (_, "still-running") => tally.still_running += 1,
                (_, "store-unavailable") => tally.unavailable += 1,
                _ => {}
            }
        }
        tally
    }

    /// What did not happen often enough to show anything.
    pub(super) fn lacks(&self, reexecutes: bool) -> Vec<&'static str> {
        let floors = [
            ("attempts", self.attempts, 500),
            ("keys", self.keys, 50),
            ("executions", self.executions, 50),
            ("holders killed in mid-flight", self.struck, 3),
            ("executions after a release or an unknown", self.repeated, 3),
            ("replays", self.replays, 100),
            ("replays after waiting", self.waited, 5),
            ("duplicates in flight", self.in_flight, 20),
            ("refusals without a store", self.unavailable, 3),
            ("mismatches", self.mismatches, 3),
            // Where they are executed again, hardly anybody is told.
            ("unknowns", self.unknown, if reexecutes { 0 } else { 10 }),
        ];
        let short = floors.into_iter().filter(|(_, count, floor)| count < floor);
        short.map(|(what, _, _)| what).collect()
    }
}

fn is_struck(execution: &Execution) -> bool {
    matches!(
        execution.ended,
        Some(Ended {
            how: How::Deserted,
            ..
        })
    )
}
