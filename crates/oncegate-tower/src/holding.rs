//! Holds a claim while work goes on, and ends it durably.
//!
//! The engine says when to renew; here we sleep. The end of a claim is tried again and again while the store fails:
//! an outcome that is known must not be lost for want of patience.

use std::future::Future;
use std::time::Duration;

use futures_util::future::{Either, select};
use oncegate::clock::Timestamp;
use oncegate::engine::{BeginRequest, Bypass, Claim, ClaimError, Lease};
use oncegate::record::{Fence, Record, Retention};
use oncegate::store::{Stamped, StoreErrorKind, Update};
use oncegate::{Engine, Policy, StoredResponse};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::executions::Executions;
use crate::keeper::Keeper;

/// The right to execute: a claim, or the permission to go without one while the store is down.
#[derive(Debug)]
pub(crate) enum Holder {
    Claim(Claim),
    Bypass(Bypass),
}

/// A right to execute, and the clocks that run while it is used.
#[derive(Debug)]
pub(crate) struct Holding {
    holder: Holder,
    /// Renews the claim's lease; nothing to renew without a claim.
    keeper: Option<Keeper>,
    executions: Executions,
    store_timeout: Duration,
    deadline: Instant,
}

/// Why work under a claim was broken off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Interrupted {
    /// It took longer than an execution may take.
    TimedOut,
    /// The process shuts down and can wait no longer.
    GaveUp,
}

/// How a claim ends.
#[derive(Clone, Debug)]
pub(crate) enum Ending {
    Complete {
        response: StoredResponse,
        retention: Retention,
    },
    Release,
    Unknown,
}

impl Ending {
    /// The outcome that it records, if it does.
    pub(crate) fn response(&self) -> Option<StoredResponse> {
        match self {
            Self::Complete { response, .. } => Some(response.clone()),
            Self::Release | Self::Unknown => None,
        }
    }
}

/// What the store made of the end of a claim.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "moved once; a box would cost every end an allocation"
)]
pub(crate) enum Concluded {
    /// It is written.
    Recorded { kept: bool },
    /// The record is no longer ours; this is what stands there.
    Stale {
        stands: Option<Record>,
        at: Timestamp,
    },
    /// There was no claim to end.
    Bypassed,
    /// The store will never take it, or time ran out.
    Failed,
}

impl Holding {
    /// Holds `holder`, whose claim was begun at `begun`.
    pub(crate) fn new(
        holder: Holder,
        begun: Instant,
        policy: &Policy,
        executions: Executions,
    ) -> Self {
        let keeper = match &holder {
            Holder::Claim(claim) => Some(Keeper::new(
                claim.lease().clone(),
                begun,
                policy.store_timeout,
            )),
            Holder::Bypass(_) => None,
        };
        Self {
            holder,
            keeper,
            executions,
            store_timeout: policy.store_timeout,
            // From now on: how long the store took is not the upstream's time.
            deadline: Instant::now() + policy.upstream_timeout,
        }
    }

    pub(crate) const fn fence(&self) -> Option<Fence> {
        match &self.holder {
            Holder::Claim(claim) => Some(claim.fence()),
            Holder::Bypass(_) => None,
        }
    }

    /// Whether the claim was taken over from an execution that may have run.
    pub(crate) const fn is_taken_over(&self) -> bool {
        match &self.holder {
            Holder::Claim(claim) => claim.is_taken_over(),
            Holder::Bypass(_) => false,
        }
    }

    /// How a claim ends under which nothing was executed: the key is free, or as unknown as it was before.
    pub(crate) const fn unexecuted(&self) -> Ending {
        if self.is_taken_over() {
            Ending::Unknown
        } else {
            Ending::Release
        }
    }

    /// Makes sure that the lease still stands before anything is executed. A process that was stopped for longer
    /// than its lease must not go on as if nothing had happened: somebody may have taken over.
    pub(crate) async fn make_sure(&mut self) -> bool {
        match &mut self.keeper {
            Some(keeper) => keeper.make_sure().await,
            None => true,
        }
    }

    /// Runs `work`, renewing the claim meanwhile. If it is interrupted, `work` is dropped where it stands.
    pub(crate) async fn during<F: Future>(&mut self, work: F) -> Result<F::Output, Interrupted> {
        let deadline = self.deadline;
        self.until(work, sleep_until(deadline)).await
    }

    /// Runs `work` that waits for the caller: its time is the caller's, and does not count for the execution.
    pub(crate) async fn while_caller<F: Future>(
        &mut self,
        work: F,
    ) -> Result<F::Output, Interrupted> {
        let started = Instant::now();
        let output = self.until(work, std::future::pending()).await;
        self.deadline += started.elapsed();
        output
    }

    async fn until<F: Future>(
        &mut self,
        work: F,
        deadline: impl Future<Output = ()>,
    ) -> Result<F::Output, Interrupted> {
        let executions = &self.executions;
        let keeping = async {
            match &mut self.keeper {
                Some(keeper) => keeper.keep().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            // First, or work that is always ready would never let it renew.
            never = keeping => match never {},
            output = work => Ok(output),
            () = executions.given_up() => Err(Interrupted::GaveUp),
            () = deadline => Err(Interrupted::TimedOut),
        }
    }

    /// Ends the claim under which `begin` was executed. If its record is gone, released by somebody who did not know
    /// the outcome, that is entered again, unless something else stands there by now.
    pub(crate) async fn conclude_or_enter(
        self,
        engine: &Engine,
        begin: &BeginRequest,
        policy: &Policy,
        ending: Ending,
    ) -> Concluded {
        let outcome = ending.response();
        let concluded = self.conclude(ending).await;
        let (Concluded::Stale { stands: None, .. }, Some(outcome)) = (&concluded, outcome) else {
            return concluded;
        };
        let entering = engine.record_late(begin, policy, outcome);
        match timeout(policy.store_timeout, entering).await {
            Ok(Ok(true)) => Concluded::Recorded { kept: true },
            Ok(Ok(false) | Err(_)) | Err(_) => {
                tracing::error!(record = %begin.id, "an outcome has no record any more and could not be entered");
                concluded
            }
        }
    }

    /// Ends the claim, trying again for as long as it can make a difference.
    pub(crate) async fn conclude(self, ending: Ending) -> Concluded {
        match self.holder {
            Holder::Bypass(bypass) => {
                record_bypassed(bypass, ending, self.store_timeout).await;
                Concluded::Bypassed
            }
            Holder::Claim(claim) => {
                let conclusion = std::pin::pin!(conclude_claim(claim, ending, self.store_timeout));
                let limit = std::pin::pin!(async {
                    tokio::select! {
                        () = self.executions.given_up() => sleep(GIVING_UP_TIMEOUT).await,
                        () = sleep(CONCLUDING_TIMEOUT) => {}
                    }
                });
                match select(conclusion, limit).await {
                    Either::Left((concluded, _)) => concluded,
                    Either::Right(((), _)) => Concluded::Failed,
                }
            }
        }
    }
}

/// Tries until the store gives a definite answer. Repeats are safe: the same end by the same owner is applied.
async fn conclude_claim(
    mut claim: Claim,
    mut ending: Ending,
    store_timeout: Duration,
) -> Concluded {
    let mut kept = true;
    let mut was_full = false;
    let mut pause = RETRY_AFTER_MIN;
    loop {
        let lease = claim.lease().clone();
        let trying = end(claim, ending.clone());
        let error = match while_renewing(&lease, store_timeout, trying).await {
            Ok(Stamped {
                value: Update::Applied(_),
                ..
            }) => return Concluded::Recorded { kept },
            Ok(Stamped {
                value: Update::Refused(stands),
                at,
            }) => return Concluded::Stale { stands, at },
            Err(error) => *error,
        };
        claim = error.claim;
        tracing::warn!(
            record = %claim.id(),
            error = &error.source as &dyn std::error::Error,
            "the end of a claim could not be written; trying again"
        );
        let kind = error.source.kind();
        if !kind.may_pass() {
            return Concluded::Failed;
        }
        if kept && was_full && kind == StoreErrorKind::Full {
            (ending, kept) = without_body(ending);
        }
        // The first time it may be another's body that did not fit into a common commit.
        was_full |= kind == StoreErrorKind::Full;
        sleep(pause).await;
        pause = (pause * 2).min(RETRY_AFTER_MAX);
        // A lease that lapses meanwhile makes nobody stale, but lets others take over.
        let _held_or_not = timeout(store_timeout, lease.renew()).await;
    }
}

async fn end(claim: Claim, ending: Ending) -> Result<Stamped<Update>, Box<ClaimError>> {
    match ending {
        Ending::Complete {
            response,
            retention,
        } => claim.complete(response, retention).await,
        Ending::Release => claim.release().await,
        Ending::Unknown => claim.mark_unknown().await,
    }
}

/// Runs one try to end a claim, however long the store takes for it. It is never cut off: the store may be about to
/// take it.
async fn while_renewing<T>(
    lease: &Lease,
    store_timeout: Duration,
    trying: impl Future<Output = T>,
) -> T {
    let renewing = async {
        loop {
            sleep(lease.renew_after()).await;
            let _held_or_not = timeout(store_timeout, lease.renew()).await;
        }
    };
    match select(std::pin::pin!(trying), std::pin::pin!(renewing)).await {
        Either::Left((ended, _)) => ended,
        Either::Right((never, _)) => never,
    }
}

/// A store without room for the answer may still have room for the fact that it ran.
fn without_body(ending: Ending) -> (Ending, bool) {
    match ending {
        Ending::Complete {
            response,
            retention,
        } => match response.without_body() {
            Ok(response) => (
                Ending::Complete {
                    response,
                    retention,
                },
                false,
            ),
            Err(_damaged) => (
                Ending::Complete {
                    response,
                    retention,
                },
                true,
            ),
        },
        Ending::Release | Ending::Unknown => (ending, false),
    }
}

async fn record_bypassed(bypass: Bypass, ending: Ending, store_timeout: Duration) {
    let recording = async {
        match ending {
            Ending::Complete {
                response,
                retention,
            } => bypass.record(response, retention).await,
            Ending::Release => bypass.release().await,
            // If its begin took effect after all, the lease lapses to what is true: unknown.
            Ending::Unknown => Ok(()),
        }
    };
    match timeout(store_timeout, recording).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) | Err(_) => tracing::warn!("an unprotected execution could not be recorded"),
    }
}

const RETRY_AFTER_MIN: Duration = Duration::from_millis(20);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(1);
/// How long the end of a claim is tried behind the caller's back.
const CONCLUDING_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// How long it is tried once a drain has given up.
const GIVING_UP_TIMEOUT: Duration = Duration::from_secs(1);
