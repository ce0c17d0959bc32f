//! A text that a schema permits.

use regex_syntax::hir::{Class, Hir, HirKind};
use serde_json::Value;

use super::sample::size;

/// A text of that format or pattern, and of a length within bounds.
pub(super) fn sample(schema: &Value) -> String {
    let member = |name: &str| schema.get(name).and_then(Value::as_str);
    if let Some(text) = member("format").and_then(of_format) {
        return text.to_owned();
    }
    let least = size(schema, "minLength").unwrap_or(0).min(LENGTH_MAX);
    let most = size(schema, "maxLength").unwrap_or(LENGTH_MAX);
    if let Some(text) = member("pattern").and_then(|pattern| of_pattern(pattern, least)) {
        return text;
    }
    let text = WORD.chars().chain(std::iter::repeat('x'));
    text.take(WORD.len().max(least).min(most)).collect()
}

fn of_format(format: &str) -> Option<&'static str> {
    let (_, text) = FORMATS.iter().find(|(name, _)| *name == format)?;
    Some(text)
}

/// A text of a pattern, by its first choice everywhere, as short as may be; `None` if the pattern is not understood.
fn of_pattern(pattern: &str, least: usize) -> Option<String> {
    let hir = regex_syntax::parse(pattern).ok()?;
    let repeated = |times: usize| {
        let mut text = String::new();
        write(&hir, times, &mut text).map(|()| text)
    };
    // `.*` says that anything will do, and nothing seldom does.
    let short = repeated(1)?;
    if short.len() >= least {
        return Some(short);
    }
    repeated(least)
}

/// `times`: how often what may be repeated is repeated.
fn write(hir: &Hir, times: usize, text: &mut String) -> Option<()> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(std::str::from_utf8(&literal.0).ok()?),
        HirKind::Class(class) => text.push(letter(class)?),
        HirKind::Repetition(repetition) => {
            let bound = |bound: u32| usize::try_from(bound).unwrap_or(LENGTH_MAX);
            let most = repetition.max.map_or(LENGTH_MAX, bound);
            for _ in 0..bound(repetition.min).max(times).min(most).min(LENGTH_MAX) {
                write(&repetition.sub, times, text)?;
            }
        }
        HirKind::Capture(capture) => write(&capture.sub, times, text)?,
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| write(part, times, text))?,
        HirKind::Alternation(choices) => write(choices.first()?, times, text)?,
    }
    (text.len() <= LENGTH_MAX).then_some(())
}

/// A letter or digit of a class, if it has one.
fn letter(class: &Class) -> Option<char> {
    let ranges: Vec<(char, char)> = match class {
        Class::Unicode(class) => class
            .iter()
            .map(|range| (range.start(), range.end()))
            .collect(),
        Class::Bytes(class) => {
            let ranges = class.iter().map(|range| (range.start(), range.end()));
            ranges
                .map(|(start, end)| (char::from(start), char::from(end)))
                .collect()
        }
    };
    let within = |letter: &char| {
        ranges
            .iter()
            .any(|(start, end)| (start..=end).contains(&letter))
    };
    PLAIN
        .chars()
        .find(within)
        .or(ranges.first().map(|(start, _)| *start))
}

/// What stands where any text will do.
pub(super) const WORD: &str = "check";
/// What is taken from a class of a pattern, in this order.
const PLAIN: &str = "a1A-_ ";
/// Longest text that is made.
const LENGTH_MAX: usize = 4096;
/// What stands for a format. Ids are new for each operation: some APIs refuse one that they have seen.
const FORMATS: &[(&str, &str)] = &[
    ("uuid", "{{uuid}}"),
    ("date-time", "2030-01-01T00:00:00Z"),
    ("date", "2030-01-01"),
    ("time", "00:00:00Z"),
    ("duration", "PT1H"),
    ("email", "check@example.com"),
    ("idn-email", "check@example.com"),
    ("uri", "https://example.com/"),
    ("url", "https://example.com/"),
    ("iri", "https://example.com/"),
    ("uri-reference", "/check"),
    ("hostname", "example.com"),
    ("ipv4", "192.0.2.1"),
    ("ipv6", "2001:db8::1"),
    ("byte", "Y2hlY2s="),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_followed() {
        for (pattern, text) in [
            ("^[A-Z]{3}$", "AAA"),
            (r"^\d{4}-\d{2}$", "1111-11"),
            ("^(acc|cus)_[0-9a-z]+$", "acc_a"),
            ("^.*$", "a"),
        ] {
            assert_eq!(of_pattern(pattern, 0).as_deref(), Some(text), "{pattern}");
        }
        assert_eq!(of_pattern("^[a-z]+$", 4).as_deref(), Some("aaaa"));
        assert_eq!(
            of_pattern("(?=x)y", 0),
            None,
            "look-ahead is not understood"
        );
    }
}
