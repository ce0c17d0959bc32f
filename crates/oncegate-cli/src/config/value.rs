//! What stands to the right of an equals sign, wherever it came from.
//!
//! Promises: a value from the file, from the environment and from a flag is of one type, so that
//! one function reads a setting from all three; and a value shows as it would have to be written.
//! Deliberately absent: any meaning. A value does not know which setting it is for.

use std::fmt;

use toml::Spanned;
use toml::de::{DeInteger, DeString, DeValue};

use super::refusal::Refusal;

/// A value as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// From the environment or a flag: whether `10` is a number depends on the setting.
    Text(String),
    String(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<Self>),
    Table(Vec<(String, Self)>),
    /// A float, a date or a giant number: TOML that no setting takes.
    Foreign(String),
}

/// How text from the environment or a flag is taken apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Shape {
    /// It is one word.
    Word,
    /// It is words with commas between, or a TOML list.
    List,
    /// It is a TOML table: `{ get = "/x/{key}", status = 201 }`.
    Table,
}

impl Value {
    /// Reads text from the environment or a flag.
    pub(super) fn from_text(shape: Shape, text: &str) -> Result<Self, Refusal> {
        match shape {
            Shape::Word => Ok(Self::Text(text.to_owned())),
            Shape::List if text.trim_start().starts_with('[') => Self::from_toml_text(text),
            Shape::List if text.trim().is_empty() => Ok(Self::List(Vec::new())),
            Shape::List => Ok(Self::List(
                text.split(',')
                    .map(|t| Self::Text(t.trim().to_owned()))
                    .collect(),
            )),
            Shape::Table => Self::from_toml_text(text),
        }
    }

    /// Reads TOML that we wrote ourselves.
    pub(super) fn of_toml(text: &str) -> Self {
        Self::from_toml_text(text).unwrap_or_else(|_| Self::Foreign(text.to_owned()))
    }

    fn from_toml_text(text: &str) -> Result<Self, Refusal> {
        match DeValue::parse(text) {
            Ok(value) => Ok(Self::from_toml(value.get_ref())),
            Err(error) => Err(Refusal::new(&format!(
                "it is not TOML: {}",
                error.message()
            ))),
        }
    }

    /// Takes a value out of a TOML document.
    pub(super) fn from_toml(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::String(text.clone().into_owned()),
            DeValue::Integer(number) => integer(number),
            DeValue::Float(number) => Self::Foreign(number.to_string()),
            DeValue::Boolean(it) => Self::Boolean(*it),
            DeValue::Datetime(time) => Self::Foreign(time.to_string()),
            DeValue::Array(list) => Self::List(
                list.iter()
                    .map(|item| Self::from_toml(item.get_ref()))
                    .collect(),
            ),
            DeValue::Table(table) => {
                let name = |name: &Spanned<DeString<'_>>| name.get_ref().clone().into_owned();
                let members = table.iter();
                let members = members.map(|(n, value)| (name(n), Self::from_toml(value.get_ref())));
                Self::Table(members.collect())
            }
        }
    }

    /// A list of strings.
    pub(super) fn strings(items: impl IntoIterator<Item = impl fmt::Display>) -> Self {
        Self::List(
            items
                .into_iter()
                .map(|item| Self::String(item.to_string()))
                .collect(),
        )
    }

    /// What it is, for "expects ..., not ...".
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::String(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Boolean(_) => "a boolean",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Foreign(_) => "that",
        }
    }

    /// How it is written in the environment or behind a flag.
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Text(text) | Self::String(text) => text.clone(),
            Self::List(items) => items
                .iter()
                .map(Self::to_text)
                .collect::<Vec<_>>()
                .join(","),
            Self::Integer(_) | Self::Boolean(_) | Self::Table(_) | Self::Foreign(_) => {
                self.to_string()
            }
        }
    }
}

/// As TOML; text as it is, because it is none.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Foreign(text) => f.write_str(text),
            Self::String(text) => toml::Value::String(text.clone()).fmt(f),
            Self::Integer(number) => number.fmt(f),
            Self::Boolean(it) => it.fmt(f),
            Self::List(items) => {
                f.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    write!(f, "{comma}{item}")?;
                }
                f.write_str("]")
            }
            Self::Table(members) => {
                f.write_str("{ ")?;
                for (at, (name, value)) in members.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    write!(f, "{comma}{name} = {value}")?;
                }
                f.write_str(" }")
            }
        }
    }
}

fn integer(number: &DeInteger<'_>) -> Value {
    let read = i64::from_str_radix(number.as_str(), number.radix());
    read.map_or_else(|_| Value::Foreign(number.to_string()), Value::Integer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_the_file_shows_as_it_is_written() {
        let table = [
            "\"30s\"",
            "422",
            "true",
            "[]",
            "[\"POST\", \"PATCH\"]",
            "[500, 502]",
            "{ get = \"/by-key/{key}\", status = 201 }",
            "1.5",
        ];
        for text in table {
            assert_eq!(Value::from_toml_text(text).unwrap().to_string(), text);
        }
        assert_eq!(Value::from_toml_text("0x10").unwrap(), Value::Integer(16));
        let giant = Value::from_toml_text("99999999999999999999").unwrap();
        assert_eq!(giant, Value::Foreign("99999999999999999999".to_owned()));
    }

    #[test]
    fn text_is_taken_apart_by_the_shape_of_its_setting() {
        let text = |text: &str| Value::Text(text.to_owned());
        let read = |shape, text| Value::from_text(shape, text).unwrap();
        assert_eq!(read(Shape::Word, "a, b"), text("a, b"));
        assert_eq!(
            read(Shape::List, "a, b"),
            Value::List(vec![text("a"), text("b")])
        );
        assert_eq!(read(Shape::List, " "), Value::List(Vec::new()));
        assert_eq!(read(Shape::List, "[\"/a,b\"]"), Value::strings(["/a,b"]));
        let table = Value::Table(vec![("status".to_owned(), Value::Integer(201))]);
        assert_eq!(read(Shape::Table, "{ status = 201 }"), table);
        assert!(Value::from_text(Shape::Table, "status=201").is_err());
        assert_eq!(read(Shape::List, "a,b").to_text(), "a,b");
    }
}
