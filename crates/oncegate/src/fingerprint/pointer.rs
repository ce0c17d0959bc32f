//! JSON pointers (RFC 6901): the places in a body that a route leaves out of the comparison.

use std::fmt;
use std::str::FromStr;

/// A place in a JSON document. It shows as it was written.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct JsonPointer {
    text: String,
    tokens: Vec<Token>,
}

/// Why a text is no JSON pointer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonPointerError {
    /// It is not empty and does not start with `/`.
    #[error("the JSON pointer `{pointer}` does not start with `/`")]
    NoSlash {
        /// The text as given.
        pointer: String,
    },
    /// A `~` is followed by neither `0` nor `1`.
    #[error("a `~` in the JSON pointer `{pointer}` is not followed by `0` or `1`")]
    BadEscape {
        /// The text as given.
        pointer: String,
    },
}

impl JsonPointer {
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// One for each level; none at all if this is the whole document.
    pub(super) fn tokens(&self) -> &[Token] {
        &self.tokens
    }
}

impl FromStr for JsonPointer {
    type Err = JsonPointerError;

    fn from_str(text: &str) -> Result<Self, JsonPointerError> {
        let mut steps = text.split('/');
        if steps.next().is_none_or(|before| !before.is_empty()) {
            return Err(JsonPointerError::NoSlash {
                pointer: text.to_owned(),
            });
        }
        let tokens = steps.map(Token::read).collect::<Option<_>>();
        let Some(tokens) = tokens else {
            return Err(JsonPointerError::BadEscape {
                pointer: text.to_owned(),
            });
        };
        Ok(Self {
            text: text.to_owned(),
            tokens,
        })
    }
}

impl fmt::Display for JsonPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One step down: to a member by its name, or to an element if the name is a number.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Token {
    name: String,
    index: Option<usize>,
}

impl Token {
    pub(super) fn is_name(&self, name: &[u8]) -> bool {
        self.name.as_bytes() == name
    }

    pub(super) fn is_index(&self, index: usize) -> bool {
        self.index == Some(index)
    }

    fn read(escaped: &str) -> Option<Self> {
        let mut pieces = escaped.split('~');
        let mut name = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let mut rest = piece.chars();
            name.push(match rest.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            });
            name.push_str(rest.as_str());
        }
        // Only the shortest spelling is an index: `01` and `+1` are names.
        let index = name
            .parse()
            .ok()
            .filter(|index: &usize| index.to_string() == name);
        Some(Self { name, index })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_read_as_names_and_indices() {
        type Step<'t> = (&'t str, Option<usize>);
        let table: [(&str, &[Step<'_>]); 7] = [
            ("", &[]),
            ("/", &[("", None)]),
            ("/a/b", &[("a", None), ("b", None)]),
            ("/a~1b/~0/~01", &[("a/b", None), ("~", None), ("~1", None)]),
            ("/0/10", &[("0", Some(0)), ("10", Some(10))]),
            ("/01/-/+1", &[("01", None), ("-", None), ("+1", None)]),
            ("/a//", &[("a", None), ("", None), ("", None)]),
        ];
        for (text, expected) in table {
            let pointer: JsonPointer = text.parse().unwrap();
            let read: Vec<_> = pointer.tokens.iter().map(|t| (&*t.name, t.index)).collect();
            assert_eq!(read, expected, "{text}");
            assert_eq!(pointer.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        let parse = |text: &str| text.parse::<JsonPointer>();
        let no_slash = JsonPointerError::NoSlash {
            pointer: "a/b".to_owned(),
        };
        assert_eq!(parse("a/b"), Err(no_slash));
        for text in ["/~", "/a~2", "/~~0", "/a/b~"] {
            let bad = JsonPointerError::BadEscape {
                pointer: text.to_owned(),
            };
            assert_eq!(parse(text), Err(bad));
        }
    }
}
