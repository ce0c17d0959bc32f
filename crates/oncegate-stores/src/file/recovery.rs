//! Building memory from the file: at the opening, and again after the store failed.
//!
//! One scan of `record` finds every id and its row. At an opening the records in flight belong to a
//! dead holder and become unknown at once (M-41); after a failure in this process they stay in
//! flight, for their holders live. A row whose id cannot be read stops the opening: its key would
//! pass for absent and be executed again.

use std::collections::HashMap;
use std::hash::RandomState;

use oncegate::clock::Timestamp;
use oncegate::hash::RecordId;
use oncegate::record::{Record, RecordState, Retention};
use oncegate::store::{Change, Expect};
use oncegate::transition::{self, Effect};
use rusqlite::Connection;

use super::error::FileOpenError;
use super::index::Index;
use super::ledger::{FIRST, Found, Ledger};
use super::rows::{self, Row, RowError, StateCode};
use super::schema::{FileAt, Meta, random};
use super::seal::Tally;

impl Ledger {
    /// Opens the file, creating it if it is missing, and reads what is in it. Nothing is written
    /// yet: see [`Ledger::disown_the_dead`].
    pub(super) fn open(file: &FileAt) -> Result<Self, FileOpenError> {
        let connection = file.create_or_open()?;
        Self::load(connection).map_err(|problem| problem.at(file))
    }

    /// Opens the file once more after a failure. If another process had it meanwhile, or if it is
    /// another file, this says so by its meta row.
    pub(super) fn open_again(file: &FileAt) -> Result<Self, FileOpenError> {
        let connection = file.open()?;
        let ledger = Self::load(connection).map_err(|problem| problem.at(file))?;
        ledger
            .truncate_log()
            .map_err(|error| FileOpenError::of_sqlite(&file.path, error))?;
        Ok(ledger)
    }

    fn load(connection: Connection) -> Result<Self, LoadProblem> {
        let Some(meta) = Meta::read(&connection)? else {
            let what = "bytes of the row that the store keeps of itself have changed";
            return Err(LoadProblem::Corrupt(what.to_owned()));
        };
        let scanned = scan(&connection)?;
        if scanned.tally != meta.tally {
            let what = "records have vanished, or are others than were written";
            return Err(LoadProblem::Corrupt(what.to_owned()));
        }
        let mut held = HashMap::new();
        for row in scanned.in_flight {
            match rows::read(&connection, row) {
                Ok(record) => drop(held.insert(row, record)),
                // It stays where it is, and is an error for whoever asks for it.
                Err(error) if error.is_of_one_record() => {
                    tracing::error!(%error, "a record in flight cannot be read");
                }
                Err(RowError::Unreadable { source, .. }) => return Err(source.into()),
                Err(RowError::Damaged { .. }) => {}
            }
        }
        let next_row = Row(scanned.last.0 + 1);
        Ok(Self::new(connection, meta, scanned.index, held, next_row))
    }

    /// Makes this the incarnation that owns the file, and everything in flight unknown. Answers how
    /// much that was.
    pub(super) fn disown_the_dead(&mut self, now: Timestamp) -> rusqlite::Result<usize> {
        self.begin()?;
        self.meta.incarnation = i64::from_ne_bytes(random()?);
        let dead: Vec<Found> = std::mem::take(&mut self.held)
            .into_iter()
            .map(|(row, record)| Found { row, record })
            .collect();
        for found in &dead {
            if let Some(unknown) = unknown(&found.record, now) {
                self.overwrite(found, unknown)?;
            }
        }
        self.commit(now)?;
        Ok(dead.len())
    }
}

/// What a record in flight becomes when its holder is dead. Its bounds stay as its holder set them:
/// counted from the end of its lease if that has passed, so that a long outage does not begin its
/// retention anew.
fn unknown(record: &Record, now: Timestamp) -> Option<Record> {
    let RecordState::InFlight { lease_expires_at } = record.state else {
        return None;
    };
    let retention = Retention {
        live: record.expires_at.since(lease_expires_at),
        tombstone: record.purge_at.since(record.expires_at),
    };
    let expect = Expect {
        owner: record.owner,
        revision: None,
    };
    let change = Change::MarkUnknown { unknown: retention };
    let since = now.min(lease_expires_at);
    match transition::update(Some(record), expect, change, record.fence, since).0 {
        Effect::Put(unknown) => Some(unknown),
        // Its time has come already: a purge will take it.
        Effect::Keep | Effect::Remove => None,
    }
}

/// What one pass over `record` finds.
struct Scanned {
    index: Index,
    in_flight: Vec<Row>,
    last: Row,
    tally: Tally,
}

fn scan(connection: &Connection) -> Result<Scanned, LoadProblem> {
    let capacity = records_expected(connection)?;
    let mut index = Index::with_capacity(RandomState::new(), capacity);
    let (mut in_flight, mut last) = (Vec::new(), FIRST);
    let mut tally = Tally::default();
    let mut chunk = Vec::with_capacity(CHUNK_ROWS);
    let mut statement = connection.prepare("SELECT row, id, state FROM record ORDER BY row")?;
    let mut found = statement.query([])?;
    while let Some(next) = found.next()? {
        let row = Row(next.get(0)?);
        let id = next
            .get_ref(1)?
            .as_blob()
            .ok()
            .and_then(|bytes| bytes.try_into().ok());
        let Some(id) = id.map(RecordId::from_bytes) else {
            return Err(LoadProblem::Corrupt(format!(
                "the id in row {row} cannot be read"
            )));
        };
        if next.get_ref(2)?.as_i64() == Ok(StateCode::InFlight.number()) {
            in_flight.push(row);
        }
        tally.toggle(row, id);
        chunk.push((id, row));
        if chunk.len() == CHUNK_ROWS {
            take_in(connection, &mut index, &mut chunk)?;
        }
        last = row;
    }
    take_in(connection, &mut index, &mut chunk)?;
    Ok(Scanned {
        index,
        in_flight,
        last,
        tally,
    })
}

/// Takes a chunk of rows into the index, in the order of where they will be in memory: in the order
/// of rows each would wait for its own miss of the cache, and ten million took three times as long.
fn take_in(
    connection: &Connection,
    index: &mut Index,
    chunk: &mut Vec<(RecordId, Row)>,
) -> Result<(), LoadProblem> {
    index.arrange(chunk);
    for (id, row) in chunk.drain(..) {
        if let Some(other) = index.take_in(id, row) {
            // Either two ids share a hash, or one id stands twice.
            check_other_id(connection, index.row(id).unwrap_or(other), id)?;
            index.put(id, None, row);
        }
    }
    Ok(())
}

/// Room for as many records as there can be, so that the index does not grow while it is built.
fn records_expected(connection: &Connection) -> rusqlite::Result<usize> {
    let bounds = "SELECT coalesce(max(row), 0) FROM record";
    let highest: i64 = connection.query_row(bounds, [], |row| row.get(0))?;
    let lowest = "SELECT coalesce(min(row), 0) FROM record";
    let lowest: i64 = connection.query_row(lowest, [], |row| row.get(0))?;
    let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
    let most = pages.saturating_mul(RECORDS_A_PAGE_MAX);
    Ok(usize::try_from((highest - lowest).clamp(0, most)).unwrap_or(0))
}

fn check_other_id(connection: &Connection, row: Row, id: RecordId) -> Result<(), LoadProblem> {
    let read = "SELECT id FROM record WHERE row = ?1";
    let other: Vec<u8> = connection.query_row(read, [row.0], |found| found.get(0))?;
    if other == id.as_bytes() {
        return Err(LoadProblem::Corrupt(format!(
            "the record in row {row} stands twice"
        )));
    }
    Ok(())
}

/// What stops memory from being built.
enum LoadProblem {
    Corrupt(String),
    Sqlite(rusqlite::Error),
}

impl LoadProblem {
    fn at(self, file: &FileAt) -> FileOpenError {
        let path = file.path.clone();
        match self {
            Self::Corrupt(what) => FileOpenError::Corrupt { path, what },
            // Our application id, but not our tables.
            Self::Sqlite(error @ rusqlite::Error::QueryReturnedNoRows) => FileOpenError::Corrupt {
                path,
                what: error.to_string(),
            },
            Self::Sqlite(error) => FileOpenError::of_sqlite(&file.path, error),
        }
    }
}

impl From<rusqlite::Error> for LoadProblem {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Rows that are taken into the index at once: 5 MiB.
const CHUNK_ROWS: usize = 131_072;

/// Rows of `record` that fit on a page at most: none is shorter than 150 bytes.
const RECORDS_A_PAGE_MAX: i64 = 56;
