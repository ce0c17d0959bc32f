//! JSON bodies: two texts have one canonical digest exactly if a slow reader finds the same in them.
//!
//! The slow reader is this file's own and shares no line with the code under test. That it takes the right texts for
//! JSON is judged by `serde_json`, which cannot judge the rest: its numbers are floats.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue, Method, Uri, header};
use oncegate::fingerprint::{Fingerprint, FingerprintRules, Fingerprinter, JsonPointer};
use oncegate::hash::HashKey;
use serde_json::de::from_str;

use crate::choice::Choices;

/// A text; behind a byte 0xFF, which is in no text, another one to compare it with; behind a second one JSON
/// pointers to leave out, a line each.
pub(crate) fn run(input: &[u8]) {
    // The slow reader goes down on the stack.
    if input.iter().filter(|byte| b"[{".contains(byte)).count() > OPEN_MAX {
        return;
    }
    let mut sections = input.split(|byte| *byte == 0xff);
    let one = sections.next().unwrap_or_default();
    let two = sections.next().unwrap_or_default();
    let pointers = sections.next().unwrap_or_default();
    let exclude = exclusions(pointers);

    let meaning = judge(one, &exclude);
    let other = judge(two, &exclude);
    compare((one, &meaning), (two, &other), &exclude);
    let Ok(meaning) = meaning else {
        // Broken in a place that is left out is still broken: there is one grammar.
        return;
    };
    let mut choices = Choices::from_input(input);
    let again = write(&meaning, &mut choices);
    assert_eq!(
        fingerprint(&again, &[]).canonical(),
        fingerprint(one, &[]).canonical()
    );
    for _ in 0..4 {
        let mut changed = one.to_vec();
        change(&mut changed, &mut choices);
        let found = judge(&changed, &exclude);
        compare((one, &Ok(meaning.clone())), (&changed, &found), &exclude);
    }
}

/// Reads the text slowly, and sees that it has a canonical form exactly if it can be read.
fn judge(text: &[u8], exclude: &[JsonPointer]) -> Result<Value, Refused> {
    let meaning = str::from_utf8(text)
        .map_err(|_| Refused::Syntax)
        .and_then(read);
    if let Ok(text) = str::from_utf8(text) {
        // It skips a value without building it, at any depth, and looks at neither names nor surrogates.
        let is_json = from_str::<SkippedValue>(text).is_ok();
        assert_eq!(is_json, !matches!(meaning, Err(Refused::Syntax)), "{text}");
    }
    let print = fingerprint(text, exclude);
    assert_eq!(print.canonical().is_some(), meaning.is_ok(), "{meaning:?}");
    let mut choices = Choices::from_input(text);
    assert_eq!(pieces(choices.cut(text), exclude), print);
    meaning
}

type SkippedValue = serde::de::IgnoredAny;

fn compare(
    (one, meaning): (&[u8], &Result<Value, Refused>),
    (two, other): (&[u8], &Result<Value, Refused>),
    exclude: &[JsonPointer],
) {
    let (Ok(meaning), Ok(other)) = (meaning, other) else {
        return;
    };
    let same = without(meaning, exclude) == without(other, exclude);
    let (one, two) = (fingerprint(one, exclude), fingerprint(two, exclude));
    assert_eq!(
        one.canonical() == two.canonical(),
        same,
        "{meaning:?} {other:?}"
    );
    assert_eq!(one.same_request(&two), same || one.raw() == two.raw());
}

fn fingerprint(text: &[u8], exclude: &[JsonPointer]) -> Fingerprint {
    pieces(vec![text], exclude)
}

fn pieces(pieces: Vec<&[u8]>, exclude: &[JsonPointer]) -> Fingerprint {
    let key = HashKey::from_secret(b"a secret for fuzzing");
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    let rules = FingerprintRules {
        exclude: exclude.to_vec(),
        ..FingerprintRules::default()
    };
    let uri = Uri::from_static("/payments");
    let mut it = Fingerprinter::new(&key, &Method::POST, &uri, &headers, &rules);
    pieces.into_iter().for_each(|piece| it.update(piece));
    it.finish()
}

fn exclusions(lines: &[u8]) -> Vec<JsonPointer> {
    let lines = str::from_utf8(lines).unwrap_or_default().lines();
    lines.filter_map(|line| line.parse().ok()).take(8).collect()
}

/// More than a canonical form may have, by far.
const OPEN_MAX: usize = 400;

/// What a text says.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Value {
    Word(&'static str),
    /// As it was written.
    Number(String),
    Text(String),
    List(Vec<Self>),
    Members(BTreeMap<String, Self>),
    /// A pointer leads here: what stood in this place does not count.
    LeftOut,
}

/// Why a text has no canonical form.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Refused {
    Syntax,
    /// Parsers differ in which of two members with one name they take.
    NamedTwice,
    /// A lone surrogate is no character.
    Surrogate,
    Depth,
}

/// The value without what the pointers lead to, one pointer after the other.
fn without(value: &Value, exclude: &[JsonPointer]) -> Value {
    let mut value = value.clone();
    for pointer in exclude {
        let pointer = pointer.to_string();
        let steps: Vec<String> = pointer
            .split('/')
            .skip(1)
            .map(|step| step.replace("~1", "/").replace("~0", "~"))
            .collect();
        leave_out(&mut value, &steps);
    }
    // A member that does not count is not there; an element leaves its place behind.
    forget(&mut value);
    value
}

fn leave_out(value: &mut Value, steps: &[String]) {
    let Some((step, deeper)) = steps.split_first() else {
        *value = Value::LeftOut;
        return;
    };
    let below = match value {
        Value::Members(members) => members.get_mut(step),
        Value::List(list) => {
            let index = step
                .parse()
                .ok()
                .filter(|at: &usize| at.to_string() == *step);
            index.and_then(|at| list.get_mut(at))
        }
        Value::Word(_) | Value::Number(_) | Value::Text(_) | Value::LeftOut => None,
    };
    if let Some(below) = below {
        leave_out(below, deeper);
    }
}

fn forget(value: &mut Value) {
    match value {
        Value::Members(members) => {
            members.retain(|_, member| *member != Value::LeftOut);
            members.values_mut().for_each(forget);
        }
        Value::List(list) => list.iter_mut().for_each(forget),
        Value::Word(_) | Value::Number(_) | Value::Text(_) | Value::LeftOut => {}
    }
}

/// Reads a whole text, one character after the other. Errors of grammar come before all others, wherever they are.
fn read(text: &str) -> Result<Value, Refused> {
    let mut reader = Reader {
        left: text.chars().collect(),
        refused: None,
    };
    reader.left.reverse();
    let value = reader.spaced(0).ok_or(Refused::Syntax)?;
    match reader.refused {
        _ if !reader.left.is_empty() => Err(Refused::Syntax),
        Some(refused) => Err(refused),
        None => Ok(value),
    }
}

struct Reader {
    /// The characters that are left, the next one last.
    left: Vec<char>,
    /// What stands in the way of a meaning, although the grammar allows it.
    refused: Option<Refused>,
}

impl Reader {
    fn spaced(&mut self, depth: usize) -> Option<Value> {
        self.space();
        let value = self.value(depth)?;
        self.space();
        Some(value)
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        match self.left.last()? {
            '{' => self.members(depth + 1),
            '[' => self.list(depth + 1),
            '"' => self.text().map(Value::Text),
            '-' | '0'..='9' => self.number().map(Value::Number),
            _ => ["null", "true", "false"]
                .into_iter()
                .find(|word| self.take_all(word))
                .map(Value::Word),
        }
    }

    fn members(&mut self, depth: usize) -> Option<Value> {
        let mut members = BTreeMap::new();
        self.level(depth, '}', |reader| {
            reader.space();
            let name = reader.text()?;
            reader.space();
            reader.take(':').then_some(())?;
            let value = reader.spaced(depth)?;
            if members.insert(name, value).is_some() {
                reader.refused = Some(Refused::NamedTwice);
            }
            Some(())
        })?;
        Some(Value::Members(members))
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        let mut list = Vec::new();
        self.level(depth, ']', |reader| {
            list.push(reader.spaced(depth)?);
            Some(())
        })?;
        Some(Value::List(list))
    }

    fn level(
        &mut self,
        depth: usize,
        close: char,
        mut one: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.left.pop();
        if depth > 128 {
            self.refused = Some(Refused::Depth);
        }
        self.space();
        if self.take(close) {
            return Some(());
        }
        loop {
            one(self)?;
            if self.take(close) {
                return Some(());
            }
            self.take(',').then_some(())?;
        }
    }

    fn text(&mut self) -> Option<String> {
        self.take('"').then_some(())?;
        let mut units = Vec::new();
        loop {
            let unescaped = match self.left.pop()? {
                '"' => break,
                '\\' => match self.left.pop()? {
                    'u' => {
                        units.push(self.unit()?);
                        continue;
                    }
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    plain @ ('"' | '\\' | '/') => plain,
                    _ => return None,
                },
                '\0'..='\u{1f}' => return None,
                plain => plain,
            };
            units.extend_from_slice(unescaped.encode_utf16(&mut [0; 2]));
        }
        Some(String::from_utf16(&units).unwrap_or_else(|_| {
            self.refused = Some(Refused::Surrogate);
            String::new()
        }))
    }

    fn unit(&mut self) -> Option<u16> {
        let at = self.left.len().checked_sub(4)?;
        let digits: String = self.left.drain(at..).rev().collect();
        let is_hex = digits.chars().all(|digit| digit.is_ascii_hexdigit());
        is_hex.then(|| u16::from_str_radix(&digits, 16).ok())?
    }

    fn number(&mut self) -> Option<String> {
        let mut number = String::new();
        while let Some(character) = self
            .left
            .pop_if(|it| matches!(it, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'))
        {
            number.push(character);
        }
        is_number(&number).then_some(number)
    }

    fn space(&mut self) {
        while self
            .left
            .pop_if(|it| matches!(it, ' ' | '\t' | '\n' | '\r'))
            .is_some()
        {}
    }

    fn take(&mut self, character: char) -> bool {
        self.left.pop_if(|it| *it == character).is_some()
    }

    fn take_all(&mut self, word: &str) -> bool {
        let is_there = self
            .left
            .iter()
            .rev()
            .copied()
            .take(word.len())
            .eq(word.chars());
        if is_there {
            self.left.truncate(self.left.len() - word.len());
        }
        is_there
    }
}

/// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`, from the right to the left.
fn is_number(number: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    let mut rest = number.strip_prefix('-').unwrap_or(number);
    if let Some((before, exponent)) = rest.split_once(['e', 'E']) {
        if !is_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)) {
            return false;
        }
        rest = before;
    }
    if let Some((before, fraction)) = rest.split_once('.') {
        if !is_digits(fraction) {
            return false;
        }
        rest = before;
    }
    is_digits(rest) && (rest == "0" || !rest.starts_with('0'))
}

/// Another text that says the same: members in any order, characters escaped or not, space anywhere.
fn write(value: &Value, choices: &mut Choices) -> Vec<u8> {
    let mut out = String::new();
    write_value(value, choices, &mut out);
    out.into_bytes()
}

fn write_value(value: &Value, choices: &mut Choices, out: &mut String) {
    write_space(choices, out);
    match value {
        Value::Word(word) => out.push_str(word),
        Value::Number(number) => out.push_str(number),
        Value::Text(text) => write_text(text, choices, out),
        Value::List(list) => {
            out.push('[');
            for (at, element) in list.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                write_value(element, choices, out);
            }
            out.push(']');
        }
        Value::Members(members) => {
            let mut members: Vec<_> = members.iter().collect();
            choices.shuffle(&mut members);
            out.push('{');
            for (at, (name, member)) in members.into_iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                write_space(choices, out);
                write_text(name, choices, out);
                write_space(choices, out);
                out.push(':');
                write_value(member, choices, out);
            }
            out.push('}');
        }
        Value::LeftOut => unreachable!("what was read has everything in it"),
    }
    write_space(choices, out);
}

fn write_text(text: &str, choices: &mut Choices, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        let needed = matches!(character, '"' | '\\' | '\0'..='\u{1f}');
        if needed || choices.once_in(8) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(character);
        }
    }
    out.push('"');
}

fn write_space(choices: &mut Choices, out: &mut String) {
    if choices.once_in(8) {
        out.push(*choices.of(&[' ', '\t', '\n', '\r']));
    }
}

/// A small change somewhere. What it means, the slow reader says.
fn change(text: &mut Vec<u8>, choices: &mut Choices) {
    const LIKELY: &[u8] = b"0123456789-.eE \"\\/[]{},:abtrunfl\x7f";
    let at = choices.below(text.len());
    match choices.below(4) {
        0 => drop(text.remove(at)),
        1 => text.insert(at, *choices.of(LIKELY)),
        2 => {
            let other = choices.below(text.len());
            text.swap(at, other);
        }
        _ => text[at] = *choices.of(LIKELY),
    }
}
