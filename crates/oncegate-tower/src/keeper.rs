//! Keeps a lease: renews it in time, and knows for how long it may be believed in.
//!
//! A renewal under way is state of the keeper, not of whoever waits: waiting may be broken off at any moment and taken
//! up again, and no renewal is lost or doubled by that.

use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use oncegate::StoreError;
use oncegate::engine::{Lease, Renewal};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep_until, timeout};

/// Keeps one lease.
pub(crate) struct Keeper {
    lease: Lease,
    store_timeout: Duration,
    renew_at: Instant,
    /// Until then the lease stands, whatever the store says now.
    trusted_until: Instant,
    lost: bool,
    renewing: Option<Renewing>,
}

/// A renewal under way, and when it was asked for.
struct Renewing {
    asked_at: Instant,
    answer: BoxFuture<'static, Result<Result<Renewal, StoreError>, Elapsed>>,
}

impl Keeper {
    /// Keeps `lease`, which was asked for at `begun`.
    pub(crate) fn new(lease: Lease, begun: Instant, store_timeout: Duration) -> Self {
        let renew_at = begun + lease.renew_after();
        let trusted_until = begun + lease.trusted_for();
        Self {
            lease,
            store_timeout,
            renew_at,
            trusted_until,
            lost: false,
            renewing: None,
        }
    }

    /// Renews whenever it is time, and never ends.
    ///
    /// # Cancel safety
    /// A renewal under way is taken up again by the next call.
    pub(crate) async fn keep(&mut self) -> Infallible {
        loop {
            if self.lost {
                std::future::pending::<()>().await;
            }
            if self.renewing.is_none() {
                sleep_until(self.renew_at).await;
            }
            self.renew().await;
        }
    }

    /// Whether the lease still stands: by its own time, else by asking.
    pub(crate) async fn make_sure(&mut self) -> bool {
        if !self.lost && self.trusted_until <= Instant::now() {
            self.renew().await;
        }
        !self.lost && Instant::now() < self.trusted_until
    }

    /// Ends the renewal under way, or makes one.
    async fn renew(&mut self) {
        let renewing = self.renewing.get_or_insert_with(|| {
            let (lease, store_timeout) = (self.lease.clone(), self.store_timeout);
            Renewing {
                asked_at: Instant::now(),
                answer: Box::pin(async move { timeout(store_timeout, lease.renew()).await }),
            }
        });
        let answer = (&mut renewing.answer).await;
        let asked_at = renewing.asked_at;
        self.renewing = None;
        let record = self.lease.id();
        match answer {
            Ok(Ok(Renewal::Held)) => {
                self.renew_at = asked_at + self.lease.renew_after();
                self.trusted_until = asked_at + self.lease.trusted_for();
                return;
            }
            Ok(Ok(Renewal::Lost)) => {
                tracing::warn!(%record, "the claim was taken over while its execution went on");
                self.lost = true;
            }
            Ok(Err(error)) => {
                tracing::warn!(%record, error = &error as &dyn std::error::Error, "a renewal failed");
            }
            Err(_elapsed) => tracing::warn!(%record, "a renewal was not answered in time"),
        }
        self.renew_at = Instant::now() + RENEW_AGAIN_AFTER.min(self.lease.renew_after());
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keeper({})", self.lease.id())
    }
}

const RENEW_AGAIN_AFTER: Duration = Duration::from_secs(1);
