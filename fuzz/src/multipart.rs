//! Multipart bodies: two of them have one canonical digest exactly if a slow reader finds the same parts in them,
//! whatever their boundaries are and however they are cut.

use http::{HeaderMap, HeaderValue, Method, Uri, header};
use oncegate::fingerprint::{Fingerprint, FingerprintRules, Fingerprinter};
use oncegate::hash::HashKey;

use crate::choice::Choices;

/// The first line is the media type, the rest the body.
pub(crate) fn run(input: &[u8]) {
    let line_end = input.iter().position(|byte| *byte == b'\n');
    let (media_type, body) = input.split_at(line_end.unwrap_or(input.len()));
    let body = body.get(1..).unwrap_or_default();
    let Ok(media_type) = HeaderValue::from_bytes(media_type) else {
        return;
    };
    let mut choices = Choices::from_input(input);
    let print = pieces(&media_type, vec![body]);
    assert_eq!(pieces(&media_type, choices.cut(body)), print);
    let each: Vec<_> = body.chunks(1).collect();
    assert_eq!(pieces(&media_type, each), print);

    // What the parameter of the media type may look like is left to the code under test; with this one, nothing is.
    let plain = media_type_of(BOUNDARY);
    if media_type == plain {
        plain_boundary(body, &print, &mut choices);
    }
}

fn plain_boundary(body: &[u8], print: &Fingerprint, choices: &mut Choices) {
    let read = read(body, BOUNDARY);
    assert_eq!(print.canonical().is_some(), read.is_some(), "{read:?}");
    let Some(read) = read else {
        return;
    };
    for boundary in [
        "c",
        "bb",
        "----WebKitFormBoundary7MA4YWxkTrZu0gW",
        "a b:('+)",
    ] {
        // Some other boundary stands in the parts: with it they would be others.
        if !contains(body, boundary.as_bytes()) {
            let again = pieces(&media_type_of(boundary), vec![&write(&read, boundary)]);
            assert_eq!(again.canonical(), print.canonical(), "{boundary}");
            assert!(again.same_request(print));
        }
    }
    for _ in 0..4 {
        let mut changed = body.to_vec();
        change(&mut changed, choices);
        let other = pieces(&media_type_of(BOUNDARY), vec![&changed]);
        let found = self::read(&changed, BOUNDARY);
        assert_eq!(other.canonical().is_some(), found.is_some(), "{found:?}");
        if let Some(found) = found {
            assert_eq!(
                other.canonical() == print.canonical(),
                found == read,
                "{found:?}"
            );
        }
    }
}

fn media_type_of(boundary: &str) -> HeaderValue {
    let text = format!("multipart/form-data; boundary=\"{boundary}\"");
    HeaderValue::try_from(text).expect("a boundary is visible ASCII")
}

fn pieces(media_type: &HeaderValue, pieces: Vec<&[u8]>) -> Fingerprint {
    let key = HashKey::from_secret(b"a secret for fuzzing");
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, media_type.clone());
    let (uri, rules) = (Uri::from_static("/files"), FingerprintRules::default());
    let mut it = Fingerprinter::new(&key, &Method::POST, &uri, &headers, &rules);
    pieces.into_iter().for_each(|piece| it.update(piece));
    it.finish()
}

/// What a body says.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Parts {
    /// `None`: it begins with the first delimiter, and nothing is before it.
    preamble: Option<Vec<u8>>,
    parts: Vec<Part>,
    epilogue: Vec<u8>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Part {
    /// Names in lower case, values without the space around them.
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    content: Vec<u8>,
}

/// Reads a whole body that lies in memory, delimiter by delimiter.
fn read(body: &[u8], boundary: &str) -> Option<Parts> {
    let dashes = format!("--{boundary}").into_bytes();
    let delimiter = [b"\r\n", &*dashes].concat();
    let (preamble, mut rest) = match body.strip_prefix(&*dashes) {
        Some(rest) => (None, rest),
        None => {
            let (before, rest) = split_at_first(body, &delimiter)?;
            (Some(before.to_vec()), rest)
        }
    };
    let mut parts = Vec::new();
    loop {
        let (line, after) = match split_at_first(rest, b"\r\n") {
            Some((line, after)) => (line, Some(after)),
            None => (rest, None),
        };
        let is_last = line.starts_with(b"--");
        let padding = if is_last { &line[2..] } else { line };
        if !padding.iter().all(|byte| b" \t".contains(byte)) {
            return None;
        }
        if is_last {
            return Some(Parts {
                preamble,
                parts,
                epilogue: after.unwrap_or_default().to_vec(),
            });
        }
        let (headers, content) = read_headers(after?, &dashes)?;
        let (content, after) = split_at_first(content, &delimiter)?;
        parts.push(Part {
            headers,
            content: content.to_vec(),
        });
        rest = after;
    }
}

type Headers = Vec<(Vec<u8>, Vec<u8>)>;

fn read_headers<'b>(text: &'b [u8], dashes: &[u8]) -> Option<(Headers, &'b [u8])> {
    let mut headers = Vec::new();
    let mut rest = text;
    loop {
        let (line, after) = split_at_first(rest, b"\r\n")?;
        rest = after;
        if text.len() - rest.len() > 16 * 1024 {
            return None;
        }
        if line.is_empty() {
            return Some((headers, rest));
        }
        let is_control = |byte: &u8| *byte != b'\t' && (*byte < b' ' || *byte == 0x7f);
        if line.starts_with(dashes) || line.iter().any(is_control) {
            return None;
        }
        let (name, value) = split_at_first(line, b":")?;
        let is_token =
            |byte: &u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(byte);
        if name.is_empty() || !name.iter().all(is_token) {
            return None;
        }
        headers.push((name.to_ascii_lowercase(), value.trim_ascii().to_vec()));
    }
}

fn write(body: &Parts, boundary: &str) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(preamble) = &body.preamble {
        out.extend_from_slice(preamble);
        out.extend_from_slice(b"\r\n");
    }
    for part in &body.parts {
        out.extend_from_slice(format!("--{boundary} \t\r\n").as_bytes());
        for (name, value) in &part.headers {
            out.extend([name, &b": "[..], value, b"\r\n"].concat());
        }
        out.extend([b"\r\n", &*part.content, b"\r\n"].concat());
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    out.extend_from_slice(&body.epilogue);
    out
}

fn split_at_first<'b>(text: &'b [u8], mark: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let at = text.windows(mark.len()).position(|it| it == mark)?;
    Some((&text[..at], &text[at + mark.len()..]))
}

fn contains(text: &[u8], mark: &[u8]) -> bool {
    split_at_first(text, mark).is_some()
}

/// A small change somewhere. What it means, the slow reader says.
fn change(body: &mut Vec<u8>, choices: &mut Choices) {
    const LIKELY: &[&[u8]] = &[
        b"\r\n", b"\r", b"\n", b"--b", b"-", b":", b" ", b"\t", b"a", b"A", b"\0",
    ];
    let at = choices.below(body.len());
    match choices.below(3) {
        0 => drop(body.remove(at)),
        1 => drop(body.splice(at..at, choices.of(LIKELY).iter().copied())),
        _ => body[at] = choices.of(LIKELY)[0],
    }
}

const BOUNDARY: &str = "b";
