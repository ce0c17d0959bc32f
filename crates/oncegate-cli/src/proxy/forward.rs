//! The service at the end of the proxy: passes a request to the upstream and its answer back.
//!
//! Promises: exactly one answer for every request, an upstream's or a placeholder that carries a
//! [`Failure`](oncegate_tower::Failure) and says what is proven; a request is never sent again after one byte of it
//! was accepted, keyed or not; bodies stream both ways, trailers included. It deliberately knows nothing of keys:
//! [`Keyed`] tells it which connections to take, and that a `101` is no answer.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderValue, UPGRADE};
use http::uri::{Authority, Scheme};
use http::{Method, Request, Response, StatusCode, Uri, Version, request, uri};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use hyper::upgrade::OnUpgrade;
use oncegate_tower::Keyed;
use tokio::sync::OwnedSemaphorePermit;
use tower_service::Service;

use super::answer::{BoxError, NoAnswer};
use super::body::ForwardBody;
use super::headers::{
    Forwarded, frame_request, host_of, prepare_request, prepare_response, upgrade_of,
};
use super::pool::{OutBody, Pool, PoolSettings, Want};
use super::tls::{Offer, UpstreamTls};
use super::tunnel::Tunnels;
use super::upstream::{self, Protocol, Upstream};

/// Forwards every request to one upstream. A clone shares the connections.
#[derive(Clone)]
pub struct Forward(Arc<Shared>);

struct Shared {
    pool: Pool,
    tunnels: Tunnels,
    forwarded: Forwarded,
}

/// The limits of a [`Forward`].
#[derive(Clone, Debug)]
pub struct ForwardSettings {
    /// The connections to the upstream.
    pub pool: PoolSettings,
    /// How many upgraded connections and CONNECTs may be open; more are refused.
    pub tunnels_max: usize,
    /// What an upstream behind `https` is spoken to with; without it, none of its certificates is trusted.
    pub tls: Option<UpstreamTls>,
    /// How long one of them may carry nothing in either direction.
    pub tunnel_idle_timeout: Duration,
    /// What becomes of that which a request says of the hops before us.
    pub forwarded: Forwarded,
}

/// The answer to one forwarded request. It is always there.
pub type ForwardFuture =
    Pin<Box<dyn Future<Output = Result<Response<ForwardBody>, Infallible>> + Send>>;

/// What a request turns into if the upstream agrees.
struct Switch {
    /// The protocol asked for; none for CONNECT.
    protocol: Option<HeaderValue>,
    downstream: OnUpgrade,
    place: OwnedSemaphorePermit,
}

impl Default for ForwardSettings {
    fn default() -> Self {
        Self {
            pool: PoolSettings::default(),
            tunnels_max: 1024,
            tls: None,
            tunnel_idle_timeout: Duration::from_secs(60 * 60),
            forwarded: Forwarded::default(),
        }
    }
}

impl Forward {
    /// Forwards to `upstream`. Connects only when the first request comes.
    #[must_use]
    pub fn new(upstream: Upstream, settings: ForwardSettings) -> Self {
        Self(Arc::new(Shared {
            pool: Pool::new(upstream, settings.pool, settings.tls),
            tunnels: Tunnels::new(settings.tunnels_max, settings.tunnel_idle_timeout),
            forwarded: settings.forwarded,
        }))
    }

    /// Sends no more requests on connections that are open by now. What is under way on them goes on.
    pub fn forget_connections(&self) {
        self.0.pool.forget();
    }

    /// Lets the times of the transport follow those of routes that have changed. The time for an answer is
    /// never shortened: an execution may be under way, or about to be sent, that was promised more.
    pub fn follow(&self, connect_timeout: Duration, head_timeout: Duration) {
        self.0.pool.follow(connect_timeout, head_timeout);
    }

    /// The upgraded connections, for the shutdown: the server does not see them any more.
    #[must_use]
    pub fn tunnels(&self) -> &Tunnels {
        &self.0.tunnels
    }
}

impl Shared {
    async fn forward<B>(&self, request: Request<B>) -> Result<Response<ForwardBody>, NoAnswer>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (mut head, body) = request.into_parts();
        let idle_max = keyed_idle_max(&head);
        let switch = self.switch_of(&mut head, body.is_end_stream(), idle_max.is_some())?;
        let offer = match &switch {
            Some(Switch {
                protocol: Some(_), ..
            }) => Offer::Http1,
            Some(_) | None => Offer::Any,
        };
        let protocol = self.pool.expected(offer);
        self.readdress(&mut head, switch.as_ref(), protocol)?;
        let request = if head.method == Method::CONNECT {
            Request::from_parts(head, unfailing(Empty::new()))
        } else {
            frame_request(&mut head, &body, protocol);
            Request::from_parts(head, body.map_err(Into::into).boxed_unsync())
        };
        let response = self.pool.send(request, Want { idle_max, offer }).await?;
        self.answer(response, switch)
    }

    /// Whether the request is an upgrade or a CONNECT, and if so, a place for its tunnel.
    fn switch_of(
        &self,
        head: &mut request::Parts,
        is_empty: bool,
        is_keyed: bool,
    ) -> Result<Option<Switch>, NoAnswer> {
        let is_connect = head.method == Method::CONNECT;
        let speaks_http1 = self.pool.upstream().scheme() != upstream::Scheme::H2c;
        let protocol = upgrade_of(head).filter(|_| speaks_http1 && is_empty && !is_keyed);
        if !is_connect && protocol.is_none() {
            return Ok(None);
        }
        // Without it the server could not switch; then it is a request like any other.
        let Some(downstream) = head.extensions.remove::<OnUpgrade>() else {
            return Ok(None);
        };
        let place = self.tunnels.reserve();
        let place = place.ok_or_else(|| NoAnswer::not_sent("as many tunnels as tunnels_max"))?;
        Ok(Some(Switch {
            protocol,
            downstream,
            place,
        }))
    }

    /// Turns a request to us into one to the upstream.
    fn readdress(
        &self,
        head: &mut request::Parts,
        switch: Option<&Switch>,
        protocol: Protocol,
    ) -> Result<(), NoAnswer> {
        let upstream = self.pool.upstream();
        let host = host_of(head).unwrap_or_else(|| upstream.authority().clone());
        prepare_request(head, &host, protocol, self.forwarded);
        if let Some(wanted) = switch.and_then(|switch| switch.protocol.clone()) {
            head.headers.insert(UPGRADE, wanted);
            head.headers
                .insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        }
        // An absolute target outweighs `Host` (RFC 9112, 3.2.2), and HTTP/2 has it in `:authority`.
        if head.uri.authority().is_some() || !head.headers.contains_key(HOST) {
            let value = HeaderValue::from_str(host.as_str()).map_err(NoAnswer::not_sent)?;
            head.headers.insert(HOST, value);
        }
        head.uri = target(upstream, head, host, protocol)?;
        match protocol {
            Protocol::Http1 => head.version = Version::HTTP_11,
            Protocol::Http2 => {
                head.version = Version::HTTP_2;
                head.headers.remove(HOST);
            }
        }
        // Nothing in there is meant for hyper's client.
        head.extensions.clear();
        Ok(())
    }

    /// Turns the upstream's answer into ours, and switches protocols if that is what it says.
    fn answer(
        &self,
        mut response: Response<ForwardBody>,
        switch: Option<Switch>,
    ) -> Result<Response<ForwardBody>, NoAnswer> {
        let upstream = response.extensions_mut().remove::<OnUpgrade>();
        let switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let (mut head, body) = response.into_parts();
        let protocol = head.headers.remove(UPGRADE);
        prepare_response(&mut head);
        match (switch, upstream) {
            (Some(switch), Some(upstream)) => {
                if switching {
                    let protocol = protocol.or(switch.protocol);
                    protocol.map(|protocol| head.headers.insert(UPGRADE, protocol));
                    head.headers
                        .insert(CONNECTION, HeaderValue::from_static("Upgrade"));
                }
                self.tunnels.open(switch.downstream, upstream, switch.place);
            }
            // Nobody asked for it: the bytes that follow are nobody's answer.
            (None, _) | (Some(_), None) if switching => {
                return Err(NoAnswer::broken("upstream switched protocols unasked"));
            }
            (None, _) | (Some(_), None) => {}
        }
        Ok(Response::from_parts(head, body))
    }
}

impl<B> Service<Request<B>> for Forward
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ForwardBody>;
    type Error = Infallible;
    type Future = ForwardFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ForwardFuture {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let answer = shared.forward(request).await;
            Ok(answer.unwrap_or_else(NoAnswer::into_response))
        })
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let upstream = self.0.pool.upstream();
        f.debug_struct("Forward")
            .field("upstream", upstream)
            .finish_non_exhaustive()
    }
}

fn keyed_idle_max(head: &request::Parts) -> Option<Duration> {
    head.extensions.get::<Keyed>().map(|keyed| keyed.idle_max)
}

/// The URI in the form that the hop needs: origin form, with authority for HTTP/2, authority alone for CONNECT.
fn target(
    upstream: &Upstream,
    head: &request::Parts,
    host: Authority,
    protocol: Protocol,
) -> Result<Uri, NoAnswer> {
    if head.method == Method::CONNECT {
        return Ok(host.into());
    }
    let path = upstream
        .target(&head.uri)
        .ok_or_else(|| NoAnswer::not_sent("path too long"))?;
    let mut parts = uri::Parts::default();
    parts.path_and_query = Some(path);
    match protocol {
        Protocol::Http1 => {}
        Protocol::Http2 => {
            parts.scheme = Some(match upstream.scheme() {
                upstream::Scheme::Http | upstream::Scheme::H2c => Scheme::HTTP,
                upstream::Scheme::Https => Scheme::HTTPS,
            });
            parts.authority = Some(host);
        }
    }
    Uri::from_parts(parts).map_err(NoAnswer::not_sent)
}

fn unfailing(body: Empty<Bytes>) -> OutBody {
    body.map_err(|never| match never {}).boxed_unsync()
}
