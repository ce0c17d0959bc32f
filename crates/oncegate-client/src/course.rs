//! The course of an operation over its attempts: what is known so far, and what follows. No I/O, no clock.
//!
//! Promises: an ending is never more certain than what was seen. Once an attempt may have run, no later refusal that
//! speaks of itself alone makes a definite no of it; only the key's own outcome does. Nothing is sent when the server
//! may have forgotten the key.

use std::time::Duration;

use oncegate::problem::Executed;

use crate::backoff::{bound, jittered};
use crate::classify::{Advice, Protection, Reading};
use crate::policy::RetryPolicy;

/// What is known so far.
#[derive(Clone, Debug)]
pub struct Course {
    policy: RetryPolicy,
    /// How long before this course the operation was first sent.
    age: Duration,
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
    /// Since the first attempt of this course.
    pub elapsed: Duration,
    /// How long the server is believed to know the key.
    pub retention: Duration,
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
        /// Whether the key kept it from happening twice.
        protection: Protection,
        /// Whether an earlier attempt may have run as well, and nothing shows that the key prevented it.
        maybe_twice: bool,
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
            age: Duration::ZERO,
            attempts: 0,
            redirects: 0,
            refreshed: false,
            executed: Executed::No,
        }
    }

    /// Something may have been sent `age` ago, by a process that died.
    #[must_use]
    pub const fn resumed(policy: RetryPolicy, age: Duration) -> Self {
        let mut course = Self::new(policy);
        course.age = age;
        course.executed = Executed::Maybe;
        course
    }

    /// Whether the server must still know the key. If not, nothing may be sent: it would run anew.
    #[must_use]
    pub fn may_send(&self, elapsed: Duration, retention: Duration) -> bool {
        self.executed == Executed::No || self.age.saturating_add(elapsed) < retention
    }

    /// Attempts judged so far.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How long the next attempt may take at the most.
    #[must_use]
    pub fn attempt_timeout(&self, elapsed: Duration) -> Duration {
        let left = self.policy.total_timeout.saturating_sub(elapsed);
        self.policy.attempt_timeout.min(left)
    }

    /// What follows from what an attempt brought.
    pub fn judge(&mut self, reading: Reading, moment: &Moment) -> Step {
        self.attempts += u32::from(reading != Reading::Moved);
        match reading {
            Reading::Yes {
                replayed,
                lost,
                protection,
            } => Step::End(self.happened(replayed, lost, protection)),
            Reading::No { advice, settles } if settles => Step::End(Ending::No { advice }),
            Reading::No { advice, .. } => Step::End(self.ending(advice)),
            Reading::Never => {
                self.note(Executed::Maybe);
                Step::End(self.given_up())
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

    fn happened(&self, replayed: bool, lost: bool, protection: Protection) -> Ending {
        Ending::Yes {
            replayed,
            lost,
            protection,
            maybe_twice: self.executed != Executed::No && protection != Protection::Shown,
        }
    }

    fn again(&self, asked: Option<Duration>, moment: &Moment) -> Step {
        let policy = &self.policy;
        let bound = bound(self.attempts, policy.backoff_base, policy.backoff_max);
        let jitter = jittered(bound, moment.random);
        // The jitter comes on top of what was asked for: all who were told the same second would come in it.
        let after = asked.map_or(jitter, |asked| asked.saturating_add(jitter));
        let too_often = self.attempts >= policy.attempts_max;
        let too_far = asked.is_some_and(|asked| asked > policy.retry_after_max);
        if too_often || too_far || !self.has_time(after, moment) {
            Step::End(self.given_up())
        } else {
            Step::Again { after }
        }
    }

    fn refresh(&mut self, moment: &Moment) -> Step {
        let in_doubt = self.executed != Executed::No && !self.policy.refresh_in_doubt;
        let too_late = !self.has_time(Duration::ZERO, moment);
        if self.refreshed || !moment.refreshable || in_doubt || too_late {
            return Step::End(self.given_up());
        }
        self.refreshed = true;
        Step::Refresh
    }

    fn follow(&mut self, moment: &Moment) -> Step {
        let too_often = self.redirects >= self.policy.redirects_max;
        let too_late = !self.has_time(Duration::ZERO, moment);
        if too_often || !moment.same_origin || too_late {
            return Step::End(self.given_up());
        }
        self.redirects += 1;
        Step::Follow
    }

    /// Whether an attempt can be made after this wait: within the deadline, and while the server knows the key.
    fn has_time(&self, wait: Duration, moment: &Moment) -> bool {
        let at = moment.elapsed.saturating_add(wait);
        at < self.policy.total_timeout && self.may_send(at, moment.retention)
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
            // The server said so of the key, under which it happens once.
            Executed::Yes => Ending::Yes {
                replayed: true,
                lost: true,
                protection: Protection::Shown,
                maybe_twice: false,
            },
        }
    }
}

#[cfg(test)]
mod tests;
