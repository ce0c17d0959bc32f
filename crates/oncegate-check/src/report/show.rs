//! Exchanges as all reports show them: secrets masked, control bytes escaped, bodies cut.
//!
//! Every renderer gets its exchanges from here and from nowhere else, so that none can forget a mask.

use http::StatusCode;
use serde::Serialize;

use super::mask::Secrets;
use super::{Finding, Report};
use crate::operation::Operation;
use crate::wire::{Exchange, Outcome};

/// An exchange that can be shown to anybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Shown {
    pub(super) label: &'static str,
    /// Milliseconds since the case was begun.
    pub(super) began_ms: u128,
    pub(super) ended_ms: u128,
    pub(super) request: ShownRequest,
    /// `answered`, `left`, `broken` or `unreachable`.
    pub(super) outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) answer: Option<ShownAnswer>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ShownRequest {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) fields: Vec<ShownField>,
    pub(super) body: ShownBody,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ShownAnswer {
    pub(super) status: u16,
    #[serde(skip)]
    pub(super) reason: &'static str,
    pub(super) fields: Vec<ShownField>,
    pub(super) body: ShownBody,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ShownField {
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ShownBody {
    /// How many bytes it has in truth.
    pub(super) bytes: usize,
    pub(super) text: String,
    /// Whether the text is only its beginning.
    pub(super) cut: bool,
}

/// An exchange that stands for all that differ from it in nothing but their time.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) shown: Shown,
    pub(super) times: usize,
}

/// Turns what happened into what may be shown.
#[derive(Debug)]
pub(super) struct Showcase {
    secrets: Secrets,
}

impl Showcase {
    pub(super) fn of(report: &Report) -> Self {
        Self {
            secrets: Secrets::of(&report.operation, &report.findings),
        }
    }

    /// For what was answered before there is a finding.
    pub(super) fn of_operation(operation: &Operation) -> Self {
        Self {
            secrets: Secrets::of(operation, &[]),
        }
    }

    /// For one finding, while others are still to come.
    pub(super) fn of_one(operation: &Operation, finding: &Finding) -> Self {
        Self {
            secrets: Secrets::of(operation, std::slice::from_ref(finding)),
        }
    }

    pub(super) const fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The exchanges of a finding, in the order of sending.
    pub(super) fn exchanges(&self, finding: &Finding) -> Vec<Shown> {
        finding
            .exchanges
            .iter()
            .map(|exchange| self.exchange(exchange))
            .collect()
    }

    /// The same, those that are alike only once, and how many more there are than are shown.
    pub(super) fn groups(&self, finding: &Finding) -> (Vec<Group>, usize) {
        let mut groups: Vec<Group> = Vec::new();
        let mut more = 0;
        for shown in self.exchanges(finding) {
            let alike = groups.iter().position(|group| group.shown.is_like(&shown));
            match alike {
                Some(at) => groups[at].times += 1,
                None if groups.len() < GROUPS_MAX => groups.push(Group { shown, times: 1 }),
                None => more += 1,
            }
        }
        (groups, more)
    }

    /// Text that may hold what an API answered, on one line.
    pub(super) fn line(&self, text: &str) -> String {
        printable(&self.secrets.mask(text.as_bytes()), Breaks::Escaped)
    }

    fn exchange(&self, exchange: &Exchange) -> Shown {
        let (outcome, problem, answer) = match &exchange.outcome {
            Outcome::Answered(response) => ("answered", None, Some(response)),
            Outcome::Left => ("left", None, None),
            Outcome::Broken(problem) => ("broken", Some(problem), None),
            Outcome::Unreachable(problem) => ("unreachable", Some(problem), None),
        };
        let request = &exchange.request;
        Shown {
            label: exchange.label,
            began_ms: exchange.began.as_millis(),
            ended_ms: exchange.ended.as_millis(),
            request: ShownRequest {
                method: self.line(&request.method),
                target: self.line(&request.target),
                fields: self.fields(&request.fields),
                body: self.body(&request.body),
            },
            outcome,
            problem: problem.map(|problem| self.line(problem)),
            answer: answer.map(|response| ShownAnswer {
                status: response.status,
                reason: reason(response.status),
                fields: self.fields(&response.fields),
                body: self.body(&response.body),
            }),
        }
    }

    fn fields(&self, fields: &[(String, Vec<u8>)]) -> Vec<ShownField> {
        let shown = |(name, value): &(String, Vec<u8>)| ShownField {
            name: printable(name.as_bytes(), Breaks::Escaped),
            value: printable(
                cut(&self.secrets.value(name, value), VALUE_BYTES_MAX),
                Breaks::Escaped,
            ),
        };
        fields.iter().map(shown).collect()
    }

    /// Masked before it is cut: half a secret is one, too.
    fn body(&self, body: &[u8]) -> ShownBody {
        let near = cut(body, BODY_BYTES_MAX * 4);
        let masked = self.secrets.mask(near);
        let begin = cut(&masked, BODY_BYTES_MAX);
        ShownBody {
            bytes: body.len(),
            text: printable(begin, Breaks::Kept),
            cut: near.len() < body.len() || begin.len() < masked.len(),
        }
    }
}

impl Shown {
    /// Whether only their times differ, `Date` included.
    fn is_like(&self, other: &Self) -> bool {
        let dateless = |shown: &Self| {
            let mut shown = shown.clone();
            (shown.began_ms, shown.ended_ms) = (0, 0);
            if let Some(answer) = &mut shown.answer {
                answer
                    .fields
                    .retain(|field| !field.name.eq_ignore_ascii_case("date"));
            }
            shown
        };
        dateless(self) == dateless(other)
    }

    /// What came of it, in a few words.
    pub(super) fn outcome_line(&self) -> String {
        match (&self.answer, &self.problem) {
            (Some(answer), _) => format!("{} {}", answer.status, answer.reason)
                .trim_end()
                .to_owned(),
            (None, Some(problem)) => format!("{}: {problem}", self.outcome),
            (None, None) => "the caller left, as the case wants it".to_owned(),
        }
    }
}

impl ShownBody {
    /// How much of it is shown, if not all.
    pub(super) fn note(&self) -> String {
        if self.cut {
            format!("[cut: {} bytes in all]", self.bytes)
        } else {
            String::new()
        }
    }
}

/// Whether a text may have more than one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Breaks {
    Kept,
    Escaped,
}

/// Bytes as text that does nothing to a terminal or a page, and shows what stands there.
fn printable(bytes: &[u8], breaks: Breaks) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\n' if breaks == Breaks::Kept => text.push('\n'),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                letter if letter.is_control() && letter.is_ascii() => {
                    text.push_str(&format!("\\x{:02x}", u32::from(letter)));
                }
                letter if letter.is_control() || misleads(letter) => {
                    text.push_str(&format!("\\u{{{:x}}}", u32::from(letter)));
                }
                letter => text.push(letter),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// Letters that are not seen, or that turn the order of others.
const fn misleads(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// So many bytes at most, and no half letter at the end.
fn cut(bytes: &[u8], most: usize) -> &[u8] {
    if bytes.len() <= most {
        return bytes;
    }
    let mut end = most;
    while end > most.saturating_sub(4) && bytes[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    &bytes[..end]
}

fn reason(status: u16) -> &'static str {
    StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default()
}

/// How much of a body is shown.
const BODY_BYTES_MAX: usize = 2 * 1024;
/// How much of a header line is shown.
const VALUE_BYTES_MAX: usize = 1024;
/// How many exchanges of a case are shown that are not alike.
const GROUPS_MAX: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_bytes_and_letters_that_mislead_are_seen() {
        for (bytes, shown) in [
            (&b"a\x1b[2J\x07"[..], "a\\x1b[2J\\x07"),
            (b"\xff\xfe", "\\xff\\xfe"),
            ("pay\u{202e}lld".as_bytes(), "pay\\u{202e}lld"),
            ("\u{9b}31m".as_bytes(), "\\u{9b}31m"),
            ("Grüße".as_bytes(), "Grüße"),
            (b"one\r\ntwo\n", "one\\r\ntwo\n"),
        ] {
            assert_eq!(printable(bytes, Breaks::Kept), shown);
        }
        assert_eq!(printable(b"a\r\nB: c", Breaks::Escaped), "a\\r\\nB: c");
    }

    #[test]
    fn no_letter_is_cut_in_two() {
        assert_eq!(cut("aé".as_bytes(), 2), b"a");
        assert_eq!(cut("aé".as_bytes(), 3), "aé".as_bytes());
        assert_eq!(cut(&[0x80; 10], 8).len(), 4);
    }
}
