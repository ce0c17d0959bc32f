//! A store that misbehaves at the seam as networks do: by a plan, or by a seed.
//!
//! It never applies a step twice and never makes one up: every fault is one that a real link can cause. It needs
//! no runtime: what hangs, hangs until the test says so.

use std::fmt;
use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use event_listener::Event;
use parking_lot::Mutex;

use super::{SplitMix64, StoreMethod};
use crate::hash::RecordId;
use crate::record::Record;
use crate::store::{
    BoxFuture, Change, Expect, Insert, NewRecord, Purged, Store, StoreError, StoreErrorKind,
    StoreInfo, StoreResult, Update,
};

/// What goes wrong with one call. A watch can only go wrong in one way: whatever the fault, it never wakes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "plans name them one by one")]
pub enum Fault {
    /// The call fails with this kind; nothing was applied.
    FailBefore(StoreErrorKind),
    /// The step is applied, and the call fails as unavailable all the same.
    LoseReply,
    /// The call lets other tasks go first, before the step and again after it.
    Delay,
    /// Nothing happens until [`FaultyStore::release_hung`]; then the step is applied and answered.
    HangBefore,
    /// The step is applied; its answer is held back until [`FaultyStore::release_hung`].
    HangAfter,
}

/// How often a seeded store misbehaves, in calls of a thousand.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data: built with `..FaultRates::default()`"
)]
pub struct FaultRates {
    /// [`Fault::FailBefore`], as unavailable.
    pub fail_before: u32,
    /// [`Fault::LoseReply`].
    pub lose_reply: u32,
    /// [`Fault::Delay`].
    pub delay: u32,
}

/// A store over another one, with faults between.
///
/// ```
/// # use std::sync::Arc;
/// use oncegate::testing::{Fault, FaultyStore, StoreMethod};
/// use oncegate::MemoryStore;
///
/// let store = FaultyStore::new(Arc::new(MemoryStore::new()));
/// store.plan(StoreMethod::Insert, 2, Fault::LoseReply); // the second insert from now on
/// ```
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    plan: Mutex<Plan>,
    gate: Event,
    hung: AtomicUsize,
}

#[derive(Debug, Default)]
struct Plan {
    planned: Vec<Planned>,
    down: bool,
    seeded: Option<(SplitMix64, FaultRates)>,
}

#[derive(Debug)]
struct Planned {
    method: StoreMethod,
    /// Calls of the method that still go well.
    before: usize,
    fault: Fault,
}

impl FaultyStore {
    /// No faults until one is planned.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            plan: Mutex::default(),
            gate: Event::new(),
            hung: AtomicUsize::new(0),
        }
    }

    /// Faults at random, at these rates; the same ones for the same seed and the same calls.
    #[must_use]
    pub fn seeded(inner: Arc<dyn Store>, seed: u64, rates: FaultRates) -> Self {
        let faulty = Self::new(inner);
        faulty.plan.lock().seeded = Some((SplitMix64::new(seed), rates));
        faulty
    }

    /// Plans a fault for the `nth` call of `method` from now on, counted from one.
    pub fn plan(&self, method: StoreMethod, nth: usize, fault: Fault) {
        let before = nth.saturating_sub(1);
        self.plan.lock().planned.push(Planned {
            method,
            before,
            fault,
        });
    }

    /// Takes the store down, or brings it back: while it is down every call fails before it is applied.
    pub fn set_down(&self, down: bool) {
        self.plan.lock().down = down;
    }

    /// How many calls hang now.
    #[must_use]
    pub fn hung(&self) -> usize {
        self.hung.load(Ordering::SeqCst)
    }

    /// Lets all calls go on that hang now.
    pub fn release_hung(&self) {
        self.gate.notify(usize::MAX);
    }

    fn call<'a, T: Send + 'a>(
        &'a self,
        method: StoreMethod,
        step: impl FnOnce(&'a dyn Store) -> BoxFuture<'a, StoreResult<T>> + Send + 'a,
    ) -> BoxFuture<'a, StoreResult<T>> {
        // Decided when called, so that "the second insert" means the order of calls, not of polls.
        let fault = self.plan.lock().next(method);
        Box::pin(async move {
            match fault {
                None => step(&*self.inner).await,
                Some(Fault::FailBefore(kind)) => Err(StoreError::new(kind, NAME, method.name())),
                Some(Fault::LoseReply) => {
                    step(&*self.inner).await?;
                    Err(StoreError::new(
                        StoreErrorKind::Unavailable,
                        NAME,
                        method.name(),
                    ))
                }
                Some(Fault::Delay) => {
                    pause().await;
                    let answer = step(&*self.inner).await;
                    pause().await;
                    answer
                }
                Some(Fault::HangBefore) => {
                    self.hang().await;
                    step(&*self.inner).await
                }
                Some(Fault::HangAfter) => {
                    let answer = step(&*self.inner).await;
                    self.hang().await;
                    answer
                }
            }
        })
    }

    async fn hang(&self) {
        let listener = self.gate.listen();
        // Counted by a guard, so that a call that is dropped while it hangs is counted off too.
        let _hung = Hung::new(&self.hung);
        listener.await;
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore")
            .field("inner", &self.inner)
            .field("plan", &*self.plan.lock())
            .finish_non_exhaustive()
    }
}

#[deny(clippy::missing_trait_methods)]
impl Store for FaultyStore {
    fn insert(&self, new: NewRecord) -> BoxFuture<'_, StoreResult<Insert>> {
        self.call(StoreMethod::Insert, |inner| inner.insert(new))
    }

    fn update(
        &self,
        id: RecordId,
        expect: Expect,
        change: Change,
    ) -> BoxFuture<'_, StoreResult<Update>> {
        self.call(StoreMethod::Update, move |inner| {
            inner.update(id, expect, change)
        })
    }

    fn get(&self, id: RecordId) -> BoxFuture<'_, StoreResult<Option<Record>>> {
        self.call(StoreMethod::Get, move |inner| inner.get(id))
    }

    fn purge(&self, limit: usize) -> BoxFuture<'_, StoreResult<Purged>> {
        self.call(StoreMethod::Purge, move |inner| inner.purge(limit))
    }

    fn watch(&self, id: RecordId) -> BoxFuture<'static, ()> {
        match self.plan.lock().next(StoreMethod::Watch) {
            None => self.inner.watch(id),
            Some(_) => Box::pin(future::pending()),
        }
    }

    fn ping(&self) -> BoxFuture<'_, StoreResult<()>> {
        self.call(StoreMethod::Ping, |inner| inner.ping())
    }

    fn info(&self) -> BoxFuture<'_, StoreResult<StoreInfo>> {
        self.call(StoreMethod::Info, |inner| inner.info())
    }
}

impl Plan {
    fn next(&mut self, method: StoreMethod) -> Option<Fault> {
        let mut due = None;
        self.planned.retain_mut(|planned| {
            if planned.method != method {
                return true;
            }
            let Some(before) = planned.before.checked_sub(1) else {
                due = due.or(Some(planned.fault));
                return false;
            };
            planned.before = before;
            true
        });
        if self.down {
            return Some(Fault::FailBefore(StoreErrorKind::Unavailable));
        }
        due.or_else(|| {
            self.seeded
                .as_mut()
                .and_then(|(random, rates)| rates.draw(random))
        })
    }
}

impl FaultRates {
    fn draw(self, random: &mut SplitMix64) -> Option<Fault> {
        if random.chance(self.fail_before) {
            return Some(Fault::FailBefore(StoreErrorKind::Unavailable));
        }
        if random.chance(self.lose_reply) {
            return Some(Fault::LoseReply);
        }
        random.chance(self.delay).then_some(Fault::Delay)
    }
}

struct Hung<'a>(&'a AtomicUsize);

impl<'a> Hung<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Hung<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Lets other tasks go first, once.
pub(super) async fn pause() {
    let mut paused = false;
    future::poll_fn(|context| {
        if paused {
            return Poll::Ready(());
        }
        paused = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

const NAME: &str = "faulty";
