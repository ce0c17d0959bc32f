//! What follows from what happened. Pure: a scene in, a verdict out.
//!
//! A case fails if one expectation is broken, cannot be told if one is unclear, and passes if all hold.

use crate::case::{Case, Expect, Part, Promise, Refusal};
use crate::report::Verdict;
use crate::scene::{Scene, Stage};
use crate::wire::{Exchange, Outcome, Response};

mod failures;
mod words;

/// What one expectation comes to.
enum Judgement {
    Holds,
    Broken(String),
    Unclear(String),
}

use Judgement::{Broken, Holds, Unclear};

/// The verdict, and why.
pub(crate) fn judge(stage: &Stage<'_>, case: &Case, scene: &Scene) -> (Verdict, String) {
    if let Some(obstacle) = &scene.obstacle {
        return (Verdict::CannotTell, obstacle.clone());
    }
    let court = Court { stage, scene };
    let mut unclear = None;
    for expect in case.expect {
        match court.judge(expect) {
            Holds => {}
            Broken(because) => return (Verdict::Fail, because),
            // What a case rests on is unclear: nothing else can be told.
            Unclear(because) if matches!(expect, Expect::Succeeds(_) | Expect::Fails(..)) => {
                return (Verdict::CannotTell, because);
            }
            Unclear(because) => unclear = unclear.or(Some(because)),
        }
    }
    match unclear {
        Some(because) => (Verdict::CannotTell, because),
        None => (Verdict::Pass, case.title.to_owned()),
    }
}

struct Court<'a> {
    stage: &'a Stage<'a>,
    scene: &'a Scene,
}

impl Court<'_> {
    fn judge(&self, expect: &Expect) -> Judgement {
        match *expect {
            Expect::Succeeds(label) => self.succeeds(label),
            Expect::Effects(count) => self.effects(count, count),
            Expect::EffectsAtMost(count) => self.effects(0, count),
            Expect::Same(first, again, part) => self.same(first, again, part),
            Expect::AllSame(label) => self.all_same(label),
            Expect::OthersInFlight(label) => self.others_in_flight(label),
            Expect::Marked(label) => self.marked(label, true),
            Expect::Unmarked(label) => self.marked(label, false),
            Expect::Refused(label, refusal) => self.refused(label, refusal),
            Expect::RefusedOrSame(label, first) => self.refused_or_same(label, first),
            Expect::NotTheAnswerOf(label, other) => self.not_the_answer_of(label, other),
            Expect::InFlight(label, first) => self.in_flight(label, first),
            Expect::RetryAfter(label) => self.retry_after(label),
            Expect::Problem(label) => self.problem(label),
            Expect::Without(label, name) => self.without(label, name),
            Expect::NoServerError(label) => self.no_server_error(label),
            Expect::Fails(label, failure) => self.fails(label, failure),
            Expect::Accepted(label) => self.accepted(label),
            Expect::NotInFlight(label) => self.not_in_flight(label),
            Expect::Fate(first, other, failure) => self.fate(first, other, failure),
            Expect::DocumentedFate(first, other) => self.documented_fate(first, other),
            Expect::AsDocumented(label, refusal) => self.as_documented(label, refusal),
            Expect::Echoed(label) => self.echoed(label),
            Expect::Status(label, token) => self.status(label, token),
            Expect::Advice(label, advice) => self.advice(label, advice),
            Expect::Discovery(label) => self.discovery(label),
        }
    }

    fn all(&self, label: &str) -> impl Iterator<Item = &Exchange> {
        let label = label.to_owned();
        self.scene
            .exchanges
            .iter()
            .filter(move |exchange| exchange.label == label)
    }

    /// The answer to the request of that label.
    fn response(&self, label: &str) -> Result<&Response, Judgement> {
        let exchange = self.all(label).next();
        let exchange = exchange.ok_or_else(|| Unclear(format!("{label}: was not sent")))?;
        match &exchange.outcome {
            Outcome::Answered(response) => Ok(response),
            Outcome::Left => Err(Unclear(format!("{label}: the caller left"))),
            Outcome::Broken(problem) => {
                Err(Unclear(format!("{label}: no whole answer: {problem}")))
            }
            Outcome::Unreachable(problem) => {
                Err(Unclear(format!("{label}: not reached: {problem}")))
            }
        }
    }

    fn succeeds(&self, label: &str) -> Judgement {
        match self.response(label) {
            Ok(response) if response.is_success() => Holds,
            Ok(response) => Unclear(format!(
                "{label}: the operation answered {}, so there is nothing to compare",
                response.status
            )),
            Err(judgement) => judgement,
        }
    }

    /// The counter decides where there is one; answers that tell two executions apart can convict without it.
    fn effects(&self, least: u32, most: u32) -> Judgement {
        let executions = self.executions();
        if let Some(seen) = executions
            && seen > usize::try_from(most).unwrap_or(usize::MAX)
        {
            return Broken(format!(
                "the answers are of {seen} executions, where {most} may be"
            ));
        }
        match self.scene.effects {
            Some(effects) if effects > i64::from(most) => {
                return Broken(format!("it ran {effects} times, where {most} may be"));
            }
            Some(effects) if effects < i64::from(least) => {
                return Broken(format!("it ran {effects} times, where {least} have to be"));
            }
            Some(_) => return Holds,
            None => {}
        }
        let heard_all = self
            .scene
            .exchanges
            .iter()
            .all(|exchange| exchange.response().is_some());
        match executions {
            Some(_) if !heard_all => Unclear(
                "a request without an answer may have run, and nothing counts executions"
                    .to_owned(),
            ),
            Some(seen) if seen < usize::try_from(least).unwrap_or(usize::MAX) => Broken(format!(
                "the answers are of {seen} executions, where {least} have to be"
            )),
            Some(_) => Holds,
            None => Unclear("two executions look alike, and nothing counts them".to_owned()),
        }
    }

    /// How many executions the successes come from.
    fn executions(&self) -> Option<usize> {
        let successes = self.scene.exchanges.iter().filter_map(Exchange::response);
        let mut identities: Vec<String> = successes
            .filter(|response| response.is_success())
            .map(|response| self.stage.witness.identity(response))
            .collect::<Option<_>>()?;
        identities.sort_unstable();
        identities.dedup();
        (!self.stage.witness.traits.is_empty()).then_some(identities.len())
    }

    fn pair(&self, one: &str, two: &str) -> Result<(&Response, &Response), Judgement> {
        Ok((self.response(one)?, self.response(two)?))
    }

    fn same(&self, first: &str, again: &str, part: Part) -> Judgement {
        let (first, again) = match self.pair(first, again) {
            Ok(pair) => pair,
            Err(judgement) => return judgement,
        };
        match part {
            Part::Status if first.status != again.status => {
                Broken(format!("first {}, then {}", first.status, again.status))
            }
            Part::Body if first.body != again.body => Broken(format!(
                "the body is another one: {} bytes, then {}",
                first.body.len(),
                again.body.len()
            )),
            Part::Fields => fields_differ(first, again, DESCRIBING),
            Part::Location => fields_differ(first, again, &["location"]),
            Part::Status | Part::Body => Holds,
        }
    }

    fn all_same(&self, label: &str) -> Judgement {
        let mut bodies: Vec<&[u8]> = self
            .all(label)
            .filter_map(Exchange::response)
            .filter(|response| response.is_success())
            .map(|response| response.body.as_slice())
            .collect();
        let count = bodies.len();
        bodies.sort_unstable();
        bodies.dedup();
        match bodies.len() {
            0 => Unclear("none of them succeeded".to_owned()),
            1 => Holds,
            different => Broken(format!("{different} different answers to {count} of them")),
        }
    }

    fn others_in_flight(&self, label: &str) -> Judgement {
        let expected = self.stage.dialect.statuses(Refusal::InFlight);
        for exchange in self.all(label) {
            match &exchange.outcome {
                Outcome::Answered(response)
                    if response.is_success() || expected.contains(&response.status) => {}
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

    fn marked(&self, label: &str, expected: bool) -> Judgement {
        let Some((name, value)) = self.stage.dialect.replay_marker else {
            return Unclear("this dialect has no mark for replays".to_owned());
        };
        let marked = match self.response(label) {
            Ok(response) => response
                .text(name)
                .is_some_and(|given| given.eq_ignore_ascii_case(value)),
            Err(judgement) => return judgement,
        };
        match (marked, expected) {
            (true, true) | (false, false) => Holds,
            (false, true) => Broken(format!("no `{name}: {value}` on a replay")),
            (true, false) => Broken(format!("`{name}: {value}` on an answer that is no replay")),
        }
    }

    fn refused(&self, label: &str, refusal: Refusal) -> Judgement {
        let expected = self.stage.dialect.statuses(refusal);
        if expected.is_empty() {
            return Unclear(self.stage.dialect.open(Promise::Status(refusal)));
        }
        match self.response(label) {
            Ok(response) if expected.contains(&response.status) => Holds,
            Ok(response) => Broken(format!(
                "{label}: answered {}, where {} says so",
                response.status,
                list(expected)
            )),
            Err(judgement) => judgement,
        }
    }

    fn refused_or_same(&self, label: &str, first: &str) -> Judgement {
        let (first, response) = match self.pair(first, label) {
            Ok(pair) => pair,
            Err(judgement) => return judgement,
        };
        if !response.is_success() {
            return Holds;
        }
        let identity = |response| self.stage.witness.identity(response);
        match (identity(first), identity(response)) {
            (Some(first), Some(other)) if first == other => Holds,
            (Some(_), _) => Broken(format!(
                "it ran again, and was answered {}",
                response.status
            )),
            (None, _) if first.body == response.body => Holds,
            (None, _) => Unclear("two executions look alike".to_owned()),
        }
    }

    fn not_the_answer_of(&self, label: &str, other: &str) -> Judgement {
        let (other, response) = match self.pair(other, label) {
            Ok(pair) => pair,
            Err(judgement) => return judgement,
        };
        if !response.is_success() || !other.is_success() {
            return Holds;
        }
        match (
            self.stage.witness.identity(other),
            self.stage.witness.identity(response),
        ) {
            (Some(other), Some(own)) if other == own => {
                Broken("it was given the answer of the other request".to_owned())
            }
            (Some(_), Some(_)) => Holds,
            (None, _) | (_, None) => Unclear("two executions look alike".to_owned()),
        }
    }

    fn in_flight(&self, label: &str, first: &str) -> Judgement {
        let (Some(duplicate), Some(original)) = (self.all(label).next(), self.all(first).next())
        else {
            return Unclear("it was not sent".to_owned());
        };
        let response = match self.response(label) {
            Ok(response) => response,
            Err(judgement) => return judgement,
        };
        if self
            .stage
            .dialect
            .statuses(Refusal::InFlight)
            .contains(&response.status)
        {
            return Holds;
        }
        if duplicate.ended >= original.ended {
            return self.refused_or_same(label, first);
        }
        Broken(format!(
            "answered {} while the first request was still running",
            response.status
        ))
    }

    fn retry_after(&self, label: &str) -> Judgement {
        let in_flight = self.stage.dialect.statuses(Refusal::InFlight);
        let mut refused = self
            .all(label)
            .filter_map(Exchange::response)
            .filter(|response| in_flight.contains(&response.status))
            .peekable();
        if refused.peek().is_none() {
            return Unclear("no request was refused as in flight".to_owned());
        }
        match refused.find(|response| response.field("retry-after").is_none()) {
            Some(response) => Broken(format!("{} without Retry-After", response.status)),
            None => Holds,
        }
    }

    fn problem(&self, label: &str) -> Judgement {
        if !self.stage.dialect.promises(Promise::Problems) {
            return Unclear(self.stage.dialect.open(Promise::Problems));
        }
        match self.response(label) {
            Ok(response) if response.is_success() => Unclear("it was not refused".to_owned()),
            Ok(response) => is_problem(response),
            Err(judgement) => judgement,
        }
    }

    fn without(&self, label: &str, name: &str) -> Judgement {
        match self.response(label) {
            Ok(response) if response.field(name).is_some() => Broken(format!("it has {name}")),
            Ok(_) => Holds,
            Err(judgement) => judgement,
        }
    }

    fn no_server_error(&self, label: &str) -> Judgement {
        match self.response(label) {
            Ok(response) if response.status >= 500 => {
                Broken(format!("answered {}", response.status))
            }
            Ok(_) => Holds,
            Err(judgement) => judgement,
        }
    }
}

fn fields_differ(first: &Response, again: &Response, names: &[&str]) -> Judgement {
    for name in names {
        let (one, two) = (first.text(name), again.text(name));
        if one != two {
            let shown = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
            return Broken(format!("{name}: first {}, then {}", shown(one), shown(two)));
        }
    }
    Holds
}

fn is_problem(response: &Response) -> Judgement {
    let kind = response.text("content-type").unwrap_or_default();
    if !kind.starts_with("application/problem+json") {
        return Broken(format!("{} with content type {kind:?}", response.status));
    }
    let Some(problem) = response.json() else {
        return Broken("the problem is no JSON".to_owned());
    };
    match problem.get("status").and_then(serde_json::Value::as_u64) {
        Some(status) if status != u64::from(response.status) => Broken(format!(
            "a problem with status {status} on an answer {}",
            response.status
        )),
        _ if problem
            .get("type")
            .and_then(serde_json::Value::as_str)
            .is_none() =>
        {
            Broken("the problem has no type".to_owned())
        }
        _ => Holds,
    }
}

fn list(statuses: &[u16]) -> String {
    let statuses: Vec<String> = statuses.iter().map(u16::to_string).collect();
    statuses.join(" or ")
}

/// Lines that say what an answer is, so that a replay has them as the first answer did.
const DESCRIBING: &[&str] = &[
    "content-type",
    "content-encoding",
    "content-language",
    "content-disposition",
    "location",
    "etag",
    "last-modified",
    "link",
    "cache-control",
    "vary",
];
