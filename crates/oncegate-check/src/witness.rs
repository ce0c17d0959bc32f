//! Tells how often something really ran, without access to the server.
//!
//! Two witnesses:
//! * a counter: a `GET` whose answer has a list or a number that grows by one with each execution. It can be wrong, if
//!   others write at the same time, if the list is a page that is full, or if it lags; so it is held to account at the
//!   beginning, at each conviction and at the end of a run.
//! * the answers themselves: what is another one for each execution (an id, a `Location`) is equal in the answers of one.
//!   Times are no witness, nor is what a request brought along, nor the number of a request: they differ for other reasons.
//!
//! What it cannot see: an API that derives its ids from the key, and requires one. There only a counter tells.

use std::time::Duration;

use serde_json::Value;

use crate::operation::{Count, Probe};
use crate::wire::{Request, Response};

/// What tells how often something ran.
#[derive(Clone, Debug, Default)]
pub struct Witness {
    /// What is counted.
    pub counter: Option<Probe>,
    /// How long after an execution the counter says so.
    pub lag: Duration,
    /// Why a counter that there was is not believed.
    pub doubt: Option<String>,
    /// Whether the counter saw more than ran: others write, or effects come late. Then no answer acquits.
    pub surplus: bool,
    /// What tells two executions apart. Answers of another form may lack a part of it.
    pub traits: Vec<Trait>,
}

/// A part of an answer that is another one for each execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trait {
    /// The header `Location`.
    Location,
    /// The value at this JSON pointer.
    Member(String),
    /// The whole body, where it is no JSON.
    Body,
}

/// What tells one execution from all others, as far as an answer shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity(Vec<Option<String>>);

impl Witness {
    /// As a report says it.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut told: Vec<String> = self.counter.iter().map(Probe::describe).collect();
        let names: Vec<String> = self.traits.iter().map(Trait::describe).collect();
        if !names.is_empty() {
            told.push(format!("answers differ in {}", names.join(", ")));
        }
        if told.is_empty() {
            told.push("nothing: two executions look alike".to_owned());
        }
        told.extend(self.doubt.clone());
        told.join("; ")
    }

    /// From now on nothing is counted, and what was counted is not believed.
    pub fn distrust(&mut self, because: String) {
        self.counter = None;
        self.doubt = Some(because);
    }

    /// What is the same in all answers of one execution, and in no answer of another.
    #[must_use]
    pub fn identity(&self, response: &Response) -> Option<Identity> {
        let body = response.json();
        let parts = self
            .traits
            .iter()
            .map(|part| part.of(response, body.as_ref()));
        let parts: Vec<Option<String>> = parts.collect();
        parts.iter().any(Option::is_some).then_some(Identity(parts))
    }

    /// Whether an answer names its execution in full, as no refusal does. A text is no name.
    #[must_use]
    pub fn names(&self, response: &Response) -> bool {
        let body = response.json();
        let shown =
            |part: &Trait| *part != Trait::Body && part.of(response, body.as_ref()).is_some();
        !self.traits.is_empty() && self.traits.iter().all(shown)
    }

    /// What of one answer, that no other has, stands in a second one.
    #[must_use]
    pub fn revealed(&self, answer: &Response, told: &Response) -> Option<String> {
        let body = answer.json();
        let shows = |value: &[u8]| {
            let within = |bytes: &[u8]| bytes.windows(value.len()).any(|part| part == value);
            within(&told.body) || told.fields.iter().any(|(_, line)| within(line))
        };
        let part = self.traits.iter().find(|part| {
            let value = part.of(answer, body.as_ref()).unwrap_or_default();
            let value = value.trim_matches('"').as_bytes();
            value.len() >= ECHO_BYTES_MIN && shows(value)
        })?;
        Some(part.describe())
    }

    /// Takes in what tells executions of another form apart.
    pub fn learn(&mut self, traits: Vec<Trait>) {
        for part in traits {
            if !self.traits.contains(&part) {
                self.traits.push(part);
            }
        }
    }

    /// Drops what two equal requests without a key share: it is made from what was sent, so that two executions under
    /// one key would share it, too.
    pub fn drop_derived(&mut self, one: &Response, two: &Response) {
        let (body, other) = (one.json(), two.json());
        let known = self.traits.len();
        self.traits.retain(|part| {
            let pair = part
                .of(one, body.as_ref())
                .zip(part.of(two, other.as_ref()));
            pair.is_none_or(|(one, two)| one != two)
        });
        if self.traits.is_empty() && known > 0 {
            self.doubt = Some(DERIVED.to_owned());
        }
    }

    /// Drops what one execution did not repeat in its second answer. For use where a counter has shown that it was one.
    pub fn calibrate(&mut self, first: &Response, second: &Response) {
        let (one, two) = (first.json(), second.json());
        self.traits.retain(|part| {
            let pair = part
                .of(first, one.as_ref())
                .zip(part.of(second, two.as_ref()));
            pair.is_none_or(|(one, two)| one == two)
        });
    }
}

impl Identity {
    /// Whether both are of one execution, by what both show. `None`: nothing, or some of it is the same and some is not.
    #[must_use]
    pub fn is(&self, other: &Self) -> Option<bool> {
        let shown = self.0.iter().zip(&other.0);
        let equal: Vec<bool> = shown
            .filter_map(|(one, two)| Some(one.as_ref()? == two.as_ref()?))
            .collect();
        let first = *equal.first()?;
        equal.iter().all(|part| *part == first).then_some(first)
    }
}

impl Probe {
    fn describe(&self) -> String {
        let Self { target, count } = self;
        match count {
            Count::Length(pointer) => {
                format!("the length of the list at {pointer:?} of GET {target}")
            }
            Count::Number(pointer) => format!("the number at {pointer:?} of GET {target}"),
        }
    }
}

impl Trait {
    fn describe(&self) -> String {
        match self {
            Self::Location => "Location".to_owned(),
            Self::Member(pointer) => pointer.clone(),
            Self::Body => "the body".to_owned(),
        }
    }

    fn of(&self, response: &Response, body: Option<&Value>) -> Option<String> {
        match self {
            Self::Location => response.text("location"),
            Self::Member(pointer) => body?.pointer(pointer).map(Value::to_string),
            Self::Body => {
                let is_text = body.is_none() && !response.body.is_empty();
                is_text.then(|| response.body.escape_ascii().to_string())
            }
        }
    }

    /// Whether its name says that it numbers requests or takes times.
    fn is_of_the_request(&self) -> bool {
        let Self::Member(pointer) = self else {
            return false;
        };
        let name = pointer.rsplit('/').next().unwrap_or_default();
        let letters = name.chars().filter(char::is_ascii_alphanumeric);
        let name = letters.collect::<String>().to_ascii_lowercase();
        NAMES_OF_REQUESTS.iter().any(|end| name.ends_with(end))
    }
}

/// What is another one in each of these answers, each of an execution of its own.
#[must_use]
pub fn traits(executions: &[(&Request, &Response)]) -> Vec<Trait> {
    let [(_, first), _, ..] = executions else {
        return Vec::new();
    };
    let mut candidates = vec![Trait::Location];
    match first.json() {
        Some(body) => leaves(&body, "", &mut candidates),
        None => candidates.push(Trait::Body),
    }
    candidates.retain(|candidate| !candidate.is_of_the_request() && differs(candidate, executions));
    candidates
}

fn differs(candidate: &Trait, executions: &[(&Request, &Response)]) -> bool {
    let values = executions.iter().map(|(_, response)| {
        let body = response.json();
        candidate.of(response, body.as_ref())
    });
    let Some(values) = values.collect::<Option<Vec<String>>>() else {
        return false;
    };
    let mut distinct = values.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let of_time = |value: &String| serde_json::from_str(value).is_ok_and(|value| is_time(&value));
    distinct.len() == values.len() && !values.iter().all(of_time) && !echoes(&values, executions)
}

/// Whether each value has a part that came with its own request, and with no other: a placeholder or the key, sent back
/// whole, cut, or written in another way.
fn echoes(values: &[String], executions: &[(&Request, &Response)]) -> bool {
    let sent: Vec<String> = executions
        .iter()
        .map(|(request, _)| letters(&sent(request)))
        .collect();
    values.iter().enumerate().all(|(own, value)| {
        let value = letters(value.as_bytes());
        let brought = |part: &&str| {
            let mut others = sent.iter().enumerate();
            others.all(|(at, sent)| sent.contains(part) == (at == own))
        };
        // All are letters of ASCII: any place is a boundary.
        let width = value.len().min(ECHO_BYTES);
        let mut parts = (0..=value.len() - width).map(|at| &value[at..at + width]);
        width >= ECHO_BYTES_MIN && parts.any(|part| brought(&part))
    })
}

/// All that a request says, one after the other.
fn sent(request: &Request) -> Vec<u8> {
    let mut sent = request.target.as_bytes().to_vec();
    for (_, value) in &request.fields {
        sent.push(b' ');
        sent.extend_from_slice(value);
    }
    sent.push(b' ');
    sent.extend_from_slice(&request.body);
    sent
}

/// Letters and digits, without case: what stays of a value however it is written.
fn letters(bytes: &[u8]) -> String {
    let letters = bytes.iter().filter(|byte| byte.is_ascii_alphanumeric());
    letters
        .map(|byte| char::from(byte.to_ascii_lowercase()))
        .collect()
}

fn leaves(value: &Value, pointer: &str, found: &mut Vec<Trait>) {
    if found.len() >= LEAVES_MAX {
        return;
    }
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                leaves(value, &below(pointer, name), found);
            }
        }
        Value::Array(elements) => {
            for (at, value) in elements.iter().enumerate() {
                leaves(value, &below(pointer, &at.to_string()), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            found.push(Trait::Member(pointer.to_owned()));
        }
    }
}

fn below(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// A date as text, or seconds, milliseconds or microseconds since 1970 of the years 2001 to 2286.
fn is_time(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            let date = text.as_bytes();
            date.len() >= 19
                && date[..4].iter().all(u8::is_ascii_digit)
                && date[4] == b'-'
                && date[7] == b'-'
                && matches!(date[10], b'T' | b' ')
                && date[13] == b':'
        }
        Value::Number(number) => number.as_f64().is_some_and(|number| {
            [1e9, 1e12, 1e15]
                .iter()
                .any(|unit| (*unit..*unit * 10.0).contains(&number))
        }),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

/// The count in a document, if it is there.
#[must_use]
pub fn counted(count: &Count, document: &Value) -> Option<i64> {
    match count {
        Count::Length(pointer) => {
            let length = document.pointer(pointer)?.as_array()?.len();
            i64::try_from(length).ok()
        }
        Count::Number(pointer) => document.pointer(pointer)?.as_i64(),
    }
}

/// The lists in a document: each may be a counter.
#[must_use]
pub fn lists(document: &Value) -> Vec<Count> {
    let mut lists = Vec::new();
    collect_lists(document, "", 0, &mut lists);
    lists
}

fn collect_lists(value: &Value, pointer: &str, depth: usize, lists: &mut Vec<Count>) {
    match value {
        Value::Array(_) => lists.push(Count::Length(pointer.to_owned())),
        Value::Object(members) if depth < LIST_DEPTH_MAX => {
            for (name, value) in members {
                collect_lists(value, &below(pointer, name), depth + 1, lists);
            }
        }
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// How deep lists are looked for: pages wrap them once or twice.
const LIST_DEPTH_MAX: usize = 3;
/// Shorter values are found in keys by chance.
const ECHO_BYTES_MIN: usize = 6;
/// So long a part of a longer value is not found in a request by chance.
const ECHO_BYTES: usize = 8;
/// Why nothing tells executions apart, though answers differ.
const DERIVED: &str =
    "two equal requests without a key get the same id: it is made from what was sent";
/// Most parts of an answer that are looked at.
const LEAVES_MAX: usize = 256;
/// Ends of names, without `_` and case, of members that are another one in each answer, executed or not.
const NAMES_OF_REQUESTS: &[&str] = &[
    "requestid",
    "traceid",
    "spanid",
    "correlationid",
    "nonce",
    "elapsed",
    "elapsedms",
    "duration",
    "durationms",
    "latency",
    "latencyms",
    "took",
    "tookms",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::Framing;

    fn answer(body: &Value) -> Response {
        Response {
            status: 201,
            fields: Vec::new(),
            body: body.to_string().into_bytes(),
        }
    }

    fn request(body: &str) -> Request {
        Request {
            method: "POST".to_owned(),
            target: "/payments".to_owned(),
            fields: Vec::new(),
            body: body.as_bytes().to_vec(),
            framing: Framing::Length,
        }
    }

    /// The traits of executions whose requests and answers had these bodies.
    fn of(executions: &[(&str, Value)]) -> Vec<Trait> {
        let executions: Vec<(Request, Response)> = executions
            .iter()
            .map(|(sent, came)| (request(sent), answer(came)))
            .collect();
        let pairs: Vec<_> = executions.iter().map(|(sent, came)| (sent, came)).collect();
        traits(&pairs)
    }

    fn member(pointer: &str) -> Trait {
        Trait::Member(pointer.to_owned())
    }

    fn witness(traits: Vec<Trait>) -> Witness {
        Witness {
            traits,
            ..Witness::default()
        }
    }

    #[test]
    fn ids_tell_executions_apart_and_times_do_not() {
        let payment = |number: u64| {
            let at = format!("2026-11-24T10:00:0{number}Z");
            let ms = 1_795_000_000_000 + number;
            json!({"id": format!("pay_{number}"), "amount": 5, "at": at, "ms": ms, "request_id": number})
        };
        let executions = [("a", payment(1)), ("a", payment(2)), ("a", payment(3))];
        assert_eq!(of(&executions), [member("/id")]);
        let one = ("a", payment(1));
        assert!(of(&[one.clone(), one]).is_empty());
    }

    #[test]
    fn a_value_that_comes_back_by_chance_is_no_witness() {
        let payment = |id: u64, shard: u64| ("a", json!({"id": id, "shard": shard}));
        let executions = [payment(1, 0), payment(2, 1), payment(3, 0)];
        assert_eq!(of(&executions), [member("/id")]);
    }

    #[test]
    fn what_the_request_brought_along_is_no_witness() {
        let payment =
            |reference: &'static str, id: u64| (reference, json!({"id": id, "for": reference}));
        let executions = [
            payment("order-a", 1),
            payment("order-b", 2),
            payment("order-c", 3),
        ];
        assert_eq!(of(&executions), [member("/id")]);
    }

    #[test]
    fn answers_are_compared_by_what_both_show() {
        let witness = witness(vec![Trait::Location, member("/id"), member("/shard")]);
        let identity = |body: Value| witness.identity(&answer(&body));
        let one = identity(json!({"id": 1, "shard": 7})).unwrap();
        let said = |body: Value| one.is(&identity(body).unwrap());
        assert_eq!(said(json!({"id": 1, "shard": 7})), Some(true));
        assert_eq!(said(json!({"id": 1})), Some(true), "a part is missing");
        assert_eq!(said(json!({"id": 2, "shard": 8})), Some(false));
        assert_eq!(
            said(json!({"id": 2, "shard": 7})),
            None,
            "one says so, one not"
        );
        assert_eq!(identity(json!({"ok": true})), None);
    }

    #[test]
    fn what_one_execution_does_not_repeat_is_no_witness() {
        let mut witness = witness(vec![Trait::Location, member("/id"), member("/tag")]);
        witness.calibrate(
            &answer(&json!({"id": 1, "tag": "x"})),
            &answer(&json!({"id": 1, "tag": "y"})),
        );
        assert_eq!(witness.traits, [Trait::Location, member("/id")]);
    }

    #[test]
    fn lists_are_found_in_what_wraps_them() {
        let page = json!({"data": [1, 2], "meta": {"links": []}, "total": 2});
        let list = |pointer: &str| Count::Length(pointer.to_owned());
        assert_eq!(lists(&page), [list("/data"), list("/meta/links")]);
        assert_eq!(lists(&json!([1])), [list("")]);
    }
}
