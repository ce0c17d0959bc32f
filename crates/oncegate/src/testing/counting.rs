//! Counts what a request costs at the seam: one call is one round trip.
//!
//! It changes nothing and holds nothing up. A call counts when it is made, not when it is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::StoreMethod;
use crate::hash::RecordId;
use crate::record::Record;
use crate::store::{
    BoxFuture, Change, Expect, Insert, NewRecord, Purged, Store, StoreInfo, StoreResult, Update,
};

/// A store that counts the calls to another one.
///
/// ```
/// # use std::sync::Arc;
/// use oncegate::testing::{CountingStore, StoreMethod};
/// use oncegate::{MemoryStore, Store};
///
/// let counting = CountingStore::new(Arc::new(MemoryStore::new()));
/// drop(counting.ping());
/// assert_eq!(counting.count(StoreMethod::Ping), 1);
/// assert_eq!(counting.take_round_trips(), 1);
/// assert_eq!(counting.round_trips(), 0);
/// ```
#[derive(Debug)]
pub struct CountingStore {
    inner: Arc<dyn Store>,
    counts: [AtomicUsize; StoreMethod::ALL.len()],
}

impl CountingStore {
    /// Counts the calls to `inner` from now on.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            counts: Default::default(),
        }
    }

    /// The calls to `method` so far.
    #[must_use]
    pub fn count(&self, method: StoreMethod) -> usize {
        self.counts[method.index()].load(Ordering::SeqCst)
    }

    /// All calls so far that a store with a server would have to send. A watch is none: one subscription serves
    /// a whole process.
    #[must_use]
    pub fn round_trips(&self) -> usize {
        let sent = StoreMethod::ALL
            .into_iter()
            .filter(|method| *method != StoreMethod::Watch);
        sent.map(|method| self.count(method)).sum()
    }

    /// The round trips so far; the counts start anew.
    pub fn take_round_trips(&self) -> usize {
        let taken = self.round_trips();
        for count in &self.counts {
            count.store(0, Ordering::SeqCst);
        }
        taken
    }

    fn counted(&self, method: StoreMethod) -> &dyn Store {
        self.counts[method.index()].fetch_add(1, Ordering::SeqCst);
        &*self.inner
    }
}

#[deny(clippy::missing_trait_methods)]
impl Store for CountingStore {
    fn insert(&self, new: NewRecord) -> BoxFuture<'_, StoreResult<Insert>> {
        self.counted(StoreMethod::Insert).insert(new)
    }

    fn update(
        &self,
        id: RecordId,
        expect: Expect,
        change: Change,
    ) -> BoxFuture<'_, StoreResult<Update>> {
        self.counted(StoreMethod::Update).update(id, expect, change)
    }

    fn get(&self, id: RecordId) -> BoxFuture<'_, StoreResult<Option<Record>>> {
        self.counted(StoreMethod::Get).get(id)
    }

    fn purge(&self, limit: usize) -> BoxFuture<'_, StoreResult<Purged>> {
        self.counted(StoreMethod::Purge).purge(limit)
    }

    fn watch(&self, id: RecordId) -> BoxFuture<'static, ()> {
        self.counted(StoreMethod::Watch).watch(id)
    }

    fn ping(&self) -> BoxFuture<'_, StoreResult<()>> {
        self.counted(StoreMethod::Ping).ping()
    }

    fn info(&self) -> BoxFuture<'_, StoreResult<StoreInfo>> {
        self.counted(StoreMethod::Info).info()
    }
}
