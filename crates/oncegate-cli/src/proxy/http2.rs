//! HTTP/2 connections to the upstream: one, shared by all requests.
//!
//! Promises: it is dialled again when it was closed, when it was idle for longer than the taker allows, and when
//! hyper handed a request back; requests that run on an older one keep it. Dials take turns, so that a burst opens
//! one connection. Both halves of a connection (hyper's dispatcher and h2's own) are driven by *one* task: what a
//! GOAWAY proves depends on it, see [`NoAnswer::judge`](super::answer::NoAnswer).

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{FutureExt, join};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::answer::{Attempt, NoAnswer, chain};
use super::pool::{OutBody, PoolSettings};
use super::transport::Transport;

/// The one connection of the moment.
pub(super) struct SharedConnection {
    current: Mutex<Option<Arc<Connection>>>,
    /// Held by the one request that dials.
    pub(super) dial_turn: Semaphore,
    idle_timeout: Duration,
}

/// A place on a connection. While any is held, the connection is not idle.
pub(super) struct StreamLease {
    connection: Arc<Connection>,
}

struct Connection {
    /// Taken away when hyper's dispatcher has ended.
    ///
    /// A request that enters hyper's queue in the very moment in which the dispatcher drops the other end is
    /// neither sent nor handed back, for as long as any sender holds the channel (see `http1.rs`). Without the last
    /// sender the channel is emptied, and the request handed back.
    sender: Mutex<Option<SendRequest<OutBody>>>,
    usage: Mutex<Usage>,
}

struct Usage {
    streams: usize,
    idle_since: Instant,
}

/// Spawns hyper's futures, but for the first: that one is the h2 connection itself, and it is held back so that it
/// can be driven together with the dispatcher.
#[derive(Clone)]
struct HoldFirst {
    held: Arc<Mutex<Held>>,
    tasks: TaskTracker,
}

enum Held {
    Nothing,
    Connection(Pin<Box<dyn Future<Output = ()> + Send>>),
    Taken,
}

impl SharedConnection {
    pub(super) fn new(settings: &PoolSettings) -> Self {
        Self {
            current: Mutex::new(None),
            dial_turn: Semaphore::new(1),
            idle_timeout: settings.idle_timeout,
        }
    }

    /// A place on the current connection, if that is open and was not idle for longer than `idle_max`.
    pub(super) fn lease(&self, idle_max: Option<Duration>) -> Option<StreamLease> {
        let limit = idle_max.map_or(self.idle_timeout, |max| max.min(self.idle_timeout));
        let current = self.current.lock().clone()?;
        (!current.is_closed() && current.was_in_use_within(limit))
            .then(|| StreamLease::new(current))
    }

    /// Speaks HTTP/2 on a fresh stream and makes it the current connection, if others may still have it by then. No
    /// request is sent by this.
    pub(super) async fn open(
        &self,
        stream: Transport,
        settings: &PoolSettings,
        tasks: &TaskTracker,
        is_for_others: impl Fn() -> bool,
    ) -> Result<StreamLease, NoAnswer> {
        let executor = HoldFirst {
            held: Arc::new(Mutex::new(Held::Nothing)),
            tasks: tasks.clone(),
        };
        let (sender, dispatcher) = Builder::new(executor.clone())
            .timer(TokioTimer::new())
            .max_header_list_size(settings.header_bytes_max)
            .keep_alive_interval(settings.ping_interval)
            .keep_alive_timeout(settings.ping_timeout)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(NoAnswer::not_sent)?;
        let Held::Connection(h2) = executor.take() else {
            // hyper changed; without the pairing a GOAWAY would prove nothing.
            return Err(NoAnswer::not_sent("hyper started no h2 connection"));
        };
        let connection = Arc::new(Connection::new(sender));
        let ending = Arc::downgrade(&connection);
        let dispatcher = dispatcher.map(move |ended| {
            if let Some(connection) = ending.upgrade() {
                drop(connection.sender.lock().take());
            }
            if let Err(error) = ended {
                tracing::debug!(error = chain(&error), "upstream connection ended");
            }
        });
        tasks.spawn(join(dispatcher, h2));
        {
            let mut current = self.current.lock();
            // Asked under the lock: whoever forgets comes before the question, or after the answer was put here.
            if is_for_others() {
                *current = Some(Arc::clone(&connection));
            }
        }
        Ok(StreamLease::new(connection))
    }

    /// Gives up the connection of the moment; what runs on it goes on.
    pub(super) fn forget(&self) {
        drop(self.current.lock().take());
    }

    /// Gives up a connection that takes no more requests, unless another has taken its place already.
    pub(super) fn retire(&self, lease: &StreamLease) {
        let mut current = self.current.lock();
        if current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, &lease.connection))
        {
            *current = None;
        }
    }
}

impl StreamLease {
    fn new(connection: Arc<Connection>) -> Self {
        connection.usage.lock().streams += 1;
        Self { connection }
    }

    /// Hands a request to hyper and waits for the head of its answer.
    pub(super) async fn send(
        &self,
        request: Request<OutBody>,
    ) -> Result<Attempt<Response<Incoming>>, NoAnswer> {
        let sender = self.connection.sender.lock().clone();
        let Some(mut sender) = sender else {
            let error = "connection has ended".into();
            return Ok(Attempt::HandedBack(Box::new(request), error));
        };
        let answer = sender.try_send_request(request);
        // While we wait, only the connection holds a sender.
        drop(sender);
        Attempt::judge(answer.await)
    }
}

impl Drop for StreamLease {
    fn drop(&mut self) {
        let mut usage = self.connection.usage.lock();
        usage.streams -= 1;
        usage.idle_since = Instant::now();
    }
}

impl Connection {
    fn new(sender: SendRequest<OutBody>) -> Self {
        Self {
            sender: Mutex::new(Some(sender)),
            usage: Mutex::new(Usage {
                streams: 0,
                idle_since: Instant::now(),
            }),
        }
    }

    fn is_closed(&self) -> bool {
        self.sender
            .lock()
            .as_ref()
            .is_none_or(SendRequest::is_closed)
    }

    fn was_in_use_within(&self, limit: Duration) -> bool {
        let usage = self.usage.lock();
        usage.streams > 0 || usage.idle_since.elapsed() <= limit
    }
}

impl HoldFirst {
    fn take(&self) -> Held {
        std::mem::replace(&mut *self.held.lock(), Held::Taken)
    }
}

impl<F> Executor<F> for HoldFirst
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        let mut held = self.held.lock();
        match *held {
            Held::Nothing => *held = Held::Connection(Box::pin(future)),
            // Each exchange's own futures: they end with their stream.
            Held::Connection(_) | Held::Taken => {
                drop(self.tasks.spawn(future));
            }
        }
    }
}
