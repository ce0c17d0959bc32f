//! Connections that have stopped speaking HTTP: upgrades and CONNECT.
//!
//! Promises: no more than `tunnels_max` at a time; each is copied in a task that is counted, and ended at shutdown.
//! It keeps no limit on time: a quiet web socket is no error, and its two ends know better when to give up.

use std::sync::Arc;
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// All tunnels of a proxy. A clone is the same set.
#[derive(Clone, Debug)]
pub struct Tunnels {
    tasks: TaskTracker,
    end: CancellationToken,
    places: Arc<Semaphore>,
}

impl Tunnels {
    pub(super) fn new(tunnels_max: usize) -> Self {
        Self {
            tasks: TaskTracker::new(),
            end: CancellationToken::new(),
            places: Arc::new(Semaphore::new(tunnels_max)),
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
        let end = self.end.clone();
        self.tasks.spawn(async move {
            let copied = end.run_until_cancelled(copy(downstream, upstream)).await;
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
) -> Result<(u64, u64), Box<dyn std::error::Error + Send + Sync>> {
    let (downstream, upstream) = tokio::try_join!(downstream, upstream)?;
    let mut downstream = TokioIo::new(downstream);
    let mut upstream = TokioIo::new(upstream);
    Ok(copy_bidirectional(&mut downstream, &mut upstream).await?)
}
