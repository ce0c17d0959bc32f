//! The memory store: a sharded map, bounded, with exact accounting of bytes. The reference for every other store.
//!
//! For tests, demos and those who accept losing keys: a restart forgets everything, and a forgotten key executes
//! again. A live record is never evicted; a full store refuses new ones.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::clock::{Clock, SystemClock, Timestamp};
use crate::hash::RecordId;
use crate::record::{Fence, Phase, Record, RecordState};
use crate::store::{
    BoxFuture, Change, Cursor, Expect, Filter, Insert, Inspect, NewRecord, Page, Purged, Stamped,
    Store, StoreError, StoreErrorKind, StoreInfo, StoreResult, Update,
};
use crate::transition::{self, Effect};
use crate::watchers::Watchers;

/// Records in this process's memory.
pub struct MemoryStore {
    shards: Box<[Mutex<Shard>]>,
    clock: Arc<dyn Clock>,
    watchers: Watchers,
    salt: [u8; 32],
    bytes: AtomicUsize,
    bytes_max: usize,
    /// The shard that the next purge step looks at.
    purge_at_shard: AtomicUsize,
}

#[derive(Default)]
struct Shard {
    records: HashMap<RecordId, Record>,
    /// The highest fence given in this shard: it outlives the records.
    fence: Fence,
}

impl MemoryStore {
    /// A store of at most [`MEMORY_BYTES_MAX`] on the machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Arc::new(SystemClock::default()), MEMORY_BYTES_MAX)
    }

    /// A store of at most `bytes_max` bytes on `clock`.
    ///
    /// # Panics
    /// If the operating system has no randomness to give.
    #[must_use]
    pub fn with(clock: Arc<dyn Clock>, bytes_max: usize) -> Self {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).expect("the operating system gives randomness");
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            clock,
            watchers: Watchers::default(),
            salt,
            bytes: AtomicUsize::new(0),
            bytes_max,
            purge_at_shard: AtomicUsize::new(0),
        }
    }

    /// The bytes that all records take now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn shard(&self, id: RecordId) -> &Mutex<Shard> {
        // Ids are hashes: any byte of them is as good as a hash of them.
        &self.shards[usize::from(id.as_bytes()[0]) % SHARDS]
    }

    fn stamp<T>(value: T, at: Timestamp) -> Stamped<T> {
        Stamped { at, value }
    }

    /// Carries `effect` out, or refuses it for want of room: a `Put` may only grow the store within its bound.
    fn carry_out(&self, entry: Place<'_>, effect: Effect) -> Result<(), StoreError> {
        let id = *entry.key();
        let before = found(&entry).map_or(0, Record::size_bytes);
        let after = match &effect {
            Effect::Keep => return Ok(()),
            Effect::Put(record) => record.size_bytes(),
            Effect::Remove => 0,
        };
        if after > before && !self.reserve(after - before) {
            return Err(StoreError::new(StoreErrorKind::Full, NAME, "write"));
        }
        match (entry, effect) {
            (entry, Effect::Put(record)) => drop(entry.insert_entry(record)),
            (Entry::Occupied(entry), Effect::Remove) => drop(entry.remove()),
            (_, Effect::Keep | Effect::Remove) => {}
        }
        if before > after {
            self.bytes.fetch_sub(before - after, Ordering::Relaxed);
        }
        self.watchers.wake(id);
        Ok(())
    }

    fn reserve(&self, more: usize) -> bool {
        let within = |bytes: usize| bytes.checked_add(more).filter(|sum| *sum <= self.bytes_max);
        self.bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, within)
            .is_ok()
    }

    fn insert_now(&self, new: NewRecord) -> StoreResult<Insert> {
        let id = new.id;
        let mut shard = self.shard(id).lock();
        let now = self.clock.now();
        let fence = Fence::following(shard.fence, now);
        // Looked up once: what stands there, and where to write, is one place.
        let entry = shard.records.entry(id);
        let (effect, answer) = transition::insert(found(&entry), new, fence, now);
        self.carry_out(entry, effect)?;
        shard.fence = fence;
        Ok(Self::stamp(answer, now))
    }

    fn update_now(&self, id: RecordId, expect: Expect, change: Change) -> StoreResult<Update> {
        let mut shard = self.shard(id).lock();
        let now = self.clock.now();
        let fence = Fence::following(shard.fence, now);
        let entry = shard.records.entry(id);
        let (effect, answer) = transition::update(found(&entry), expect, change, fence, now);
        self.carry_out(entry, effect)?;
        shard.fence = fence;
        Ok(Self::stamp(answer, now))
    }

    fn get_now(&self, id: RecordId) -> Stamped<Option<Record>> {
        let shard = self.shard(id).lock();
        let now = self.clock.now();
        Self::stamp(
            transition::standing(shard.records.get(&id), now).cloned(),
            now,
        )
    }

    /// One step: one shard, or as much of it as `limit` allows; then the next step takes the same one again. A shard
    /// is looked at whole, because a map has no place to go on from.
    fn purge_now(&self, limit: usize) -> Stamped<Purged> {
        let now = self.clock.now();
        let step = self.purge_at_shard.load(Ordering::Relaxed);
        let mut shard = self.shards[step % SHARDS].lock();
        let mut purged = Purged::default();
        let mut left_over = false;
        shard.records.retain(|_, record| {
            let purgeable = record.is_purgeable(now);
            let expired = record.phase(now) == Phase::Expired;
            if !purgeable && (!expired || record.state == RecordState::Expired) {
                return true;
            }
            if purged.removed + purged.stripped >= limit.max(1) {
                left_over = true;
                return true;
            }
            let before = record.size_bytes();
            if purgeable {
                purged.removed += 1;
                self.bytes.fetch_sub(before, Ordering::Relaxed);
                return false;
            }
            purged.stripped += 1;
            record.state = RecordState::Expired;
            self.bytes
                .fetch_sub(before - record.size_bytes(), Ordering::Relaxed);
            true
        });
        if !left_over {
            purged.finished = step % SHARDS == SHARDS - 1;
            // Whoever purges at the same time has gone on already.
            let _gone_on = self.purge_at_shard.compare_exchange(
                step,
                step.wrapping_add(1),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
        Self::stamp(purged, now)
    }

    fn list_now(&self, filter: &Filter, after: Option<&Cursor>, limit: usize) -> Stamped<Page> {
        let now = self.clock.now();
        let mut records: Vec<Record> = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let listed = shard.records.values().filter(|record| {
                !record.is_purgeable(now)
                    && filter.admits(record, now)
                    && after.is_none_or(|after| record.id.to_string() > after.0)
            });
            records.extend(listed.cloned());
        }
        records.sort_by_key(|record| record.id);
        let more = records.len() > limit;
        records.truncate(limit);
        let next = records
            .last()
            .filter(|_| more)
            .map(|last| Cursor(last.id.to_string()));
        Self::stamp(Page { records, next }, now)
    }
}

impl fmt::Debug for MemoryStore {
    /// Shows neither the salt nor a record: engines, and errors that name one, are logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("bytes", &self.bytes)
            .field("bytes_max", &self.bytes_max)
            .finish_non_exhaustive()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

// Each body runs to its end when first polled: nothing here awaits, so a dropped future had no effect or all.
impl Store for MemoryStore {
    fn insert(&self, new: NewRecord) -> BoxFuture<'_, StoreResult<Insert>> {
        Box::pin(async move { self.insert_now(new) })
    }

    fn update(
        &self,
        id: RecordId,
        expect: Expect,
        change: Change,
    ) -> BoxFuture<'_, StoreResult<Update>> {
        Box::pin(async move { self.update_now(id, expect, change) })
    }

    fn get(&self, id: RecordId) -> BoxFuture<'_, StoreResult<Option<Record>>> {
        Box::pin(async move { Ok(self.get_now(id)) })
    }

    fn purge(&self, limit: usize) -> BoxFuture<'_, StoreResult<Purged>> {
        Box::pin(async move { Ok(self.purge_now(limit)) })
    }

    fn watch(&self, id: RecordId) -> BoxFuture<'static, ()> {
        self.watchers.watch(id)
    }

    fn ping(&self) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move { Ok(Self::stamp((), self.clock.now())) })
    }

    fn info(&self) -> BoxFuture<'_, StoreResult<StoreInfo>> {
        let info = StoreInfo {
            name: NAME,
            salt: self.salt,
        };
        Box::pin(async move { Ok(Self::stamp(info, self.clock.now())) })
    }
}

impl Inspect for MemoryStore {
    fn list(
        &self,
        filter: Filter,
        after: Option<Cursor>,
        limit: usize,
    ) -> BoxFuture<'_, StoreResult<Page>> {
        Box::pin(async move { Ok(self.list_now(&filter, after.as_ref(), limit)) })
    }
}

/// Where a record stands, or could.
type Place<'s> = Entry<'s, RecordId, Record>;

fn found<'e>(entry: &'e Place<'_>) -> Option<&'e Record> {
    match entry {
        Entry::Occupied(entry) => Some(entry.get()),
        Entry::Vacant(_) => None,
    }
}

/// The bytes that a memory store takes at most unless told otherwise.
pub const MEMORY_BYTES_MAX: usize = 1024 * 1024 * 1024;

const NAME: &str = "memory";
const SHARDS: usize = 64;
