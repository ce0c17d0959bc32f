//! Where the API is, and a connection to it.

use std::io;
use std::net::IpAddr;

use http::Uri;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// The server under test: who it is, and how to get there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    host: String,
    port: u16,
    authority: String,
}

/// A URL that cannot be tested.
#[derive(Debug, thiserror::Error)]
#[error("{url}: {problem}")]
pub struct PeerError {
    url: String,
    problem: String,
}

impl Peer {
    /// The server of a URL, and the path and query of it as they are written.
    ///
    /// # Errors
    /// It is no absolute `http` URL.
    pub fn of(url: &str) -> Result<(Self, String), PeerError> {
        let problem = |problem: &str| PeerError {
            url: url.to_owned(),
            problem: problem.to_owned(),
        };
        let uri: Uri = url
            .parse()
            .map_err(|error: http::uri::InvalidUri| problem(&error.to_string()))?;
        if uri.scheme_str() != Some("http") {
            return Err(problem(
                "an absolute URL that begins with http:// is needed",
            ));
        }
        let authority = uri.authority().ok_or_else(|| problem("no host"))?;
        let peer = Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(HTTP_PORT),
            authority: authority.as_str().to_owned(),
        };
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        Ok((peer, target.to_owned()))
    }

    /// Host and port as `Host` has them.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// Whether it can only be this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self
                .host
                .parse()
                .is_ok_and(|address: IpAddr| address.is_loopback())
    }

    pub(super) async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}

/// What bytes can be written to and read from.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

const HTTP_PORT: u16 = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_kept_as_it_was_written() {
        let (peer, target) = Peer::of("http://127.0.0.1:3000/a/./b%2Fc?x=1").unwrap();
        assert_eq!(
            (peer.authority(), target.as_str()),
            ("127.0.0.1:3000", "/a/./b%2Fc?x=1")
        );
        assert!(peer.is_loopback());
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (url, loopback) in [
            ("http://localhost/", true),
            ("http://[::1]:80/", true),
            ("http://127.9.9.9/", true),
            ("http://example.com/", false),
            ("http://localhost.example.com/", false),
            ("http://10.0.0.1/", false),
        ] {
            assert_eq!(Peer::of(url).unwrap().0.is_loopback(), loopback, "{url}");
        }
    }
}
