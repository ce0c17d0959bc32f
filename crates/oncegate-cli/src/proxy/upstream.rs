//! Where requests go: one upstream, parsed from its URL.
//!
//! `http://host:port[/base-path]` is HTTP/1.1, `h2c://host:port[/base-path]` is cleartext HTTP/2 with prior
//! knowledge, `https://host:port[/base-path]` is TLS, and ALPN says which of the two. Parsing promises that everything else is refused with an error that names the URL and the reason,
//! so that no other module has to think about half-valid addresses. It deliberately resolves no names: an
//! upstream that does not answer yet is no configuration error, and addresses change while we run.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, PathAndQuery};
use rustls::pki_types::ServerName;

/// The upstream: scheme, address and the path that is put before every request's own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Upstream {
    scheme: Scheme,
    authority: Authority,
    port: u16,
    /// Whom its certificate has to name; for `https` alone.
    server_name: Option<ServerName<'static>>,
    /// Without a slash at its end; empty for the root.
    base_path: String,
}

/// How an upstream is reached.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Scheme {
    /// HTTP/1.1 in clear.
    Http,
    /// HTTP/2 in clear.
    H2c,
    /// Either over TLS; each connection agrees on one.
    Https,
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Protocol {
    /// HTTP/1.1, one exchange at a time on a connection.
    Http1,
    /// HTTP/2, all exchanges on one connection.
    Http2,
}

/// Why a URL is no upstream.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidUpstream {
    /// Not a URL at all, or a relative one.
    #[error("not a URL: write http://host:port, https://host:port or h2c://host:port")]
    NotAUrl,
    /// Some other scheme.
    #[error("unknown scheme: write http://host:port, https://host:port or h2c://host:port")]
    SchemeUnknown,
    /// With `https`, the host has to be one that a certificate can name.
    #[error("no certificate can name this host")]
    HostUnnamable,
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
    /// How it is reached.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whom its certificate has to name; none without TLS.
    #[must_use]
    pub fn server_name(&self) -> Option<&ServerName<'static>> {
        self.server_name.as_ref()
    }

    /// Host and port as they were configured.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// What to connect to: the host without the brackets of an IPv6 address, and the port.
    pub(super) fn address(&self) -> (&str, u16) {
        (bare_host(&self.authority), self.port)
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
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("h2c") => Scheme::H2c,
            Some("https") => Scheme::Https,
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
        let port = port_of(&authority, scheme)?;
        let server_name = match scheme {
            Scheme::Http | Scheme::H2c => None,
            Scheme::Https => Some(server_name_of(&authority)?),
        };
        let base_path = uri.path().trim_end_matches('/').to_owned();
        Ok(Self {
            scheme,
            authority,
            port,
            server_name,
            base_path,
        })
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::H2c => "h2c",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}{}", self.authority, self.base_path)
    }
}

/// The host without the brackets of an IPv6 address.
fn bare_host(authority: &Authority) -> &str {
    let host = authority.host();
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(host)
}

fn server_name_of(authority: &Authority) -> Result<ServerName<'static>, InvalidUpstream> {
    ServerName::try_from(bare_host(authority).to_owned())
        .map_err(|_source| InvalidUpstream::HostUnnamable)
}

/// The port; 80, or 443 with TLS, if none is written. A port that does not fit is an error and not, as in `http`, absent.
fn port_of(authority: &Authority, scheme: Scheme) -> Result<u16, InvalidUpstream> {
    match authority.port_u16() {
        Some(0) => Err(InvalidUpstream::PortInvalid),
        Some(port) => Ok(port),
        None if authority.as_str() == authority.host() => Ok(match scheme {
            Scheme::Http | Scheme::H2c => HTTP_PORT,
            Scheme::Https => HTTPS_PORT,
        }),
        None => Err(InvalidUpstream::PortInvalid),
    }
}

/// The ports of a URL that names none.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: Result<(Scheme, (&str, u16), &str), InvalidUpstream>) {
        let parsed = url.parse::<Upstream>();
        let seen = parsed
            .as_ref()
            .map(|u| (u.scheme, u.address(), u.base_path.as_str()));
        assert_eq!(seen, expected.as_ref().map(|e| *e), "{url}");
    }

    #[test]
    fn a_url_names_protocol_address_and_base_path() {
        check(
            "http://127.0.0.1:3000",
            Ok((Scheme::Http, ("127.0.0.1", 3000), "")),
        );
        check(
            "http://localhost",
            Ok((Scheme::Http, ("localhost", 80), "")),
        );
        check(
            "http://localhost:3000/",
            Ok((Scheme::Http, ("localhost", 3000), "")),
        );
        check(
            "http://h:3000/api/v1/",
            Ok((Scheme::Http, ("h", 3000), "/api/v1")),
        );
        check("https://h", Ok((Scheme::Https, ("h", 443), "")));
        check(
            "https://[::1]:8443/api",
            Ok((Scheme::Https, ("::1", 8443), "/api")),
        );
        check("h2c://[::1]:3000", Ok((Scheme::H2c, ("::1", 3000), "")));
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        check("https://-h-:3000", Err(InvalidUpstream::HostUnnamable));
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
