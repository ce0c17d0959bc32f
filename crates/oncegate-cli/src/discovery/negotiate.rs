//! Which of two forms a client prefers (RFC 9110, 12.5.1).
//!
//! Promises: the most specific range that matches a type counts, and of two types that are wanted alike the document
//! for machines is sent: a client that names nothing is one. Deliberately absent: 406. A client that wants neither is
//! better served with JSON than with a refusal.

use http::HeaderMap;
use http::header::ACCEPT;

/// The form of an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// For machines.
    Json,
    /// For browsers.
    Html,
}

impl Form {
    /// What the request prefers.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(ACCEPT).iter();
        let ranges: Vec<Range<'_>> = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .filter_map(Range::read)
            .collect();
        if quality(&ranges, ("text", "html")) > quality(&ranges, ("application", "json")) {
            Self::Html
        } else {
            Self::Json
        }
    }
}

/// A media range, and how much it is wanted in thousandths.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    quality: u16,
}

impl<'a> Range<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let weight = parts.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim_end().eq_ignore_ascii_case("q").then_some(value)
        });
        Some(Self {
            kind,
            subtype,
            quality: weight.map_or(Some(1000), |text| thousandths(text.trim_start()))?,
        })
    }

    /// How closely it matches; nothing if it does not.
    fn specificity(&self, (kind, subtype): (&str, &str)) -> Option<u8> {
        match (self.kind, self.subtype) {
            ("*", "*") => Some(0),
            (own, "*") if own.eq_ignore_ascii_case(kind) => Some(1),
            (own, sub) => {
                (own.eq_ignore_ascii_case(kind) && sub.eq_ignore_ascii_case(subtype)).then_some(2)
            }
        }
    }
}

/// `0`, `1`, or one of these with up to three digits behind the point.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let is_weight = matches!(whole, "0" | "1") && rest.len() <= 3;
    if !is_weight || !rest.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let digits = format!("{whole}{rest:0<3}");
    digits.parse().ok().filter(|weight| *weight <= 1000)
}

fn quality(ranges: &[Range<'_>], media_type: (&str, &str)) -> u16 {
    let matching = ranges
        .iter()
        .filter_map(|range| Some((range.specificity(media_type)?, range.quality)));
    matching.max().map_or(0, |(_, quality)| quality)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &[&str], wanted: Form) {
        let mut headers = HeaderMap::new();
        for line in accept {
            headers.append(ACCEPT, line.parse().unwrap());
        }
        assert_eq!(Form::wanted(&headers), wanted, "{accept:?}");
    }

    #[test]
    fn a_browser_gets_the_page_and_everybody_else_the_document() {
        check(
            &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
            Form::Html,
        );
        for accept in [
            &[][..],
            &["*/*"],
            &["application/json"],
            &["image/png"],
            &[""],
        ] {
            check(accept, Form::Json);
        }
    }

    #[test]
    fn weights_decide_and_the_most_specific_range_counts() {
        check(&["text/html;q=0.4, application/json;q=0.5"], Form::Json);
        check(&["text/html;q=0.5, application/json;q=0.4"], Form::Html);
        check(&["text/html;q=0, */*"], Form::Json);
        check(&["text/*;q=0.2, */*;q=0.1"], Form::Html);
        check(&["*/*;q=0.9, text/html;q=0.1"], Form::Json);
        check(&["application/json;q=0", "TEXT/HTML ; Q=0.001"], Form::Html);
        check(&["text/html;level=1;q=0.3"], Form::Html);
        check(&["text/html, application/json"], Form::Json);
        for wrong in ["2", "1.001", "0.1234", "x", "-0"] {
            check(&[&format!("text/html;q={wrong}")], Form::Json);
        }
    }
}
