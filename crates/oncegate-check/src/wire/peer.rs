//! Where the API is, and a connection to it.

use std::io;
use std::net::{IpAddr, SocketAddr};

use http::Uri;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};

use super::tls::Trust;

/// The server under test: who it is, and how to get there.
#[derive(Clone, Debug)]
pub struct Peer {
    host: String,
    port: u16,
    authority: String,
    /// Where it is, once that was looked up.
    addresses: Vec<SocketAddr>,
    /// With TLS: who is believed to be it.
    tls: Option<Trust>,
}

/// A URL that cannot be tested.
#[derive(Debug, thiserror::Error)]
#[error("{url}: {problem}")]
pub struct PeerError {
    url: String,
    problem: String,
}

impl Peer {
    /// The server of a URL, and the path and query of it as they are written. An `https` server has to show a
    /// certificate that the operating system trusts, until [`Self::trusting`] says otherwise.
    ///
    /// # Errors
    /// It is no absolute `http` or `https` URL.
    pub fn of(url: &str) -> Result<(Self, String), PeerError> {
        let problem = |problem: &str| PeerError {
            url: url.to_owned(),
            problem: problem.to_owned(),
        };
        let uri: Uri = url
            .parse()
            .map_err(|error: http::uri::InvalidUri| problem(&error.to_string()))?;
        let (tls, port) = match uri.scheme_str() {
            Some("http") => (None, HTTP_PORT),
            Some("https") => (Some(Trust::of_system()), HTTPS_PORT),
            Some(_) | None => {
                return Err(problem(
                    "an absolute URL that begins with http:// or https:// is needed",
                ));
            }
        };
        let authority = uri.authority().ok_or_else(|| problem("no host"))?;
        if authority.as_str().contains('@') {
            return Err(problem("credentials go into a header line"));
        }
        let peer = Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(port),
            authority: authority.as_str().to_owned(),
            addresses: Vec::new(),
            tls,
        };
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        Ok((peer, target.to_owned()))
    }

    /// Believes these, if TLS is spoken at all.
    #[must_use]
    pub fn trusting(mut self, trust: Trust) -> Self {
        self.tls = self.tls.map(|_| trust);
        self
    }

    /// Looks its name up, once: what is connected to later is what [`Self::is_loopback`] judged.
    ///
    /// # Errors
    /// If the name has no address.
    pub async fn resolve(&mut self) -> io::Result<()> {
        let addresses = lookup_host((self.host.as_str(), self.port)).await?;
        self.addresses = addresses.collect();
        Ok(())
    }

    /// Host and port as `Host` has them.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.authority)
    }

    /// Whether it can only be this machine: by its addresses, if they were looked up, else by its name.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        if !self.addresses.is_empty() {
            let mut addresses = self.addresses.iter();
            return addresses.all(|address| address.ip().to_canonical().is_loopback());
        }
        self.host.eq_ignore_ascii_case("localhost")
            || self
                .host
                .parse()
                .is_ok_and(|address: IpAddr| address.is_loopback())
    }

    pub(super) async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let stream = if self.addresses.is_empty() {
            TcpStream::connect((self.host.as_str(), self.port)).await?
        } else {
            TcpStream::connect(self.addresses.as_slice()).await?
        };
        stream.set_nodelay(true)?;
        match &self.tls {
            Some(trust) => Ok(Box::new(trust.handshake(&self.host, stream).await?)),
            None => Ok(Box::new(stream)),
        }
    }
}

/// What bytes can be written to and read from.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

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

    #[tokio::test]
    async fn a_name_is_judged_by_where_it_leads() {
        let mut peer = Peer::of("https://localhost/").unwrap().0;
        assert!(peer.is_loopback());
        peer.resolve().await.unwrap();
        assert!(peer.is_loopback());
        peer.addresses.push(([10, 0, 0, 1], 443).into());
        assert!(!peer.is_loopback(), "one of its addresses is elsewhere");
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
