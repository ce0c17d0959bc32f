//! The side that faces the clients: accepts, keeps limits, drains.
//!
//! Promises: HTTP/1.1 and HTTP/2 on one port, in clear or over TLS; every wait for a client has a limit; beyond
//! `connections_max` nothing is accepted until a place is free; no error of one connection or of `accept` ends the
//! server; shutdown lets open requests finish for `drain_timeout` and tells whether they did.
//! It does not protect executions from callers that disconnect: dropping the service's future is all that happens
//! here, and the layer runs executions in tasks of their own (M-24). Upgraded connections leave this module's
//! sight; [`Tunnels`](super::Tunnels) has them.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service;

use super::activity::{Activity, Expiry, OpenRequest, Patience, WatchedStream};
use super::answer::{BoxError, chain};
use super::headers::PeerAddr;
use super::server_body::ServerBody;
use super::shape::is_plain;
use super::tls::{OverTls, ServerTls};
use super::transport::Transport;

/// The limits on clients.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerSettings {
    /// How many connections may be open.
    pub connections_max: usize,
    /// From accepting a connection to its first byte.
    pub first_byte_timeout: Duration,
    /// From the first byte of a head to its last.
    pub header_timeout: Duration,
    /// Between two requests on one connection.
    pub idle_timeout: Duration,
    /// How long a request's body may stall.
    pub body_idle_timeout: Duration,
    /// How long the client may take nothing of an answer.
    pub write_timeout: Duration,
    /// How large a head may be; at least 8 KiB, which is hyper's smallest buffer.
    pub header_bytes_max: u32,
    /// How many headers a head may have (HTTP/1.1).
    pub headers_max: usize,
    /// How many requests may be open on one HTTP/2 connection.
    pub streams_max: u32,
    /// How often a quiet HTTP/2 client is pinged.
    pub ping_interval: Duration,
    /// How long the answer to a ping may take.
    pub ping_timeout: Duration,
    /// How long open requests may take to finish at shutdown.
    pub drain_timeout: Duration,
    /// TLS on every connection; its handshake has limits of its own.
    pub tls: Option<ServerTls>,
}

/// How the server ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Drained {
    /// Every connection ended by itself.
    Whole,
    /// `drain_timeout` passed first.
    TimedOut {
        /// How many connections were cut.
        connections_cut: usize,
    },
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            first_byte_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            body_idle_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            header_bytes_max: 64 * 1024,
            headers_max: 100,
            streams_max: 128,
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(20),
            drain_timeout: Duration::from_secs(30),
            tls: None,
        }
    }
}

/// What all connections share.
struct Server {
    http: Builder<TokioExecutor>,
    patience: Patience,
    body_idle_timeout: Duration,
    tls: Option<ServerTls>,
    /// Open requests may finish, nothing new begins.
    drain: CancellationToken,
    /// Everything ends now.
    cut: CancellationToken,
}

/// An answer's body, which keeps its request open until it is gone.
struct OpenBody<B> {
    /// None in the answers that the server makes itself.
    inner: Option<Pin<Box<B>>>,
    request: OpenRequest,
    /// HTTP/1.0 ends a body of unknown length by closing: a broken one must not look whole.
    ends_by_close: bool,
}

/// Serves until `shutdown` completes and then drains.
///
/// # Cancel safety
/// Dropping the future stops accepting and leaves open connections to themselves.
pub async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    settings: ServerSettings,
    shutdown: impl Future<Output = ()>,
) -> Drained
where
    S: Service<Request<ServerBody>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let server = Arc::new(Server::new(&settings));
    let places = Arc::new(Semaphore::new(settings.connections_max));
    let connections = TaskTracker::new();
    let accept_all = async {
        // A semaphore that nobody closes always gives.
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            let (stream, peer) = accept(&listener).await;
            let (server, service) = (Arc::clone(&server), service.clone());
            connections.spawn(async move {
                server.run(stream, peer, service).await;
                drop(place);
            });
        }
    };
    tokio::select! {
        biased;
        () = shutdown => {}
        () = accept_all => {}
    }
    drop(listener);
    server.end(&connections, settings.drain_timeout).await
}

impl Server {
    fn new(settings: &ServerSettings) -> Self {
        Self {
            http: http_builder(settings),
            patience: Patience {
                first_byte_timeout: settings.first_byte_timeout,
                header_timeout: settings.header_timeout,
                idle_timeout: settings.idle_timeout,
                write_timeout: settings.write_timeout,
            },
            body_idle_timeout: settings.body_idle_timeout,
            tls: settings.tls.clone(),
            drain: CancellationToken::new(),
            cut: CancellationToken::new(),
        }
    }

    /// Lets open requests finish, then cuts the rest.
    async fn end(&self, connections: &TaskTracker, drain_timeout: Duration) -> Drained {
        self.drain.cancel();
        connections.close();
        if timeout(drain_timeout, connections.wait()).await.is_ok() {
            return Drained::Whole;
        }
        let connections_cut = connections.len();
        self.cut.cancel();
        // Nothing in a cut connection waits any more.
        connections.wait().await;
        Drained::TimedOut { connections_cut }
    }

    /// Shakes hands, if that is what is done here. Nobody has asked for anything yet: a drain does not wait for it.
    async fn secure(&self, stream: TcpStream) -> Option<Transport> {
        let Some(tls) = &self.tls else {
            return Some(Transport::Plain(stream));
        };
        // Boxed: a connection that has shaken hands needs no room for it.
        let accepted = Box::pin(tls.accept(stream));
        match self.drain.run_until_cancelled(accepted).await? {
            Ok(stream) => Some(stream),
            Err(error) => {
                tracing::debug!(%error, "TLS handshake with a client failed");
                None
            }
        }
    }

    /// Serves one connection to its end.
    async fn run<S, B>(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, service: S)
    where
        S: Service<Request<ServerBody>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + 'static,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let Some(stream) = self.secure(stream).await else {
            return;
        };
        let peer = PeerAddr::new(peer);
        let over_tls = stream.is_tls().then_some(OverTls);
        let activity = Arc::new(Activity::new());
        let io = TokioIo::new(WatchedStream::new(stream, Arc::clone(&activity)));
        let body_idle_timeout = self.body_idle_timeout;
        let opened = Arc::clone(&activity);
        let answers = service_fn(move |mut request: Request<Incoming>| {
            over_tls.map(|over_tls| request.extensions_mut().insert(over_tls));
            let open = opened.open_request(request.version());
            let request =
                request.map(|body| ServerBody::new(body, body_idle_timeout, Arc::clone(&opened)));
            answer(service.clone(), request, peer.clone(), open)
        });
        let mut connection = pin!(self.http.serve_connection_with_upgrades(io, answers));
        let ended = tokio::select! {
            biased;
            ended = connection.as_mut() => Some(ended),
            // Nothing is cut before a drain has begun.
            () = self.drain.cancelled() => None,
            expiry = expired(&activity, &self.patience) => match expiry {
                Expiry::Cut => return,
                Expiry::Close => None,
            },
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                activity.note_goodbye();
                let patience = Patience {
                    idle_timeout: GOODBYE_TIMEOUT,
                    ..self.patience
                };
                tokio::select! {
                    biased;
                    () = self.cut.cancelled() => return,
                    ended = connection => ended,
                    _ = expired(&activity, &patience) => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error = chain(&*error), "client connection ended");
        }
    }
}

/// One request, from its head to its answer.
async fn answer<S, B>(
    mut service: S,
    mut request: Request<ServerBody>,
    peer: PeerAddr,
    open: OpenRequest,
) -> Result<Response<OpenBody<B>>, Infallible>
where
    S: Service<Request<ServerBody>, Response = Response<B>, Error = Infallible>,
{
    let ends_by_close = request.version() == Version::HTTP_10;
    if !is_plain(&request) {
        return Ok(OpenBody::refusal(request.version(), open));
    }
    request.extensions_mut().insert(peer);
    // The clone that was polled ready is the one that is called.
    let Ok(()) = poll_fn(|cx| service.poll_ready(cx)).await;
    let Ok(response) = service.call(request).await;
    Ok(response.map(|body| OpenBody {
        inner: Some(Box::pin(body)),
        request: open,
        ends_by_close,
    }))
}

fn http_builder(settings: &ServerSettings) -> Builder<TokioExecutor> {
    let header_bytes_max = usize::try_from(settings.header_bytes_max).unwrap_or(usize::MAX);
    let mut builder = Builder::new(TokioExecutor::new());
    if settings.headers_max != HYPER_HEADERS_MAX {
        builder.http1().max_headers(settings.headers_max);
    }
    builder
        .http1()
        .timer(TokioTimer::new())
        // `Activity` keeps the time: it also knows the first byte and tells a head from an idle connection.
        .header_read_timeout(None)
        .max_buf_size(header_bytes_max.max(HEADER_BYTES_LEAST));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(settings.header_bytes_max)
        .max_concurrent_streams(settings.streams_max)
        .keep_alive_interval(settings.ping_interval)
        .keep_alive_timeout(settings.ping_timeout);
    builder
}

/// Waits for the next connection. Errors are waited out: a full table of descriptors empties again.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut pause = ACCEPT_PAUSE_LEAST;
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // The client gave up while it was in the queue: the next one is not to blame.
            Err(error) if is_of_one_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, ?pause, "cannot accept connections");
                sleep(pause).await;
                pause = (pause * 2).min(ACCEPT_PAUSE_MAX);
            }
        }
    }
}

fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// Completes when the client kept us waiting for too long.
///
/// Whatever changes the deadline happens in the connection's task or wakes it, and every wake polls this as well.
async fn expired(activity: &Activity, patience: &Patience) -> Expiry {
    let mut timer = pin!(sleep(patience.idle_timeout));
    poll_fn(|cx| {
        activity.register(cx.waker());
        let Some((at, expiry)) = activity.deadline(patience) else {
            return Poll::Pending;
        };
        // Re-armed at once only for an earlier deadline: a later one is found when the timer fires. So a busy
        // connection leaves the timer alone.
        if at < timer.deadline() {
            timer.as_mut().reset(at);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if at <= Instant::now() {
                return Poll::Ready(expiry);
            }
            timer.as_mut().reset(at);
        }
        Poll::Pending
    })
    .await
}

impl<B> OpenBody<B> {
    /// 400, and the end of the connection: of what comes behind a head that can be read in two ways, nobody knows
    /// where it begins. (An HTTP/2 stream has no behind.)
    fn refusal(version: Version, request: OpenRequest) -> Response<Self> {
        let mut refusal = Response::new(Self {
            inner: None,
            request,
            ends_by_close: version == Version::HTTP_10,
        });
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        if version != Version::HTTP_2 {
            let close = HeaderValue::from_static("close");
            refusal.headers_mut().insert(CONNECTION, close);
        }
        refusal
    }
}

impl<B> Body for OpenBody<B>
where
    B: Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        let frame = ready!(inner.as_mut().poll_frame(cx));
        if self.ends_by_close && matches!(frame, Some(Err(_))) {
            self.request.reset_at_end();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner
            .as_ref()
            .is_none_or(|inner| inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), |inner| inner.size_hint())
    }
}

/// How many headers hyper takes of itself. Told the same number, it would prepare its table of them anew for each head.
const HYPER_HEADERS_MAX: usize = 100;
/// hyper's smallest buffer for heads.
const HEADER_BYTES_LEAST: usize = 8 * 1024;
/// The first and the longest pause after an error of `accept`.
const ACCEPT_PAUSE_LEAST: Duration = Duration::from_millis(10);
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long a connection without open requests may take to end after it was asked to.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(5);
