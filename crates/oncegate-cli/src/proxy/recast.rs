//! A request for the other version of HTTP than the one that it was made for.
//!
//! Over TLS it is the connection that decides which is spoken, and the request is made before there is one. Promises:
//! the request stays the same one, for the same target, with the same end-to-end headers; how its body is framed is
//! decided anew, by the body alone. A request that asks for an upgrade is never made for HTTP/2.

use http::header::{CONNECTION, HOST, HeaderValue, TE, TRANSFER_ENCODING};
use http::uri::{self, Authority, Scheme};
use http::{Method, Request, Uri, Version, request};
use http_body::Body;

use super::answer::NoAnswer;
use super::headers::frame_request;
use super::upstream::Protocol;

/// Makes `request` one for `protocol`, if it is not. Where HTTP/2 has no place for its `Host`, that is `own`: the name
/// of the upstream.
pub(super) fn recast<B: Body>(
    request: Request<B>,
    protocol: Protocol,
    own: &Authority,
) -> Result<Request<B>, NoAnswer> {
    if (request.version() == Version::HTTP_2) == (protocol == Protocol::Http2) {
        return Ok(request);
    }
    let (mut head, body) = request.into_parts();
    match protocol {
        Protocol::Http1 => for_http1(&mut head)?,
        Protocol::Http2 => for_http2(&mut head, own)?,
    }
    if head.method != Method::CONNECT {
        frame_request(&mut head, &body, protocol);
    }
    Ok(Request::from_parts(head, body))
}

/// `:authority` becomes `Host`, and the target is the path alone.
fn for_http1(head: &mut request::Parts) -> Result<(), NoAnswer> {
    head.version = Version::HTTP_11;
    if let Some(authority) = head.uri.authority() {
        let host = HeaderValue::from_str(authority.as_str()).map_err(NoAnswer::not_sent)?;
        head.headers.insert(HOST, host);
    }
    if head.headers.contains_key(TE) {
        head.headers
            .insert(CONNECTION, HeaderValue::from_static("TE"));
    }
    if head.method == Method::CONNECT {
        return Ok(());
    }
    let mut parts = uri::Parts::default();
    parts.path_and_query = head.uri.path_and_query().cloned();
    head.uri = Uri::from_parts(parts).map_err(NoAnswer::not_sent)?;
    Ok(())
}

/// `Host` becomes `:authority`, and nothing speaks about the connection.
fn for_http2(head: &mut request::Parts, own: &Authority) -> Result<(), NoAnswer> {
    head.version = Version::HTTP_2;
    head.headers.remove(CONNECTION);
    head.headers.remove(TRANSFER_ENCODING);
    let host = head.headers.remove(HOST);
    if head.method == Method::CONNECT {
        return Ok(());
    }
    let mut parts = std::mem::take(&mut head.uri).into_parts();
    parts.scheme = Some(Scheme::HTTPS);
    if let Some(host) = host {
        let authority = Authority::try_from(host.as_bytes());
        parts.authority = Some(authority.unwrap_or_else(|_| own.clone()));
    }
    head.uri = Uri::from_parts(parts).map_err(NoAnswer::not_sent)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{Empty, Full};

    use super::*;

    /// Headers sorted: their order means nothing.
    fn lines<B>(request: &Request<B>) -> Vec<String> {
        let (version, method, uri) = (request.version(), request.method(), request.uri());
        let headers = request.headers().iter();
        let mut headers: Vec<String> = headers
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        headers.sort_unstable();
        headers.insert(0, format!("{version:?} {method} {uri}"));
        headers
    }

    fn check<B: Body>(request: request::Builder, body: B, expected: &[&str]) {
        let request = request.body(body).unwrap();
        let before = lines(&request);
        let there = if request.version() == Version::HTTP_2 {
            [Protocol::Http1, Protocol::Http2]
        } else {
            [Protocol::Http2, Protocol::Http1]
        };
        let own = Authority::from_static("own");
        let request = recast(request, there[0], &own).unwrap();
        assert_eq!(lines(&request), expected);
        let again = recast(request, there[0], &own).unwrap();
        assert_eq!(lines(&again), expected);
        assert_eq!(lines(&recast(again, there[1], &own).unwrap()), before);
    }

    #[test]
    fn a_request_keeps_its_target_and_its_headers_in_either_version_and_back() {
        let full = || Full::new(Bytes::from_static(b"abc"));
        check(
            Request::post("/a?b")
                .header("host", "h:1")
                .header("x", "y")
                .header("content-length", 3),
            full(),
            &["HTTP/2.0 POST https://h:1/a?b", "content-length: 3", "x: y"],
        );
        check(
            Request::post("/a")
                .header("te", "trailers")
                .header("trailer", "x-sum")
                .header("host", "h")
                .header("connection", "TE")
                .header("transfer-encoding", "chunked"),
            full(),
            &[
                "HTTP/2.0 POST https://h/a",
                "content-length: 3",
                "te: trailers",
                "trailer: x-sum",
            ],
        );
        check(
            Request::get("https://h/a").version(Version::HTTP_2),
            Empty::<Bytes>::new(),
            &["HTTP/1.1 GET /a", "host: h"],
        );
        check(
            Request::connect("h:1").header("host", "h:1"),
            Empty::<Bytes>::new(),
            &["HTTP/2.0 CONNECT h:1"],
        );
    }
}
