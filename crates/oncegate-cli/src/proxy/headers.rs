//! What a proxy takes out of a message's head and what it puts in.
//!
//! Promises: nothing that speaks about one hop reaches the next (RFC 9110, 7.6.1); how a body is framed is decided
//! by the body alone, never by what the other side wrote, so that two parsers cannot disagree on where a message
//! ends; paths and end-to-end headers are not touched. Whether what a client says of the hops before us is believed
//! is not decided here but by the operator: [`Forwarded`].

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, Entry, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::uri::Authority;
use http::{Method, Version, request, response};
use http_body::Body;
use oncegate::response::{is_always_kept, named_by_connection};
use oncegate_tower::headers::{remove_where, set_content_length};

use super::shape::remove_look_alikes;
use super::tls::OverTls;
use super::upstream::Protocol;

/// The peer of the connection that a request came on; the server puts it into the request's extensions.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct PeerAddr {
    ip: IpAddr,
    /// As headers have it: written once for all requests of a connection.
    shown: HeaderValue,
}

impl PeerAddr {
    pub(super) fn new(peer: SocketAddr) -> Self {
        let shown = peer.ip().to_canonical().to_string();
        Self {
            ip: peer.ip(),
            shown: HeaderValue::try_from(shown).expect("an address is a header value"),
        }
    }

    /// Where it is.
    #[must_use]
    pub const fn ip(&self) -> IpAddr {
        self.ip
    }
}

/// What becomes of that which a request says of the hops before us: `Forwarded` and `X-Forwarded-*`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Forwarded {
    /// It stays, and ours is added: whoever stands before us is trusted.
    #[default]
    Append,
    /// It is dropped, and ours takes its place: clients connect to us themselves.
    Replace,
}

/// The protocol that a request asks to switch to, if a proxy may pass that on.
///
/// Only GET over HTTP/1.1 can (M-08). `h2c` is never passed on: it would give the client a connection of its own
/// to the upstream, past everything that judges requests here.
pub(super) fn upgrade_of(head: &request::Parts) -> Option<HeaderValue> {
    let asks = head.method == Method::GET
        && head.version == Version::HTTP_11
        && named_by_connection(&head.headers).contains(&UPGRADE);
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
pub(super) fn prepare_request(
    head: &mut request::Parts,
    host: &Authority,
    protocol: Protocol,
    forwarded: Forwarded,
) {
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
    match forwarded {
        Forwarded::Append => {}
        Forwarded::Replace => remove_forwarded(&mut head.headers),
    }
    add_forwarded(head, host);
    add_via(&mut head.headers, head.version);
}

/// Frames a request by its body: known length, else chunked (HTTP/1) or nothing (HTTP/2).
pub(super) fn frame_request<B: Body>(head: &mut request::Parts, body: &B, protocol: Protocol) {
    let length = if body.is_end_stream() {
        Some(0)
    } else {
        body.size_hint().exact()
    };
    match (length, protocol) {
        (Some(0), Protocol::Http1 | Protocol::Http2) => {
            let announced = head.headers.remove(CONTENT_LENGTH).is_some();
            let expects_content = matches!(head.method, Method::POST | Method::PUT | Method::PATCH);
            if announced || expects_content {
                head.headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
            }
        }
        // HTTP/1 can send trailers only after chunks.
        (Some(_), Protocol::Http1) if head.headers.contains_key(TRAILER) => chunk(head),
        (Some(length), Protocol::Http1 | Protocol::Http2) => {
            set_content_length(&mut head.headers, length);
        }
        // hyper would send a GET of unknown length without its body, were it not told.
        (None, Protocol::Http1) => chunk(head),
        (None, Protocol::Http2) => {
            head.headers.remove(CONTENT_LENGTH);
        }
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
    head.headers.remove(CONTENT_LENGTH);
    head.headers
        .insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
}

/// Takes off what speaks about one hop only, what `Connection` names among it.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in named_by_connection(headers)
        .iter()
        .filter(|name| !is_end_to_end(name))
    {
        headers.remove(name);
    }
    remove_where(headers, is_hop_by_hop);
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

fn remove_forwarded(headers: &mut HeaderMap) {
    let tells = |name: &HeaderName| {
        *name == FORWARDED || *name == X_REAL_IP || name.as_str().starts_with("x-forwarded-")
    };
    let told: Vec<HeaderName> = headers.keys().filter(|name| tells(name)).cloned().collect();
    for name in told {
        headers.remove(name);
    }
}

fn add_forwarded(head: &mut request::Parts, host: &Authority) {
    let over_tls = head.extensions.get::<OverTls>().is_some();
    let proto = if over_tls { "https" } else { "http" };
    let peer = head.extensions.get::<PeerAddr>();
    let headers = &mut head.headers;
    if speaks_forwarded(headers) {
        let element = forwarded_element(peer, host, proto);
        if !quotes_are_closed(headers) {
            headers.remove(FORWARDED);
        }
        if let Ok(element) = HeaderValue::from_maybe_shared(Bytes::from(element)) {
            append_listed(headers, FORWARDED, element);
        }
    }
    if let Some(peer) = peer {
        append_listed(headers, X_FORWARDED_FOR, peer.shown.clone());
    }
    // Whoever stands before us and ends TLS knows better.
    let there = headers.entry(X_FORWARDED_PROTO);
    there.or_insert(HeaderValue::from_static(proto));
    if let Entry::Vacant(entry) = headers.entry(X_FORWARDED_HOST)
        && let Ok(value) = HeaderValue::from_str(host.as_str())
    {
        entry.insert(value);
    }
}

/// Whether `Forwarded` can go with the request. A proxy before us that speaks `X-Forwarded-*` alone has said there what
/// the client asked for. Ours would tell of our own hop only, and those who read `Forwarded` first (as Rack and Spring
/// do) would take an `https` for an `http` and redirect for ever.
fn speaks_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(FORWARDED)
        || !headers
            .keys()
            .any(|name| name.as_str().starts_with("x-forwarded-"))
}

/// A quote that a client left open would swallow what is added behind it.
fn quotes_are_closed(headers: &HeaderMap) -> bool {
    let is_closed = |value: &HeaderValue| {
        let (mut is_open, mut is_escaped) = (false, false);
        for byte in value.as_bytes() {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = is_open,
                b'"' => is_open = !is_open,
                _ => {}
            }
        }
        !is_open
    };
    headers.get_all(FORWARDED).iter().all(is_closed)
}

/// What our hop knows (RFC 7239). `by` is left out: it would tell the upstream nothing but our own address.
fn forwarded_element(peer: Option<&PeerAddr>, host: &Authority, proto: &str) -> String {
    let mut element = String::with_capacity(FORWARDED_BYTES_USUAL + host.as_str().len());
    if let Some(peer) = peer {
        let shown = peer.shown.to_str().unwrap_or_default();
        let around = match peer.ip.to_canonical() {
            IpAddr::V4(_) => ["for=", ";"],
            IpAddr::V6(_) => ["for=\"[", "]\";"],
        };
        element.extend([around[0], shown, around[1]]);
    }
    element.push_str("host=");
    if host.as_str().bytes().all(is_token_byte) {
        element.push_str(host.as_str());
    } else {
        element.push('"');
        for character in host.as_str().chars() {
            if matches!(character, '"' | '\\') {
                element.push('\\');
            }
            element.push(character);
        }
        element.push('"');
    }
    element.push_str(";proto=");
    element.push_str(proto);
    element
}

/// RFC 9110, 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn add_via(headers: &mut HeaderMap, version: Version) {
    let received = if version == Version::HTTP_2 {
        "2 oncegate"
    } else if version == Version::HTTP_10 {
        "1.0 oncegate"
    } else {
        "1.1 oncegate"
    };
    append_listed(headers, VIA, HeaderValue::from_static(received));
}

/// Appends to a list that may be spread over several lines, and joins it on one.
fn append_listed(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    match headers.entry(name) {
        Entry::Vacant(entry) => {
            entry.insert(value);
        }
        Entry::Occupied(mut entry) => {
            let lines = entry.iter().chain([&value]).map(HeaderValue::as_bytes);
            let list: Vec<&[u8]> = lines.collect();
            if let Ok(joined) = HeaderValue::from_maybe_shared(Bytes::from(list.join(&b", "[..]))) {
                entry.insert(joined);
            }
        }
    }
}

/// About one hop only. `Trailer` is not among them: it announces what comes to the other end.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "keep-alive"
            | "proxy-connection"
            | "http2-settings"
    )
}

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

/// Of an element without its host.
const FORWARDED_BYTES_USUAL: usize = 64;
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
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
        let append = Forwarded::Append;
        sent_from("192.0.2.7:1234", "shop.example", append, headers)
    }

    fn sent_from(
        peer: &str,
        host: &'static str,
        forwarded: Forwarded,
        headers: &[(&str, &str)],
    ) -> HeaderMap {
        let mut head = head("POST", headers);
        head.extensions.insert(PeerAddr::new(peer.parse().unwrap()));
        let host = Authority::from_static(host);
        prepare_request(&mut head, &host, Protocol::Http1, forwarded);
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
                "forwarded",
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
    fn forwarded_is_quoted_where_it_has_to_be_and_joins_what_came() {
        let came = "for=198.51.100.1;proto=https";
        let forged = "for=\"198.51.100.1";
        let cases: [(&str, &'static str, &[&str], &str); 8] = [
            (
                "192.0.2.7:1",
                "shop.example",
                &[],
                "for=192.0.2.7;host=shop.example;proto=http",
            ),
            (
                "[2001:db8::7]:1",
                "shop.example:8080",
                &[],
                "for=\"[2001:db8::7]\";host=\"shop.example:8080\";proto=http",
            ),
            (
                "[::ffff:192.0.2.7]:1",
                "[2001:db8::1]",
                &[],
                "for=192.0.2.7;host=\"[2001:db8::1]\";proto=http",
            ),
            (
                "192.0.2.7:1",
                "h",
                &[came],
                "for=198.51.100.1;proto=https, for=192.0.2.7;host=h;proto=http",
            ),
            (
                "192.0.2.7:1",
                "h",
                &[came, "for=\"a\\\"b\""],
                "for=198.51.100.1;proto=https, for=\"a\\\"b\", for=192.0.2.7;host=h;proto=http",
            ),
            // An open quote would make ours a part of it.
            (
                "192.0.2.7:1",
                "h",
                &[forged],
                "for=192.0.2.7;host=h;proto=http",
            ),
            (
                "192.0.2.7:1",
                "h",
                &["for=\"a\\\""],
                "for=192.0.2.7;host=h;proto=http",
            ),
            (
                "192.0.2.7:1",
                "h",
                &[came, forged],
                "for=192.0.2.7;host=h;proto=http",
            ),
        ];
        for (peer, host, came, expected) in cases {
            let came: Vec<_> = came.iter().map(|value| ("forwarded", *value)).collect();
            let headers = sent_from(peer, host, Forwarded::Append, &came);
            assert_eq!(headers["forwarded"], expected, "{came:?}");
            assert_eq!(headers.get_all("forwarded").iter().count(), 1);
        }
    }

    #[test]
    fn a_proxy_that_speaks_x_forwarded_alone_is_not_contradicted() {
        for name in ["x-forwarded-proto", "x-forwarded-for", "x-forwarded-host"] {
            assert!(!sent(&[(name, "1")]).contains_key("forwarded"), "{name}");
            assert!(sent(&[(name, "1"), ("forwarded", "for=_a")]).contains_key("forwarded"));
        }
    }

    #[test]
    fn nothing_that_a_client_says_of_the_hops_before_it_survives_being_replaced() {
        let headers = sent_from(
            "192.0.2.7:1234",
            "shop.example",
            Forwarded::Replace,
            &[
                ("forwarded", "for=198.51.100.1"),
                ("forwarded", "for=198.51.100.2"),
                ("x-forwarded-for", "198.51.100.1"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "evil.example"),
                ("x-forwarded-port", "443"),
                ("x-forwarded-prefix", "/evil"),
                ("x-real-ip", "198.51.100.1"),
            ],
        );
        let mut told: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        told.sort_unstable();
        assert_eq!(
            told,
            [
                "forwarded: for=192.0.2.7;host=shop.example;proto=http",
                "via: 1.1 oncegate",
                "x-forwarded-for: 192.0.2.7",
                "x-forwarded-host: shop.example",
                "x-forwarded-proto: http",
            ]
        );
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
