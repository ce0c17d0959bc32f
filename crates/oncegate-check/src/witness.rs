//! Tells how often something really ran, without access to the server.
//!
//! Two witnesses, and the better one is asked first:
//! * a counter: a `GET` whose answer has a list that grows by one with each execution;
//! * the answers themselves: what differs between the answers of two operations that are not the same (an id, a
//!   `Location`), is equal in the answers of one. Times are no witness: they differ in a replay made anew, too.

use serde_json::Value;

use crate::operation::{Count, Probe};
use crate::wire::Response;

/// What tells how often something ran.
#[derive(Clone, Debug, Default)]
pub struct Witness {
    /// What is counted.
    pub counter: Option<Probe>,
    /// What tells two executions apart.
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

impl Witness {
    /// As a report says it.
    #[must_use]
    pub fn describe(&self) -> String {
        let counter = self.counter.as_ref().map(|probe| match &probe.count {
            Count::Length(pointer) => {
                format!(
                    "the length of the list at {pointer:?} of GET {}",
                    probe.target
                )
            }
            Count::Number(pointer) => {
                format!("the number at {pointer:?} of GET {}", probe.target)
            }
        });
        let traits: Vec<String> = self.traits.iter().map(Trait::describe).collect();
        match (counter, traits.as_slice()) {
            (Some(counter), []) => counter,
            (Some(counter), traits) => {
                format!("{counter}; answers differ in {}", traits.join(", "))
            }
            (None, []) => "nothing: two executions look alike".to_owned(),
            (None, traits) => format!("answers differ in {}", traits.join(", ")),
        }
    }

    /// What is the same in all answers of one execution, and in no answer of another.
    #[must_use]
    pub fn identity(&self, response: &Response) -> Option<String> {
        if self.traits.is_empty() {
            return None;
        }
        let body = response.json();
        let parts: Option<Vec<String>> = self
            .traits
            .iter()
            .map(|part| part.of(response, body.as_ref()))
            .collect();
        parts.map(|parts| parts.join("\n"))
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
            Self::Body => Some(format!("{:?}", response.body)),
        }
    }
}

/// What differs between the answers of two executions.
#[must_use]
pub fn traits(one: &Response, two: &Response) -> Vec<Trait> {
    let mut traits = Vec::new();
    if let (Some(one), Some(two)) = (one.text("location"), two.text("location"))
        && one != two
    {
        traits.push(Trait::Location);
    }
    match (one.json(), two.json()) {
        (Some(one), Some(two)) => differing(&one, &two, "", &mut traits),
        (None, None) if one.body != two.body => traits.push(Trait::Body),
        _ => {}
    }
    traits
}

fn differing(one: &Value, two: &Value, pointer: &str, traits: &mut Vec<Trait>) {
    match (one, two) {
        (Value::Object(one), Value::Object(two)) => {
            for (name, value) in one {
                if let Some(other) = two.get(name) {
                    differing(value, other, &below(pointer, name), traits);
                }
            }
        }
        (Value::Array(one), Value::Array(two)) => {
            for (at, (value, other)) in one.iter().zip(two).enumerate() {
                differing(value, other, &below(pointer, &at.to_string()), traits);
            }
        }
        _ if one != two && !(is_time(one) && is_time(two)) => {
            traits.push(Trait::Member(pointer.to_owned()));
        }
        _ => {}
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

/// The list that grew by just one with each of two executions, if there is one alone.
#[must_use]
pub fn growing_list(before: &Value, between: &Value, after: &Value) -> Option<Count> {
    let mut lists = Vec::new();
    collect_lists(before, "", 0, &mut lists);
    let mut growing = lists.into_iter().filter(|list| {
        let lengths = [before, between, after].map(|document| counted(list, document));
        matches!(lengths, [Some(a), Some(b), Some(c)] if b == a + 1 && c == b + 1)
    });
    let only = growing.next()?;
    growing.next().is_none().then_some(only)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(body: &Value) -> Response {
        Response {
            status: 201,
            fields: Vec::new(),
            body: body.to_string().into_bytes(),
        }
    }

    #[test]
    fn ids_tell_executions_apart_and_times_do_not() {
        let one = answer(
            &json!({"id": "pay_1", "amount": 5, "at": "2026-11-24T10:00:00Z", "ms": 1_795_000_000_000_u64}),
        );
        let two = answer(
            &json!({"id": "pay_2", "amount": 5, "at": "2026-11-24T10:00:01Z", "ms": 1_795_000_000_900_u64}),
        );
        assert_eq!(traits(&one, &two), [Trait::Member("/id".to_owned())]);
        assert!(traits(&one, &one).is_empty());
    }

    #[test]
    fn answers_without_a_trait_have_no_identity() {
        let answer = answer(&json!({"ok": true}));
        assert_eq!(Witness::default().identity(&answer), None);
        let ids = Witness {
            traits: vec![Trait::Member("/id".to_owned())],
            ..Witness::default()
        };
        assert_eq!(ids.identity(&answer), None);
    }

    #[test]
    fn a_list_that_grows_by_one_is_a_counter() {
        let page = |count: usize| json!({"data": vec![0; count], "fixed": [1, 2], "more": false});
        assert_eq!(
            growing_list(&page(3), &page(4), &page(5)),
            Some(Count::Length("/data".to_owned()))
        );
        assert_eq!(
            growing_list(&page(3), &page(4), &page(4)),
            None,
            "a page that is full"
        );
        assert_eq!(
            growing_list(&page(3), &page(5), &page(7)),
            None,
            "others write, too"
        );
    }
}
