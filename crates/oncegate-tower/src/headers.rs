//! Headers that are seldom there, and one that seldom changes.

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Removes the headers that are `unwanted`. Nearly always none of them is there, and to see that in one walk over the
/// names is cheaper than to look each one up. For a fixed few: it walks once more for each name that is found.
pub fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    while let Some(name) = headers.keys().find(|name| unwanted(name)).cloned() {
        headers.remove(name);
    }
}

/// Says that the body is `length` bytes long. Nearly always that is said already, and stays if it is said once and as
/// everybody reads it.
pub fn set_content_length(headers: &mut HeaderMap, length: u64) {
    let mut lines = headers.get_all(CONTENT_LENGTH).iter();
    let is_said = match (lines.next(), lines.next()) {
        (Some(line), None) => plain_number(line) == Some(length),
        (None | Some(_), None | Some(_)) => false,
    };
    if !is_said {
        headers.insert(CONTENT_LENGTH, length.into());
    }
}

/// A number without sign or leading zero.
fn plain_number(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?;
    text.starts_with(|first| matches!(first, '1'..='9'))
        .then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_is_said_twice_or_oddly_is_said_anew() {
        for lines in [&["3"][..], &["3", "3"], &["+3"], &["03"], &["4"], &[]] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(CONTENT_LENGTH, HeaderValue::from_static(line));
            }
            set_content_length(&mut headers, 3);
            let said: Vec<_> = headers.get_all(CONTENT_LENGTH).iter().collect();
            assert_eq!(said, ["3"], "{lines:?}");
        }
    }

    #[test]
    fn all_unwanted_headers_go_and_the_others_stay() {
        let mut headers = HeaderMap::new();
        for name in ["range", "x-a", "range", "expect"] {
            headers.append(name, HeaderValue::from_static("1"));
        }
        remove_where(&mut headers, |name| {
            matches!(name.as_str(), "range" | "expect")
        });
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["x-a"]);
    }
}
