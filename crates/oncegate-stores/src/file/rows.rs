//! How a record is written into the two tables and read back.
//!
//! Times and fences are `u64`; SQLite has `i64`. They are stored bit by bit, so that "for ever"
//! (`u64::MAX`) reads back as it was; nothing compares them in SQL. What cannot be read back is
//! damaged, never absent and no panic.

use std::fmt;

use oncegate::clock::Timestamp;
use oncegate::fingerprint::{FINGERPRINT_BYTES, Fingerprint};
use oncegate::hash::RecordId;
use oncegate::key::KeyDigest;
use oncegate::record::{About, Fence, OwnerId, Record, RecordState};
use oncegate::response::StoredResponse;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};

use super::seal;

/// What [`decode`] reads, in its order.
macro_rules! columns {
    () => {
        "row, id, state, owner, fence, revision, created_at, state_at, expires_at, purge_at, \
         fingerprint, key_digest, operation, seal"
    };
}

/// The number of a row. It is given once and never changes while the record stands.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Row(pub(super) i64);

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A row that could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowError {
    /// It holds what no version of us writes.
    #[error("row {row} is damaged: {what}")]
    Damaged {
        /// Which.
        row: Row,
        /// What is wrong with it.
        what: &'static str,
    },
    /// SQLite could not read it.
    #[error("row {row} cannot be read")]
    Unreadable {
        /// Which.
        row: Row,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

/// A record's state as a number in the file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum StateCode {
    /// A claim was taken, no outcome stored.
    InFlight,
    /// It may have run.
    Unknown,
    /// The outcome is in `body`.
    Completed,
    /// A tombstone.
    Expired,
}

impl StateCode {
    /// The number that is stored.
    pub(super) const fn number(self) -> i64 {
        match self {
            Self::InFlight => 0,
            Self::Unknown => 1,
            Self::Completed => 2,
            Self::Expired => 3,
        }
    }

    fn of_number(number: i64) -> Option<Self> {
        [
            Self::InFlight,
            Self::Unknown,
            Self::Completed,
            Self::Expired,
        ]
        .into_iter()
        .find(|code| code.number() == number)
    }
}

/// Reads the record in `row`, with its response.
pub(super) fn read(connection: &Connection, row: Row) -> Result<Record, RowError> {
    let unreadable = |source| RowError::Unreadable { row, source };
    let mut statement = connection.prepare_cached(READ).map_err(unreadable)?;
    let mut found = statement.query([row.0]).map_err(unreadable)?;
    let Some(found) = found.next().map_err(unreadable)? else {
        return Err(RowError::Damaged {
            row,
            what: "it is gone",
        });
    };
    let mut record = decode(row, found)?;
    read_response(connection, row, &mut record)?;
    Ok(record)
}

/// Reads the response that belongs to a completed record.
pub(super) fn read_response(
    connection: &Connection,
    row: Row,
    record: &mut Record,
) -> Result<(), RowError> {
    let RecordState::Completed { response, .. } = &mut record.state else {
        return Ok(());
    };
    let body: Option<(Vec<u8>, i64)> = connection
        .prepare_cached(READ_BODY)
        .and_then(|mut statement| {
            statement
                .query_row([row.0], |found| Ok((found.get(0)?, found.get(1)?)))
                .optional()
        })
        .map_err(|source| RowError::Unreadable { row, source })?;
    let damaged = |what| RowError::Damaged { row, what };
    let (bytes, sealed) = body.ok_or(damaged("its response is gone"))?;
    if sealed != seal::of_body(row, &bytes) {
        return Err(damaged("bytes of its response have changed"));
    }
    *response = StoredResponse::from_bytes(bytes);
    Ok(())
}

/// Looks at up to `limit` records behind `after`, in the order of their rows, without their
/// responses, until `look` says that it has seen enough (`false`). Answers the last row that was
/// looked at, and whether it was the last of all.
pub(super) fn scan(
    connection: &Connection,
    after: Row,
    limit: usize,
    mut look: impl FnMut(Row, Result<Record, RowError>) -> rusqlite::Result<bool>,
) -> rusqlite::Result<Scanned> {
    let mut statement = connection.prepare_cached(SCAN)?;
    let count = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut found = statement.query([after.0, count])?;
    let mut scanned = Scanned {
        last: after,
        rows: 0,
        finished: false,
    };
    while let Some(next) = found.next()? {
        let row = Row(next.get(0)?);
        scanned.last = row;
        scanned.rows += 1;
        if !look(row, decode(row, next))? {
            return Ok(scanned);
        }
    }
    scanned.finished = scanned.rows < limit;
    Ok(scanned)
}

/// How far a scan came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanned {
    /// The last row that was looked at.
    pub(super) last: Row,
    /// How many were looked at.
    pub(super) rows: usize,
    /// Whether nothing stands behind it.
    pub(super) finished: bool,
}

/// The bytes of the response that belongs to `row`, without reading it.
pub(super) fn response_bytes(connection: &Connection, row: Row) -> rusqlite::Result<usize> {
    let length: Option<i64> = connection
        .prepare_cached("SELECT length(response) FROM body WHERE row = ?1")?
        .query_row([row.0], |found| found.get(0))
        .optional()?;
    Ok(usize::try_from(length.unwrap_or(0)).unwrap_or(usize::MAX))
}

/// Decodes a result row of `columns!`. The response of a completed record is left empty.
fn decode(row: Row, found: &rusqlite::Row<'_>) -> Result<Record, RowError> {
    let field = Fields { row, found };
    let operation = field.text(12, "its operation is no text")?;
    let key_digest = KeyDigest::from_bytes(field.bytes(11, "its key digest has a wrong length")?);
    let fingerprint: [u8; FINGERPRINT_BYTES] =
        field.bytes(10, "its fingerprint has a wrong length")?;
    let record = Record {
        id: RecordId::from_bytes(field.bytes(1, "its id has a wrong length")?),
        owner: OwnerId::from_bytes(field.bytes(3, "its owner has a wrong length")?),
        fence: Fence::from_number(field.number(4)?),
        revision: field.number(5)?,
        fingerprint: Fingerprint::from_bytes(fingerprint),
        about: About {
            key_digest,
            operation: operation.into(),
        },
        created_at: field.time(6)?,
        state: state(&field)?,
        expires_at: field.time(8)?,
        purge_at: field.time(9)?,
    };
    if field.number(13)?.cast_signed() != seal::of_record(row, &record) {
        return Err(field.damaged("bytes of it have changed"));
    }
    Ok(record)
}

fn state(field: &Fields<'_, '_>) -> Result<RecordState, RowError> {
    let at = field.time(7)?;
    let number = field.number(2)?.cast_signed();
    match StateCode::of_number(number).ok_or(field.damaged("its state is none that we know"))? {
        StateCode::InFlight => Ok(RecordState::InFlight {
            lease_expires_at: at,
        }),
        StateCode::Unknown => Ok(RecordState::Unknown { since: at }),
        StateCode::Completed => {
            let response = StoredResponse::from_bytes(Vec::new());
            Ok(RecordState::Completed {
                completed_at: at,
                response,
            })
        }
        StateCode::Expired => Ok(RecordState::Expired),
    }
}

/// Writes a new record into `row`.
pub(super) fn append(connection: &Connection, row: Row, record: &Record) -> rusqlite::Result<()> {
    let (code, at) = code_and_time(&record.state);
    connection.prepare_cached(APPEND)?.execute(params![
        row.0,
        record.id.as_bytes(),
        code.number(),
        record.owner.as_bytes(),
        record.fence.number().cast_signed(),
        record.revision.cast_signed(),
        stored(record.created_at),
        at,
        stored(record.expires_at),
        stored(record.purge_at),
        record.fingerprint.to_bytes(),
        record.about.key_digest.as_bytes(),
        record.about.operation,
        seal::of_record(row, record),
    ])?;
    Ok(())
}

/// Writes what can change of a record over `row`, and its response if it is completed.
pub(super) fn overwrite(
    connection: &Connection,
    row: Row,
    record: &Record,
) -> rusqlite::Result<()> {
    let (code, at) = code_and_time(&record.state);
    let changed = connection.prepare_cached(OVERWRITE)?.execute(params![
        row.0,
        code.number(),
        record.owner.as_bytes(),
        record.fence.number().cast_signed(),
        record.revision.cast_signed(),
        at,
        stored(record.expires_at),
        stored(record.purge_at),
        seal::of_record(row, record),
    ])?;
    exactly_one(changed)?;
    if let RecordState::Completed { response, .. } = &record.state {
        let body: &[u8] = response.as_bytes();
        connection.prepare_cached(APPEND_BODY)?.execute(params![
            row.0,
            seal::of_body(row, body),
            body
        ])?;
    }
    Ok(())
}

/// Leaves a tombstone of the record in `row`, which is `expired` by now.
pub(super) fn strip(connection: &Connection, row: Row, expired: &Record) -> rusqlite::Result<()> {
    let seal = seal::of_record(row, expired);
    let changed = connection.prepare_cached(STRIP)?.execute([row.0, seal])?;
    exactly_one(changed)?;
    connection.prepare_cached(REMOVE_BODY)?.execute([row.0])?;
    Ok(())
}

/// Removes the record in `row`, and its response if it has one.
pub(super) fn remove(
    connection: &Connection,
    row: Row,
    state: &RecordState,
) -> rusqlite::Result<()> {
    exactly_one(connection.prepare_cached(REMOVE)?.execute([row.0])?)?;
    if matches!(state, RecordState::Completed { .. }) {
        connection.prepare_cached(REMOVE_BODY)?.execute([row.0])?;
    }
    Ok(())
}

impl RowError {
    /// Whether it says nothing of the store but of this one record.
    pub(super) fn is_of_one_record(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Unreadable { source, .. } => {
                source.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
            }
        }
    }
}

/// Takes columns out of a result row, or says what is wrong with them.
struct Fields<'a, 'b> {
    row: Row,
    found: &'a rusqlite::Row<'b>,
}

impl Fields<'_, '_> {
    fn damaged(&self, what: &'static str) -> RowError {
        RowError::Damaged {
            row: self.row,
            what,
        }
    }

    fn bytes<const N: usize>(&self, at: usize, what: &'static str) -> Result<[u8; N], RowError> {
        let value = self.found.get_ref(at).ok();
        let bytes = value.and_then(|value| value.as_blob().ok());
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(self.damaged(what))
    }

    fn text(&self, at: usize, what: &'static str) -> Result<&str, RowError> {
        let value = self.found.get_ref(at).ok();
        value
            .and_then(|value| value.as_str().ok())
            .ok_or(self.damaged(what))
    }

    fn number(&self, at: usize) -> Result<u64, RowError> {
        let value = self.found.get_ref(at).ok();
        let number = value.and_then(|value| value.as_i64().ok());
        number
            .map(i64::cast_unsigned)
            .ok_or(self.damaged("a number is missing"))
    }

    fn time(&self, at: usize) -> Result<Timestamp, RowError> {
        self.number(at).map(Timestamp::from_micros)
    }
}

pub(super) fn code_and_time(state: &RecordState) -> (StateCode, i64) {
    match state {
        RecordState::InFlight { lease_expires_at } => {
            (StateCode::InFlight, stored(*lease_expires_at))
        }
        RecordState::Unknown { since } => (StateCode::Unknown, stored(*since)),
        RecordState::Completed { completed_at, .. } => {
            (StateCode::Completed, stored(*completed_at))
        }
        RecordState::Expired => (StateCode::Expired, 0),
    }
}

/// An instant, bit by bit.
fn stored(at: Timestamp) -> i64 {
    at.as_micros().cast_signed()
}

/// A write that finds no row, or two, was made on a wrong belief: the batch must fail.
fn exactly_one(changed: usize) -> rusqlite::Result<()> {
    if changed == 1 {
        Ok(())
    } else {
        Err(rusqlite::Error::StatementChangedRows(changed))
    }
}

/// The largest response that is stored; SQLite itself stops at 1 GB. A larger one is refused as
/// `Full`.
pub const RESPONSE_BYTES_MAX: usize = 256 * 1024 * 1024;

const READ: &str = concat!("SELECT ", columns!(), " FROM record WHERE row = ?1");
const SCAN: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM record WHERE row > ?1 ORDER BY row LIMIT ?2"
);
const READ_BODY: &str = "SELECT response, seal FROM body WHERE row = ?1";
const APPEND: &str = "INSERT INTO record (row, id, state, owner, fence, revision, created_at, \
     state_at, expires_at, purge_at, fingerprint, key_digest, operation, seal) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
const APPEND_BODY: &str = "INSERT INTO body (row, seal, response) VALUES (?1, ?2, ?3)";
const OVERWRITE: &str = "UPDATE record SET state = ?2, owner = ?3, fence = ?4, revision = ?5, \
     state_at = ?6, expires_at = ?7, purge_at = ?8, seal = ?9 WHERE row = ?1";
const STRIP: &str = "UPDATE record SET state = 3, state_at = 0, seal = ?2 WHERE row = ?1";
const REMOVE: &str = "DELETE FROM record WHERE row = ?1";
const REMOVE_BODY: &str = "DELETE FROM body WHERE row = ?1";
