//! The course of an operation over its attempts: what is known so far, and what follows. No I/O, no clock.
//!
//! Promises: an ending is never more certain than what was seen. Once an attempt may have run, no later refusal that
//! speaks of itself alone makes a definite no of it; only the key's own outcome does.

use std::time::Duration;

use oncegate::problem::Executed;

use crate::backoff::{bound, jittered};
use crate::classify::{Advice, Reading};
use crate::policy::RetryPolicy;

/// What is known so far.
#[derive(Clone, Debug)]
pub struct Course {
    policy: RetryPolicy,
    /// Attempts made, without redirects.
    attempts: u32,
    redirects: u32,
    refreshed: bool,
    /// What the attempts so far may have done.
    executed: Executed,
}

/// What the world allows at this moment.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "callers make it")]
pub struct Moment {
    /// Since the first attempt.
    pub elapsed: Duration,
    /// From 0 to 1.
    pub random: f64,
    /// Whether fresh credentials can be had.
    pub refreshable: bool,
    /// Whether a redirect leads to the same origin.
    pub same_origin: bool,
}

/// What follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "callers act on each")]
pub enum Step {
    /// Wait, then send the same again, if the budget has a retry left.
    Again {
        /// How long.
        after: Duration,
    },
    /// Get fresh credentials, then send the same again.
    Refresh,
    /// Send the same to where the answer points.
    Follow,
    /// No more attempts.
    End(Ending),
}

/// How it ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "callers act on each")]
pub enum Ending {
    /// It happened.
    Yes {
        /// Whether the answer was stored before.
        replayed: bool,
        /// Whether the answer itself is gone.
        lost: bool,
    },
    /// It did not happen.
    No {
        /// What to do with the key.
        advice: Advice,
    },
    /// It may have happened. Only the same key may be used, by the same operation.
    Unknown,
}

impl Course {
    /// Nothing was sent yet.
    #[must_use]
    pub const fn new(policy: RetryPolicy) -> Self {
        Self {
            policy,
            attempts: 0,
            redirects: 0,
            refreshed: false,
            executed: Executed::No,
        }
    }

    /// Something was sent before, by a process that died.
    #[must_use]
    pub const fn resumed(policy: RetryPolicy) -> Self {
        let mut course = Self::new(policy);
        course.executed = Executed::Maybe;
        course
    }

    /// Attempts judged so far.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// What follows from what an attempt brought.
    pub fn judge(&mut self, reading: Reading, moment: &Moment) -> Step {
        self.attempts += u32::from(reading != Reading::Moved);
        match reading {
            Reading::Yes { replayed, lost } => Step::End(Ending::Yes { replayed, lost }),
            Reading::No { advice, settles } if settles => Step::End(Ending::No { advice }),
            Reading::No { advice, .. } => Step::End(self.ending(advice)),
            Reading::Never => {
                self.note(Executed::Maybe);
                Step::End(self.ending(Advice::Reuse))
            }
            Reading::Again { executed, after } => {
                self.note(executed);
                self.again(after, moment)
            }
            Reading::Unauthorised => self.refresh(moment),
            Reading::Moved => self.follow(moment),
        }
    }

    /// How it ends if no more attempts are made: the caller left, or the budget is empty.
    #[must_use]
    pub const fn given_up(&self) -> Ending {
        self.ending(Advice::Reuse)
    }

    fn again(&self, asked: Option<Duration>, moment: &Moment) -> Step {
        let policy = &self.policy;
        let bound = bound(self.attempts, policy.backoff_base, policy.backoff_max);
        let jitter = jittered(bound, moment.random);
        // The jitter comes on top of what was asked for: all who were told the same second would come in it.
        let after = asked.map_or(jitter, |asked| asked.saturating_add(jitter));
        let too_often = self.attempts >= policy.attempts_max;
        let too_far = asked.is_some_and(|asked| asked > policy.retry_after_max);
        let too_late = moment.elapsed.saturating_add(after) >= policy.total_timeout;
        if too_often || too_far || too_late {
            Step::End(self.given_up())
        } else {
            Step::Again { after }
        }
    }

    fn refresh(&mut self, moment: &Moment) -> Step {
        if self.refreshed || !moment.refreshable {
            return Step::End(self.given_up());
        }
        self.refreshed = true;
        Step::Refresh
    }

    fn follow(&mut self, moment: &Moment) -> Step {
        if self.redirects >= self.policy.redirects_max || !moment.same_origin {
            return Step::End(self.given_up());
        }
        self.redirects += 1;
        Step::Follow
    }

    /// What has happened cannot become less.
    fn note(&mut self, executed: Executed) {
        self.executed = match (self.executed, executed) {
            (Executed::Yes, _) | (_, Executed::Yes) => Executed::Yes,
            (Executed::Maybe, _) | (_, Executed::Maybe) => Executed::Maybe,
            (Executed::No, Executed::No) => Executed::No,
        };
    }

    const fn ending(&self, advice: Advice) -> Ending {
        match self.executed {
            Executed::No => Ending::No { advice },
            Executed::Maybe => Ending::Unknown,
            Executed::Yes => Ending::Yes {
                replayed: true,
                lost: true,
            },
        }
    }
}
