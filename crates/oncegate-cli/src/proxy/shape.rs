//! What a request's head must look like before anybody judges it.
//!
//! hyper has read it by then and has refused most of what two parsers read differently: differing or odd lengths,
//! folded lines, bare CR, spaces before a colon, chunks in HTTP/1.0. Of a length beside chunks it drops the length and
//! ends the connection after the answer (RFC 9112, 6.1). Promises: what it lets pass and could still be read in two
//! ways is refused here, and nothing of it is judged, recorded or sent. It deliberately does not look at bodies.

use http::header::{HOST, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

/// Whether a head can be read in one way only.
pub(super) fn is_plain<B>(request: &Request<B>) -> bool {
    has_one_host(request)
        && has_plain_target(request.method(), request.uri(), request.version())
        && has_plain_coding(request.headers())
}

/// Removes headers that an origin could take for others. CGI, WSGI and their like make one variable of `X-Y` and
/// `X_Y`: a key, a fence or an address with an underscore would stand in place of the one that was judged or set.
pub(super) fn remove_look_alikes(headers: &mut HeaderMap) {
    let is_look_alike = |name: &&HeaderName| {
        if !name.as_str().as_bytes().contains(&b'_') {
            return false;
        }
        let meant = name.as_str().replace('_', "-");
        headers.contains_key(&meant) || counts(&meant)
    };
    let look_alikes: Vec<HeaderName> = headers.keys().filter(is_look_alike).cloned().collect();
    for name in look_alikes {
        headers.remove(name);
    }
}

/// More than one `Host`, or none, is how two parsers are made to disagree on what was asked for (RFC 9112, 3.2). So
/// is one that is more than a host and a port.
fn has_one_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => request.version() != Version::HTTP_11 || request.uri().authority().is_some(),
        (Some(host), None) => host.is_empty() || is_plain_host(host),
        (Some(_), Some(_)) => false,
    }
}

fn is_plain_host(host: &HeaderValue) -> bool {
    Authority::try_from(host.as_bytes()).is_ok_and(|authority| has_no_user(&authority))
}

/// A user before the host is no part of a target (RFC 9110, 4.2.4), and some readers take it for the host.
fn has_no_user(authority: &Authority) -> bool {
    !authority.as_str().contains('@')
}

/// A path; a URL of HTTP; `*` for OPTIONS; a host for CONNECT.
fn has_plain_target(method: &Method, uri: &Uri, version: Version) -> bool {
    if !uri.authority().is_none_or(has_no_user) {
        return false;
    }
    if method == Method::CONNECT {
        return true;
    }
    let is_url = match uri.scheme_str() {
        Some(scheme) => matches!(scheme, "http" | "https"),
        // `POST host` is the form of CONNECT.
        None => uri.authority().is_none() || version == Version::HTTP_2,
    };
    is_url && (uri.path().starts_with('/') || (uri.path() == "*" && method == Method::OPTIONS))
}

/// hyper asks only that the last coding is `chunked`. All that stands before it would be taken away with the header,
/// and the origin would read what is still coded.
fn has_plain_coding(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

/// Headers that say how a message ends, whom it is from, or what we say of it. `api_key` and `idempotency_key` are none
/// of them: there are APIs that call theirs so, and a request with such a key alone is the origin's to recognise.
fn counts(name: &str) -> bool {
    const COUNTING: [&str; 12] = [
        "content-length",
        "content-type",
        "content-encoding",
        "transfer-encoding",
        "keep-alive",
        "proxy-connection",
        "http2-settings",
        "x-real-ip",
        "idempotency-fence",
        "idempotency-status",
        "idempotency-outcome",
        "idempotent-replayed",
    ];
    COUNTING.contains(&name) || name.starts_with("x-forwarded-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_left(names: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for name in names {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_static("x"),
            );
        }
        remove_look_alikes(&mut headers);
        headers.keys().map(HeaderName::to_string).collect()
    }

    #[test]
    fn a_header_with_an_underscore_stays_unless_it_could_be_taken_for_another() {
        assert_eq!(names_left(&["api_key", "user_id"]), ["api_key", "user_id"]);
        assert_eq!(names_left(&["idempotency_key"]), ["idempotency_key"]);
        assert_eq!(
            names_left(&["idempotency_key", "idempotency-key"]),
            ["idempotency-key"]
        );
        assert_eq!(names_left(&["api_key", "api-key"]), ["api-key"]);
        assert_eq!(names_left(&["a_b-c", "a-b-c", "a_b_c"]), ["a-b-c"]);
        for name in [
            "idempotency_fence",
            "x_forwarded-for",
            "content_length",
            "transfer_encoding",
        ] {
            assert_eq!(names_left(&[name]), [""; 0], "{name}");
        }
    }
}
