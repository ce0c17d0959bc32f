//! Parts as text: JSON on one line or on many, and YAML in block style.

use crate::part::Part;
use crate::style::Style;
use crate::tree::is_number;

/// JSON on one line, which is YAML in flow style, too.
pub(crate) fn flow(part: &Part, spaced: bool) -> String {
    let (comma, colon) = if spaced { (", ", ": ") } else { (",", ":") };
    match part {
        Part::Null => "null".to_owned(),
        Part::Flag(flag) => flag.to_string(),
        Part::Number(number) => number.clone(),
        Part::Text(text) => json_text(text),
        Part::List(items) => {
            let items: Vec<String> = items.iter().map(|item| flow(item, spaced)).collect();
            format!("[{}]", items.join(comma))
        }
        Part::Members(members) => {
            let member = |(name, part): &(String, Part)| {
                format!("{}{colon}{}", json_text(name), flow(part, spaced))
            };
            let members: Vec<String> = members.iter().map(member).collect();
            format!("{{{}}}", members.join(comma))
        }
    }
}

/// JSON with a line for each member, whose own line is indented by `indentation`.
pub(crate) fn lines(part: &Part, indentation: &str, style: &Style) -> String {
    let inner = format!("{indentation}{}", style.unit);
    let newline = style.newline;
    let within = |parts: Vec<String>| {
        let separator = format!(",{newline}{inner}");
        let parts = parts.join(&separator);
        format!("{newline}{inner}{parts}{newline}{indentation}")
    };
    match part {
        Part::List(items) if !items.is_empty() => {
            let items = items.iter().map(|item| lines(item, &inner, style));
            format!("[{}]", within(items.collect()))
        }
        Part::Members(members) if !members.is_empty() => {
            let member = |(name, part): &(String, Part)| {
                format!("{}: {}", json_text(name), lines(part, &inner, style))
            };
            format!("{{{}}}", within(members.iter().map(member).collect()))
        }
        Part::Null
        | Part::Flag(_)
        | Part::Number(_)
        | Part::Text(_)
        | Part::List(_)
        | Part::Members(_) => flow(part, true),
    }
}

/// A member in block style on a line of its own, that line's end before it.
pub(crate) fn block_member(
    out: &mut String,
    indent: usize,
    name: &str,
    part: &Part,
    style: &Style,
) {
    new_line(out, indent, style);
    block_pair(out, indent, name, part, style);
}

/// An item in block style on a line of its own, its dash in that column.
pub(crate) fn block_item(out: &mut String, column: usize, part: &Part, style: &Style) {
    new_line(out, column, style);
    out.push('-');
    let indent = column + 2;
    match part {
        Part::Members(members) if !members.is_empty() => {
            for (at, (name, part)) in members.iter().enumerate() {
                if at == 0 {
                    out.push(' ');
                } else {
                    new_line(out, indent, style);
                }
                block_pair(out, indent, name, part, style);
            }
        }
        Part::List(items) if !items.is_empty() => {
            for item in items {
                block_item(out, indent, item, style);
            }
        }
        Part::Null
        | Part::Flag(_)
        | Part::Number(_)
        | Part::Text(_)
        | Part::List(_)
        | Part::Members(_) => block_value(out, column, part, style),
    }
}

fn block_pair(out: &mut String, indent: usize, name: &str, part: &Part, style: &Style) {
    out.push_str(&yaml_text(name, style));
    out.push(':');
    block_value(out, indent, part, style);
}

fn block_value(out: &mut String, indent: usize, part: &Part, style: &Style) {
    let deeper = indent + style.unit.len();
    match part {
        Part::Members(members) if !members.is_empty() => {
            for (name, part) in members {
                block_member(out, deeper, name, part, style);
            }
        }
        Part::List(items) if !items.is_empty() => {
            for item in items {
                block_item(out, indent + style.dash, item, style);
            }
        }
        Part::Text(text) if can_be_literal(text) => {
            out.push_str(" |-");
            for line in text.lines() {
                new_line(out, if line.is_empty() { 0 } else { deeper }, style);
                out.push_str(line);
            }
        }
        Part::Text(text) => {
            out.push(' ');
            out.push_str(&yaml_text(text, style));
        }
        Part::Null | Part::Flag(_) | Part::Number(_) | Part::List(_) | Part::Members(_) => {
            out.push(' ');
            out.push_str(&flow(part, true));
        }
    }
}

fn new_line(out: &mut String, indent: usize, style: &Style) {
    out.push_str(style.newline);
    out.extend(std::iter::repeat_n(' ', indent));
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Several lines that begin and end with letters, and nothing that has to be escaped.
fn can_be_literal(text: &str) -> bool {
    text.contains('\n')
        && text.trim() == text
        && !text
            .chars()
            .any(|letter| letter != '\n' && letter.is_control())
}

/// As it is if that reads as this text everywhere, else quoted.
fn yaml_text(text: &str, style: &Style) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    if style.quote == '\'' && !text.chars().any(char::is_control) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    json_text(text)
}

fn is_plain(text: &str) -> bool {
    let letter = |letter: char| {
        letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.' | '/' | '+' | ' ' | '$')
    };
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '$')
        && text.chars().all(letter)
        && !text.ends_with(' ')
        && !is_number(text)
        && !WORDS.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// What is no text in YAML 1.2 or 1.1.
const WORDS: [&str; 11] = [
    "null", "true", "false", "yes", "no", "on", "off", "y", "n", "inf", "nan",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::read;

    /// Every text is read back as it was, as a name and as a value, in both forms.
    #[test]
    fn what_is_written_is_read_back() {
        let texts = [
            "",
            " ",
            "a",
            "no",
            "409",
            "1e3",
            "a: b",
            "a #b",
            "#/x",
            "'",
            "\"",
            "- a",
            "a\nb",
            "a\n\n  b\nc",
            "\n",
            "a\n",
            "{name}",
            "*a",
            "&a",
            "!a",
            "%a",
            "@a",
            "`",
            "\u{7}",
            "\u{e9}",
            "a\tb",
            "a\\b",
            "~",
            "0x1",
            "2026-01-01",
            "a:",
            "?",
            "|",
            ">",
            "=",
            "<<",
            "y",
        ];
        for quote in ['\'', '"'] {
            let style = Style {
                quote,
                ..Style::own()
            };
            for text in texts {
                let name = text.replace('\n', " ");
                let part = Part::Members(vec![
                    (name.clone(), Part::text(text)),
                    (
                        "zz".to_owned(),
                        Part::List(vec![
                            Part::text(text),
                            Part::members([("zz", Part::text(text))]),
                        ]),
                    ),
                    (
                        "zy".to_owned(),
                        Part::List(vec![
                            Part::List(vec![Part::Null]),
                            Part::Members(Vec::new()),
                        ]),
                    ),
                ]);
                let Part::Members(members) = &part else {
                    unreachable!()
                };
                let mut block = String::new();
                for (name, part) in members {
                    block_member(&mut block, 0, name, part, &style);
                }
                for written in [
                    block,
                    flow(&part, true),
                    flow(&part, false),
                    lines(&part, "", &style),
                ] {
                    let tree = read(&written).unwrap_or_else(|fault| panic!("{written}: {fault}"));
                    assert_eq!(tree.part(tree.root), part, "{written}");
                }
            }
        }
    }
}
