//! A store that is broken on purpose: it carries out every write, whoever it comes from.
//!
//! It shows that the store suite and the checker of the simulation can fail. Never put it under a real engine.

use std::sync::Arc;

use crate::hash::RecordId;
use crate::record::Record;
use crate::store::{
    BoxFuture, Change, Expect, Insert, NewRecord, Purged, Store, StoreInfo, StoreResult, Update,
};

/// A store that does not ask who writes.
#[derive(Debug)]
pub struct UnfencedStore {
    inner: Arc<dyn Store>,
}

impl UnfencedStore {
    /// Takes the locks off `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner }
    }
}

#[deny(clippy::missing_trait_methods)]
impl Store for UnfencedStore {
    fn insert(&self, new: NewRecord) -> BoxFuture<'_, StoreResult<Insert>> {
        self.inner.insert(new)
    }

    /// Names whoever owns the record now as the writer.
    fn update(
        &self,
        id: RecordId,
        expect: Expect,
        change: Change,
    ) -> BoxFuture<'_, StoreResult<Update>> {
        Box::pin(async move {
            let stands = self.inner.get(id).await?.value;
            let forged = stands.map_or(expect, |record| Expect {
                owner: record.owner,
                revision: Some(record.revision),
            });
            self.inner.update(id, forged, change).await
        })
    }

    fn get(&self, id: RecordId) -> BoxFuture<'_, StoreResult<Option<Record>>> {
        self.inner.get(id)
    }

    fn purge(&self, limit: usize) -> BoxFuture<'_, StoreResult<Purged>> {
        self.inner.purge(limit)
    }

    fn watch(&self, id: RecordId) -> BoxFuture<'static, ()> {
        self.inner.watch(id)
    }

    fn ping(&self) -> BoxFuture<'_, StoreResult<()>> {
        self.inner.ping()
    }

    fn info(&self) -> BoxFuture<'_, StoreResult<StoreInfo>> {
        self.inner.info()
    }
}
