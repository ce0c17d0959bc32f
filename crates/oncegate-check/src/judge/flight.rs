//! What is said while the first request is running, and to those who come back after their caller left.

use super::{Broken, Court, Holds, Judgement, Missed, Unclear, says_unknown};
use crate::case::Refusal;
use crate::wire::{Exchange, Outcome, Response};

impl Court<'_> {
    /// No clock decides this: a duplicate that was answered before the first request was met it, and one that was sent
    /// after its end did not.
    pub(super) fn during(&self, label: &str, first: &str) -> Judgement {
        let (Some(duplicate), Some(original)) = (self.all(label).next(), self.all(first).next())
        else {
            return Unclear("it was not sent".to_owned());
        };
        if duplicate.began >= original.ended {
            return Missed(format!(
                "{first} had ended before {label} was sent; give a form \"slow\" that is slower"
            ));
        }
        let (Some(told), Some(late)) = (original.response(), duplicate.response()) else {
            return Holds;
        };
        // They overtook each other on the way.
        if !told.is_success() && late.is_success() {
            return Missed(format!("{label} arrived before {first}"));
        }
        Holds
    }

    pub(super) fn unheard(&self, label: &str) -> Judgement {
        match self.all(label).next().map(|exchange| &exchange.outcome) {
            Some(Outcome::Left | Outcome::Broken(_)) => Holds,
            Some(Outcome::Answered(_)) => Missed(format!(
                "{label} was answered before it could be cut off; give a form \"slow\" that is slower"
            )),
            Some(Outcome::Unreachable(problem)) => {
                Unclear(format!("{label}: not reached: {problem}"))
            }
            None => Unclear(format!("{label}: was not sent")),
        }
    }

    pub(super) fn was_refused(&self, label: &str, refusal: Refusal) -> Judgement {
        match self.response(label) {
            Ok(response)
                if self
                    .stage
                    .dialect
                    .statuses(refusal)
                    .contains(&response.status) =>
            {
                Holds
            }
            Ok(response) => Unclear(format!(
                "{label} was answered {}: no refusal that could be kept",
                response.status
            )),
            Err(judgement) => judgement,
        }
    }

    /// The operation succeeds by itself, so anything else tells the client something wrong.
    pub(super) fn heard(&self, label: &str) -> Judgement {
        match self.response(label) {
            Ok(response) if response.is_success() => Holds,
            Ok(response) if says_nothing(response) => Unclear(format!(
                "{label} was answered {}, which says nothing of its key",
                response.status
            )),
            Ok(response) if says_unknown(response) => Broken(format!(
                "{label} was told that nobody knows the outcome, where it is due"
            )),
            Ok(response) if self.stage.witness.names(response) => Unclear(format!(
                "{label} was answered {} with the words of an execution: its outcome under another status, or a refusal",
                response.status
            )),
            Ok(response) if self.is_in_flight(response) => self.still_in_flight(label, response),
            Ok(response) => Broken(format!(
                "{label} was answered {}, where the outcome is due",
                response.status
            )),
            Err(judgement) => match self.all(label).next().map(|exchange| &exchange.outcome) {
                Some(Outcome::Broken(problem)) => Broken(format!("{label}: {problem}")),
                Some(_) | None => judgement,
            },
        }
    }

    pub(super) fn told(&self, label: &str) -> Judgement {
        match self.response(label) {
            Ok(response) if says_unknown(response) => Holds,
            Ok(_) | Err(_) => self.heard(label),
        }
    }

    fn still_in_flight(&self, label: &str, response: &Response) -> Judgement {
        let since = self
            .all(label)
            .next()
            .map_or(0, |exchange| exchange.ended.as_secs());
        Broken(format!(
            "{label} was still told that the first is in flight ({}), {since} s after the case began",
            response.status
        ))
    }

    pub(super) fn others_in_flight(&self, label: &str) -> Judgement {
        for exchange in self.all(label) {
            match &exchange.outcome {
                Outcome::Answered(response)
                    if response.is_success() || self.is_in_flight(response) => {}
                Outcome::Answered(response) if says_nothing(response) => {
                    return Unclear(format!(
                        "some were answered {}: a smaller burst would show it",
                        response.status
                    ));
                }
                Outcome::Answered(response) => {
                    return Broken(format!("a duplicate was answered {}", response.status));
                }
                Outcome::Left | Outcome::Broken(_) | Outcome::Unreachable(_) => {
                    return Broken("a duplicate got no answer".to_owned());
                }
            }
        }
        Holds
    }

    pub(super) fn in_flight(&self, label: &str, first: &str) -> Judgement {
        let (first, duplicate) = match self.pair(first, label) {
            Ok(pair) => pair,
            Err(judgement) => return judgement,
        };
        if self.is_in_flight(duplicate) {
            return Holds;
        }
        if !duplicate.is_success() {
            return Broken(format!(
                "answered {} while the first request was still running",
                duplicate.status
            ));
        }
        match self.is_same_execution(first, duplicate) {
            Some(true) => Holds,
            Some(false) => Broken(format!(
                "it ran beside the first, and was answered {}",
                duplicate.status
            )),
            None => self.looks_same(label, first, duplicate),
        }
    }

    pub(super) fn retry_after(&self, label: &str) -> Judgement {
        let mut refused = self
            .all(label)
            .filter_map(Exchange::response)
            .filter(|response| self.is_in_flight(response))
            .peekable();
        if refused.peek().is_none() {
            return Unclear(
                "no duplicate was refused: they were held, or came too late".to_owned(),
            );
        }
        match refused.find(|response| response.field("retry-after").is_none()) {
            Some(response) => Broken(format!("{} without Retry-After", response.status)),
            None => Holds,
        }
    }

    fn is_in_flight(&self, response: &Response) -> bool {
        let expected = self.stage.dialect.statuses(Refusal::InFlight);
        expected.contains(&response.status)
    }
}

/// No length, no more of them, not now: answers that any request can get.
const fn says_nothing(response: &Response) -> bool {
    matches!(response.status, 411 | 429 | 503)
}
