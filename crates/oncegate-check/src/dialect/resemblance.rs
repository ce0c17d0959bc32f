//! Which dialect an API speaks, told from what a run has seen. Pure: a report in, evidence out.
//!
//! Each piece of evidence speaks for the dialects that document it. What speaks for fewer of them says more.

use serde::Serialize;

use super::AUTO;
use crate::report::Report;
use crate::wire::{Exchange, Response};

/// What the answers of a run look like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resemblance {
    /// The dialects that the evidence speaks for most, alike; none, if nothing was seen.
    pub closest: Vec<&'static str>,
    /// What was seen.
    pub evidence: Vec<Evidence>,
}

/// Something that was seen, and whose way it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// What was seen, as a clause.
    pub seen: String,
    /// The dialects that document it; none, if nobody does.
    pub speaks_for: &'static [&'static str],
}

impl Resemblance {
    /// The sum of it and the reasons, as a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let seen: Vec<&str> = self.evidence.iter().map(|piece| &*piece.seen).collect();
        format!("It {}: {}.", self.summary(), seen.join("; "))
    }

    /// The sum of it, as a clause about the API.
    #[must_use]
    pub fn summary(&self) -> String {
        match self.closest.as_slice() {
            [] => "resembles no dialect that is known here".to_owned(),
            [one] => format!("resembles the dialect {one} most"),
            several => format!("resembles the dialects {} alike", several.join(" and ")),
        }
    }
}

impl Report {
    /// What the answers look like, where no dialect was named.
    #[must_use]
    pub fn resemblance(&self) -> Option<Resemblance> {
        (self.dialect == AUTO.name).then(|| resemblance(self))
    }
}

/// What the answers of a run look like.
#[must_use]
pub fn resemblance(report: &Report) -> Resemblance {
    let evidence = Seen { report }.evidence();
    let closest = closest(&evidence);
    Resemblance { closest, evidence }
}

fn closest(evidence: &[Evidence]) -> Vec<&'static str> {
    let scores = NAMES.iter().map(|name| (*name, score(name, evidence)));
    let highest = scores.clone().map(|(_, score)| score).max();
    scores
        .filter(|(_, score)| *score > 0 && Some(*score) == highest)
        .map(|(name, _)| name)
        .collect()
}

/// What only one dialect does counts as much as what all do, once for each of them.
fn score(name: &str, evidence: &[Evidence]) -> usize {
    let of_name = evidence.iter().map(|piece| piece.speaks_for);
    of_name
        .filter(|names| names.contains(&name))
        .map(|names| WEIGHT / names.len())
        .sum()
}

struct Seen<'a> {
    report: &'a Report,
}

impl Seen<'_> {
    fn evidence(&self) -> Vec<Evidence> {
        let mut evidence = Vec::new();
        evidence.extend(self.key_header());
        evidence.extend(self.replays());
        evidence.extend(self.refusals("mismatch", "other", "other-body", mismatch_status));
        evidence.extend(self.refusals(
            "duplicate in flight",
            "duplicate",
            "in-flight",
            in_flight_status,
        ));
        evidence.extend(self.fields());
        evidence
    }

    /// The exchanges of that label in cases whose name begins so.
    fn exchanges(&self, label: &str, cases: &str) -> impl Iterator<Item = &Exchange> {
        let (label, cases) = (label.to_owned(), cases.to_owned());
        self.report
            .findings
            .iter()
            .filter(move |finding| finding.case.id.starts_with(&cases))
            .flat_map(|finding| &finding.exchanges)
            .filter(move |exchange| exchange.label == label)
    }

    /// A first answer and its replay: the two are alike, and keys were read.
    fn replay(&self) -> Option<(&Exchange, &Response)> {
        let first = self.exchanges("first", REPLAY).next()?;
        let retry = self.exchanges("retry", REPLAY).next()?;
        let (one, two) = (first.response()?, retry.response()?);
        (two.is_success() && one.body == two.body).then_some((retry, two))
    }

    fn key_header(&self) -> Option<Evidence> {
        let (retry, _) = self.replay()?;
        let carried = |name: &str| retry.request.field(name).is_some();
        let (name, speaks_for) = HEADERS.iter().find(|(name, _)| carried(name))?;
        Some(Evidence {
            seen: format!("keys are read from {name}"),
            speaks_for,
        })
    }

    /// How a replay is marked, or that it is not.
    fn replays(&self) -> Vec<Evidence> {
        let Some((retry, replay)) = self.replay() else {
            return Vec::new();
        };
        let mut evidence = Vec::new();
        let (seen, speaks_for): (_, Names) = match replay.text("idempotent-replayed") {
            Some(value) => (
                format!("replays have `Idempotent-Replayed: {value}`"),
                &["oncegate", "stripe"],
            ),
            None => (
                "replays have no mark".to_owned(),
                &["ietf", "adyen", "paypal"],
            ),
        };
        evidence.push(Evidence { seen, speaks_for });
        let carries = |(name, _): &&(&str, Names)| retry.request.field(name).is_some();
        let header = HEADERS.iter().find(carries).map(|(name, _)| *name);
        let echo = header.filter(|name| replay.field(name) == retry.request.field(name));
        if echo.is_some() {
            evidence.push(Evidence {
                seen: "answers repeat the key".to_owned(),
                speaks_for: &["oncegate", "adyen"],
            });
        }
        evidence
    }

    fn refusals(
        &self,
        what: &str,
        label: &str,
        cases: &str,
        of_status: fn(u16) -> Names,
    ) -> Vec<Evidence> {
        let responses = self.exchanges(label, cases).filter_map(Exchange::response);
        let refused = |response: &&Response| response.status / 100 == 4;
        let Some(refusal) = responses.into_iter().find(refused) else {
            return Vec::new();
        };
        let status = refusal.status;
        let form = form(refusal);
        let mut evidence = vec![Evidence {
            seen: format!("a {what} is answered {status}"),
            speaks_for: of_status(status),
        }];
        evidence.extend(form.map(|(form, speaks_for)| Evidence {
            seen: format!("a {what} is told {form}"),
            speaks_for,
        }));
        evidence
    }

    /// Header lines that one of them invented.
    fn fields(&self) -> Vec<Evidence> {
        let answers = || {
            let findings = self.report.findings.iter();
            findings
                .flat_map(|finding| &finding.exchanges)
                .filter_map(Exchange::response)
        };
        let has = |name: &str| answers().any(|answer| answer.field(name).is_some());
        let mut evidence: Vec<Evidence> = FIELDS
            .iter()
            .filter(|(name, _)| has(name))
            .map(|(name, speaks_for)| Evidence {
                seen: format!("answers have `{name}`"),
                speaks_for,
            })
            .collect();
        if answers().next().is_some() && !has("idempotency-status") {
            evidence.push(Evidence {
                seen: "no answer has `Idempotency-Status`".to_owned(),
                speaks_for: &["ietf", "stripe", "adyen", "paypal"],
            });
        }
        evidence
    }
}

type Names = &'static [&'static str];

/// The form of a refusal, by the members that each vendor's errors have.
fn form(refusal: &Response) -> Option<(&'static str, Names)> {
    let body = refusal.json()?;
    let kind = refusal.text("content-type").unwrap_or_default();
    let is = |pointer: &str| body.pointer(pointer).is_some_and(|value| !value.is_null());
    if kind.starts_with("application/problem+json") {
        return Some(if is("/executed") && is("/next") {
            (
                "by a problem document with `executed` and `next`",
                &["oncegate"],
            )
        } else {
            ("by a problem document", &["oncegate", "ietf"])
        });
    }
    if is("/error/type") {
        return Some(("in Stripe's form, `error.type`", &["stripe"]));
    }
    if is("/errorCode") {
        return Some(("in Adyen's form, `errorCode`", &["adyen"]));
    }
    if is("/debug_id") || is("/details/0/issue") {
        return Some(("in PayPal's form, `details` with `issue`", &["paypal"]));
    }
    None
}

const fn mismatch_status(status: u16) -> Names {
    match status {
        422 => &["oncegate", "ietf", "paypal"],
        400 => &["stripe"],
        _ => &[],
    }
}

const fn in_flight_status(status: u16) -> Names {
    match status {
        409 => NAMES,
        422 => &["adyen"],
        _ => &[],
    }
}

const NAMES: &[&str] = &["oncegate", "ietf", "stripe", "adyen", "paypal"];
const REPLAY: &str = "replay-";

/// What each evidence shares among those it speaks for: divisible by any number of them.
const WEIGHT: usize = 60;

const HEADERS: &[(&str, Names)] = &[
    ("Idempotency-Key", &["oncegate", "ietf", "stripe", "adyen"]),
    ("PayPal-Request-Id", &["paypal"]),
    ("X-Idempotency-Key", &[]),
    ("Idempotence-Key", &[]),
];

const FIELDS: &[(&str, Names)] = &[
    ("Idempotency-Status", &["oncegate"]),
    ("Stripe-Should-Retry", &["stripe"]),
    ("transient-error", &["adyen"]),
    ("PayPal-Debug-Id", &["paypal"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(speaks_for: Names) -> Evidence {
        Evidence {
            seen: String::new(),
            speaks_for,
        }
    }

    #[test]
    fn what_one_dialect_does_says_more_than_what_several_do() {
        let several = || seen(&["oncegate", "ietf", "stripe"]);
        let evidence = [several(), several(), seen(&["adyen"])];
        assert_eq!(closest(&evidence), ["adyen"]);
        assert_eq!(closest(&evidence[..2]), ["oncegate", "ietf", "stripe"]);
        assert_eq!(closest(&[seen(&[])]), <[&str; 0]>::default());
    }
}
