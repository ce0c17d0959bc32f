//! Where a count is in a document, as people write it: `$.data.length`, or a JSON pointer.

use std::str::FromStr;

use crate::operation::Count;

/// A path that leads to no count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no path to a count: write $.length, $.data.length, $.total, or a JSON pointer")]
pub struct InvalidCount(String);

impl FromStr for Count {
    type Err = InvalidCount;

    /// `length` as the last step is the number of elements of the list before it.
    fn from_str(text: &str) -> Result<Self, InvalidCount> {
        let invalid = || InvalidCount(text.to_owned());
        let pointer = match text.strip_prefix('$') {
            Some(steps) => pointer(steps).ok_or_else(invalid)?,
            None if text.is_empty() || text.starts_with('/') => text.to_owned(),
            None => return Err(invalid()),
        };
        Ok(match pointer.strip_suffix("/length") {
            Some(list) => Self::Length(list.to_owned()),
            None => Self::Number(pointer),
        })
    }
}

/// `.data[0].items` as a JSON pointer.
fn pointer(steps: &str) -> Option<String> {
    let mut pointer = String::new();
    let mut rest = steps;
    while !rest.is_empty() {
        let (step, after) = match rest.strip_prefix('[') {
            Some(index) => {
                let (index, after) = index.split_once(']')?;
                index.parse::<usize>().ok()?;
                (index, after)
            }
            None => {
                let name = rest.strip_prefix('.')?;
                name.split_at(name.find(['.', '[']).unwrap_or(name.len()))
            }
        };
        if step.is_empty() {
            return None;
        }
        pointer.push('/');
        pointer.push_str(&step.replace('~', "~0").replace('/', "~1"));
        rest = after;
    }
    Some(pointer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_counts_a_list_or_is_a_number() {
        let length = |pointer: &str| Ok(Count::Length(pointer.to_owned()));
        let number = |pointer: &str| Ok(Count::Number(pointer.to_owned()));
        for (text, count) in [
            ("$.length", length("")),
            ("$.data.length", length("/data")),
            ("$.pages[0].items.length", length("/pages/0/items")),
            ("$.total", number("/total")),
            ("$", number("")),
            ("/meta/total", number("/meta/total")),
            ("/data/length", length("/data")),
        ] {
            assert_eq!(text.parse::<Count>(), count, "{text}");
        }
        for text in ["total", "$total", "$.", "$..a", "$[x]", "$[1"] {
            assert_eq!(text.parse::<Count>(), Err(InvalidCount(text.to_owned())));
        }
    }
}
