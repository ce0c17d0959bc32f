//! Sending a request to the upstream, on an idle connection or a fresh one.
//!
//! Promises: a request is sent a second time only when hyper handed it back, which it does only while the request
//! is still in its queue and not one byte is written; then on a fresh connection, [`ATTEMPTS_MAX`] times in all.
//! Every failure says what it proves. There is no retry of any other kind, not even for safe methods, and no
//! balancing between upstreams.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::answer::{Attempt, BoxError, NoAnswer};
use super::body::ForwardBody;
use super::http1::{Connection, IdleStack};
use super::http2::{SharedConnection, StreamLease};
use super::recast::recast;
use super::tls::{HTTP2, Offer, UpstreamTls};
use super::transport::Transport;
use super::upstream::{Protocol, Scheme, Upstream};

/// A request's body on its way to the upstream.
pub(super) type OutBody = UnsyncBoxBody<Bytes, BoxError>;

/// The limits of the connections to the upstream.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// For name, connection and handshake together.
    pub connect_timeout: Duration,
    /// From handing a request over to the head of its answer, sending its body included.
    pub head_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// How many unused HTTP/1.1 connections are kept.
    pub idle_connections_max: usize,
    /// How large the head of an HTTP/2 answer may be. HTTP/1.1 heads are bounded by hyper (100 headers, 400 KiB).
    pub header_bytes_max: u32,
    /// How often an HTTP/2 connection with open streams is pinged.
    pub ping_interval: Duration,
    /// How long the answer to a ping may take.
    pub ping_timeout: Duration,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            head_timeout: Duration::from_secs(600),
            idle_timeout: Duration::from_secs(60),
            idle_connections_max: 256,
            header_bytes_max: 64 * 1024,
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(20),
        }
    }
}

/// All connections to one upstream.
pub(super) struct Pool {
    upstream: Upstream,
    settings: PoolSettings,
    timeouts: Timeouts,
    connections: Connections,
    /// Owns the tasks of the connections. They end when the pool and the last answer are dropped.
    tasks: TaskTracker,
}

/// What a request asks of the connection that it gets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want {
    /// How long it may have been idle.
    pub(super) idle_max: Option<Duration>,
    pub(super) offer: Offer,
}

/// Of the settings, those that follow the routes; in microseconds.
struct Timeouts {
    connect: AtomicU64,
    head: AtomicU64,
}

enum Connections {
    Http1(Arc<IdleStack>),
    Http2(SharedConnection),
    Tls(Box<TlsConnections>),
}

/// Each connection speaks what it agreed on: an upstream may be several hosts, and not all alike.
struct TlsConnections {
    /// None: nobody is trusted.
    tls: Option<UpstreamTls>,
    /// Exchanged to forget: what is in use does not find its way back to a stack that is gone.
    http1: ArcSwap<IdleStack>,
    http2: SharedConnection,
    /// What the last connection with a free choice agreed on.
    agreed: AtomicU8,
}

/// A connection for one request.
enum Ready {
    /// And where it goes afterwards.
    Http1(Connection, Arc<IdleStack>),
    Http2(StreamLease),
}

impl Pool {
    pub(super) fn new(
        upstream: Upstream,
        settings: PoolSettings,
        tls: Option<UpstreamTls>,
    ) -> Self {
        let tasks = TaskTracker::new();
        let http1 = || Arc::new(IdleStack::new(&settings, tasks.clone()));
        let connections = match upstream.scheme() {
            Scheme::Http => Connections::Http1(http1()),
            Scheme::H2c => Connections::Http2(SharedConnection::new(&settings)),
            Scheme::Https => Connections::Tls(Box::new(TlsConnections {
                tls,
                http1: ArcSwap::new(http1()),
                http2: SharedConnection::new(&settings),
                agreed: AtomicU8::new(AGREED_NOTHING),
            })),
        };
        Self {
            upstream,
            timeouts: Timeouts {
                connect: AtomicU64::new(micros(settings.connect_timeout)),
                head: AtomicU64::new(micros(settings.head_timeout)),
            },
            settings,
            connections,
            tasks,
        }
    }

    pub(super) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// What a request will probably be sent over; over TLS, the connection may turn out to speak the other.
    pub(super) fn expected(&self, offer: Offer) -> Protocol {
        match (&self.connections, offer) {
            (Connections::Http1(_), _) | (Connections::Tls(_), Offer::Http1) => Protocol::Http1,
            (Connections::Http2(_), _) => Protocol::Http2,
            (Connections::Tls(own), Offer::Any) => own.agreed().unwrap_or(Protocol::Http1),
        }
    }

    /// Changes the timeouts; that of the head only ever grows.
    pub(super) fn follow(&self, connect_timeout: Duration, head_timeout: Duration) {
        let Timeouts { connect, head } = &self.timeouts;
        connect.store(micros(connect_timeout), Ordering::Relaxed);
        head.fetch_max(micros(head_timeout), Ordering::Relaxed);
    }

    /// Lets no request have a connection that was opened before: whom we trust has changed.
    pub(super) fn forget(&self) {
        match &self.connections {
            Connections::Tls(own) => {
                let empty = IdleStack::new(&self.settings, self.tasks.clone());
                // First: what is opened meanwhile sees it, or is forgotten with the rest.
                own.http1.store(Arc::new(empty));
                own.http2.forget();
            }
            // Nobody is trusted there.
            Connections::Http1(_) | Connections::Http2(_) => {}
        }
    }

    /// Sends a request on a connection such as it wants.
    ///
    /// # Cancel safety
    /// Dropping the future before the head of the answer came cuts the exchange: HTTP/1.1 closes the connection,
    /// HTTP/2 resets the stream. Whether the upstream executes the request is then unknown.
    pub(super) async fn send(
        &self,
        mut request: Request<OutBody>,
        want: Want,
    ) -> Result<Response<ForwardBody>, NoAnswer> {
        let mut handed_back = None;
        for attempt in 1..=ATTEMPTS_MAX {
            let fresh = attempt > 1;
            let outcome = match &self.connections {
                Connections::Http1(idle) => self.attempt_http1(idle, request, want, fresh).await?,
                Connections::Http2(shared) => {
                    Box::pin(self.attempt_http2(shared, request, want, fresh)).await?
                }
                Connections::Tls(own) => {
                    Box::pin(self.attempt_tls(own, request, want, fresh)).await?
                }
            };
            match outcome {
                Attempt::Answered(response) => return Ok(response),
                Attempt::HandedBack(message, error) => {
                    request = *message;
                    handed_back = Some(error);
                }
            }
        }
        Err(handed_back.map_or_else(|| NoAnswer::not_sent("no attempt made"), NoAnswer::not_sent))
    }

    async fn attempt_http1(
        &self,
        idle: &Arc<IdleStack>,
        request: Request<OutBody>,
        want: Want,
        fresh: bool,
    ) -> Result<Attempt<Response<ForwardBody>>, NoAnswer> {
        let waiting = if fresh {
            None
        } else {
            idle.take(want.idle_max)
        };
        let connection = match waiting {
            Some(connection) => connection,
            // Boxed, as are HTTP/2 and TLS: what is rare does not make the future of every request large.
            None => Box::pin(self.within_connect_timeout(self.open_http1())).await?,
        };
        self.exchange_http1(idle, connection, request).await
    }

    async fn attempt_http2(
        &self,
        shared: &SharedConnection,
        request: Request<OutBody>,
        want: Want,
        fresh: bool,
    ) -> Result<Attempt<Response<ForwardBody>>, NoAnswer> {
        let waiting = if fresh {
            None
        } else {
            shared.lease(want.idle_max)
        };
        let lease = match waiting {
            Some(lease) => lease,
            None => {
                self.within_connect_timeout(self.open_http2(shared, want))
                    .await?
            }
        };
        self.exchange_http2(shared, lease, request).await
    }

    async fn attempt_tls(
        &self,
        own: &TlsConnections,
        request: Request<OutBody>,
        want: Want,
        fresh: bool,
    ) -> Result<Attempt<Response<ForwardBody>>, NoAnswer> {
        let waiting = if fresh { None } else { own.take(want) };
        let ready = match waiting {
            Some(ready) => ready,
            None => {
                self.within_connect_timeout(self.open_tls(own, want))
                    .await?
            }
        };
        let own_name = self.upstream.authority();
        match ready {
            Ready::Http1(connection, idle) => {
                let request = recast(request, Protocol::Http1, own_name)?;
                self.exchange_http1(&idle, connection, request).await
            }
            Ready::Http2(lease) => {
                let request = recast(request, Protocol::Http2, own_name)?;
                self.exchange_http2(&own.http2, lease, request).await
            }
        }
    }

    async fn exchange_http1(
        &self,
        idle: &Arc<IdleStack>,
        connection: Connection,
        request: Request<OutBody>,
    ) -> Result<Attempt<Response<ForwardBody>>, NoAnswer> {
        let attempt = self.within_head_timeout(connection.send(request)).await?;
        Ok(attempt.map(|(response, connection)| {
            let then = connection.and_then(|connection| connection.after(&response, idle));
            response.map(|incoming| ForwardBody::http1(incoming, then))
        }))
    }

    async fn exchange_http2(
        &self,
        shared: &SharedConnection,
        lease: StreamLease,
        request: Request<OutBody>,
    ) -> Result<Attempt<Response<ForwardBody>>, NoAnswer> {
        let attempt = self.within_head_timeout(lease.send(request)).await?;
        if matches!(attempt, Attempt::HandedBack(..)) {
            // It takes no more requests; the next one dials.
            shared.retire(&lease);
        }
        Ok(attempt.map(|response| response.map(|incoming| ForwardBody::http2(incoming, lease))))
    }

    async fn open_http1(&self) -> Result<Connection, NoAnswer> {
        let stream = self.connect().await.map_err(NoAnswer::not_sent)?;
        Connection::handshake(Transport::Plain(stream), &self.tasks).await
    }

    async fn open_http2(
        &self,
        shared: &SharedConnection,
        want: Want,
    ) -> Result<StreamLease, NoAnswer> {
        // Dropped while it waits or dials: the permit goes to the next in the queue.
        let _turn = shared
            .dial_turn
            .acquire()
            .await
            .map_err(NoAnswer::not_sent)?;
        if let Some(lease) = shared.lease(want.idle_max) {
            return Ok(lease);
        }
        let stream = self.connect().await.map_err(NoAnswer::not_sent)?;
        shared
            .open(
                Transport::Plain(stream),
                &self.settings,
                &self.tasks,
                || true,
            )
            .await
    }

    async fn open_tls(&self, own: &TlsConnections, want: Want) -> Result<Ready, NoAnswer> {
        if want.offer == Offer::Http1 || own.agreed() == Some(Protocol::Http1) {
            return self.dial_tls(own, want.offer).await;
        }
        // One connection may be enough for all who want one: the first dials, and the others see what it found.
        let turn = own
            .http2
            .dial_turn
            .acquire()
            .await
            .map_err(NoAnswer::not_sent)?;
        if let Some(lease) = own.http2.lease(want.idle_max) {
            return Ok(Ready::Http2(lease));
        }
        let _turn = (own.agreed() != Some(Protocol::Http1)).then_some(turn);
        self.dial_tls(own, want.offer).await
    }

    /// A handshake that fails is a connection that was never there; nor is one that was begun under an older trust,
    /// however it went.
    async fn dial_tls(&self, own: &TlsConnections, offer: Offer) -> Result<Ready, NoAnswer> {
        let (stream, idle) = loop {
            // Before the dial: with this stack goes the trust that the handshake begins with.
            let idle = own.http1.load_full();
            let shaken = self.shake_hands(own, offer).await;
            if own.is_current(&idle) {
                break (shaken?, idle);
            }
        };
        let protocol = if stream.alpn() == Some(HTTP2) {
            Protocol::Http2
        } else {
            Protocol::Http1
        };
        if offer == Offer::Any {
            own.note(protocol);
        }
        match protocol {
            Protocol::Http1 => {
                let connection = Connection::handshake(stream, &self.tasks).await?;
                Ok(Ready::Http1(connection, idle))
            }
            Protocol::Http2 => {
                let is_current = || own.is_current(&idle);
                let opened = own
                    .http2
                    .open(stream, &self.settings, &self.tasks, is_current);
                Ok(Ready::Http2(opened.await?))
            }
        }
    }

    async fn shake_hands(&self, own: &TlsConnections, offer: Offer) -> Result<Transport, NoAnswer> {
        let tls = own
            .tls
            .as_ref()
            .ok_or_else(|| NoAnswer::not_sent("no certificate of the upstream is trusted"))?;
        let stream = self.connect().await.map_err(NoAnswer::not_sent)?;
        let shaken = tls.connect(stream, offer).await;
        shaken.map_err(NoAnswer::not_sent)
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.upstream.address()).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn within_head_timeout<T>(
        &self,
        sent: impl Future<Output = Result<T, NoAnswer>>,
    ) -> Result<T, NoAnswer> {
        let head_timeout = self.timeouts.head.load(Ordering::Relaxed);
        timeout(Duration::from_micros(head_timeout), sent)
            .await
            .map_err(NoAnswer::timed_out)?
    }

    /// No request is sent before a connection is open, so that every failure in here is proof.
    async fn within_connect_timeout<T>(
        &self,
        open: impl Future<Output = Result<T, NoAnswer>>,
    ) -> Result<T, NoAnswer> {
        let connect_timeout = self.timeouts.connect.load(Ordering::Relaxed);
        timeout(Duration::from_micros(connect_timeout), open)
            .await
            .map_err(NoAnswer::not_sent)?
    }
}

impl TlsConnections {
    /// A connection that is there already: HTTP/2 first, for it is shared.
    fn take(&self, want: Want) -> Option<Ready> {
        let shared = match want.offer {
            Offer::Any => self.http2.lease(want.idle_max),
            Offer::Http1 => None,
        };
        shared.map(Ready::Http2).or_else(|| {
            let idle = self.http1.load_full();
            let waiting = idle.take(want.idle_max)?;
            Some(Ready::Http1(waiting, idle))
        })
    }

    /// Whether nothing was forgotten since this was the stack.
    fn is_current(&self, idle: &Arc<IdleStack>) -> bool {
        Arc::ptr_eq(idle, &self.http1.load())
    }

    fn agreed(&self) -> Option<Protocol> {
        match self.agreed.load(Ordering::Relaxed) {
            AGREED_HTTP1 => Some(Protocol::Http1),
            AGREED_HTTP2 => Some(Protocol::Http2),
            _nothing_yet => None,
        }
    }

    fn note(&self, protocol: Protocol) {
        let agreed = match protocol {
            Protocol::Http1 => AGREED_HTTP1,
            Protocol::Http2 => AGREED_HTTP2,
        };
        self.agreed.store(agreed, Ordering::Relaxed);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

const AGREED_NOTHING: u8 = 0;
const AGREED_HTTP1: u8 = 1;
const AGREED_HTTP2: u8 = 2;
/// How often a request is handed to a connection. The second is a fresh one; if that hands back too, it was closed
/// in the same instant, and the caller is told that nothing was sent.
const ATTEMPTS_MAX: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    /// An execution that was promised an hour is not cut after ten minutes because its route has changed meanwhile.
    #[test]
    fn the_time_to_connect_follows_and_the_time_for_an_answer_only_grows() {
        let seconds = Duration::from_secs;
        let pool = Pool::new(
            "http://127.0.0.1:1".parse().unwrap(),
            PoolSettings::default(),
            None,
        );
        for (connect, head, head_after) in [(5, 3600, 3600), (1, 600, 3600), (4, 7200, 7200)] {
            pool.follow(seconds(connect), seconds(head));
            let Timeouts {
                connect: connect_after,
                head,
            } = &pool.timeouts;
            assert_eq!(
                connect_after.load(Ordering::Relaxed),
                micros(seconds(connect))
            );
            assert_eq!(head.load(Ordering::Relaxed), micros(seconds(head_after)));
        }
    }
}
