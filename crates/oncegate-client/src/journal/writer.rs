//! The writer thread: takes what waits, does it in one transaction with one fsync, and then answers all.
//!
//! What fails alone is undone alone. If the commit fails, all of the batch are told so, and nothing is believed of
//! what was read before: the file is opened again, its log copied and emptied, and what that commit may have left is
//! removed before anything else is done, because its callers were told that it is not there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oncegate::clock::{Clock, Timestamp};
use rusqlite::Connection;
use tokio::sync::mpsc;

use super::error::JournalError;
use super::ledger::{self, Ledger};
use super::row::Id;
use super::schema::FileAt;

/// One thing to do, and who waits for it.
pub(super) trait Job: Send {
    /// Whether nobody needs it done any more.
    fn is_abandoned(&self) -> bool;
    /// Does it, within a transaction.
    fn apply(
        &mut self,
        ledger: &mut Ledger,
        connection: &Connection,
        now: Timestamp,
    ) -> rusqlite::Result<()>;
    /// Answers: what was done is durable, or it was not done.
    fn answer(self: Box<Self>, done: Result<(), JournalError>);
}

/// What the thread owns.
pub(super) struct Writer {
    pub(super) file: FileAt,
    pub(super) ledger: Ledger,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) commits: Arc<AtomicU64>,
    /// None after a failure that may have left anything on the disk.
    connection: Option<Connection>,
    /// Rows that were reported as not written, and may be there all the same.
    disowned: Vec<Id>,
    pruned_at: Timestamp,
    /// Makes the next commit look as if its fsync had failed.
    #[cfg(test)]
    pub(super) lose_commit: Arc<std::sync::atomic::AtomicBool>,
}

impl Writer {
    pub(super) fn new(
        file: FileAt,
        connection: Connection,
        ledger: Ledger,
        clock: Arc<dyn Clock>,
        commits: Arc<AtomicU64>,
    ) -> Self {
        Self {
            file,
            ledger,
            clock,
            commits,
            connection: Some(connection),
            disowned: Vec::new(),
            pruned_at: Timestamp::default(),
            #[cfg(test)]
            lose_commit: Arc::default(),
        }
    }

    /// Works until nobody can ask for more.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
        while let Some(first) = jobs.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH_MAX
                && let Ok(job) = jobs.try_recv()
            {
                batch.push(job);
            }
            batch.retain(|job| !job.is_abandoned());
            if !batch.is_empty() {
                self.work(batch);
            }
        }
        if !self.disowned.is_empty() {
            self.work(Vec::new());
        }
    }

    fn work(&mut self, batch: Vec<Box<dyn Job>>) {
        let connection = match self.sound_connection() {
            Ok(connection) => connection,
            Err(error) => return refuse(batch, &error),
        };
        match self.transact(&connection, batch) {
            Ok(()) => self.connection = Some(connection),
            // Nothing was written, and what was begun is undone.
            Err(JournalError::Full { .. } | JournalError::Busy { .. })
                if connection.is_autocommit() =>
            {
                self.connection = Some(connection);
            }
            Err(_) => self.disowned.append(&mut self.ledger.created),
        }
        self.ledger.created.clear();
    }

    /// The connection, or another one to a file that has shown what is on the disk.
    fn sound_connection(&mut self) -> Result<Connection, JournalError> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let connection = self.file.open(&self.ledger.options)?;
        let busy: bool = connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(|error| self.file.failed(error))?;
        if busy {
            return Err(self.file.busy());
        }
        Ok(connection)
    }

    /// Everything of a batch that can be done, or nothing of it. All are answered.
    fn transact(
        &mut self,
        connection: &Connection,
        batch: Vec<Box<dyn Job>>,
    ) -> Result<(), JournalError> {
        let mut waiting = batch.into_iter();
        let mut done = Vec::with_capacity(waiting.len());
        let worked = self.do_all(connection, &mut waiting, &mut done);
        if let Err(error) = &worked {
            tracing::error!(%error, "the journal could not be written");
            // Where SQLite undid it already there is nothing to undo.
            drop(connection.execute_batch("ROLLBACK"));
        }
        for job in done.into_iter().chain(waiting) {
            job.answer(worked.clone());
        }
        worked
    }

    fn do_all(
        &mut self,
        connection: &Connection,
        waiting: &mut impl Iterator<Item = Box<dyn Job>>,
        done: &mut Vec<Box<dyn Job>>,
    ) -> Result<(), JournalError> {
        let before = connection.total_changes();
        self.execute(connection, "BEGIN IMMEDIATE")?;
        for id in &self.disowned {
            ledger::remove(connection, *id).map_err(|error| self.file.failed(error))?;
        }
        let now = self.clock.now();
        for job in waiting {
            done.extend(self.step(connection, job, now)?);
        }
        self.prune_if_due(connection, now)?;
        self.execute(connection, "COMMIT")?;
        #[cfg(test)]
        self.fail_if_lost()?;
        self.disowned.clear();
        let changed = connection.total_changes() > before;
        self.commits
            .fetch_add(u64::from(changed), Ordering::Relaxed);
        Ok(())
    }

    /// Does one job. If it fails and the transaction stands, it alone is undone and told so.
    fn step(
        &mut self,
        connection: &Connection,
        mut job: Box<dyn Job>,
        now: Timestamp,
    ) -> Result<Option<Box<dyn Job>>, JournalError> {
        self.execute(connection, "SAVEPOINT job")?;
        let Err(error) = job.apply(&mut self.ledger, connection, now) else {
            self.execute(connection, "RELEASE job")?;
            return Ok(Some(job));
        };
        let error = self.file.failed(error);
        let whole = connection.is_autocommit();
        let undone = if whole {
            Err(error.clone())
        } else {
            self.execute(connection, "ROLLBACK TO job; RELEASE job")
        };
        job.answer(Err(error));
        undone.map(|()| None)
    }

    /// Old operations are forgotten along the way. That it fails is nobody's failure who waits.
    fn prune_if_due(
        &mut self,
        connection: &Connection,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        if now.since(self.pruned_at) < PRUNE_EVERY {
            return Ok(());
        }
        self.pruned_at = now;
        let Err(error) = self.ledger.prune(connection, now) else {
            return Ok(());
        };
        tracing::warn!(%error, "old operations cannot be taken out of the journal");
        if connection.is_autocommit() {
            return Err(self.file.failed(error));
        }
        Ok(())
    }

    #[cfg(test)]
    fn fail_if_lost(&self) -> Result<(), JournalError> {
        use rusqlite::ffi;
        if !self.lose_commit.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        let failed = ffi::Error::new(ffi::SQLITE_IOERR_FSYNC);
        Err(self
            .file
            .failed(rusqlite::Error::SqliteFailure(failed, None)))
    }

    fn execute(&self, connection: &Connection, statement: &str) -> Result<(), JournalError> {
        connection
            .execute_batch(statement)
            .map_err(|error| self.file.failed(error))
    }
}

fn refuse(batch: Vec<Box<dyn Job>>, error: &JournalError) {
    for job in batch {
        job.answer(Err(error.clone()));
    }
}

/// Jobs in one transaction.
const BATCH_MAX: usize = 256;

/// How often old operations are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
