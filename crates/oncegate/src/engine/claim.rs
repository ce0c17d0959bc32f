//! The right to execute: a claim and its lease, or the permission to go without while the store is down.
//!
//! None of these can be made outside the engine. A claim is spent once; what the store does not take gives it back.

use std::time::Duration;

use super::Engine;
use crate::hash::RecordId;
use crate::record::{Fence, OwnerId, Retention};
use crate::response::StoredResponse;
use crate::store::{Change, Expect, NewRecord, Stamped, StoreError, Update};

/// The exclusive right to execute, spent once.
#[derive(Debug)]
#[must_use = "a claim that is dropped leaves its key in flight until the lease lapses, then unknown"]
pub struct Claim {
    pub(super) lease: Lease,
    pub(super) fence: Fence,
    pub(super) taken_over: bool,
}

/// The lease of a claim. Apart from it, so that it can be renewed while the claim itself is being ended: a store may
/// take long for that, and a lease that lapsed meanwhile would let others take over.
#[derive(Clone, Debug)]
pub struct Lease {
    pub(super) engine: Engine,
    pub(super) id: RecordId,
    pub(super) owner: OwnerId,
    pub(super) lasts: Duration,
    pub(super) unknown: Retention,
}

/// What became of a renewal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "callers must handle both")]
pub enum Renewal {
    /// The lease is pushed forward.
    Held,
    /// The record is no longer ours.
    Lost,
}

/// The store did not take the end of a claim. The claim comes back, so that it can be tried again.
#[derive(Debug, thiserror::Error)]
#[error("the end of a claim could not be written")]
#[non_exhaustive]
pub struct ClaimError {
    /// Still held.
    pub claim: Claim,
    /// Why.
    pub source: StoreError,
}

impl Claim {
    /// The number for the upstream.
    #[must_use]
    pub const fn fence(&self) -> Fence {
        self.fence
    }

    /// The record that is claimed.
    #[must_use]
    pub const fn id(&self) -> RecordId {
        self.lease.id
    }

    /// Whether the claim was taken over from an unknown execution, which may have run.
    #[must_use]
    pub const fn is_taken_over(&self) -> bool {
        self.taken_over
    }

    /// Its lease.
    #[must_use]
    pub const fn lease(&self) -> &Lease {
        &self.lease
    }

    /// When to renew, counted from the claim or the last renewal.
    #[must_use]
    pub fn renew_after(&self) -> Duration {
        self.lease.renew_after()
    }

    /// As [`Lease::trusted_for`].
    #[must_use]
    pub fn trusted_for(&self) -> Duration {
        self.lease.trusted_for()
    }

    /// Pushes the lease's end forward.
    ///
    /// # Errors
    /// If the store failed: the lease may or may not have moved.
    pub async fn renew(&mut self) -> Result<Renewal, StoreError> {
        self.lease.renew().await
    }

    /// Stores the outcome and ends the claim. If it is refused, the record is no longer ours.
    ///
    /// # Errors
    /// Gives the claim back if the store failed. Trying again is safe: a repeat of an applied completion is
    /// applied.
    pub async fn complete(
        self,
        response: StoredResponse,
        retention: Retention,
    ) -> Result<Stamped<Update>, Box<ClaimError>> {
        self.end(Change::Complete {
            response,
            retention,
        })
        .await
    }

    /// Gives the claim up and stores nothing: the key is free again.
    ///
    /// # Errors
    /// Gives the claim back if the store failed. Trying again is safe.
    pub async fn release(self) -> Result<Stamped<Update>, Box<ClaimError>> {
        self.end(Change::Release).await
    }

    /// Says that the outcome is not known and ends the claim.
    ///
    /// # Errors
    /// Gives the claim back if the store failed. Trying again is safe.
    pub async fn mark_unknown(self) -> Result<Stamped<Update>, Box<ClaimError>> {
        let unknown = self.lease.unknown;
        self.end(Change::MarkUnknown { unknown }).await
    }

    async fn end(self, change: Change) -> Result<Stamped<Update>, Box<ClaimError>> {
        match self.lease.write(change).await {
            Ok(update) => Ok(update),
            Err(source) => Err(Box::new(ClaimError {
                claim: self,
                source,
            })),
        }
    }
}

impl Lease {
    /// The record that is claimed.
    #[must_use]
    pub const fn id(&self) -> RecordId {
        self.id
    }

    /// How long the lease may be believed in without asking the store, counted from *before* the step that set
    /// it was started: the lease less a margin for clocks that do not run alike.
    #[must_use]
    pub fn trusted_for(&self) -> Duration {
        self.lasts - self.lasts / 10
    }

    /// When to renew, counted from the claim or the last renewal.
    #[must_use]
    pub fn renew_after(&self) -> Duration {
        self.lasts / 3
    }

    /// Pushes its end forward; [`Renewal::Lost`] once the claim is ended, too.
    ///
    /// # Errors
    /// If the store failed: the lease may or may not have moved.
    pub async fn renew(&self) -> Result<Renewal, StoreError> {
        let change = Change::Renew {
            lease: self.lasts,
            unknown: self.unknown,
        };
        Ok(match self.write(change).await?.value {
            Update::Applied(_) => Renewal::Held,
            Update::Refused(_) => Renewal::Lost,
        })
    }

    async fn write(&self, change: Change) -> Result<Stamped<Update>, StoreError> {
        let expect = Expect {
            owner: self.owner,
            revision: None,
        };
        self.engine.0.store.update(self.id, expect, change).await
    }
}

/// The permission to execute without a claim while the store is down.
#[derive(Debug)]
#[must_use]
pub struct Bypass {
    pub(super) engine: Engine,
    pub(super) new: NewRecord,
}

impl Bypass {
    /// Makes sure that nothing of a begin whose effect is not known is left: the key is free.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn release(self) -> Result<(), StoreError> {
        self.engine.disown(self.new.id, self.new.owner).await
    }

    /// Writes the outcome, if the store is back and nothing stands there.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn record(
        self,
        response: StoredResponse,
        retention: Retention,
    ) -> Result<(), StoreError> {
        let Self { engine, new } = self;
        engine.enter(new, response, retention).await.map(drop)
    }
}
