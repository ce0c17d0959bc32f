//! How often something ran: by the counter, and by answers that tell two executions apart.

use super::{ALIKE, Broken, Counted, Court, Holds, Judgement, Unclear};
use crate::wire::{Exchange, Response};
use crate::witness::Identity;

impl Court<'_> {
    /// Answers convict, a counter convicts alone, and where there is none, answers acquit if all were heard.
    pub(super) fn effects(&self, least: u32, most: u32) -> Judgement {
        let seen = self.executions();
        if let Ok(seen) = seen
            && seen > i64::from(most)
        {
            return Broken(format!(
                "the answers are of {seen} executions, where {most} may be"
            ));
        }
        match self.scene.effects() {
            Some(effects) if effects < 0 => Unclear(format!(
                "the counter went back by {}: the server forgot what it had done",
                effects.abs()
            )),
            Some(effects) if effects > i64::from(most) => {
                Counted(format!("it ran {effects} times, where {most} may be"))
            }
            // Both witnesses say so.
            Some(effects) if effects < i64::from(least) && self.shows_fewer(&seen, least) => {
                Broken(format!("it ran {effects} times, where {least} have to be"))
            }
            Some(effects) if effects < i64::from(least) => {
                Counted(format!("it ran {effects} times, where {least} have to be"))
            }
            Some(_) => Holds,
            None => self.uncounted(seen, least),
        }
    }

    fn uncounted(&self, seen: Result<i64, String>, least: u32) -> Judgement {
        let because = |problem: &str| self.unclear(problem);
        match seen {
            Ok(_) if !self.heard_all() => because(UNHEARD),
            Ok(seen) if seen < i64::from(least) => Broken(format!(
                "the answers are of {seen} executions, where {least} have to be"
            )),
            // Answers can be those of the record while something runs behind them.
            Ok(_) if self.scene.moved_late || self.stage.witness.surplus => because(SURPLUS),
            Ok(_) => Holds,
            Err(problem) => because(&problem),
        }
    }

    /// With what is wrong with the counter, if there was one.
    fn unclear(&self, problem: &str) -> Judgement {
        let doubt = self.scene.doubt.as_ref();
        let doubt = doubt.or(self.stage.witness.doubt.as_ref());
        let doubt = doubt.map(|doubt| format!(" ({doubt})")).unwrap_or_default();
        Unclear(format!("{problem}{doubt}"))
    }

    fn shows_fewer(&self, seen: &Result<i64, String>, least: u32) -> bool {
        self.heard_all() && seen.as_ref().is_ok_and(|seen| *seen < i64::from(least))
    }

    /// Whether each answer says if it ran.
    fn heard_all(&self) -> bool {
        let mut exchanges = self.scene.exchanges.iter();
        // Whoever broke down may have done it before.
        let is_clear = |response: &Response| response.status < 500;
        exchanges.all(|exchange| exchange.response().is_some_and(is_clear))
    }

    /// How many executions the successes come from, or why that cannot be told.
    fn executions(&self) -> Result<i64, String> {
        let responses = self.scene.exchanges.iter().filter_map(Exchange::response);
        let mut known: Vec<Identity> = Vec::new();
        for response in responses.filter(|response| response.is_success()) {
            let identity = self.stage.witness.identity(response).ok_or(ALIKE)?;
            let mut is_new = true;
            for other in &known {
                is_new &= !identity.is(other).ok_or(MIXED)?;
            }
            if is_new {
                known.push(identity);
            }
        }
        if self.stage.witness.traits.is_empty() {
            return Err(ALIKE.to_owned());
        }
        Ok(i64::try_from(known.len()).unwrap_or(i64::MAX))
    }

    /// Whether both answers are of one execution, if that can be told.
    pub(super) fn is_same_execution(&self, one: &Response, other: &Response) -> Option<bool> {
        let witness = &self.stage.witness;
        witness.identity(one)?.is(&witness.identity(other)?)
    }

    pub(super) fn refused_or_same(&self, label: &str, first: &str) -> Judgement {
        let (first, response) = match self.pair(first, label) {
            Ok(pair) => pair,
            Err(judgement) => return judgement,
        };
        if !response.is_success() {
            return Holds;
        }
        match self.is_same_execution(first, response) {
            Some(true) => Holds,
            Some(false) => Broken(format!(
                "it ran again, and was answered {}",
                response.status
            )),
            None => self.looks_same(label, first, response),
        }
    }

    /// Equal answers of which nothing tells executions apart: a counter shows whether this one ran beside the others.
    pub(super) fn looks_same(&self, label: &str, first: &Response, other: &Response) -> Judgement {
        if first.body != other.body {
            return Unclear(ALIKE.to_owned());
        }
        let others = self.scene.exchanges.iter().filter(|exchange| {
            let response = exchange.response();
            // Whoever got no answer may have run.
            exchange.label != label && response.is_none_or(Response::is_success)
        });
        match self.scene.effects() {
            None => self.unclear(ALIKE),
            Some(effects) if effects > i64::try_from(others.count()).unwrap_or(i64::MAX) => {
                Counted(format!("it ran {effects} times, {label} included"))
            }
            Some(_) => Holds,
        }
    }
}

const UNHEARD: &str =
    "a request without an answer may have run; a counter (--effects) would show it";
const SURPLUS: &str = "the answers are of no more executions than may be, but a counter saw more: others write, or effects come late";
const MIXED: &str = "a part of two answers is the same, and a part is not; a counter (--effects) would show which counts";
