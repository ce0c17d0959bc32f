//! The purge: page after page of the table, a bounded number of records in each step.
//!
//! No index says what may go, because it would have to be kept by every completion and every renewal.

use oncegate::clock::Timestamp;
use oncegate::store::{Purged, Stamped, StoreError, StoreResult};
use tokio_postgres::Row;

use super::error::unreadable;
use super::salt;
use super::statements::Kind;
use super::store::PostgresStore;
use super::time::Instant;

/// The page at which the next step begins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place(u32);

impl PostgresStore {
    pub(super) async fn purge_now(&self, limit: usize) -> StoreResult<Purged> {
        let mut place = self.purge_place.lock().await;
        // A record takes more than a hundredth of a page, so a step of many records is not a step of few pages.
        let pages = u32::try_from(limit.clamp(1, PAGES_MAX)).unwrap_or(u32::MAX);
        let end = place.0.saturating_add(pages);
        let (first, behind) = (format!("({},0)", place.0), format!("({end},0)"));
        let touched_max = i64::try_from(limit).unwrap_or(i64::MAX);
        let added = self.shared.clock.added();
        let rows = self
            .aside
            .ask(
                Kind::Purge,
                vec![&added, &first, &behind, &touched_max],
                DOING,
            )
            .await?;
        let step = Step::read(&rows)?;
        // Where more was due than might be touched, the rest is the next step's.
        if step.touched < touched_max {
            place.0 = end;
        }
        let finished = i64::from(place.0) >= step.pages;
        if finished {
            *place = Place::default();
        }
        let purged = Purged {
            stripped: step.stripped,
            removed: step.removed,
            finished,
        };
        Ok(Stamped {
            at: step.at,
            value: purged,
        })
    }

    pub(super) async fn kept_salt(&self) -> Result<[u8; 32], StoreError> {
        let ours = self.shared.salt.ours()?;
        for _look in 0..SALT_LOOKS_MAX {
            let rows = self
                .aside
                .ask(Kind::Salt, vec![&ours.as_slice()], salt::DOING)
                .await?;
            if let Some(row) = rows.first() {
                let kept: &[u8] = row
                    .try_get(0)
                    .map_err(|error| unreadable(salt::DOING, error))?;
                return self.shared.salt.learn(kept);
            }
        }
        Err(salt::lost_again())
    }
}

/// What one step did.
struct Step {
    at: Timestamp,
    touched: i64,
    removed: usize,
    stripped: usize,
    pages: i64,
}

impl Step {
    fn read(rows: &[Row]) -> Result<Self, StoreError> {
        let row = rows
            .first()
            .ok_or_else(|| super::error::damaged(DOING, "there is no answer"))?;
        let number = |index| {
            row.try_get::<_, i64>(index)
                .map_err(|error| unreadable(DOING, error))
        };
        let count =
            |index| Ok::<_, StoreError>(usize::try_from(number(index)?).unwrap_or_default());
        let Instant(at) = row.try_get(0).map_err(|error| unreadable(DOING, error))?;
        Ok(Self {
            at,
            touched: number(1)?,
            removed: count(2)?,
            stripped: count(3)?,
            pages: number(4)?,
        })
    }
}

const DOING: &str = "purge";
/// Most pages that are read in one step: 8 MiB.
const PAGES_MAX: usize = 1_024;
/// How often the salt is looked for again where others bring one at the same instant.
const SALT_LOOKS_MAX: usize = 8;
