//! Sending a request to the upstream, on an idle connection or a fresh one.
//!
//! Promises: a request is sent a second time only when hyper handed it back, which it does only while the request
//! is still in its queue and not one byte is written; then on a fresh connection, [`ATTEMPTS_MAX`] times in all.
//! Every failure says what it proves. There is no retry of any other kind, not even for safe methods, and no
//! balancing between upstreams.

use std::io;
use std::sync::Arc;
use std::time::Duration;

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
use super::upstream::{Protocol, Upstream};

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
    connections: Connections,
    /// Owns the tasks of the connections. They end when the pool and the last answer are dropped.
    tasks: TaskTracker,
}

enum Connections {
    Http1(Arc<IdleStack>),
    Http2(SharedConnection),
}

impl Pool {
    pub(super) fn new(upstream: Upstream, settings: PoolSettings) -> Self {
        let tasks = TaskTracker::new();
        let connections = match upstream.protocol() {
            Protocol::Http1 => {
                Connections::Http1(Arc::new(IdleStack::new(&settings, tasks.clone())))
            }
            Protocol::Http2 => Connections::Http2(SharedConnection::new(&settings)),
        };
        Self {
            upstream,
            settings,
            connections,
            tasks,
        }
    }

    pub(super) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Sends a request; `idle_max` bounds how long the connection it takes may have been idle.
    ///
    /// # Cancel safety
    /// Dropping the future before the head of the answer came cuts the exchange: HTTP/1.1 closes the connection,
    /// HTTP/2 resets the stream. Whether the upstream executes the request is then unknown.
    pub(super) async fn send(
        &self,
        mut request: Request<OutBody>,
        idle_max: Option<Duration>,
    ) -> Result<Response<ForwardBody>, NoAnswer> {
        let mut handed_back = None;
        for attempt in 1..=ATTEMPTS_MAX {
            let fresh = attempt > 1;
            let outcome = match &self.connections {
                Connections::Http1(idle) => {
                    self.attempt_http1(idle, request, idle_max, fresh).await?
                }
                Connections::Http2(shared) => {
                    self.attempt_http2(shared, request, idle_max, fresh).await?
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
        idle_max: Option<Duration>,
        fresh: bool,
    ) -> Result<Attempt<Response<ForwardBody>>, NoAnswer> {
        let waiting = if fresh { None } else { idle.take(idle_max) };
        let connection = match waiting {
            Some(connection) => connection,
            None => self.within_connect_timeout(self.open_http1()).await?,
        };
        let attempt = self.within_head_timeout(connection.send(request)).await?;
        Ok(attempt.map(|(response, connection)| {
            let then = connection.and_then(|connection| connection.after(&response, idle));
            response.map(|incoming| ForwardBody::http1(incoming, then))
        }))
    }

    async fn attempt_http2(
        &self,
        shared: &SharedConnection,
        request: Request<OutBody>,
        idle_max: Option<Duration>,
        fresh: bool,
    ) -> Result<Attempt<Response<ForwardBody>>, NoAnswer> {
        let waiting = if fresh { None } else { shared.lease(idle_max) };
        let lease = match waiting {
            Some(lease) => lease,
            None => {
                self.within_connect_timeout(self.open_http2(shared, idle_max))
                    .await?
            }
        };
        let attempt = self.within_head_timeout(lease.send(request)).await?;
        if matches!(attempt, Attempt::HandedBack(..)) {
            // It takes no more requests; the next one dials.
            shared.retire(&lease);
        }
        Ok(attempt.map(|response| response.map(|incoming| ForwardBody::http2(incoming, lease))))
    }

    async fn open_http1(&self) -> Result<Connection, NoAnswer> {
        let stream = self.connect().await.map_err(NoAnswer::not_sent)?;
        Connection::handshake(stream, &self.tasks).await
    }

    async fn open_http2(
        &self,
        shared: &SharedConnection,
        idle_max: Option<Duration>,
    ) -> Result<StreamLease, NoAnswer> {
        // Dropped while it waits or dials: the permit goes to the next in the queue.
        let _turn = shared
            .dial_turn
            .acquire()
            .await
            .map_err(NoAnswer::not_sent)?;
        if let Some(lease) = shared.lease(idle_max) {
            return Ok(lease);
        }
        let stream = self.connect().await.map_err(NoAnswer::not_sent)?;
        shared.replace(stream, &self.settings, &self.tasks).await
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
        timeout(self.settings.head_timeout, sent)
            .await
            .map_err(NoAnswer::timed_out)?
    }

    /// No request is sent before a connection is open, so that every failure in here is proof.
    async fn within_connect_timeout<T>(
        &self,
        open: impl Future<Output = Result<T, NoAnswer>>,
    ) -> Result<T, NoAnswer> {
        timeout(self.settings.connect_timeout, open)
            .await
            .map_err(NoAnswer::not_sent)?
    }
}

/// How often a request is handed to a connection. The second is a fresh one; if that hands back too, it was closed
/// in the same instant, and the caller is told that nothing was sent.
const ATTEMPTS_MAX: u32 = 2;
