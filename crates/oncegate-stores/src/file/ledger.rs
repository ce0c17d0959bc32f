//! The open file and what memory knows of it, changed together.
//!
//! Memory holds which record is in which row, and every record in flight, so that claiming a key
//! and completing it read nothing. A transaction that fails is undone in memory too. What is
//! promised here: memory never says more than the file plus the open transaction.

use std::collections::HashMap;

use oncegate::clock::Timestamp;
use oncegate::hash::RecordId;
use oncegate::record::{Fence, Record, RecordState};
use rusqlite::{Connection, params};

use super::index::Index;
use super::rows::{self, Row, RowError};
use super::schema::Meta;
use super::seal;

/// The file, and what memory knows of it.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) connection: Connection,
    pub(super) index: Index,
    /// Every record in flight.
    pub(super) held: HashMap<Row, Record>,
    pub(super) meta: Meta,
    /// The row of the next new record.
    pub(super) next_row: Row,
    /// The row behind which the next step of a purge looks.
    pub(super) purge_after: Row,
    /// Whether this round of a purge took anything.
    pub(super) purge_took: bool,
    undo: Vec<Undo>,
    in_transaction: bool,
}

/// A record and where it stands.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) row: Row,
    pub(super) record: Record,
}

/// How one change of memory is taken back.
#[derive(Debug)]
enum Undo {
    /// The id was in `was` and is now in `now`.
    Mapped {
        id: RecordId,
        was: Option<Row>,
        now: Option<Row>,
    },
    /// This was held for the row.
    Held { row: Row, was: Option<Record> },
    /// A purge step began here.
    PurgeAfter(Row),
}

impl Ledger {
    /// A ledger over an open file, of which memory knows `index` and `held`.
    pub(super) fn new(
        connection: Connection,
        meta: Meta,
        index: Index,
        held: HashMap<Row, Record>,
        next_row: Row,
    ) -> Self {
        Self {
            connection,
            index,
            held,
            meta,
            next_row,
            purge_after: FIRST,
            purge_took: false,
            undo: Vec::new(),
            in_transaction: false,
        }
    }

    /// The record with this id, with its response.
    pub(super) fn find(&self, id: RecordId) -> Result<Option<Found>, RowError> {
        let Some(row) = self.index.row(id) else {
            return Ok(None);
        };
        let record = match self.held.get(&row) {
            Some(record) => record.clone(),
            None => rows::read(&self.connection, row)?,
        };
        // The hash of another id may lead here too.
        Ok((record.id == id).then_some(Found { row, record }))
    }

    /// The fence for a record that changes hands at `now`.
    pub(super) fn next_fence(&self, now: Timestamp) -> Fence {
        Fence::following(self.meta.fence_high, now)
    }

    /// Writes a new record, in place of a purgeable one if that still stands.
    pub(super) fn create(&mut self, stood: Option<&Found>, record: Record) -> rusqlite::Result<()> {
        self.begin()?;
        if let Some(stood) = stood {
            self.erase(stood)?;
        }
        let row = self.next_row;
        self.next_row = Row(row.0 + 1);
        rows::append(&self.connection, row, &record)?;
        self.map(record.id, None, Some(row));
        self.know(row, record);
        Ok(())
    }

    /// Writes `record` over what stood there.
    ///
    /// # Panics
    /// If that was completed: a stored outcome is never rewritten, whatever asks for it.
    pub(super) fn overwrite(&mut self, stood: &Found, record: Record) -> rusqlite::Result<()> {
        assert!(
            !matches!(stood.record.state, RecordState::Completed { .. }),
            "a completed record is never rewritten"
        );
        self.begin()?;
        rows::overwrite(&self.connection, stood.row, &record)?;
        self.know(stood.row, record);
        Ok(())
    }

    /// Removes what stood there.
    pub(super) fn remove(&mut self, stood: &Found) -> rusqlite::Result<()> {
        self.begin()?;
        self.erase(stood)
    }

    /// Leaves a tombstone of what stood there.
    pub(super) fn strip(&mut self, found: Found) -> rusqlite::Result<()> {
        self.begin()?;
        let Found { row, mut record } = found;
        record.state = RecordState::Expired;
        rows::strip(&self.connection, row, &record)?;
        self.hold(row, None);
        Ok(())
    }

    /// Remembers where this step of a purge began, in case that it is undone.
    pub(super) fn move_purge(&mut self, after: Row) {
        self.undo.push(Undo::PurgeAfter(self.purge_after));
        self.purge_after = after;
    }

    /// Starts a transaction if none is open.
    pub(super) fn begin(&mut self) -> rusqlite::Result<()> {
        if !self.in_transaction {
            self.connection
                .prepare_cached("BEGIN IMMEDIATE")?
                .execute([])?;
            self.in_transaction = true;
        }
        Ok(())
    }

    /// Whether there is anything to commit.
    pub(super) fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// Makes everything since `begin` durable, and with it the highest time and fence.
    pub(super) fn commit(&mut self, time_high: Timestamp) -> rusqlite::Result<()> {
        self.meta.time_high = time_high;
        self.connection
            .prepare_cached(WRITE_META)?
            .execute(params![
                self.meta.incarnation,
                self.meta.time_high.as_micros().cast_signed(),
                self.meta.fence_high.number().cast_signed(),
                self.meta.tally.0.cast_signed(),
                seal::of_meta(&self.meta),
            ])?;
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        self.keep();
        Ok(())
    }

    /// Nothing is to be undone any more.
    pub(super) fn keep(&mut self) {
        self.in_transaction = false;
        self.undo.clear();
    }

    /// Takes back everything since `begin`, in the file and in memory. The highest fence stays:
    /// numbers are free.
    pub(super) fn roll_back(&mut self) -> rusqlite::Result<()> {
        // Some errors have rolled back already.
        if !self.connection.is_autocommit() {
            self.connection.prepare_cached("ROLLBACK")?.execute([])?;
        }
        self.in_transaction = false;
        while let Some(undo) = self.undo.pop() {
            self.take_back(undo);
        }
        Ok(())
    }

    /// Proves that there is room and that writes reach the disk, by doing it.
    pub(super) fn probe(&mut self, time_high: Timestamp) -> rusqlite::Result<()> {
        self.begin()?;
        self.connection
            .prepare_cached("INSERT INTO probe (filler) VALUES (zeroblob(?1))")?
            .execute([PROBE_BYTES])?;
        self.commit(time_high)?;
        self.begin()?;
        self.connection
            .prepare_cached("DELETE FROM probe")?
            .execute([])?;
        self.commit(time_high)
    }

    /// Copies the log into the file and empties it: what was deleted is then gone from the disk.
    pub(super) fn truncate_log(&self) -> rusqlite::Result<()> {
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }

    fn erase(&mut self, stood: &Found) -> rusqlite::Result<()> {
        rows::remove(&self.connection, stood.row, &stood.record.state)?;
        self.map(stood.record.id, Some(stood.row), None);
        self.hold(stood.row, None);
        Ok(())
    }

    /// What memory keeps of a record that was written.
    fn know(&mut self, row: Row, record: Record) {
        self.meta.fence_high = self.meta.fence_high.max(record.fence);
        let in_flight = matches!(record.state, RecordState::InFlight { .. });
        self.hold(row, in_flight.then_some(record));
    }

    fn map(&mut self, id: RecordId, was: Option<Row>, now: Option<Row>) {
        self.undo.push(Undo::Mapped { id, was, now });
        self.set(id, was, now);
    }

    fn set(&mut self, id: RecordId, was: Option<Row>, now: Option<Row>) {
        for row in was.into_iter().chain(now) {
            self.meta.tally.toggle(row, id);
        }
        match (was, now) {
            (_, Some(now)) => self.index.put(id, was, now),
            (Some(was), None) => self.index.remove(id, was),
            (None, None) => {}
        }
    }

    fn hold(&mut self, row: Row, record: Option<Record>) {
        let was = match record {
            Some(record) => self.held.insert(row, record),
            None => self.held.remove(&row),
        };
        self.undo.push(Undo::Held { row, was });
    }

    fn take_back(&mut self, undo: Undo) {
        match undo {
            Undo::Mapped { id, was, now } => self.set(id, now, was),
            Undo::Held {
                row,
                was: Some(record),
            } => drop(self.held.insert(row, record)),
            Undo::Held { row, was: None } => drop(self.held.remove(&row)),
            Undo::PurgeAfter(row) => self.purge_after = row,
        }
    }
}

/// Below every row.
pub(super) const FIRST: Row = Row(0);

/// What a probe writes: more than a claim needs.
const PROBE_BYTES: i64 = 64 * 1024;

const WRITE_META: &str = "UPDATE meta SET incarnation = ?1, time_high = ?2, fence_high = ?3, \
     tally = ?4, seal = ?5 WHERE one = 1";
