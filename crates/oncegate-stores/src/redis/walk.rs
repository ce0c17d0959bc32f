//! What goes through all records: purging and listing, a bounded step at a time.

use oncegate::hash::RecordId;
use oncegate::store::{Cursor, Filter, Page, Purged, Stamped, StoreError, StoreResult};

use super::error::damaged;
use super::place::Place;
use super::reply::Reply;
use super::store::RedisStore;

impl RedisStore {
    /// Redis removes records and bodies by its own clock. Something is left to do only where the store's time was set
    /// ahead of that, by tests. But it is a step that comes again and again: here it is looked whether the Redis is
    /// still what it was.
    pub(super) async fn purge_now(&self, limit: usize) -> StoreResult<Purged> {
        const DOING: &str = "purge";
        let at = self.now(DOING).await?;
        self.look_again().await?;
        let mut purged = Purged {
            finished: true,
            ..Purged::default()
        };
        if !self.is_ahead() {
            return Ok(Stamped { at, value: purged });
        }
        let mut place = self.purge_place.lock().await;
        let mut link = self.link.clone();
        place.more(&mut link, &self.prefix, limit, DOING).await?;
        for id in place.take(limit) {
            match self.purge_one(id).await?.as_slice() {
                b"removed" => purged.removed += 1,
                b"stripped" => purged.stripped += 1,
                _ => {}
            }
        }
        purged.finished = place.is_at_the_end();
        Ok(Stamped { at, value: purged })
    }

    async fn purge_one(&self, id: RecordId) -> Result<Vec<u8>, StoreError> {
        const DOING: &str = "purge";
        let value = self.run(&self.scripts.purge, id, DOING, |_| {}).await?;
        Ok(Reply::read(value, id, None, DOING)?.word)
    }

    pub(super) async fn list_now(
        &self,
        filter: &Filter,
        after: Option<Cursor>,
        limit: usize,
    ) -> StoreResult<Page> {
        const DOING: &str = "list";
        let mut place = Place::of(after).ok_or_else(|| damaged(DOING, "a cursor that is none"))?;
        let mut link = self.link.clone();
        let mut at = self.now(DOING).await?;
        let mut records = Vec::new();
        for _step in 0..LIST_STEPS_MAX {
            place.more(&mut link, &self.prefix, limit, DOING).await?;
            for id in place.take(limit - records.len()) {
                let reply = self.get_now(id).await?;
                at = at.max(reply.at);
                let admitted = |record: &_| filter.admits(record, reply.at);
                records.extend(reply.record.filter(admitted));
            }
            if records.len() >= limit || place.is_at_the_end() {
                break;
            }
        }
        let next = place.cursor();
        Ok(Stamped {
            at,
            value: Page { records, next },
        })
    }
}

/// Most steps through the keys for one page: a filter may admit few of many.
const LIST_STEPS_MAX: usize = 1_000;
