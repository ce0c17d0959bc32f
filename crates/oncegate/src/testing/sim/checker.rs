//! What may happen to a key, judged from outside: by what clients are answered and what reaches the upstream.
//!
//! It knows nothing of the store. Where a fault leaves open what was done, it allows for both; what it finds is
//! broken beyond doubt. All times are bounds that hold whatever was lost: a record stands *at least* until then.

use std::time::Duration;

use super::Report;
use crate::clock::Timestamp;
use crate::engine::Verdict;
use crate::policy::{OnUnknown, Policy};
use crate::record::Fence;

/// Finds the first broken rule.
#[derive(Debug)]
pub(super) struct Checker {
    keys: Vec<Key>,
    pub(super) report: Report,
    pub(super) broken: Option<String>,
    reexecutes: bool,
    lease: Duration,
    replayed_for: Duration,
    completed_for: Duration,
    unknown_for: Duration,
}

/// What is known of a key's record.
#[derive(Debug, Default)]
struct Key {
    /// Counts the claims of a key that was free: outcomes of different generations may differ.
    generation: u64,
    /// The highest fence that a holder was given.
    holder: Fence,
    executed: Fence,
    executions: u64,
    /// Whether the holder, or an operator, gave the key up.
    free: bool,
    /// Those who are just giving it up and have no answer yet.
    freeing: u32,
    /// Counts what operators did: it may have struck a claim whose answer is still under way.
    operated: u64,
    marked: bool,
    lease_until: Timestamp,
    stands_until: Timestamp,
    /// What somebody asked the store to keep, and when for the first time.
    candidates: Vec<(String, Timestamp)>,
    /// What the store said it kept, or replayed.
    outcome: Option<String>,
    replayed_until: Timestamp,
    bodies: Vec<usize>,
}

/// What was known when somebody asked the store for something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) at: Timestamp,
    key: usize,
    generation: u64,
    holder: Fence,
    operated: u64,
    /// Whether the outcome was known to be kept.
    kept: bool,
}

/// What an answer said about the effect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Effect {
    /// It took effect.
    Applied,
    /// It did not.
    Refused,
    /// Nobody knows.
    Unknown,
}

impl Checker {
    pub(super) fn new(keys: usize, policy: &Policy) -> Self {
        let free = || Key {
            free: true,
            ..Key::default()
        };
        Self {
            keys: (0..keys).map(|_| free()).collect(),
            report: Report::default(),
            broken: None,
            reexecutes: policy.on_unknown == OnUnknown::Reexecute,
            lease: policy.lease,
            replayed_for: policy.completed().live,
            completed_for: policy.completed().live + policy.completed().tombstone,
            unknown_for: policy.unknown().live + policy.unknown().tombstone,
        }
    }

    pub(super) fn asks(&mut self, key: usize, at: Timestamp) -> Asked {
        self.keys[key].pass(at);
        let Key {
            generation,
            holder,
            operated,
            ..
        } = self.keys[key];
        Asked {
            at,
            key,
            generation,
            holder,
            operated,
            kept: self.keys[key].outcome.is_some(),
        }
    }

    /// A client sends its request with this body.
    pub(super) fn asks_begin(&mut self, key: usize, body: usize, at: Timestamp) -> Asked {
        if !self.keys[key].bodies.contains(&body) {
            self.keys[key].bodies.push(body);
        }
        self.asks(key, at)
    }

    /// Any verdict: an outcome that is kept is replayed until its time is over, and nothing else.
    pub(super) fn judged(&mut self, asked: Asked, body: usize, now: Timestamp, verdict: &Verdict) {
        self.keys[asked.key].pass(now);
        let key = &self.keys[asked.key];
        let same = key.generation == asked.generation && asked.kept;
        let kept = if same && now < key.replayed_until {
            key.outcome.clone()
        } else {
            None
        };
        let others = key.bodies.iter().any(|other| *other != body);
        let count = match verdict {
            Verdict::Replay(_) => None,
            Verdict::Mismatch if !others => {
                return self.breaks(asked.key, "a mismatch, and there is no other request");
            }
            Verdict::Mismatch => Some(&mut self.report.mismatches),
            Verdict::Execute(_)
            | Verdict::Bypass(_)
            | Verdict::InFlight(_)
            | Verdict::Unknown(_)
            | Verdict::Expired
                if kept.is_some() =>
            {
                return self.breaks(asked.key, &format!("{kept:?} was stored, but not replayed"));
            }
            Verdict::InFlight(_) => Some(&mut self.report.in_flight),
            Verdict::Unknown(_) => Some(&mut self.report.unknown),
            Verdict::Expired => Some(&mut self.report.expired),
            Verdict::Execute(_) | Verdict::Bypass(_) => None,
        };
        if let Some(count) = count {
            *count += 1;
        }
    }

    /// A client holds a claim.
    pub(super) fn claimed(&mut self, asked: Asked, now: Timestamp, fence: Fence, taken_over: bool) {
        let reexecutes = self.reexecutes;
        self.keys[asked.key].pass(now);
        let key = &self.keys[asked.key];
        if fence == key.holder {
            return self.breaks(asked.key, &format!("fence {fence} was given twice"));
        }
        if fence < key.holder {
            // Its answer was overtaken; it was stale before its client knew.
            self.report.stale += 1;
            return;
        }
        let held = !key.free && key.freeing == 0;
        if taken_over && !reexecutes {
            return self.breaks(asked.key, "a take-over under `refuse`");
        }
        if taken_over && now < key.lease_until && !key.marked && held {
            return self.breaks(asked.key, "a live lease was taken over");
        }
        let operated = key.operated != asked.operated;
        if taken_over && key.outcome.is_some() && !operated {
            return self.breaks(asked.key, "a completed record was taken over");
        }
        if !taken_over && held {
            return self.breaks(
                asked.key,
                "a key was claimed anew while its record must stand",
            );
        }
        self.report.take_overs += u64::from(taken_over);
        let (lease, unknown_for) = (self.lease, self.unknown_for);
        let key = &mut self.keys[asked.key];
        if !taken_over {
            key.start_anew();
        }
        key.holder = fence;
        key.free = operated;
        key.marked = false;
        key.lease_until = asked.at.after(lease);
        key.stands_until = asked.at.after(lease).after(unknown_for);
    }

    /// The request reaches the upstream. Answers the number of this execution.
    pub(super) fn executed(&mut self, at: usize, fence: Fence) -> u64 {
        self.report.executions += 1;
        let number = self.report.executions;
        let reexecutes = self.reexecutes;
        let key = &mut self.keys[at];
        let (last, executions) = (key.executed, key.executions);
        key.executed = key.executed.max(fence);
        key.executions += 1;
        if fence <= last {
            self.breaks(
                at,
                &format!("fence {fence} was executed after fence {last}"),
            );
        } else if executions > 0 && !reexecutes {
            self.breaks(at, "executed twice, and nobody gave the key up");
        }
        number
    }

    /// A holder asks for a longer lease and is answered "held".
    pub(super) fn renewed(&mut self, asked: Asked, fence: Fence) {
        if fence < asked.holder {
            return self.breaks(
                asked.key,
                &format!("a renewal under stale fence {fence} applied"),
            );
        }
        let (lease, unknown_for) = (self.lease, self.unknown_for);
        let key = &mut self.keys[asked.key];
        if key.holder == fence && key.operated == asked.operated {
            key.lease_until = key.lease_until.max(asked.at.after(lease));
            key.stands_until = key
                .stands_until
                .max(asked.at.after(lease).after(unknown_for));
        }
    }

    /// A holder, or an operator, asks the store to keep `answer`.
    pub(super) fn asks_complete(&mut self, at: usize, answer: &str, now: Timestamp) -> Asked {
        let until = now.after(self.completed_for);
        let asked = self.asks(at, now);
        let key = &mut self.keys[at];
        key.stands_until = key.stands_until.min(until);
        if !key
            .candidates
            .iter()
            .any(|(candidate, _)| candidate == answer)
        {
            key.candidates.push((answer.to_owned(), now));
        }
        asked
    }

    /// An operator is about to do something.
    pub(super) fn operates(&mut self, key: usize) {
        self.keys[key].operated += 1;
    }

    /// The answer to a completion. `fence` is the holder's; an operator has none.
    pub(super) fn completed(
        &mut self,
        asked: Asked,
        fence: Option<Fence>,
        answer: &str,
        effect: Effect,
    ) {
        match effect {
            Effect::Unknown => return,
            Effect::Refused => {
                self.report.stale += u64::from(fence.is_some());
                return;
            }
            Effect::Applied => {}
        }
        if fence.is_some_and(|fence| fence < asked.holder) {
            return self.breaks(
                asked.key,
                &format!("{answer:?} of a stale holder was stored"),
            );
        }
        self.report.completions += u64::from(fence.is_some());
        self.report.settlements += u64::from(fence.is_none());
        self.keeps(asked, answer);
        let key = &mut self.keys[asked.key];
        let first = key
            .candidates
            .iter()
            .find(|(candidate, _)| candidate == answer);
        if let (Some((_, at)), true) = (first, key.generation == asked.generation) {
            key.replayed_until = at.after(self.replayed_for);
        }
    }

    /// A client is answered with a stored response.
    pub(super) fn replayed(&mut self, asked: Asked, body: usize, answer: &str) {
        self.report.replays += 1;
        let key = &self.keys[asked.key];
        if key.generation != asked.generation {
            return;
        }
        if !key
            .candidates
            .iter()
            .any(|(candidate, _)| candidate == answer)
        {
            return self.breaks(
                asked.key,
                &format!("{answer:?} was replayed, and never stored"),
            );
        }
        if answer.contains("body") && !answer.contains(&format!("body {body}")) {
            return self.breaks(
                asked.key,
                &format!("{answer:?} was replayed to body {body}"),
            );
        }
        self.keeps(asked, answer);
    }

    /// A holder asks to be marked as unknown: from now on it can be taken over.
    pub(super) fn asks_mark(&mut self, at: usize, fence: Fence, now: Timestamp) -> Asked {
        let until = now.after(self.unknown_for);
        let asked = self.asks(at, now);
        let key = &mut self.keys[at];
        if key.holder == fence {
            key.marked = true;
            key.stands_until = key.stands_until.min(until);
        }
        asked
    }

    /// The answer to that.
    pub(super) fn marked(&mut self, asked: Asked, fence: Fence, effect: Effect) {
        match effect {
            Effect::Applied if fence < asked.holder => {
                self.breaks(
                    asked.key,
                    &format!("a mark under stale fence {fence} applied"),
                );
            }
            Effect::Refused => self.report.stale += 1,
            Effect::Applied | Effect::Unknown => {}
        }
    }

    /// Somebody gives the key up: its holder, or an operator who says "not executed".
    pub(super) fn asks_release(
        &mut self,
        at: usize,
        fence: Option<Fence>,
        now: Timestamp,
    ) -> Asked {
        let asked = self.asks(at, now);
        if may_free(asked, fence) {
            self.keys[at].freeing += 1;
        }
        asked
    }

    /// The answer to that. That a stale holder's release is "applied" where nothing stands is as it should be.
    pub(super) fn released(&mut self, asked: Asked, fence: Option<Fence>, effect: Effect) {
        if !may_free(asked, fence) {
            return;
        }
        let key = &mut self.keys[asked.key];
        key.freeing -= 1;
        if effect != Effect::Refused && fence.is_none_or(|fence| fence == key.holder) {
            key.free = true;
        }
    }

    /// One answer for one generation.
    fn keeps(&mut self, asked: Asked, answer: &str) {
        let key = &mut self.keys[asked.key];
        if key.generation != asked.generation {
            return;
        }
        let outcome = key.outcome.get_or_insert_with(|| answer.to_owned());
        if outcome != answer {
            let broken = format!("{answer:?} after {outcome:?}: two answers for one key");
            self.breaks(asked.key, &broken);
        }
    }

    pub(super) fn breaks(&mut self, key: usize, rule: &str) {
        self.broken
            .get_or_insert_with(|| format!("key {key}: {rule}"));
    }
}

impl Key {
    /// Time has come to `now`: a record that need not stand any longer may be gone, and with it all that it held.
    fn pass(&mut self, now: Timestamp) {
        if self.stands_until <= now {
            self.start_anew();
            self.free = true;
        }
    }

    /// The next claim is one of a key that was free. What was asked for before may still arrive, so candidates stay.
    fn start_anew(&mut self) {
        self.generation += 1;
        self.executions = 0;
        self.outcome = None;
        self.replayed_until = Timestamp::default();
    }
}

/// A stale holder frees nothing: the store must refuse it.
fn may_free(asked: Asked, fence: Option<Fence>) -> bool {
    fence.is_none_or(|fence| fence >= asked.holder)
}
