//! The engine: begin a request, get a verdict; with a claim in hand execute, then complete, release or mark unknown.
//!
//! What it promises: nothing executes without a [`Claim`], and a claim comes from here alone. What it does not do:
//! sleep, spawn, open sockets or read a clock. Whoever holds a claim renews it when [`Claim::renew_after`] says so.

mod claim;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::RwLock;

use crate::clock::Timestamp;
use crate::decide::{self, Judgement};
use crate::fingerprint::{Fingerprint, FingerprintRules, Fingerprinter};
use crate::hash::{HashKey, RecordId};
use crate::key::IdempotencyKey;
use crate::policy::{OnUnknown, Policy, StoreDown};
use crate::problem::ProblemKind;
use crate::record::{About, Fence, OwnerId, Phase, Record, RecordState, Retention};
use crate::response::{ResponseError, ResponseParts, StoredResponse};
use crate::scope::Scope;
use crate::store::{
    Change, Expect, Insert, NewRecord, Purged, Settlement, Stamped, Store, StoreError,
    StoreErrorKind, Update,
};

pub use claim::{Bypass, Claim, ClaimError, Lease, Renewal};

/// One engine over one store. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<dyn Store>,
    /// Keys record ids and fingerprints, the same on all proxies.
    secret: Option<HashKey>,
    /// Keys fingerprints where there is no secret: the store's salt.
    salted: RwLock<HashKey>,
    /// The salt has changed since the engine was opened: there may be fingerprints under the old one.
    resalted: AtomicBool,
}

/// A request that asks to be executed once.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BeginRequest {
    /// Under which record.
    pub id: RecordId,
    /// By whom; made here, before the insert, so that a lost answer can be cleared up by [`Engine::disown`].
    pub owner: OwnerId,
    /// Which request it is.
    pub fingerprint: Fingerprint,
    /// What people are shown.
    pub about: About,
    /// When the client made the key, where the policy asks for that ([`Policy::first_sent`]).
    pub key_made_at: Option<Timestamp>,
    /// Set once the store has said what stands there.
    answered: OnceLock<()>,
}

impl BeginRequest {
    /// A request under a new owner.
    #[must_use]
    pub fn new(id: RecordId, fingerprint: Fingerprint, about: About) -> Self {
        Self {
            id,
            owner: OwnerId::random(),
            fingerprint,
            about,
            key_made_at: None,
            answered: OnceLock::new(),
        }
    }

    /// The same with a key that was made then.
    #[must_use]
    pub fn with_key_made_at(mut self, made_at: Option<Timestamp>) -> Self {
        self.key_made_at = made_at;
        self
    }
}

/// What is to be done with a request.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "callers must handle every verdict")]
pub enum Verdict {
    /// Execute it, under this claim.
    Execute(Claim),
    /// Execute it without a claim: the store is down and the policy says so. The one way to do that.
    Bypass(Bypass),
    /// Answer with the stored response; or, if that was not kept, say that it ran.
    Replay(Box<Replay>),
    /// The first execution is still running.
    InFlight(Seen),
    /// It may have run.
    Unknown(Seen),
    /// Same key, different request.
    Mismatch,
    /// Retention has ended.
    Expired,
}

/// A stored response, and how it stands in time.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Replay {
    /// The stored response.
    pub response: ResponseParts,
    /// The fence under which it was executed.
    pub fence: Fence,
    /// Since it was completed.
    pub age: Duration,
    /// Until it expires.
    pub ttl: Duration,
}

/// A record that cannot be answered from yet.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Seen {
    /// Its fence.
    pub fence: Fence,
    /// Since the first request came.
    pub age: Duration,
}

/// The engine could not judge a request. Nothing was executed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The store failed.
    #[error("the store could not answer")]
    Store(#[from] StoreError),
    /// Another version or another hash key wrote the record: neither mismatch nor execution would be honest.
    #[error("the record was written with another hash key or by another version")]
    Incomparable,
    /// The stored response cannot be read.
    #[error("the stored response cannot be read")]
    Response(#[from] ResponseError),
    /// The record changed hands again and again while it was judged.
    #[error("the record changed hands {BEGIN_ROUNDS_MAX} times while it was judged")]
    Contended,
}

impl EngineError {
    /// Whether the insert may have taken effect: then the owner must be disowned.
    #[must_use]
    pub fn may_have_taken_effect(&self) -> bool {
        match self {
            Self::Store(error) => error.may_have_taken_effect(),
            Self::Incomparable | Self::Response(_) | Self::Contended => false,
        }
    }

    /// Whether another salt than the one that we know may be in force.
    fn is_about_the_salt(&self) -> bool {
        match self {
            Self::Store(error) => error.kind() == StoreErrorKind::Resalted,
            Self::Incomparable => true,
            Self::Response(_) | Self::Contended => false,
        }
    }

    /// How the caller is refused.
    #[must_use]
    pub fn problem(&self) -> ProblemKind {
        match self {
            Self::Store(error) if error.kind() == StoreErrorKind::Overloaded => {
                ProblemKind::Overloaded
            }
            Self::Contended => ProblemKind::Overloaded,
            Self::Store(_) | Self::Incomparable | Self::Response(_) => {
                ProblemKind::StoreUnavailable
            }
        }
    }
}

impl Engine {
    /// An engine over `store`. Record ids and fingerprints are keyed by `secret`; without one, fingerprints are
    /// keyed by the store's salt, and whoever steals the store can test guesses of bodies.
    ///
    /// # Errors
    /// If the store cannot say what it is.
    pub async fn open(store: Arc<dyn Store>, secret: Option<&[u8]>) -> Result<Self, StoreError> {
        let info = store.info().await?.value;
        let secret = secret.map(HashKey::from_secret);
        Ok(Self(Arc::new(Inner {
            store,
            secret,
            salted: RwLock::new(HashKey::from_salt(info.salt)),
            resalted: AtomicBool::new(false),
        })))
    }

    /// The store, to look at.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// Where the record of (scope, key) is found.
    #[must_use]
    pub fn record_id(&self, scope: &Scope, key: &IdempotencyKey) -> RecordId {
        RecordId::derive(self.0.secret.as_ref(), scope, key)
    }

    /// Starts to fingerprint a request; the body follows.
    #[must_use]
    pub fn fingerprinter(
        &self,
        parts: &http::request::Parts,
        rules: &FingerprintRules,
    ) -> Fingerprinter {
        let under = |key| Fingerprinter::new(key, &parts.method, &parts.uri, &parts.headers, rules);
        match &self.0.secret {
            Some(secret) => under(secret),
            None => under(&self.0.salted.read()),
        }
    }

    /// Judges a request, and claims its key if nothing stands there. One round trip, and one more if it takes over or
    /// the key's own time counts.
    ///
    /// # Errors
    /// If the store failed, or what stands there cannot be judged. Nothing was executed; if
    /// [`EngineError::may_have_taken_effect`], call [`Engine::disown`] until it answers.
    ///
    /// # Cancel safety
    /// If the future is dropped the insert may have taken effect: call [`Engine::disown`] then too. A take-over
    /// has an owner of its own; one that is dropped lapses with its lease and is unknown again.
    pub async fn begin(
        &self,
        request: &BeginRequest,
        policy: &Policy,
    ) -> Result<Verdict, EngineError> {
        if self.is_of_an_old_salt(&request.fingerprint) {
            return Err(EngineError::Incomparable);
        }
        let begun = self.begin_once(request, policy).await;
        if begun.as_ref().is_err_and(EngineError::is_about_the_salt) {
            self.read_salt_again().await;
        }
        begun
    }

    /// Its record could never be compared with a retry.
    fn is_of_an_old_salt(&self, fingerprint: &Fingerprint) -> bool {
        self.0.resalted.load(Ordering::Acquire)
            && self.0.secret.is_none()
            && fingerprint.hash_key() != self.0.salted.read().id()
    }

    /// This request is refused all the same: it was fingerprinted under the old salt. Should the store not answer, the
    /// next one reads it.
    async fn read_salt_again(&self) {
        let Ok(Stamped { value: info, .. }) = self.0.store.info().await else {
            return;
        };
        let key = HashKey::from_salt(info.salt);
        let mut salted = self.0.salted.write();
        if salted.id() != key.id() {
            *salted = key;
            self.0.resalted.store(true, Ordering::Release);
        }
    }

    async fn begin_once(
        &self,
        request: &BeginRequest,
        policy: &Policy,
    ) -> Result<Verdict, EngineError> {
        for _ in 0..BEGIN_ROUNDS_MAX {
            let inserted = match self.insert_unless_forgotten(request, policy).await {
                Ok(inserted) => inserted,
                Err(error) => return self.unreachable(request, policy, error),
            };
            // From here on the store has spoken: whatever fails now, it is not "unreachable at the claim".
            let _first_time_or_not = request.answered.set(());
            let record = match inserted.value {
                Some(Insert::Created(record)) => {
                    return Ok(Verdict::Execute(self.claim(&record, policy, false)));
                }
                Some(Insert::Exists(record)) => record,
                None => return Ok(Verdict::Expired),
            };
            let judgement = decide::judge(&record, &request.fingerprint, inserted.at);
            if judgement != Judgement::Unknown || policy.on_unknown == OnUnknown::Refuse {
                return self.verdict(record, &request.fingerprint, inserted.at);
            }
            // A take-over that lost, or whose record is gone, begins anew: it never executes unclaimed (M-23).
            if let Some(claim) = self.take_over(&record, policy).await? {
                return Ok(Verdict::Execute(claim));
            }
        }
        Err(EngineError::Contended)
    }

    /// Inserts, unless the key's own time says that something may have stood under it and been forgotten. Then it only
    /// looks, and answers nothing where nothing stands: an insert could take the place of a record that ends just now.
    async fn insert_unless_forgotten(
        &self,
        request: &BeginRequest,
        policy: &Policy,
    ) -> Result<Stamped<Option<Insert>>, StoreError> {
        if let Some(made_at) = request.key_made_at.filter(|_| policy.first_sent) {
            let Stamped { at, value } = self.look(request.id).await?;
            if decide::may_be_forgotten(made_at, policy, at) {
                let value = value.map(Insert::Exists);
                return Ok(Stamped { at, value });
            }
        }
        let new = Self::new_record(request, policy);
        let Stamped { at, value } = self.0.store.insert(new).await?;
        let value = Some(value);
        Ok(Stamped { at, value })
    }

    fn unreachable(
        &self,
        request: &BeginRequest,
        policy: &Policy,
        error: StoreError,
    ) -> Result<Verdict, EngineError> {
        // A store that answers "this cannot be read" is not down: the key may be completed.
        let passed = error
            .kind()
            .may_pass()
            .then(|| self.bypass(request, policy));
        passed.flatten().ok_or(EngineError::Store(error))
    }

    /// What the policy allows when the store failed, or did not answer in time: an execution without a claim, or
    /// nothing. Nothing, too, if the store did say what stands there. The one place that mints a [`Bypass`].
    #[must_use]
    pub fn bypass(&self, request: &BeginRequest, policy: &Policy) -> Option<Verdict> {
        let unreachable = request.answered.get().is_none();
        (unreachable && policy.store_down == StoreDown::Execute).then(|| {
            let new = Self::new_record(request, policy);
            Verdict::Bypass(Bypass {
                engine: self.clone(),
                new,
            })
        })
    }

    /// Records an outcome whose record is gone: released by somebody who did not know it. Late truth beats not
    /// knowing, as long as nothing else stands there; false if something does.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn record_late(
        &self,
        request: &BeginRequest,
        policy: &Policy,
        response: StoredResponse,
    ) -> Result<bool, StoreError> {
        self.enter(
            Self::new_record(request, policy),
            response,
            policy.completed(),
        )
        .await
    }

    /// Claims and completes in one go, where nothing stands.
    async fn enter(
        &self,
        new: NewRecord,
        response: StoredResponse,
        retention: Retention,
    ) -> Result<bool, StoreError> {
        let (id, owner) = (new.id, new.owner);
        let Insert::Created(_) = self.0.store.insert(new).await?.value else {
            return Ok(false);
        };
        let expect = Expect {
            owner,
            revision: None,
        };
        let change = Change::Complete {
            response,
            retention,
        };
        let update = self.0.store.update(id, expect, change).await?;
        Ok(matches!(update.value, Update::Applied(_)))
    }

    async fn take_over(
        &self,
        record: &Record,
        policy: &Policy,
    ) -> Result<Option<Claim>, StoreError> {
        let expect = Expect {
            owner: record.owner,
            revision: Some(record.revision),
        };
        let owner = OwnerId::random();
        let change = Change::TakeOver {
            owner,
            lease: policy.lease,
            unknown: policy.unknown(),
        };
        let update = self.0.store.update(record.id, expect, change).await?;
        Ok(match update.value {
            Update::Applied(Some(taken)) => Some(self.claim(&taken, policy, true)),
            Update::Applied(None) | Update::Refused(_) => None,
        })
    }

    /// What a record that stands there means for a request: any verdict but an execution.
    ///
    /// # Errors
    /// If the record cannot be judged.
    pub fn verdict(
        &self,
        record: Record,
        request: &Fingerprint,
        now: Timestamp,
    ) -> Result<Verdict, EngineError> {
        let seen = Seen {
            fence: record.fence,
            age: now.since(record.created_at),
        };
        Ok(match decide::judge(&record, request, now) {
            Judgement::Expired => Verdict::Expired,
            Judgement::Incomparable => return Err(EngineError::Incomparable),
            Judgement::Mismatch => Verdict::Mismatch,
            Judgement::InFlight => Verdict::InFlight(seen),
            Judgement::Unknown => Verdict::Unknown(seen),
            Judgement::Completed => Verdict::Replay(Box::new(replay(&record, now)?)),
        })
    }

    /// What stands under the key of a request, without claiming it; `None` if nothing stands there.
    ///
    /// # Errors
    /// If the store failed, or what stands there cannot be judged.
    pub async fn judge(&self, request: &BeginRequest) -> Result<Option<Verdict>, EngineError> {
        let seen = self.look(request.id).await?;
        let verdict = |record| self.verdict(record, &request.fingerprint, seen.at);
        seen.value.map(verdict).transpose()
    }

    /// Says once more that `owner` will not execute under `id`, after a begin whose effect is not known.
    ///
    /// # Errors
    /// If the store still cannot answer: call it again, until it does or the lease has lapsed.
    pub async fn disown(&self, id: RecordId, owner: OwnerId) -> Result<(), StoreError> {
        let expect = Expect {
            owner,
            revision: None,
        };
        self.0
            .store
            .update(id, expect, Change::Release)
            .await
            .map(drop)
    }

    /// What stands under `id`.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn look(&self, id: RecordId) -> Result<Stamped<Option<Record>>, StoreError> {
        self.0.store.get(id).await
    }

    /// Decides an unknown record, as an operator who found out what happened.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn settle(
        &self,
        id: RecordId,
        settlement: Settlement,
    ) -> Result<Settled, StoreError> {
        let seen = self.0.store.get(id).await?;
        let Some(record) = seen.value else {
            return Ok(Settled::Absent);
        };
        let phase = record.phase(seen.at);
        if phase != Phase::Unknown {
            return Ok(Settled::NotUnknown(phase));
        }
        let expect = Expect {
            owner: record.owner,
            revision: Some(record.revision),
        };
        let change = Change::Settle {
            owner: OwnerId::random(),
            settlement,
        };
        Ok(match self.0.store.update(id, expect, change).await?.value {
            Update::Applied(_) => Settled::Done,
            Update::Refused(_) => Settled::Changed,
        })
    }

    /// One bounded step of a purge.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn purge(&self, limit: usize) -> Result<Purged, StoreError> {
        Ok(self.0.store.purge(limit).await?.value)
    }

    fn new_record(request: &BeginRequest, policy: &Policy) -> NewRecord {
        NewRecord {
            id: request.id,
            owner: request.owner,
            fingerprint: request.fingerprint,
            about: request.about.clone(),
            lease: policy.lease,
            unknown: policy.unknown(),
        }
    }

    fn claim(&self, record: &Record, policy: &Policy, taken_over: bool) -> Claim {
        let lease = Lease {
            engine: self.clone(),
            id: record.id,
            owner: record.owner,
            lasts: policy.lease,
            unknown: policy.unknown(),
        };
        Claim {
            lease,
            fence: record.fence,
            taken_over,
        }
    }
}

fn replay(record: &Record, now: Timestamp) -> Result<Replay, EngineError> {
    let RecordState::Completed {
        completed_at,
        response,
    } = &record.state
    else {
        return Err(EngineError::Response(ResponseError::Damaged));
    };
    Ok(Replay {
        response: response.parts()?,
        fence: record.fence,
        age: now.since(*completed_at),
        ttl: record.expires_at.since(now),
    })
}

/// What became of a settlement.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "callers must handle each")]
pub enum Settled {
    /// It is decided.
    Done,
    /// Nothing stands there.
    Absent,
    /// The record is not unknown, so there is nothing to decide.
    NotUnknown(Phase),
    /// The record changed in the meantime: look again.
    Changed,
}

/// How often a record may change hands while one request is judged.
pub const BEGIN_ROUNDS_MAX: usize = 8;
