//! Requests that web pages make: a page in a browser on this machine reaches loopback, too, and is no caller.
//!
//! Promises: a request is refused, before anything is read of its body, if a page of another site had it sent, or if
//! the port was reached by a name that somebody else may have pointed here (DNS rebinding). An address cannot be
//! pointed elsewhere, and `localhost` is nobody else's.
//!
//! Does not tell local programs apart: whoever can run `curl` here is a caller.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderName, Request};

/// Why this request is not for us, if it is not.
pub(super) fn refusal<B>(request: &Request<B>) -> Option<&'static str> {
    let headers = request.headers();
    let of_page = headers.contains_key(ORIGIN)
        || headers
            .get_all(FETCH_SITE)
            .iter()
            .any(|site| site != "none" && site != "same-origin");
    if of_page {
        return Some("web pages are not served here; nothing was sent\n");
    }
    let mut hosts = headers.get_all(HOST).iter().peekable();
    let named = hosts.peek().is_some() || request.uri().authority().is_some();
    let ours = named
        && request.uri().authority().is_none_or(is_ours)
        && hosts.all(|host| Authority::try_from(host.as_bytes()).is_ok_and(|host| is_ours(&host)));
    (!ours).then_some("ask by this machine's address or localhost; nothing was sent\n")
}

fn is_ours(authority: &Authority) -> bool {
    let host = authority.host();
    let bracketed = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<Ipv4Addr>().is_ok()
        || bracketed.is_some_and(|it| it.parse::<Ipv6Addr>().is_ok())
}

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_localhost_are_ours_and_names_are_not() {
        let ours = |host: &str| {
            let request = Request::builder().header(HOST, host).body(());
            refusal(&request.expect("a request")).is_none()
        };
        for host in ["127.0.0.1:8090", "127.0.0.1", "LocalHost:1", "[::1]:8090"] {
            assert!(ours(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8090",
            "localhost@evil.example",
        ] {
            assert!(!ours(host), "{host}");
        }
        assert!(refusal(&Request::new(())).is_some(), "no host at all");
    }
}
