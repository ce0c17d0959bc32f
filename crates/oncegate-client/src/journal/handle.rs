//! The journal as programs hold it: opens the file, starts its thread, and waits for what that does.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use oncegate::clock::{Clock, SystemClock, Timestamp};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::error::{JournalError, NotSent};
use super::holder::Holders;
use super::ledger::{Active, Begun, End, Hold, Ledger, TakenOver, Wanted};
use super::listing::{self, Listed};
use super::options::JournalOptions;
use super::row::Id;
use super::schema::FileAt;
use super::writer::{Job, Writer};

/// A journal. Cloning shares it.
///
/// The drop of the last clone closes it: all that waits is written and the log is emptied. The drop waits for that, up
/// to [`CLOSE_WAIT`].
#[derive(Clone, Debug)]
pub struct Journal(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// None once it is closed.
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    /// Disconnected when the thread has ended. A mutex, because a receiver alone is not `Sync`.
    ended: Mutex<std::sync::mpsc::Receiver<()>>,
    commits: Arc<AtomicU64>,
    file: FileAt,
    request_bytes_max: u64,
    #[cfg(test)]
    lose_commit: Arc<std::sync::atomic::AtomicBool>,
}

impl Journal {
    /// Opens the journal at `path`, or makes one.
    ///
    /// # Errors
    /// If that is not possible. The file is left as it is.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        Self::open_with(path, JournalOptions::default())
    }

    /// The same with settings.
    ///
    /// # Errors
    /// If that is not possible. The file is left as it is.
    pub fn open_with(
        path: impl AsRef<Path>,
        options: JournalOptions,
    ) -> Result<Self, JournalError> {
        let file = FileAt::create_if_missing(path.as_ref())?;
        let connection = file.open(&options)?;
        let request_bytes_max = options.request_bytes_max;
        let (ledger, clock) = join(&file, &connection, options)?;
        let commits = Arc::new(AtomicU64::new(0));
        let writer = Writer::new(
            file.clone(),
            connection,
            ledger,
            clock,
            Arc::clone(&commits),
        );
        #[cfg(test)]
        let lose_commit = Arc::clone(&writer.lose_commit);
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        let (end, ended) = std::sync::mpsc::channel::<()>();
        thread::Builder::new()
            .name("oncegate-journal".to_owned())
            .spawn(move || {
                writer.run(waiting);
                drop(end);
            })
            .map_err(|error| file.failed_io(error))?;
        Ok(Self(Arc::new(Shared {
            jobs: Some(jobs),
            ended: Mutex::new(ended),
            commits,
            file,
            request_bytes_max,
            #[cfg(test)]
            lose_commit,
        })))
    }

    /// All operations in the journal: the open ones first, each group in the order in which they were sent first.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub async fn list(&self) -> Result<Vec<Listed>, JournalError> {
        self.ask(|ledger, connection, _| listing::list(ledger, connection))
            .await
    }

    /// How many times something was written and synced to the disk.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.0.commits.load(Ordering::Relaxed)
    }

    /// Makes the next commit look as if its fsync had failed.
    #[cfg(test)]
    pub(super) fn lose_next_commit(&self) {
        self.0.lose_commit.store(true, Ordering::SeqCst);
    }

    pub(super) async fn begin(&self, wanted: Wanted) -> Result<Begun, NotSent> {
        let in_memory = wanted.operation.body().bytes();
        let bytes = in_memory.map_or(0, |bytes| bytes.len() as u64);
        if bytes > self.0.request_bytes_max {
            return Err(NotSent::TooLarge {
                bytes,
                bytes_max: self.0.request_bytes_max,
            });
        }
        self.ask(move |ledger, connection, now| ledger.begin(connection, &wanted, now))
            .await?
    }

    pub(super) async fn take_over(&self, id: Id) -> Result<Option<TakenOver>, JournalError> {
        self.ask(move |ledger, connection, now| ledger.take_over(connection, id, now))
            .await
    }

    /// Cancel safety: once it is queued it is written, whether or not anybody waits for it.
    pub(super) async fn conclude(&self, hold: Hold, end: End) -> Result<(), JournalError> {
        let concluded = self.send(true, move |ledger, connection, now| {
            ledger.conclude(connection, &hold, &end, now)
        });
        concluded.await?.map_err(|what| self.0.file.damaged(what))
    }

    /// The rows that are open, whoever sends them.
    pub(super) async fn open_rows(&self) -> Result<Vec<Id>, JournalError> {
        self.ask(|_, connection, _| listing::open_rows(connection))
            .await
    }

    /// Cancel safety: what nobody waits for any more is not begun.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Ledger, &Connection, Timestamp) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, JournalError> {
        self.send(false, work).await
    }

    async fn send<T: Send + 'static>(
        &self,
        needed: bool,
        work: impl FnOnce(&mut Ledger, &Connection, Timestamp) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, JournalError> {
        let (reply, answer) = oneshot::channel();
        let task = Task {
            work: Some(work),
            value: None,
            reply,
            needed,
        };
        let jobs = self.0.jobs.as_ref().ok_or(JournalError::Closed)?;
        let closed = |_| JournalError::Closed;
        jobs.send(Box::new(task)).await.map_err(closed)?;
        answer.await.map_err(|_closed| JournalError::Closed)?
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        drop(self.jobs.take());
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        // A disk that hangs must not hang the process with it.
        if ended.recv_timeout(CLOSE_WAIT) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the journal did not close in time");
        }
    }
}

/// A job of any kind: what to do, what came of it, who waits.
struct Task<F, T> {
    work: Option<F>,
    value: Option<T>,
    reply: oneshot::Sender<Result<T, JournalError>>,
    needed: bool,
}

impl<F, T> Job for Task<F, T>
where
    F: FnOnce(&mut Ledger, &Connection, Timestamp) -> rusqlite::Result<T> + Send,
    T: Send,
{
    fn is_abandoned(&self) -> bool {
        !self.needed && self.reply.is_closed()
    }

    fn apply(
        &mut self,
        ledger: &mut Ledger,
        connection: &Connection,
        now: Timestamp,
    ) -> rusqlite::Result<()> {
        if let Some(work) = self.work.take() {
            self.value = Some(work(ledger, connection, now)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, done: Result<(), JournalError>) {
        let Self { value, reply, .. } = *self;
        let answer = done.and_then(|()| value.ok_or(JournalError::Closed));
        // A caller that has gone needs no answer; what it was given is given back by its end.
        drop(reply.send(answer));
    }
}

/// Becomes one of those who have the journal open, and takes away what dead ones have left.
fn join(
    file: &FileAt,
    connection: &Connection,
    options: JournalOptions,
) -> Result<(Ledger, Arc<dyn Clock>), JournalError> {
    let failed = |error| file.failed(error);
    connection
        .execute_batch("BEGIN IMMEDIATE")
        .map_err(failed)?;
    let holders = Holders::beside(file.real().to_path_buf());
    holders.sweep();
    let holder = holders.join().map_err(|error| file.failed_io(error))?;
    let highest: Option<i64> = connection
        .query_row("SELECT max(decided_at) FROM operation", [], |row| {
            row.get(0)
        })
        .map_err(failed)?;
    connection.execute_batch("COMMIT").map_err(failed)?;
    let clock = options.clock.clone().unwrap_or_else(|| {
        let floor = Timestamp::from_micros(highest.unwrap_or_default().cast_unsigned());
        Arc::new(SystemClock::starting_above(floor))
    });
    let ledger = Ledger {
        options,
        holders,
        holder,
        active: Arc::<Active>::default(),
        created: Vec::new(),
    };
    Ok((ledger, clock))
}

/// How long a drop waits for the file to be closed.
pub const CLOSE_WAIT: Duration = Duration::from_secs(10);

/// Jobs that may wait for the thread. Beyond that callers wait to hand theirs over.
const WAITING_MAX: usize = 1024;
