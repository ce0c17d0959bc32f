//! What follows from what happened. Pure: a scene in, a verdict out.
//!
//! A case fails if one expectation is broken, cannot be told if one is unclear, and passes if all hold.
//! If what was to meet did not meet, it says so, and the case can be tried again.

mod answers;
mod counting;
mod failures;
mod flight;
mod words;

use crate::case::{Case, Expect, Need, Part, Promise, Refusal, Variant};
use crate::report::Verdict;
use crate::scene::{Scene, Stage};
use crate::wire::{Exchange, Outcome, Response};

/// What a case comes to.
#[derive(Clone, Debug)]
pub(crate) struct Ruling {
    pub(crate) verdict: Verdict,
    pub(crate) because: String,
    pub(crate) ground: Ground,
}

/// What a ruling rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// What was sent and what came.
    Seen,
    /// A counter alone, which others may have moved.
    Counted,
    /// Nothing: what was to meet did not meet.
    Missed,
}

/// What one expectation comes to.
enum Judgement {
    Holds,
    Broken(String),
    /// Broken, by a counter alone.
    Counted(String),
    Unclear(String),
    /// What was to meet did not meet.
    Missed(String),
}

use Judgement::{Broken, Counted, Holds, Missed, Unclear};

/// The verdict, and why.
pub(crate) fn judge(stage: &Stage<'_>, case: &Case, scene: &Scene) -> Ruling {
    let ruling = |verdict, because, ground| Ruling {
        verdict,
        because,
        ground,
    };
    if let Some(obstacle) = &scene.obstacle {
        return ruling(Verdict::CannotTell, obstacle.clone(), Ground::Seen);
    }
    let court = Court { stage, scene };
    let (mut counted, mut unclear) = (None, None);
    let wants_limit = case.needs.contains(&Need::Variant(Variant::RateLimited));
    let is_limited = !wants_limit && scene.has_answer(TOO_MANY);
    for expect in case.expect {
        match court.judge(expect) {
            Holds => {}
            // Whoever limits requests says nothing of this one.
            Broken(_) if is_limited && !expect.is_of_effects() => {
                unclear = unclear.or_else(|| Some(LIMITED.to_owned()));
            }
            Broken(because) => return ruling(Verdict::Fail, because, Ground::Seen),
            Missed(because) => return ruling(Verdict::CannotTell, because, Ground::Missed),
            // What a case rests on is unclear: nothing else can be told.
            Unclear(because) if expect.is_ground() => {
                return ruling(Verdict::CannotTell, because, Ground::Seen);
            }
            Counted(because) => counted = counted.or(Some(because)),
            Unclear(because) => unclear = unclear.or(Some(because)),
        }
    }
    match (counted, unclear) {
        (Some(because), _) => ruling(Verdict::Fail, because, Ground::Counted),
        (None, Some(because)) => ruling(Verdict::CannotTell, because, Ground::Seen),
        (None, None) => ruling(Verdict::Pass, case.title.to_owned(), Ground::Seen),
    }
}

impl Expect {
    /// Whether it is about what ran and whose answer came: no limit explains that.
    const fn is_of_effects(&self) -> bool {
        matches!(
            self,
            Self::Effects(_)
                | Self::EffectsAtMost(_)
                | Self::RefusedOrSame(..)
                | Self::NotTheAnswerOf(..)
                | Self::RevealsNothingOf(..)
                | Self::AllSame(_)
                | Self::Unlike(..)
        )
    }

    /// Whether nothing else of a case can be told where this is unclear.
    const fn is_ground(&self) -> bool {
        matches!(
            self,
            Self::Succeeds(_) | Self::Fails(..) | Self::Kind(..) | Self::WasRefused(..)
        )
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
            Expect::Kind(label, variant) => self.kind(label, variant),
            Expect::During(label, first) => self.during(label, first),
            Expect::Unheard(label) => self.unheard(label),
            Expect::WasRefused(label, refusal) => self.was_refused(label, refusal),
            Expect::Heard(label) => self.heard(label),
            Expect::Told(label) => self.told(label),
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
            Expect::RevealsNothingOf(label, other) => self.reveals_nothing_of(label, other),
            Expect::Unlike(label, other) => self.unlike(label, other),
            Expect::InFlight(label, first) => self.in_flight(label, first),
            Expect::RetryAfter(label) => self.retry_after(label),
            Expect::Problem(label) => self.problem(label),
            Expect::Without(label, name) => self.without(label, name),
            Expect::NoHopByHop(first, again) => self.no_hop_by_hop(first, again),
            Expect::FreshDate(first, again) => self.fresh_date(first, again),
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
            Expect::Discovery(label, first, again) => self.discovery(label, first, again),
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
            Part::Length if first.body.len().abs_diff(again.body.len()) > first.body.len() / 10 => {
                Broken(format!(
                    "one answer has {} bytes, the other {}",
                    first.body.len(),
                    again.body.len()
                ))
            }
            Part::Location if first.field("location").is_none() => {
                Unclear("the first answer has no Location".to_owned())
            }
            Part::Fields => fields_differ(first, again, DESCRIBING),
            Part::Location => fields_differ(first, again, &["location"]),
            Part::Status | Part::Body | Part::Length => Holds,
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

    fn not_the_answer_of(&self, label: &str, other: &str) -> Judgement {
        let (other, response) = match self.pair(other, label) {
            Ok(pair) => pair,
            Err(judgement) => return judgement,
        };
        if !response.is_success() || !other.is_success() {
            return Holds;
        }
        match self.is_same_execution(other, response) {
            Some(true) => Broken("it was given the answer of the other request".to_owned()),
            Some(false) => Holds,
            None => Unclear(ALIKE.to_owned()),
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

/// Whether an answer says that nobody knows the outcome, in our words: by the name of that problem, as each dialect spells it.
pub(crate) fn says_unknown(response: &Response) -> bool {
    let body = String::from_utf8_lossy(&response.body).to_ascii_lowercase();
    !response.is_success() && (body.contains("outcome-unknown") || body.contains("outcome_unknown"))
}

fn list(statuses: &[u16]) -> String {
    let statuses: Vec<String> = statuses.iter().map(u16::to_string).collect();
    statuses.join(" or ")
}

/// Why two answers do not show whether something ran twice, and what would.
const ALIKE: &str = "two executions look alike; an API whose answers have an id, or a counter (--effects), would show it";

/// Why an answer that should have been another one is held against nobody.
const LIMITED: &str = "the API answered 429: it limits requests; raise its limit for the check, or choose fewer cases";
const TOO_MANY: u16 = 429;

/// Lines that say what an answer is, so that a replay has them as the first answer did.
const DESCRIBING: &[&str] = &[
    "content-type",
    "content-encoding",
    "content-language",
    "content-disposition",
    "etag",
    "last-modified",
    "link",
    "cache-control",
    "vary",
];
