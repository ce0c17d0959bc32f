//! What a proxy takes out of a message's head and what it puts in.
//!
//! Promises: nothing that speaks about one hop reaches the next (RFC 9110, 7.6.1); how a body is framed is decided
//! by the body alone, never by what the other side wrote, so that two parsers cannot disagree on where a message
//! ends; paths and end-to-end headers are not touched. Trust is not decided here: what the client wrote into
//! `X-Forwarded-*` stays, and ours is added.

use std::net::SocketAddr;

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, Entry, HOST, HeaderMap, HeaderName, HeaderValue, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::uri::Authority;
use http::{Method, Version, request, response};
use http_body::Body;
use oncegate::response::is_always_kept;

use super::shape::remove_look_alikes;
use super::tls::OverTls;
use super::upstream::Protocol;

/// The peer of the connection that a request came on; the server puts it into the request's extensions.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PeerAddr(pub SocketAddr);

/// The protocol that a request asks to switch to, if a proxy may pass that on.
///
/// Only GET over HTTP/1.1 can (M-08). `h2c` is never passed on: it would give the client a connection of its own
/// to the upstream, past everything that judges requests here.
pub(super) fn upgrade_of(head: &request::Parts) -> Option<HeaderValue> {
    let asks = head.method == Method::GET
        && head.version == Version::HTTP_11
        && connection_names(&head.headers).any(|name| name == UPGRADE);
    let mut protocols = head.headers.get_all(UPGRADE).iter();
    let (Some(protocol), None, true) = (protocols.next(), protocols.next(), asks) else {
        return None;
    };
    let names_h2c = |value: &str| {
        value
            .split(',')
            .any(|p| p.trim().eq_ignore_ascii_case("h2c"))
    };
    protocol
        .to_str()
        .is_ok_and(|value| !names_h2c(value))
        .then(|| protocol.clone())
}

/// Makes a client's head one of ours, for a hop that speaks `protocol`. The URI is left to the caller.
pub(super) fn prepare_request(head: &mut request::Parts, host: &Authority, protocol: Protocol) {
    let trailers_accepted = accepts_trailers(&head.headers);
    remove_look_alikes(&mut head.headers);
    remove_hop_by_hop(&mut head.headers);
    // The body was read or is being read here; the upstream's 100 would help nobody.
    head.headers.remove(EXPECT);
    if trailers_accepted {
        head.headers
            .insert(TE, HeaderValue::from_static("trailers"));
        if protocol == Protocol::Http1 {
            head.headers
                .insert(CONNECTION, HeaderValue::from_static("TE"));
        }
    }
    add_forwarded(head, host);
    add_via(&mut head.headers, head.version);
}

/// Frames a request by its body: known length, else chunked (HTTP/1) or nothing (HTTP/2).
pub(super) fn frame_request<B: Body>(head: &mut request::Parts, body: &B, protocol: Protocol) {
    let announced = head.headers.remove(CONTENT_LENGTH).is_some();
    let length = if body.is_end_stream() {
        Some(0)
    } else {
        body.size_hint().exact()
    };
    match (length, protocol) {
        (Some(0), Protocol::Http1 | Protocol::Http2) => {
            let expects_content = matches!(head.method, Method::POST | Method::PUT | Method::PATCH);
            if announced || expects_content {
                head.headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
            }
        }
        // HTTP/1 can send trailers only after chunks.
        (Some(_), Protocol::Http1) if head.headers.contains_key(TRAILER) => chunk(head),
        (Some(length), Protocol::Http1 | Protocol::Http2) => {
            head.headers
                .insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        // hyper would send a GET of unknown length without its body, were it not told.
        (None, Protocol::Http1) => chunk(head),
        (None, Protocol::Http2) => {}
    }
}

/// Makes an upstream's head one of ours.
pub(super) fn prepare_response(head: &mut response::Parts) {
    // With both, chunked is what framed the body, and the length is a lie to whoever reads us.
    if head.headers.contains_key(TRANSFER_ENCODING) {
        head.headers.remove(CONTENT_LENGTH);
    }
    remove_hop_by_hop(&mut head.headers);
}

/// `host` as an authority, from the URI if it names one, else from `Host`.
pub(super) fn host_of(head: &request::Parts) -> Option<Authority> {
    if let Some(authority) = head.uri.authority() {
        return Some(authority.clone());
    }
    head.headers
        .get(HOST)
        .and_then(|host| Authority::try_from(host.as_bytes()).ok())
}

fn chunk(head: &mut request::Parts) {
    head.headers
        .insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = connection_names(headers).collect();
    for name in named.iter().filter(|name| !is_end_to_end(name)) {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        // Nearly always none of them is there, and to see that is cheaper than to look each one up.
        if headers.keys().any(|there| *there == name) {
            headers.remove(name);
        }
    }
}

/// The header names that `Connection` lists.
fn connection_names(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    let values = headers.get_all(CONNECTION).iter();
    let lists = values.filter_map(|value| value.to_str().ok());
    lists
        .flat_map(|list| list.split(','))
        .filter_map(|name| name.trim().parse().ok())
}

/// Headers that no client may have removed by naming them in `Connection`: a request must reach the upstream as it
/// was judged, and the fence and the key with it; an answer must keep what it is kept for.
fn is_end_to_end(name: &HeaderName) -> bool {
    is_always_kept(name)
        || END_TO_END.contains(&name.as_str())
        || name.as_str().starts_with("idempotency-")
}

fn accepts_trailers(headers: &HeaderMap) -> bool {
    let values = headers
        .get_all(TE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|list| list.split(','))
        .any(|coding| coding.trim() == "trailers")
}

fn add_forwarded(head: &mut request::Parts, host: &Authority) {
    if let Some(PeerAddr(peer)) = head.extensions.get::<PeerAddr>().copied() {
        append_listed(
            &mut head.headers,
            X_FORWARDED_FOR,
            &peer.ip().to_canonical().to_string(),
        );
    }
    // Whoever stands before us and ends TLS knows better.
    let over_tls = head.extensions.get::<OverTls>().is_some();
    let proto = head.headers.entry(X_FORWARDED_PROTO);
    proto.or_insert(HeaderValue::from_static(if over_tls {
        "https"
    } else {
        "http"
    }));
    if let Entry::Vacant(entry) = head.headers.entry(X_FORWARDED_HOST)
        && let Ok(value) = HeaderValue::from_str(host.as_str())
    {
        entry.insert(value);
    }
}

fn add_via(headers: &mut HeaderMap, version: Version) {
    let received = if version == Version::HTTP_2 {
        "2 oncegate"
    } else if version == Version::HTTP_10 {
        "1.0 oncegate"
    } else {
        "1.1 oncegate"
    };
    append_listed(headers, VIA, received);
}

/// Appends to a list that may be spread over several lines, and joins it on one.
fn append_listed(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    let lines = headers.get_all(&name).iter().map(HeaderValue::as_bytes);
    let list: Vec<&[u8]> = lines.chain([value.as_bytes()]).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&list.join(b", ".as_slice())) {
        headers.insert(name, joined);
    }
}

/// About one hop only. `Trailer` is not among them: it announces what comes to the other end.
const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
];

const END_TO_END: [&str; 11] = [
    "host",
    "authorization",
    "cookie",
    "content-length",
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-api-key",
    "api-key",
];

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;
    use http_body_util::{Empty, Full};

    use super::*;

    fn head(method: &str, headers: &[(&str, &str)]) -> request::Parts {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn sent(headers: &[(&str, &str)]) -> HeaderMap {
        let mut head = head("POST", headers);
        head.extensions
            .insert(PeerAddr("192.0.2.7:1234".parse().unwrap()));
        let host = Authority::from_static("shop.example");
        prepare_request(&mut head, &host, Protocol::Http1);
        head.headers
    }

    #[test]
    fn hop_by_hop_headers_and_those_that_connection_names_go_no_further() {
        let headers = sent(&[
            ("connection", "close, X-Mine"),
            ("connection", "x-too"),
            ("x-mine", "1"),
            ("x-too", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABk"),
            ("expect", "100-continue"),
            ("te", "gzip"),
            ("x-stays", "1"),
        ]);
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "via",
                "x-forwarded-for",
                "x-forwarded-host",
                "x-forwarded-proto",
                "x-stays"
            ]
        );
    }

    #[test]
    fn naming_the_key_the_fence_or_the_credential_in_connection_removes_none_of_them() {
        let headers = sent(&[
            (
                "connection",
                "Idempotency-Key, idempotency-fence, Authorization, Host, X-Forwarded-For",
            ),
            ("idempotency-key", "k"),
            ("idempotency-fence", "7"),
            ("authorization", "a"),
            ("host", "h"),
            ("x-forwarded-for", "198.51.100.1"),
        ]);
        for name in [
            "idempotency-key",
            "idempotency-fence",
            "authorization",
            "host",
        ] {
            assert!(headers.contains_key(name), "{name}");
        }
        assert_eq!(headers["x-forwarded-for"], "198.51.100.1, 192.0.2.7");
    }

    #[test]
    fn te_trailers_is_kept_and_announced_and_nothing_else_of_te() {
        let headers = sent(&[("te", "gzip;q=0.5, trailers")]);
        assert_eq!(headers["te"], "trailers");
        assert_eq!(headers["connection"], "TE");
    }

    #[test]
    fn forwarded_headers_tell_the_peer_and_what_it_asked_for() {
        let headers = sent(&[
            ("via", "1.1 a"),
            ("via", "1.1 b"),
            ("x-forwarded-proto", "https"),
        ]);
        assert_eq!(headers["via"], "1.1 a, 1.1 b, 1.1 oncegate");
        assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "shop.example");
    }

    #[test]
    fn the_body_alone_decides_the_framing() {
        let full = Full::new(Bytes::from_static(b"abc"));
        let smuggled = [("content-length", "99"), ("content-length", "98")];
        let mut lying = head("POST", &smuggled);
        frame_request(&mut lying, &full, Protocol::Http1);
        assert_eq!(lying.headers.get_all("content-length").iter().count(), 1);
        assert_eq!(lying.headers["content-length"], "3");

        let mut announcing = head("POST", &[("trailer", "x-sum")]);
        frame_request(&mut announcing, &full, Protocol::Http1);
        assert_eq!(announcing.headers["transfer-encoding"], "chunked");
        assert!(!announcing.headers.contains_key("content-length"));

        for (method, length) in [("POST", Some("0")), ("GET", None), ("DELETE", None)] {
            let mut empty = head(method, &[]);
            frame_request(&mut empty, &Empty::<Bytes>::new(), Protocol::Http1);
            let seen = empty
                .headers
                .get("content-length")
                .map(|v| v.to_str().unwrap());
            assert_eq!(seen, length, "{method}");
        }
    }

    #[test]
    fn only_a_get_can_ask_for_an_upgrade_and_never_for_h2c() {
        let asks = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
        ];
        assert!(upgrade_of(&head("GET", &asks)).is_some());
        assert!(upgrade_of(&head("POST", &asks)).is_none());
        assert!(upgrade_of(&head("GET", &asks[1..])).is_none());
        for h2c in ["h2c", "H2C", "websocket, h2c"] {
            assert!(
                upgrade_of(&head("GET", &[asks[0], ("upgrade", h2c)])).is_none(),
                "{h2c}"
            );
        }
        assert!(upgrade_of(&head("GET", &[asks[0], asks[1], ("upgrade", "h2c")])).is_none());
    }
}
