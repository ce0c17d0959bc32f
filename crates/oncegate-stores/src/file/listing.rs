//! One page of a listing, in the order of rows, bounded in what it looks at and in what it holds.
//!
//! A page may come back short, or empty, with a cursor: it looked at as much as one step may.

use oncegate::clock::Timestamp;
use oncegate::record::Record;
use oncegate::store::{Cursor, Filter, Page};

use super::ledger::{FIRST, Ledger};
use super::rows::{self, Row, RowError};

impl Ledger {
    /// Up to `limit` records behind `after` that `filter` admits at `now`.
    pub(super) fn list(
        &self,
        filter: &Filter,
        after: Row,
        limit: usize,
        now: Timestamp,
    ) -> rusqlite::Result<Page> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        let scanned = rows::scan(&self.connection, after, PAGE_ROWS_MAX, |row, record| {
            if let Some(record) = self.admitted(row, record, filter, now)? {
                bytes += record.size_bytes();
                records.push(record);
            }
            Ok(records.len() < limit && bytes < PAGE_BYTES_MAX)
        })?;
        let next = (!scanned.finished).then(|| Cursor(scanned.last.to_string()));
        Ok(Page { records, next })
    }

    /// The record with its response, if it is to be listed. A damaged one is left out, but not in
    /// silence.
    fn admitted(
        &self,
        row: Row,
        record: Result<Record, RowError>,
        filter: &Filter,
        now: Timestamp,
    ) -> rusqlite::Result<Option<Record>> {
        let with_response = record.and_then(|mut record| {
            if record.is_purgeable(now) || !filter.admits(&record, now) {
                return Ok(None);
            }
            rows::read_response(&self.connection, row, &mut record)?;
            Ok(Some(record))
        });
        match with_response {
            Ok(record) => Ok(record),
            Err(error) if error.is_of_one_record() => {
                tracing::warn!(%error, "listing leaves a row out");
                Ok(None)
            }
            Err(RowError::Unreadable { source, .. }) => Err(source),
            Err(RowError::Damaged { .. }) => Ok(None),
        }
    }
}

/// The row behind which a listing goes on; `None` if the cursor is none of ours.
pub(super) fn row_of(cursor: Option<&Cursor>) -> Option<Row> {
    match cursor {
        None => Some(FIRST),
        Some(Cursor(text)) => text.parse().ok().map(Row),
    }
}

/// Records that one page looks at: about 2 ms.
const PAGE_ROWS_MAX: usize = 1_000;

/// Bytes of records after which a page ends.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
