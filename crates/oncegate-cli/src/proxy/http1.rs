//! HTTP/1.1 connections to the upstream: a small LIFO stack of idle ones.
//!
//! Promises: a connection is idle only if its last answer was read to the end *and* hyper is ready for the next
//! request on it; the youngest is taken first; one that was idle for longer than the taker allows is not taken; no
//! more than `idle_connections_max` wait, none longer than `idle_timeout`. It bounds idle connections, not busy
//! ones: those are bounded by the requests that the server lets in.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Request, Response, Version};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::TaskTracker;

use super::answer::{Attempt, NoAnswer, chain};
use super::pool::{OutBody, PoolSettings};
use super::transport::Transport;

/// One connection, not in use by anyone else.
pub(super) struct Connection {
    sender: SendRequest<OutBody>,
    /// Completes when hyper's side of the connection is gone.
    ended: oneshot::Receiver<Infallible>,
}

/// The connections that wait for a request; the youngest is at the back.
pub(super) struct IdleStack {
    stack: Mutex<Stack>,
    idle_timeout: Duration,
    connections_max: usize,
    tasks: TaskTracker,
}

/// What takes a connection back when the answer on it was read to the end.
pub(super) struct Return {
    connection: Connection,
    /// Weak: an answer that is still being read keeps no pool alive.
    to: Weak<IdleStack>,
}

struct Stack {
    connections: VecDeque<IdleConnection>,
    /// Whether a task is there that removes what was idle for too long.
    purged: bool,
}

struct IdleConnection {
    connection: Connection,
    idle_since: Instant,
}

impl Connection {
    /// Speaks HTTP/1.1 on a fresh stream. Nothing is sent by this.
    pub(super) async fn handshake(
        stream: Transport,
        tasks: &TaskTracker,
    ) -> Result<Self, NoAnswer> {
        let (sender, connection) = Builder::new()
            .handshake(TokioIo::new(stream))
            .await
            .map_err(NoAnswer::not_sent)?;
        let (ends, ended) = oneshot::channel();
        // The task ends with its connection: when the sender is dropped, the peer closes, or it breaks.
        tasks.spawn(async move {
            let result = connection.with_upgrades().await;
            drop(ends);
            if let Err(error) = result {
                tracing::debug!(error = chain(&error), "upstream connection ended");
            }
        });
        Ok(Self { sender, ended })
    }

    /// Hands a request to hyper and waits for the head of its answer. The connection comes back with it, if it is
    /// still there.
    ///
    /// A request that enters hyper's queue in the very moment in which hyper drops the other end is neither sent
    /// nor handed back: it lies in the channel for as long as a sender holds that (tokio's mpsc empties a channel
    /// when the receiver is dropped, and a push that had begun before comes after). So when hyper's side has ended
    /// without an answer, the sender is dropped; that empties the channel and hands the request back.
    pub(super) async fn send(
        self,
        request: Request<OutBody>,
    ) -> Result<Attempt<(Response<Incoming>, Option<Self>)>, NoAnswer> {
        let Self {
            mut sender,
            mut ended,
        } = self;
        let mut answer = pin!(sender.try_send_request(request));
        tokio::select! {
            biased;
            answer = answer.as_mut() => {
                let connection = Self { sender, ended };
                return Ok(Attempt::judge(answer)?.map(|response| (response, Some(connection))));
            }
            _ = &mut ended => drop(sender),
        }
        Ok(Attempt::judge(answer.await)?.map(|response| (response, None)))
    }

    /// What the connection does when `response` was read to its end.
    pub(super) fn after(
        self,
        response: &Response<Incoming>,
        idle: &Arc<IdleStack>,
    ) -> Option<Return> {
        // After an HTTP/1.0 answer hyper sends HTTP/1.0 requests on this connection, and would silently leave out
        // a body of unknown length. Such connections are used once.
        // Nor is one used again whose answer was framed twice: what comes next on it may be a part of that answer.
        let is_reusable = response.version() == Version::HTTP_11
            && !is_framed_twice(response.headers())
            && response.extensions().get::<OnUpgrade>().is_none();
        is_reusable.then(|| Return {
            connection: self,
            to: Arc::downgrade(idle),
        })
    }
}

impl IdleStack {
    pub(super) fn new(settings: &PoolSettings, tasks: TaskTracker) -> Self {
        Self {
            stack: Mutex::new(Stack {
                connections: VecDeque::new(),
                purged: false,
            }),
            idle_timeout: settings.idle_timeout,
            connections_max: settings.idle_connections_max,
            tasks,
        }
    }

    /// The youngest usable connection that was idle for at most `idle_max`, if there is one.
    pub(super) fn take(&self, idle_max: Option<Duration>) -> Option<Connection> {
        let limit = idle_max.map_or(self.idle_timeout, |max| max.min(self.idle_timeout));
        let now = Instant::now();
        let mut stack = self.stack.lock();
        while let Some(youngest) = stack.connections.pop_back() {
            // Closed while it waited: the next one may be alive.
            if !youngest.connection.sender.is_ready() {
                continue;
            }
            if now.duration_since(youngest.idle_since) > limit {
                // All others are older still. It stays for requests that are less particular.
                stack.connections.push_back(youngest);
                return None;
            }
            return Some(youngest.connection);
        }
        None
    }

    fn put(self: &Arc<Self>, connection: Connection) {
        let mut stack = self.stack.lock();
        stack.connections.push_back(IdleConnection {
            connection,
            idle_since: Instant::now(),
        });
        if stack.connections.len() > self.connections_max {
            // Closes the oldest: it is the one that the upstream closes first.
            stack.connections.pop_front();
        }
        if !stack.purged && !stack.connections.is_empty() {
            stack.purged = true;
            self.tasks.spawn(purge(Arc::downgrade(self)));
        }
    }

    /// Removes what was idle for too long; says when to look again.
    fn purge(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut stack = self.stack.lock();
        while let Some(oldest) = stack.connections.front() {
            let ends_at = oldest.idle_since + self.idle_timeout;
            if ends_at > now && !oldest.connection.sender.is_closed() {
                return Some(ends_at);
            }
            stack.connections.pop_front();
        }
        stack.purged = false;
        None
    }
}

impl Return {
    /// Called when the answer was read to its end.
    pub(super) fn give_back(self) {
        let Some(idle) = self.to.upgrade() else {
            return;
        };
        if self.connection.sender.is_ready() {
            idle.put(self.connection);
        } else if !self.connection.sender.is_closed() {
            // The connection's own task has not come round yet, or the request's body is still on its way.
            let tasks = idle.tasks.clone();
            tasks.spawn(put_when_ready(self.connection, self.to));
        }
    }
}

/// Chunks count then (RFC 9112, 6.3), but whoever wrote both may have meant the length.
fn is_framed_twice(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH)
}

/// Waits a moment for a connection to become ready; otherwise drops it, which closes it.
async fn put_when_ready(mut connection: Connection, to: Weak<IdleStack>) {
    let ready = timeout(READY_TIMEOUT, connection.sender.ready()).await;
    if let (Ok(Ok(())), Some(idle)) = (ready, to.upgrade()) {
        idle.put(connection);
    }
}

/// Runs while connections are idle; ends with the last of them, or with the pool.
async fn purge(idle: Weak<IdleStack>) {
    loop {
        let Some(next) = idle.upgrade().and_then(|idle| idle.purge()) else {
            return;
        };
        sleep_until(next).await;
    }
}

/// How long a connection may take, after its answer was read, to become ready for the next request.
const READY_TIMEOUT: Duration = Duration::from_secs(1);
