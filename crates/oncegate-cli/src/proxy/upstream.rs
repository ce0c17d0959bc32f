//! Where requests go: one upstream, parsed from its URL.
//!
//! `http://host:port[/base-path]` is HTTP/1.1, `h2c://host:port[/base-path]` is cleartext HTTP/2 with prior
//! knowledge. Parsing promises that everything else is refused with an error that names the URL and the reason,
//! so that no other module has to think about half-valid addresses. It deliberately resolves no names: an
//! upstream that does not answer yet is no configuration error, and addresses change while we run.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, PathAndQuery};

/// The upstream: protocol, address and the path that is put before every request's own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Upstream {
    protocol: Protocol,
    authority: Authority,
    port: u16,
    /// Without a slash at its end; empty for the root.
    base_path: String,
}

/// What an upstream speaks.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Protocol {
    /// HTTP/1.1, one exchange at a time on a connection.
    Http1,
    /// Cleartext HTTP/2 with prior knowledge, all exchanges on one connection.
    Http2,
}

/// Why a URL is no upstream.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidUpstream {
    /// Not a URL at all, or a relative one.
    #[error("not a URL: write http://host:port or h2c://host:port")]
    NotAUrl,
    /// TLS to the upstream is planned, not built.
    #[error("https:// is not supported yet: write http://host:port or h2c://host:port")]
    TlsNotSupported,
    /// Some other scheme.
    #[error("unknown scheme: write http://host:port or h2c://host:port")]
    SchemeUnknown,
    /// Credentials in the URL would end up in logs.
    #[error("credentials in the URL are not supported")]
    CredentialsGiven,
    /// A port that is no number from 1 to 65535.
    #[error("invalid port: it must be a number from 1 to 65535")]
    PortInvalid,
    /// A query belongs to a request, not to an upstream.
    #[error("a query is not allowed: the URL may end in a base path only")]
    QueryGiven,
}

impl Upstream {
    /// What it speaks.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Host and port as they were configured.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// What to connect to: the host without the brackets of an IPv6 address, and the port.
    pub(super) fn address(&self) -> (&str, u16) {
        let host = self.authority.host();
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        (bare.unwrap_or(host), self.port)
    }

    /// The request's path and query under the base path, otherwise byte for byte; `None` if too long for a URI.
    pub(super) fn target(&self, uri: &Uri) -> Option<PathAndQuery> {
        let own = uri
            .path_and_query()
            .cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/"));
        // `OPTIONS *` speaks of the server, not of a path.
        if self.base_path.is_empty() || own == "*" {
            return Some(own);
        }
        PathAndQuery::try_from(format!("{}{}", self.base_path, own)).ok()
    }
}

impl FromStr for Upstream {
    type Err = InvalidUpstream;

    fn from_str(url: &str) -> Result<Self, InvalidUpstream> {
        let uri: Uri = url.parse().map_err(|_| InvalidUpstream::NotAUrl)?;
        let protocol = match uri.scheme_str() {
            Some("http") => Protocol::Http1,
            Some("h2c") => Protocol::Http2,
            Some("https") => return Err(InvalidUpstream::TlsNotSupported),
            Some(_) => return Err(InvalidUpstream::SchemeUnknown),
            None => return Err(InvalidUpstream::NotAUrl),
        };
        let authority = uri.authority().cloned().ok_or(InvalidUpstream::NotAUrl)?;
        if authority.as_str().contains('@') {
            return Err(InvalidUpstream::CredentialsGiven);
        }
        if uri.query().is_some() {
            return Err(InvalidUpstream::QueryGiven);
        }
        let port = port_of(&authority)?;
        let base_path = uri.path().trim_end_matches('/').to_owned();
        Ok(Self {
            protocol,
            authority,
            port,
            base_path,
        })
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.protocol {
            Protocol::Http1 => "http",
            Protocol::Http2 => "h2c",
        };
        write!(f, "{scheme}://{}{}", self.authority, self.base_path)
    }
}

/// The port; 80 if none is written. A port that does not fit is an error and not, as in `http`, absent.
fn port_of(authority: &Authority) -> Result<u16, InvalidUpstream> {
    match authority.port_u16() {
        Some(0) => Err(InvalidUpstream::PortInvalid),
        Some(port) => Ok(port),
        None if authority.as_str() == authority.host() => Ok(DEFAULT_PORT),
        None => Err(InvalidUpstream::PortInvalid),
    }
}

/// The port of a URL that names none.
const DEFAULT_PORT: u16 = 80;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: Result<(Protocol, (&str, u16), &str), InvalidUpstream>) {
        let parsed = url.parse::<Upstream>();
        let seen = parsed
            .as_ref()
            .map(|u| (u.protocol, u.address(), u.base_path.as_str()));
        assert_eq!(seen, expected.as_ref().map(|e| *e), "{url}");
    }

    #[test]
    fn a_url_names_protocol_address_and_base_path() {
        check(
            "http://127.0.0.1:3000",
            Ok((Protocol::Http1, ("127.0.0.1", 3000), "")),
        );
        check(
            "http://localhost",
            Ok((Protocol::Http1, ("localhost", 80), "")),
        );
        check(
            "http://localhost:3000/",
            Ok((Protocol::Http1, ("localhost", 3000), "")),
        );
        check(
            "http://h:3000/api/v1/",
            Ok((Protocol::Http1, ("h", 3000), "/api/v1")),
        );
        check("h2c://[::1]:3000", Ok((Protocol::Http2, ("::1", 3000), "")));
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        check("https://h:3000", Err(InvalidUpstream::TlsNotSupported));
        check("ftp://h", Err(InvalidUpstream::SchemeUnknown));
        check("127.0.0.1:3000", Err(InvalidUpstream::NotAUrl));
        check("/path", Err(InvalidUpstream::NotAUrl));
        check("", Err(InvalidUpstream::NotAUrl));
        check("http://", Err(InvalidUpstream::NotAUrl));
        check("http://user:pw@h", Err(InvalidUpstream::CredentialsGiven));
        check("http://h:0", Err(InvalidUpstream::PortInvalid));
        check("http://h:99999", Err(InvalidUpstream::PortInvalid));
        check("http://h/a?b=c", Err(InvalidUpstream::QueryGiven));
    }

    #[test]
    fn the_target_is_the_base_path_and_the_request_s_own_path_byte_for_byte() {
        let based: Upstream = "http://h:3000/api".parse().unwrap();
        let root: Upstream = "http://h:3000".parse().unwrap();
        for (upstream, uri, target) in [
            (&root, "/a//b/../%2F?x=%20&&y", "/a//b/../%2F?x=%20&&y"),
            (&root, "/a?", "/a?"),
            (&based, "/a//b/../%2F?x=%20&&y", "/api/a//b/../%2F?x=%20&&y"),
            (&based, "http://other/x?y", "/api/x?y"),
            (&based, "http://other", "/api/"),
            (&based, "*", "*"),
        ] {
            let uri: Uri = uri.parse().unwrap();
            assert_eq!(upstream.target(&uri).unwrap().as_str(), target);
        }
    }
}
