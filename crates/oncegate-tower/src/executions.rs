//! All executions under way: counted, and drained at shutdown.
//!
//! After the claim nothing depends on the caller's connection, so somebody else must own the work: these tasks are
//! awaited by [`Executions::drain`] and by nobody before.

use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The executions of one process. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Executions {
    tasks: TaskTracker,
    draining: CancellationToken,
    give_up: CancellationToken,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum Drained {
    /// Every execution came to its end.
    Finished,
    /// Time ran out; what was left was marked unknown.
    GaveUp {
        /// How many executions were left when time ran out.
        executions: usize,
    },
}

impl Executions {
    /// Runs `task` to its end, whatever becomes of the caller. Dropping the returned handle cancels nothing.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // Boxed: tokio moves a task whole several times until it lies where it stays.
        self.tasks.spawn(Box::pin(task));
    }

    pub(crate) fn running(&self) -> usize {
        self.tasks.len()
    }

    /// Whether requests that would execute are to be refused: a drain has begun, or too much is under way.
    pub(crate) fn takes_no_more(&self) -> bool {
        self.draining.is_cancelled() || self.tasks.len() > EXECUTIONS_MAX
    }

    /// Resolves when a drain begins.
    pub(crate) async fn draining(&self) {
        self.draining.cancelled().await;
    }

    /// Resolves when an execution must mark its key unknown and end.
    pub(crate) async fn given_up(&self) {
        self.give_up.cancelled().await;
    }

    /// Lets executions end for up to `drain_timeout`, then has the rest marked unknown.
    pub(crate) async fn drain(&self, drain_timeout: Duration) -> Drained {
        self.draining.cancel();
        self.tasks.close();
        if timeout(drain_timeout, self.tasks.wait()).await.is_ok() {
            return Drained::Finished;
        }
        let executions = self.tasks.len();
        self.give_up.cancel();
        // If the store does not take the marks either, the leases lapse: that is unknown too.
        let _marked_or_not = timeout(MARKING_TIMEOUT, self.tasks.wait()).await;
        Drained::GaveUp { executions }
    }
}

/// Executions under way in one process. Their callers may be gone, so nothing else bounds them.
pub const EXECUTIONS_MAX: usize = 8_192;

/// How long the last marks may take after a drain has given up.
const MARKING_TIMEOUT: Duration = Duration::from_secs(2);
