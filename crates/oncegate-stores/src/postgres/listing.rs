//! Listing: in the order of ids, page after page.

use std::str::FromStr;

use futures_util::future::try_join_all;
use oncegate::clock::Timestamp;
use oncegate::hash::RecordId;
use oncegate::record::{Record, RecordState};
use oncegate::store::{Cursor, Filter, Page, Stamped, StoreError, StoreResult};

use super::error::{damaged, of_row};
use super::rows::{Found, Told};
use super::statements::Kind;
use super::store::PostgresStore;

impl PostgresStore {
    pub(super) async fn list_now(
        &self,
        filter: &Filter,
        after: Option<Cursor>,
        limit: usize,
    ) -> StoreResult<Page> {
        let mut behind: Vec<u8> = match after {
            Some(Cursor(text)) => RecordId::from_str(&text)
                .map_err(|_| damaged(DOING, "a cursor that is none"))?
                .as_bytes()
                .to_vec(),
            None => Vec::new(),
        };
        let mut records = Vec::new();
        for _step in 0..STEPS_MAX {
            let told = self.heads(&behind).await?;
            let (at, looked_at) = (told.at, told.found.len());
            let mut left = told.found.into_iter();
            for found in left.by_ref() {
                behind = found.record.id.as_bytes().to_vec();
                records.extend(admitted(found, filter, at));
                if records.len() >= limit {
                    break;
                }
            }
            let is_last = looked_at < HEADS_MAX && left.len() == 0;
            if is_last || records.len() >= limit {
                let next = if is_last { None } else { cursor(&behind) };
                return self.whole(records, next, filter, at).await;
            }
        }
        let at = self.ping_now().await?.at;
        self.whole(records, cursor(&behind), filter, at).await
    }

    /// Records behind an id, their responses left out.
    async fn heads(&self, behind: &[u8]) -> Result<Told, StoreError> {
        let added = self.shared.clock.added();
        let count = i64::try_from(HEADS_MAX).unwrap_or(i64::MAX);
        let rows = self
            .aside
            .ask(Kind::List, vec![&added, &behind, &count], DOING)
            .await?;
        Told::read(&rows).map_err(|error| of_row(error).error(super::error::NAME, DOING))
    }

    /// The page with the responses that belong to it.
    async fn whole(
        &self,
        heads: Vec<Record>,
        next: Option<Cursor>,
        filter: &Filter,
        at: Timestamp,
    ) -> StoreResult<Page> {
        let whole = heads.into_iter().map(async |head| match head.state {
            RecordState::Completed { .. } => {
                let look = self.look(head.id, DOING).await?;
                // It may have gone or changed since.
                Ok::<_, StoreError>(look.value.filter(|record| filter.admits(record, look.at)))
            }
            RecordState::InFlight { .. } | RecordState::Unknown { .. } | RecordState::Expired => {
                Ok(Some(head))
            }
        });
        let records = try_join_all(whole).await?.into_iter().flatten().collect();
        Ok(Stamped {
            at,
            value: Page { records, next },
        })
    }
}

fn admitted(found: Found, filter: &Filter, at: Timestamp) -> Option<Record> {
    let stands = found.standing()?;
    (!stands.is_purgeable(at) && filter.admits(&stands, at)).then_some(stands)
}

fn cursor(id: &[u8]) -> Option<Cursor> {
    let id: [u8; 32] = id.try_into().ok()?;
    Some(Cursor(RecordId::from_bytes(id).to_string()))
}

const DOING: &str = "list";
/// How many records are looked at in one step, without their responses.
const HEADS_MAX: usize = 1_000;
/// Most steps for one page: a filter may admit few of many.
const STEPS_MAX: usize = 100;
