//! Makes the request of a step: the operation's form, the key as it is to be written, and what is to differ.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use uuid::Uuid;

use crate::case::{Change, Key, Send, Who};
use crate::dialect::Dialect;
use crate::operation::{Form, Operation};
use crate::wire::{Framing, Request};

/// The two keys of one run of a case.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    first: String,
    another: String,
}

impl Keys {
    pub(crate) fn new() -> Self {
        Self {
            first: Uuid::new_v4().to_string(),
            another: Uuid::new_v4().to_string(),
        }
    }

    /// As they are, the case's own first.
    pub(crate) fn all(&self) -> Vec<String> {
        vec![self.first.clone(), self.another.clone()]
    }

    /// What stands for the logical operation in placeholders.
    fn operation(&self, key: Key) -> &str {
        if key == Key::Another {
            &self.another
        } else {
            &self.first
        }
    }
}

/// The request of a step, if the operation has that form.
pub(crate) fn compose(
    operation: &Operation,
    dialect: &Dialect,
    keys: &Keys,
    send: &Send,
) -> Option<Request> {
    let form = operation.forms.get(&send.variant)?;
    let mut request = plain(operation, form, keys.operation(send.key));
    if send.who == Who::Second {
        replace_fields(&mut request.fields, operation.second.as_deref()?);
    }
    change(&mut request, operation, send.change);
    write_key(&mut request, dialect, keys, send.key);
    Some(request)
}

fn plain(operation: &Operation, form: &Form, logical: &str) -> Request {
    let mut fields = vec![(
        "Host".to_owned(),
        operation.peer.authority().as_bytes().to_vec(),
    )];
    fields.extend(form.fields.iter().cloned());
    Request {
        method: form.method.clone(),
        target: filled(&form.target, logical),
        fields,
        body: match std::str::from_utf8(&form.body) {
            Ok(text) => filled(text, logical).into_bytes(),
            Err(_) => form.body.clone(),
        },
        framing: Framing::Length,
    }
}

/// Each logical operation has values of its own, and the same at each attempt.
fn filled(text: &str, logical: &str) -> String {
    if !text.contains("{{") {
        return text.to_owned();
    }
    text.replace("{{uuid}}", logical)
        .replace("{{n}}", &number_of(logical))
}

/// The number that goes with a key: its first seven digits.
pub(crate) fn number_of(logical: &str) -> String {
    let digits = logical.get(..7).unwrap_or_default();
    u32::from_str_radix(digits, 16)
        .unwrap_or_default()
        .to_string()
}

fn replace_fields(fields: &mut Vec<(String, Vec<u8>)>, others: &[(String, Vec<u8>)]) {
    fields.retain(|(name, _)| {
        !others
            .iter()
            .any(|(other, _)| other.eq_ignore_ascii_case(name))
    });
    fields.extend(others.iter().cloned());
}

fn change(request: &mut Request, operation: &Operation, change: Change) {
    match change {
        Change::None => {}
        Change::Body => {
            request.body = operation
                .other_body
                .clone()
                .unwrap_or_else(|| altered(&request.body));
        }
        Change::LargeBody(last) => {
            request.body.resize(LARGE_BODY_BYTES, b' ');
            request
                .body
                .extend(std::iter::repeat_n(b'\n', usize::from(last)));
        }
        Change::Reordered => request.body = reordered(&request.body),
        Change::Chunked => {
            request.framing = Framing::Chunked {
                trailers: Vec::new(),
            }
        }
        Change::Query => {
            let mark = if request.target.contains('?') {
                '&'
            } else {
                '?'
            };
            request.target.push_str(&format!("{mark}oncegate_check=1"));
        }
        Change::Path => request.target = with_path(&request.target, |path| format!("{path}/other")),
        Change::Spelling => request.target = with_path(&request.target, respelled),
        Change::Method(method) => method.clone_into(&mut request.method),
    }
}

fn with_path(target: &str, change: impl Fn(&str) -> String) -> String {
    match target.split_once('?') {
        Some((path, query)) => format!("{}?{query}", change(path)),
        None => change(target),
    }
}

/// The last letter or digit of the path, percent-encoded: the same path to whoever decodes it.
fn respelled(path: &str) -> String {
    match path
        .char_indices()
        .rfind(|(_, letter)| letter.is_ascii_alphanumeric())
    {
        Some((at, letter)) => format!(
            "{}%{:02X}{}",
            &path[..at],
            u32::from(letter),
            &path[at + 1..]
        ),
        None => path.to_owned(),
    }
}

/// Another body of the same form: the first number is one more, or the first string has a letter more.
fn altered(body: &[u8]) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<serde_json::Value>(body) else {
        return [body, b"2"].concat();
    };
    if !alter(&mut value) {
        return [body, b" "].concat();
    }
    value.to_string().into_bytes()
}

fn alter(value: &mut serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::Number(number) => {
            let Some(integer) = number.as_i64() else {
                return false;
            };
            *value = Value::from(integer.wrapping_add(1));
            true
        }
        Value::Array(elements) => elements.iter_mut().any(alter),
        Value::Object(members) => {
            let numbers_first = |value: &&mut Value| !value.is_number();
            let mut values: Vec<_> = members.values_mut().collect();
            values.sort_by_key(numbers_first);
            values.into_iter().any(alter)
        }
        Value::String(text) => {
            text.push('2');
            true
        }
        Value::Null | Value::Bool(_) => false,
    }
}

/// The same members, the last first, with blanks that mean nothing. Values stay as they were written.
fn reordered(body: &[u8]) -> Vec<u8> {
    let Ok(members) = serde_json::from_slice::<BTreeMap<String, Box<RawValue>>>(body) else {
        return body.to_vec();
    };
    let ascending = written(members.iter());
    if ascending == body {
        written(members.iter().rev())
    } else {
        ascending
    }
}

fn written<'a>(members: impl Iterator<Item = (&'a String, &'a Box<RawValue>)>) -> Vec<u8> {
    let members: Vec<String> = members
        .map(|(name, value)| format!("{} :  {value}", serde_json::Value::from(name.as_str())))
        .collect();
    format!("{{ {} }}", members.join(" ,\n")).into_bytes()
}

fn write_key(request: &mut Request, dialect: &Dialect, keys: &Keys, key: Key) {
    let plain = keys.first.as_str();
    let value = match key {
        Key::Plain => written_key(dialect, plain).into_bytes(),
        Key::Another => written_key(dialect, &keys.another).into_bytes(),
        Key::OtherCase => written_key(dialect, &plain.to_ascii_uppercase()).into_bytes(),
        Key::Quoted => format!("\"{plain}\"").into_bytes(),
        Key::Bare => plain.as_bytes().to_vec(),
        Key::WithParameter => format!("\"{plain}\";attempt=2").into_bytes(),
        Key::Empty => Vec::new(),
        Key::List => format!("\"{plain}\", \"{}\"", keys.another).into_bytes(),
        Key::Unbalanced => format!("\"{plain}").into_bytes(),
        Key::Control => [plain.as_bytes(), b"\x01x"].concat(),
        Key::NotAscii => [plain.as_bytes(), b"\xc3\xa9"].concat(),
        Key::TooLong(end) => {
            let padding = "k".repeat(dialect.key_length_max.saturating_sub(plain.len()));
            written_key(dialect, &format!("{plain}{padding}-{end}")).into_bytes()
        }
        Key::OnTwoLines => {
            let value = written_key(dialect, plain).into_bytes();
            request
                .fields
                .push((dialect.key_header.to_owned(), value.clone()));
            value
        }
        Key::InTrailer => {
            let trailer = (
                dialect.key_header.to_owned(),
                written_key(dialect, plain).into_bytes(),
            );
            request
                .fields
                .push(("Trailer".to_owned(), dialect.key_header.into()));
            request.framing = Framing::Chunked {
                trailers: vec![trailer],
            };
            return;
        }
        Key::Absent => return,
    };
    request.fields.push((dialect.key_header.to_owned(), value));
}

fn written_key(dialect: &Dialect, key: &str) -> String {
    if dialect.keys_are_quoted {
        format!("\"{key}\"")
    } else {
        key.to_owned()
    }
}

/// More than proxies keep in memory.
const LARGE_BODY_BYTES: usize = 2 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_body_is_of_the_same_form() {
        for (body, other) in [
            (r#"{"amount":5000}"#, r#"{"amount":5001}"#),
            (r#"{"a":"x","n":[1]}"#, r#"{"a":"x2","n":[1]}"#),
            (r#"{"a":"x","n":1}"#, r#"{"a":"x","n":2}"#),
            ("a=1&b=2", "a=1&b=22"),
        ] {
            assert_eq!(String::from_utf8(altered(body.as_bytes())).unwrap(), other);
        }
    }

    #[test]
    fn reordering_changes_bytes_and_nothing_else() {
        for body in [
            r#"{"a":1.0,"b":{"c":[1e2]}}"#,
            r#"{"b":1,"a":2}"#,
            r#"{"only":1}"#,
        ] {
            let other = reordered(body.as_bytes());
            assert_ne!(other, body.as_bytes());
            let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
            assert_eq!(value(&other), value(body.as_bytes()));
        }
        assert!(
            String::from_utf8(reordered(br#"{"a":1.0}"#))
                .unwrap()
                .contains("1.0")
        );
    }

    #[test]
    fn another_spelling_decodes_to_the_same_path() {
        assert_eq!(respelled("/payments"), "/payment%73");
        assert_eq!(respelled("/payments/"), "/payment%73/");
    }
}
