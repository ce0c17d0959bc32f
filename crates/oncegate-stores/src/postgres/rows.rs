//! What a statement tells, as records.

use std::collections::HashMap;

use oncegate::clock::Timestamp;
use oncegate::fingerprint::{FINGERPRINT_BYTES, Fingerprint};
use oncegate::hash::RecordId;
use oncegate::key::KeyDigest;
use oncegate::record::{About, Fence, OwnerId, Record, RecordState};
use oncegate::response::StoredResponse;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use super::time::Instant;

/// What a statement tells.
#[derive(Debug)]
pub(super) struct Told {
    /// The server's time.
    pub(super) at: Timestamp,
    /// The salt that is kept, where the statement compares it.
    pub(super) salt: Option<[u8; 32]>,
    /// What is under the ids that were asked for; in the server's order.
    pub(super) found: Vec<Found>,
}

/// A record under one id.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Whether this statement has written it.
    pub(super) is_written: bool,
    /// Whether it was given up: then it is absent, and here for its fence alone.
    pub(super) is_released: bool,
    /// Whether its response was too large for this answer, and is empty here.
    pub(super) is_cut: bool,
    pub(super) record: Record,
}

/// A row that no statement of ours has written.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowError {
    /// The server sent what cannot be read.
    #[error("a column cannot be read")]
    Unreadable(#[from] tokio_postgres::Error),
    /// It was read, and is none of ours.
    #[error("{0}")]
    Damaged(&'static str),
}

impl Told {
    pub(super) fn read(rows: &[Row]) -> Result<Self, RowError> {
        let first = rows
            .first()
            .ok_or(RowError::Damaged("there is no answer"))?;
        let Instant(at) = first.try_get(0)?;
        let salt: Option<&[u8]> = first.try_get(1)?;
        let salt = salt.map(|salt| exactly(salt, "the salt has another length"));
        let found = rows.iter().filter_map(|row| Found::read(row).transpose());
        Ok(Self {
            at,
            salt: salt.transpose()?,
            found: found.collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn by_id(self) -> HashMap<RecordId, Found> {
        let by_id = self.found.into_iter().map(|found| (found.record.id, found));
        by_id.collect()
    }
}

impl Found {
    /// Nothing, where only the time is told.
    fn read(row: &Row) -> Result<Option<Self>, RowError> {
        let Some(is_written) = row.try_get::<_, Option<bool>>(2)? else {
            return Ok(None);
        };
        let state: &str = row.try_get(7)?;
        let Instant(state_at) = row.try_get(8)?;
        let response_bytes: Option<i32> = row.try_get(15)?;
        let response: Option<Vec<u8>> = row.try_get(16)?;
        let is_cut = response_bytes.is_some() && response.is_none();
        let state_of_record = match state {
            "in-flight" => RecordState::InFlight {
                lease_expires_at: state_at,
            },
            "unknown" => RecordState::Unknown { since: state_at },
            "completed" => RecordState::Completed {
                completed_at: state_at,
                response: StoredResponse::from_bytes(response.unwrap_or_default()),
            },
            "expired" | "released" => RecordState::Expired,
            _ => return Err(RowError::Damaged("the state is none")),
        };
        let record = Record {
            id: RecordId::from_bytes(bytes(row, 3)?),
            owner: OwnerId::from_bytes(bytes(row, 4)?),
            fence: Fence::from_number(number(row, 5)?),
            revision: number(row, 6)?,
            fingerprint: Fingerprint::from_bytes(bytes::<FINGERPRINT_BYTES>(row, 12)?),
            about: About {
                key_digest: KeyDigest::from_bytes(bytes(row, 13)?),
                operation: column::<&str>(row, 14)?.into(),
            },
            created_at: column::<Instant>(row, 9)?.0,
            state: state_of_record,
            expires_at: column::<Instant>(row, 10)?.0,
            purge_at: column::<Instant>(row, 11)?.0,
        };
        Ok(Some(Self {
            is_written,
            is_released: state == "released",
            is_cut,
            record,
        }))
    }

    /// The time at which it is told: the server's, but never before what has happened to the record. No more than
    /// that: the time of other answers would end leases that were given by a clock that is behind.
    pub(super) fn told_at(&self, at: Timestamp) -> Timestamp {
        at.max(match &self.record.state {
            RecordState::InFlight { .. } | RecordState::Expired => self.record.created_at,
            RecordState::Unknown { since } => *since,
            RecordState::Completed { completed_at, .. } => *completed_at,
        })
    }

    /// The record, unless it was given up.
    pub(super) fn standing(self) -> Option<Record> {
        Some(self.record).filter(|_| !self.is_released)
    }
}

fn column<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T, RowError> {
    Ok(row.try_get(index)?)
}

fn number(row: &Row, index: usize) -> Result<u64, RowError> {
    u64::try_from(column::<i64>(row, index)?)
        .map_err(|_negative| RowError::Damaged("a number is below zero"))
}

fn bytes<const N: usize>(row: &Row, index: usize) -> Result<[u8; N], RowError> {
    exactly(column(row, index)?, "a field has another length")
}

fn exactly<const N: usize>(bytes: &[u8], damage: &'static str) -> Result<[u8; N], RowError> {
    bytes.try_into().map_err(|_| RowError::Damaged(damage))
}
