//! Makes the request of a step: the operation's form, the key as it is to be written, and what is to differ.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use uuid::Uuid;

use crate::case::{Change, Key, Send, Who};
use crate::dialect::Dialect;
use crate::operation::{Form, Operation};
use crate::policy::DISCOVERY_PATH;
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
        vec![
            self.first.clone(),
            self.another.clone(),
            letters(&self.first),
        ]
    }

    /// What stands for the logical operation in placeholders.
    fn operation(&self, key: Key) -> &str {
        match key {
            Key::Another | Key::Capitals | Key::TooLong(1..) | Key::OfLength(_, 1..) => {
                &self.another
            }
            Key::Plain
            | Key::Quoted
            | Key::Bare
            | Key::WithParameter
            | Key::Letters
            | Key::Absent
            | Key::InTrailer
            | Key::Empty
            | Key::OnTwoLines
            | Key::List
            | Key::Unbalanced
            | Key::Control
            | Key::NotAscii
            | Key::Longest
            | Key::OfLength(_, 0)
            | Key::TooLong(0) => &self.first,
        }
    }
}

/// A `GET` by the principal of the operation, without what belongs to a body.
pub(crate) fn get(operation: &Operation, target: &str) -> Request {
    let mut fields = vec![host(operation)];
    let plain = operation.plain().fields.iter();
    fields.extend(plain.filter(|(name, _)| !is_of_body(name)).cloned());
    Request {
        method: "GET".to_owned(),
        target: target.to_owned(),
        fields,
        body: Vec::new(),
        framing: Framing::Length,
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
    match send.who {
        Who::First => {}
        Who::Second => replace_fields(&mut request.fields, operation.second.as_deref()?),
        Who::Nobody => request
            .fields
            .retain(|(name, _)| !operation.is_credential(name)),
    }
    let logical = keys.operation(send.key);
    change(&mut request, operation, send.change, logical);
    let key = KeyLine::new(operation, dialect, keys, send.key);
    key.write(&mut request);
    Some(request)
}

fn plain(operation: &Operation, form: &Form, logical: &str) -> Request {
    let mut fields = vec![host(operation)];
    fields.extend(form.fields.iter().cloned());
    Request {
        method: form.method.clone(),
        target: filled(&form.target, logical),
        fields,
        body: filled_body(&form.body, logical),
        framing: Framing::Length,
    }
}

fn host(operation: &Operation) -> (String, Vec<u8>) {
    let authority = operation.peer.authority().as_bytes().to_vec();
    ("Host".to_owned(), authority)
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

fn filled_body(body: &[u8], logical: &str) -> Vec<u8> {
    match std::str::from_utf8(body) {
        Ok(text) => filled(text, logical).into_bytes(),
        Err(_) => body.to_vec(),
    }
}

fn replace_fields(fields: &mut Vec<(String, Vec<u8>)>, others: &[(String, Vec<u8>)]) {
    fields.retain(|(name, _)| {
        !others
            .iter()
            .any(|(other, _)| other.eq_ignore_ascii_case(name))
    });
    fields.extend(others.iter().cloned());
}

fn change(request: &mut Request, operation: &Operation, change: Change, logical: &str) {
    match change {
        Change::None => {}
        Change::Body => {
            request.body = match &operation.other_body {
                Some(other) => filled_body(other, logical),
                None => altered(&request.body),
            };
        }
        Change::Padded => request.body = padded(&request.body),
        Change::PaddedBody => request.body = padded(&altered(&request.body)),
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
        Change::Method(method) => {
            method.clone_into(&mut request.method);
            if matches!(method, "GET" | "HEAD") {
                without_body(request);
            }
        }
        Change::Discovery => *request = get(operation, DISCOVERY_PATH),
    }
}

/// What only reads has no body, nor lines that describe one.
fn without_body(request: &mut Request) {
    request.body.clear();
    request.fields.retain(|(name, _)| !is_of_body(name));
}

fn is_of_body(name: &str) -> bool {
    name.to_ascii_lowercase().starts_with("content-")
}

/// Blank space that means nothing to JSON before what does: readers that stop early see blanks alone.
fn padded(body: &[u8]) -> Vec<u8> {
    let mut padded = vec![b' '; PADDING_BYTES];
    padded.extend_from_slice(body);
    padded
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

/// The line of the key, as a step wants it.
struct KeyLine<'a> {
    header: &'a str,
    is_quoted: bool,
    length_max: usize,
    keys: &'a Keys,
    key: Key,
}

impl<'a> KeyLine<'a> {
    fn new(operation: &'a Operation, dialect: &Dialect, keys: &'a Keys, key: Key) -> Self {
        Self {
            header: operation.key_header(dialect),
            is_quoted: dialect.keys_are_quoted,
            length_max: operation.key_length_max(dialect),
            keys,
            key,
        }
    }

    fn write(&self, request: &mut Request) {
        let Some(value) = self.value() else {
            return;
        };
        let line = (self.header.to_owned(), value);
        if self.key == Key::InTrailer {
            let announced = ("Trailer".to_owned(), self.header.into());
            request.fields.push(announced);
            request.framing = Framing::Chunked {
                trailers: vec![line],
            };
            return;
        }
        if self.key == Key::OnTwoLines {
            request.fields.push(line.clone());
        }
        request.fields.push(line);
    }

    fn value(&self) -> Option<Vec<u8>> {
        let plain = self.keys.first.as_str();
        let value = match self.key {
            Key::Absent => return None,
            Key::Plain | Key::OnTwoLines | Key::InTrailer => self.written(plain),
            Key::Another => self.written(&self.keys.another),
            Key::Letters => self.written(&letters(plain)),
            Key::Capitals => self.written(&letters(plain).to_ascii_uppercase()),
            Key::Longest => self.written(&padded_key(plain, self.length_max)),
            Key::OfLength(length, end) => {
                let begin = padded_key(plain, usize::from(length) - 1);
                self.written(&format!("{begin}{end}"))
            }
            Key::TooLong(end) => {
                self.written(&format!("{}-{end}", padded_key(plain, self.length_max)))
            }
            Key::Quoted => format!("\"{plain}\""),
            Key::Bare => plain.to_owned(),
            Key::WithParameter => format!("\"{plain}\";attempt=2"),
            Key::Empty => String::new(),
            Key::List => format!("\"{plain}\", \"{}\"", self.keys.another),
            Key::Unbalanced => format!("\"{plain}"),
            Key::Control => format!("{plain}\x01x"),
            Key::NotAscii => format!("{plain}\u{e9}"),
        };
        Some(value.into_bytes())
    }

    fn written(&self, key: &str) -> String {
        if self.is_quoted {
            format!("\"{key}\"")
        } else {
            key.to_owned()
        }
    }
}

/// The key of a case as letters that nobody takes for a UUID, which may be written in either case.
fn letters(plain: &str) -> String {
    format!("key-{}", plain.replace('-', ""))
}

/// A key of just that length.
fn padded_key(plain: &str, length: usize) -> String {
    let padding = "k".repeat(length.saturating_sub(plain.len()));
    let mut key = format!("{plain}{padding}");
    key.truncate(length);
    key
}

/// More than proxies keep in memory.
const PADDING_BYTES: usize = 2 * 1024 * 1024;

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
