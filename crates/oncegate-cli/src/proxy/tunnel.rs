//! Connections that have stopped speaking HTTP: upgrades and CONNECT.
//!
//! Promises: no more than `tunnels_max` at a time; each is copied in a task that is counted, and ended at shutdown.
//! One that carries nothing for `tunnel_idle_timeout` is ended: two ends that are both gone without a word would hold
//! their place for ever. That time is long: a quiet web socket is no error.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// All tunnels of a proxy. A clone is the same set.
#[derive(Clone, Debug)]
pub struct Tunnels {
    tasks: TaskTracker,
    end: CancellationToken,
    places: Arc<Semaphore>,
    idle_timeout: Duration,
}

impl Tunnels {
    pub(super) fn new(tunnels_max: usize, idle_timeout: Duration) -> Self {
        Self {
            tasks: TaskTracker::new(),
            end: CancellationToken::new(),
            places: Arc::new(Semaphore::new(tunnels_max)),
            idle_timeout,
        }
    }

    /// A place for one more tunnel, if there is one.
    pub(super) fn reserve(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Copies between both sides as soon as both have switched.
    pub(super) fn open(
        &self,
        downstream: OnUpgrade,
        upstream: OnUpgrade,
        place: OwnedSemaphorePermit,
    ) {
        let (end, idle_timeout) = (self.end.clone(), self.idle_timeout);
        self.tasks.spawn(async move {
            let copying = copy(downstream, upstream, idle_timeout);
            let copied = end.run_until_cancelled(copying).await;
            if let Some(Err(error)) = copied {
                tracing::debug!(%error, "tunnel broke");
            }
            drop(place);
        });
    }

    /// Waits up to `drain_timeout` for all tunnels to end by themselves, then ends the rest; says how many those
    /// were. Tunnels opened later end at once.
    pub async fn drain(&self, drain_timeout: Duration) -> usize {
        self.tasks.close();
        if timeout(drain_timeout, self.tasks.wait()).await.is_ok() {
            self.end.cancel();
            return 0;
        }
        let cut = self.tasks.len();
        self.end.cancel();
        // Nothing in a cancelled task waits any more.
        self.tasks.wait().await;
        cut
    }
}

async fn copy(
    downstream: OnUpgrade,
    upstream: OnUpgrade,
    idle_timeout: Duration,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (downstream, upstream) = tokio::try_join!(downstream, upstream)?;
    let moved = Moved::default();
    let mut downstream = Noted::new(downstream, &moved);
    let mut upstream = Noted::new(upstream, &moved);
    tokio::select! {
        copied = copy_bidirectional(&mut downstream, &mut upstream) => copied.map(drop)?,
        () = moved.stops(idle_timeout) => tracing::debug!(?idle_timeout, "tunnel was idle"),
    }
    Ok(())
}

/// How much was read on either side.
#[derive(Clone, Debug, Default)]
struct Moved(Arc<AtomicU64>);

impl Moved {
    /// Resolves when nothing was read for `idle_timeout`, or up to twice that.
    async fn stops(&self, idle_timeout: Duration) {
        let mut before = None;
        loop {
            let now = self.0.load(Ordering::Relaxed);
            if before == Some(now) {
                return;
            }
            before = Some(now);
            sleep(idle_timeout).await;
        }
    }
}

/// One side of a tunnel, which notes what is read from it.
struct Noted {
    side: TokioIo<Upgraded>,
    moved: Moved,
}

impl Noted {
    fn new(side: Upgraded, moved: &Moved) -> Self {
        Self {
            side: TokioIo::new(side),
            moved: moved.clone(),
        }
    }
}

impl AsyncRead for Noted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.side).poll_read(cx, buf))?;
        let more = buf.filled().len() - before;
        self.moved.0.fetch_add(more as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Noted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.side).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.side).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.side).poll_shutdown(cx)
    }
}
