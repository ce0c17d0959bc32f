//! The handle: queues commands for the writer thread and awaits its answers.

use std::future::ready;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use oncegate::Watchers;
use oncegate::hash::RecordId;
use oncegate::record::Record;
use oncegate::store::{
    BoxFuture, Change, Cursor, Expect, Filter, Insert, Inspect, NewRecord, Page, Purged, Stamped,
    Store, StoreError, StoreErrorKind, StoreInfo, StoreResult, Update,
};
use parking_lot::Mutex;

use super::error::FileOpenError;
use super::health::Health;
use super::ledger::Ledger;
use super::listing;
use super::options::FileOptions;
use super::queue::{Command, Queue, response_bytes};
use super::recent::Recent;
use super::reply::NAME;
use super::rows::RESPONSE_BYTES_MAX;
use super::schema::FileAt;
use super::time::{StoreTime, machine_clock};
use super::writer::Writer;
use crate::reply::Reply;

/// Records in one file. Share it in an `Arc`.
///
/// Dropping it closes the file: the thread finishes what is queued, empties the log and ends. The
/// drop waits for that, up to [`CLOSE_WAIT`].
#[derive(Debug)]
pub struct FileStore {
    shared: Arc<Shared>,
    salt: [u8; 32],
    /// Disconnected when the thread has ended. A mutex, because a receiver alone is not `Sync`.
    ended: Mutex<mpsc::Receiver<()>>,
}

/// What the handle and the thread share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) queue: Queue,
    pub(super) time: StoreTime,
    pub(super) recent: Recent,
    pub(super) watchers: Watchers,
    pub(super) commits: AtomicU64,
    #[cfg(test)]
    pub(super) faults: super::faults::Faults,
}

impl FileStore {
    /// Opens the file, or creates it, with the default options.
    ///
    /// It blocks while the file is read (0.5 s a million records): open it before anything is
    /// served.
    ///
    /// # Errors
    /// See [`FileOpenError`]. The file was not changed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FileOpenError> {
        Self::open_with(path, FileOptions::default())
    }

    /// Opens the file, or creates it.
    ///
    /// # Errors
    /// See [`FileOpenError`]. The file was not changed.
    pub fn open_with(path: impl AsRef<Path>, options: FileOptions) -> Result<Self, FileOpenError> {
        let FileOptions {
            durability,
            clock,
            queue_max,
            bytes_max,
            prove_after,
        } = options;
        let path = path.as_ref().to_path_buf();
        let file = FileAt {
            path,
            durability,
            bytes_max,
        };
        let mut ledger = Ledger::open(&file)?;
        let floor = ledger.meta.time_high;
        let clock = clock.unwrap_or_else(|| Arc::new(machine_clock(floor)));
        let time = StoreTime::new(clock, floor);
        let dead = ledger
            .disown_the_dead(time.now())
            .map_err(|error| FileOpenError::of_sqlite(&file.path, error))?;
        tracing::info!(
            records = ledger.index.len(),
            unknown = dead,
            "file store opened"
        );
        let shared = Arc::new(Shared {
            queue: Queue::new(queue_max),
            time,
            recent: Recent::default(),
            watchers: Watchers::default(),
            commits: AtomicU64::new(0),
            #[cfg(test)]
            faults: super::faults::Faults::default(),
        });
        let salt = ledger.meta.salt;
        let health = Health::new(ledger, file.clone(), prove_after);
        let ended = start(Writer {
            shared: Arc::clone(&shared),
            health,
        })
        .map_err(|error| FileOpenError::of_io(&file.path, error))?;
        Ok(Self {
            shared,
            salt,
            ended: Mutex::new(ended),
        })
    }

    /// How many transactions were committed since the file was opened: one for many writes, if they
    /// come together.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    /// Queues a command when first polled.
    ///
    /// Dropped while it waits, the command stays queued: an end of a claim is still done, anything
    /// else is skipped if it was not done yet.
    async fn ask<T>(
        &self,
        doing: &'static str,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> StoreResult<T> {
        let (reply, answer) = Reply::new(NAME, doing);
        self.shared.queue.push(command(reply));
        // No answer: the thread died in the middle of it.
        let gone = |_| Err(StoreError::new(StoreErrorKind::Unavailable, NAME, doing));
        answer.await.unwrap_or_else(gone)
    }

    /// The record, if it is completed and in memory.
    fn completed(&self, id: RecordId) -> Option<Stamped<Record>> {
        let at = self.shared.time.now();
        let value = self.shared.recent.completed(id, at)?;
        Some(Stamped { at, value })
    }

    #[cfg(test)]
    pub(super) fn faults(&self) -> &super::faults::Faults {
        &self.shared.faults
    }
}

impl Drop for FileStore {
    fn drop(&mut self) {
        self.shared.queue.close();
        // A disk that hangs must not hang the process with it.
        if self.ended.get_mut().recv_timeout(CLOSE_WAIT) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("the file store did not close in time");
        }
    }
}

impl Store for FileStore {
    fn insert(&self, new: NewRecord) -> BoxFuture<'_, StoreResult<Insert>> {
        Box::pin(async move {
            if let Some(Stamped { at, value }) = self.completed(new.id) {
                let value = Insert::Exists(value);
                return Ok(Stamped { at, value });
            }
            let answer = self
                .ask("insert", |reply| Command::Insert { new, reply })
                .await?;
            if let Insert::Exists(record) = &answer.value {
                self.shared.recent.note(record);
            }
            Ok(answer)
        })
    }

    fn update(
        &self,
        id: RecordId,
        expect: Expect,
        change: Change,
    ) -> BoxFuture<'_, StoreResult<Update>> {
        // It would fail the whole batch that it is in.
        if response_bytes(&change) > RESPONSE_BYTES_MAX {
            let refused = StoreError::new(StoreErrorKind::Full, NAME, "update");
            return Box::pin(ready(Err(refused)));
        }
        Box::pin(async move {
            let command = |reply| Command::Update {
                id,
                expect,
                change,
                reply,
            };
            let answer = self.ask("update", command).await?;
            if let Update::Applied(Some(record)) = &answer.value {
                self.shared.recent.note(record);
            }
            Ok(answer)
        })
    }

    fn get(&self, id: RecordId) -> BoxFuture<'_, StoreResult<Option<Record>>> {
        Box::pin(async move {
            if let Some(Stamped { at, value }) = self.completed(id) {
                let value = Some(value);
                return Ok(Stamped { at, value });
            }
            let answer = self.ask("get", |reply| Command::Get { id, reply }).await?;
            if let Some(record) = &answer.value {
                self.shared.recent.note(record);
            }
            Ok(answer)
        })
    }

    fn purge(&self, limit: usize) -> BoxFuture<'_, StoreResult<Purged>> {
        Box::pin(self.ask("purge", move |reply| Command::Purge { limit, reply }))
    }

    fn watch(&self, id: RecordId) -> BoxFuture<'static, ()> {
        self.shared.watchers.watch(id)
    }

    fn ping(&self) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(self.ask("ping", |reply| Command::Ping { reply }))
    }

    fn info(&self) -> BoxFuture<'_, StoreResult<StoreInfo>> {
        let value = StoreInfo {
            name: NAME,
            salt: self.salt,
        };
        Box::pin(async move {
            Ok(Stamped {
                at: self.shared.time.now(),
                value,
            })
        })
    }
}

impl Inspect for FileStore {
    fn list(
        &self,
        filter: Filter,
        after: Option<Cursor>,
        limit: usize,
    ) -> BoxFuture<'_, StoreResult<Page>> {
        let Some(after) = listing::row_of(after.as_ref()) else {
            // A cursor of another store, or of another version.
            let refused = StoreError::new(StoreErrorKind::Incompatible, NAME, "list");
            return Box::pin(ready(Err(refused)));
        };
        Box::pin(self.ask("list", move |reply| Command::List {
            filter,
            after,
            limit,
            reply,
        }))
    }
}

/// Starts the thread. The receiver is disconnected when the thread has ended and the file is
/// closed.
fn start(writer: Writer) -> std::io::Result<mpsc::Receiver<()>> {
    let (ending, ended) = mpsc::channel::<()>();
    thread::Builder::new()
        .name("oncegate-file".to_owned())
        .spawn(move || {
            writer.run();
            drop(ending);
        })?;
    Ok(ended)
}

/// How long a drop waits for the file to be closed.
pub const CLOSE_WAIT: Duration = Duration::from_secs(10);
