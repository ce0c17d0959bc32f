//! Parts of requests as people write them: header lines, bodies, `METHOD PATH`.

use std::io::Read;
use std::path::Path;

use oncegate_check::case::Variant;
use oncegate_check::operation::Form;

/// A header line, taken apart.
pub(super) type Field = (String, Vec<u8>);

/// `NAME: VALUE`.
pub(super) fn field(line: &str) -> Result<Field, String> {
    let wrong = || format!("{line:?} is no header line: NAME: VALUE");
    let (name, value) = line.split_once(':').ok_or_else(wrong)?;
    let name = name.trim();
    let known = http::HeaderName::try_from(name).map_err(|_| wrong())?;
    if OURS.contains(&known.as_str()) {
        return Err(format!("{name} is set by the check itself"));
    }
    let value = value.trim();
    if value.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(wrong());
    }
    Ok((name.to_owned(), value.as_bytes().to_vec()))
}

/// `METHOD PATH`, with or without a body behind it.
pub(super) fn request(line: &str) -> Result<(String, String, Option<&str>), String> {
    let wrong = || format!("{line:?} is no request: METHOD /PATH");
    let (method, rest) = line.trim().split_once(' ').ok_or_else(wrong)?;
    let (target, body) = match rest.trim_start().split_once(' ') {
        Some((target, body)) => (target, Some(body.trim_start())),
        None => (rest.trim_start(), None),
    };
    let is_method = http::Method::from_bytes(method.as_bytes()).is_ok();
    if !is_method || !target.starts_with('/') {
        return Err(wrong());
    }
    Ok((method.to_owned(), target.to_owned(), body))
}

/// `GET PATH`, or the path alone.
pub(super) fn probe(line: &str) -> Result<String, String> {
    let target = line.strip_prefix("GET ").unwrap_or(line).trim();
    if target.starts_with('/') && !target.contains(' ') {
        Ok(target.to_owned())
    } else {
        Err(format!("{line:?} is no request that counts: GET /PATH"))
    }
}

/// A body as curl takes it: the text itself, `@FILE`, or standard input for `@-` and `-`. Bytes stay as they are.
pub(crate) fn body(written: &str) -> Result<Vec<u8>, String> {
    match written.strip_prefix('@') {
        None if written != "-" => Ok(written.as_bytes().to_vec()),
        None | Some("-") => {
            let mut body = Vec::new();
            let read = std::io::stdin().lock().read_to_end(&mut body);
            read.map_err(|error| format!("standard input: {error}"))?;
            Ok(body)
        }
        Some(file) => read(Path::new(file)),
    }
}

/// A file's bytes.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))
}

/// Says what the body is, if nobody did.
pub(super) fn with_content_type(mut form: Form) -> Form {
    let typed = form
        .fields
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if !typed && !form.body.is_empty() {
        let kind = content_type(&form.body);
        let field = ("Content-Type".to_owned(), kind.as_bytes().to_vec());
        form.fields.push(field);
    }
    form
}

/// A placeholder in place of a number is no JSON yet, but it is meant as such.
pub(crate) fn content_type(body: &[u8]) -> &'static str {
    let text = String::from_utf8_lossy(body).replace("{{n}}", "1");
    if serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok() {
        "application/json"
    } else {
        "application/x-www-form-urlencoded"
    }
}

/// The form of that name.
pub(super) fn variant(name: &str) -> Option<Variant> {
    forms().find(|variant| variant.name() == name)
}

/// All forms that can be given beside the plain one.
pub(super) fn forms() -> impl Iterator<Item = Variant> {
    let plain = |variant: &Variant| *variant == Variant::Plain;
    Variant::ALL
        .into_iter()
        .filter(move |variant| !plain(variant))
}

/// What the check writes, or leaves out, on purpose.
const OURS: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "idempotency-key",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_line_has_a_name_and_a_value() {
        let authorization = ("Authorization".to_owned(), b"Bearer a:b".to_vec());
        assert_eq!(field("Authorization:  Bearer a:b "), Ok(authorization));
        for wrong in ["Authorization", "a b: c", ": x", "X: a\r\nY: b"] {
            assert!(field(wrong).is_err(), "{wrong:?}");
        }
        assert!(
            field("Host: example.com").is_err(),
            "it is set by the check"
        );
    }

    #[test]
    fn a_request_may_have_a_body_behind_it() {
        let post = "POST".to_owned();
        let line = |target: &str, body| Ok((post.clone(), target.to_owned(), body));
        assert_eq!(request("POST /a?b=c"), line("/a?b=c", None));
        assert_eq!(
            request(r#"POST /a {"b": 1}"#),
            line("/a", Some(r#"{"b": 1}"#))
        );
        for wrong in ["/a", "POST a", "PO(ST /a", ""] {
            assert!(request(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_body_with_a_placeholder_is_still_json() {
        assert_eq!(content_type(br#"{"n":{{n}}}"#), "application/json");
        assert_eq!(content_type(b"a=1"), "application/x-www-form-urlencoded");
    }
}
