//! Stored responses: garbage is an error, and what can be read is written and read again as the same.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use oncegate::StoredResponse;
use oncegate::response::{
    ResponseError, ResponseParts, is_always_kept, is_kept, named_by_connection,
};

/// The same bytes twice: as a stored response, and as a recipe for an answer to be stored.
pub(crate) fn run(input: &[u8]) {
    let stored = StoredResponse::from_bytes(input.to_vec());
    match stored.parts() {
        Ok(parts) => written_again(&parts),
        Err(ResponseError::Version(version)) => assert!(version != 1 && input[0] == version),
        Err(ResponseError::Damaged) => assert!(input.first().is_none_or(|version| *version == 1)),
        Err(error) => panic!("{error} is a new error"),
    }
    assert_eq!(stored.without_body().is_ok(), stored.parts().is_ok());
    written_again(&recipe(input));
}

fn written_again(parts: &ResponseParts) {
    let origin = parts.origin.as_ref();
    let write = |parts: &ResponseParts| {
        let fields = (&parts.headers, &parts.trailers);
        StoredResponse::kept(parts.status, fields.0, origin, &parts.body, fields.1)
    };
    let stored = write(parts);
    let read = stored.parts().expect("what was written can be read");
    assert_eq!(read.status, parts.status);
    assert!(read.kept);
    assert_eq!(read.body, parts.body);
    let short = origin.filter(|origin| origin.len() <= 4_096);
    assert_eq!(
        read.origin.as_ref(),
        short.filter(|origin| !origin.is_empty())
    );
    let named = named_by_connection(&parts.headers);
    assert_eq!(read.headers, only_kept(&parts.headers, &named));
    assert_eq!(read.trailers, only_kept(&parts.trailers, &named));
    // Nothing is left to be dropped: from here on the bytes stay what they are.
    assert_eq!(write(&read), stored);

    let bare = stored.without_body().expect("it can be read");
    let bare = bare.parts().expect("what was written can be read");
    assert!(!bare.kept && bare.body.is_empty() && bare.trailers.is_empty());
    assert_eq!(bare.status, parts.status);
    let location: Vec<_> = read.headers.get_all("location").iter().collect();
    assert_eq!(
        bare.headers.get_all("location").iter().collect::<Vec<_>>(),
        location
    );
    assert_eq!(bare.headers.len(), location.len());
}

fn only_kept(fields: &HeaderMap, named: &[HeaderName]) -> HeaderMap {
    let is_named = |name: &HeaderName| named.contains(name);
    let kept = fields.iter().filter(|(name, _)| is_kept(name));
    let kept = kept.filter(|(name, _)| !is_named(name) || is_always_kept(name));
    kept.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// An answer: status, then lines of `name:value`, an empty line, trailers, an empty line, the body.
fn recipe(input: &[u8]) -> ResponseParts {
    let empty = StoredResponse::not_kept(StatusCode::OK, &HeaderMap::new());
    let mut parts = empty.parts().expect("it was just written");
    let Some((status, mut rest)) = input.split_first_chunk::<2>() else {
        return parts;
    };
    let status = 100 + u16::from_be_bytes(*status) % 900;
    parts.status = StatusCode::from_u16(status).expect("it has three digits");
    parts.headers = take_fields(&mut rest);
    parts.origin = parts.headers.get("origin").cloned();
    parts.trailers = take_fields(&mut rest);
    parts.body = rest.to_vec().into();
    parts
}

fn take_fields(text: &mut &[u8]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    while let Some(at) = text.iter().position(|byte| *byte == b'\n') {
        let (line, rest) = text.split_at(at);
        *text = &rest[1..];
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(0);
        let name = HeaderName::from_bytes(&line[..colon]);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(&line[colon + 1..])) {
            fields.append(name, value);
        }
    }
    fields
}
