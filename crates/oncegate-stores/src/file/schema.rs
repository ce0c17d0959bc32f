//! The file itself: how it is created, recognised and opened, and the one row that the store keeps
//! of itself.
//!
//! A file that is not ours is left as it is. The file is never opened but through SQLite: closing
//! any other handle on it would silently drop this process's locks (POSIX), and with them the rule
//! of one process per file.

use std::cmp::Ordering;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use oncegate::clock::Timestamp;
use oncegate::record::Fence;
use rusqlite::{Connection, OpenFlags, params};

use super::error::FileOpenError;
use super::options::Durability;
use super::seal::{self, Tally};

/// Which file, and how it is written.
#[derive(Clone, Debug)]
pub(super) struct FileAt {
    /// The path as it was given, for messages.
    pub(super) path: PathBuf,
    /// What an answered write survives.
    pub(super) durability: Durability,
    /// How large it may grow.
    pub(super) bytes_max: Option<u64>,
}

/// What the store keeps of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Meta {
    /// Keys the fingerprints if no secret does. Made once.
    pub(super) salt: [u8; 32],
    /// Which opening of the file wrote last.
    pub(super) incarnation: i64,
    /// The highest time stored.
    pub(super) time_high: Timestamp,
    /// The highest fence given, to any record, ever.
    pub(super) fence_high: Fence,
    /// Which records there are.
    pub(super) tally: Tally,
}

impl FileAt {
    /// Creates the file if it is missing, and opens it.
    pub(super) fn create_or_open(&self) -> Result<Connection, FileOpenError> {
        self.create_if_missing()?;
        self.open()
    }

    /// Opens the file. It is never created here: a file that vanished took its keys with it, and an
    /// empty one in its place would let each of them be executed again.
    pub(super) fn open(&self) -> Result<Connection, FileOpenError> {
        let absolute = std::path::absolute(&self.path)
            .map_err(|error| FileOpenError::of_io(&self.path, error))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(absolute, flags)
            .map_err(|error| FileOpenError::of_sqlite(&self.path, error))?;
        match self.prepare(&connection) {
            Ok(Kind::Ours | Kind::Empty) => Ok(connection),
            Ok(Kind::Foreign) => Err(FileOpenError::NotOurs {
                path: self.path.clone(),
            }),
            Ok(Kind::Newer(found)) => Err(FileOpenError::Newer {
                path: self.path.clone(),
                found,
                known: FORMAT,
            }),
            Ok(Kind::Older(found)) => Err(FileOpenError::Older {
                path: self.path.clone(),
                found,
                known: FORMAT,
            }),
            Err(error) => Err(FileOpenError::of_sqlite(&self.path, error)),
        }
    }

    /// Recognises the file, and makes it ours if it is empty.
    fn prepare(&self, connection: &Connection) -> rusqlite::Result<Kind> {
        connection.busy_timeout(LOCK_WAIT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        let kind = recognise(connection)?;
        match kind {
            Kind::Foreign | Kind::Older(_) | Kind::Newer(_) => return Ok(kind),
            Kind::Empty => {
                // These two count only before the first page is written.
                connection.pragma_update(None, "page_size", PAGE_BYTES)?;
                connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
            }
            Kind::Ours => {}
        }
        self.configure(connection)?;
        if kind == Kind::Empty {
            create_tables(connection)?;
        }
        Ok(kind)
    }

    fn configure(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mode: String =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        if mode != "wal" {
            // Some network file systems cannot do it, and their locks are not to be trusted either.
            let error = io::Error::other("the file system allows no write-ahead log");
            return Err(rusqlite::Error::ToSqlConversionFailure(error.into()));
        }
        let synchronous = match self.durability {
            Durability::Power => "FULL",
            Durability::Process => "NORMAL",
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        // On macOS an fsync alone leaves the data in the drive's cache.
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "checkpoint_fullfsync", true)?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        if let Some(bytes_max) = self.bytes_max {
            let pages = i64::try_from(bytes_max / PAGE_BYTES.cast_unsigned()).unwrap_or(i64::MAX);
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        }
        Ok(())
    }

    /// Creates the file readable by its owner alone; SQLite gives its log the same mode.
    fn create_if_missing(&self) -> Result<(), FileOpenError> {
        if self.path.is_dir() {
            return Err(FileOpenError::IsDirectory {
                path: self.path.clone(),
            });
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&self.path) {
            Ok(file) => {
                drop(file);
                self.sync_directory();
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Err(FileOpenError::DirectoryMissing {
                    directory: self.directory(),
                })
            }
            Err(error) => Err(FileOpenError::of_io(&self.path, error)),
        }
    }

    /// Makes the file's name durable. Not every file system can; SQLite does it once more with its
    /// log.
    fn sync_directory(&self) {
        if let Err(error) = File::open(self.directory()).and_then(|directory| directory.sync_all())
        {
            tracing::debug!(%error, "directory of the file store cannot be synced");
        }
    }

    fn directory(&self) -> PathBuf {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            Some(_) | None => PathBuf::from("."),
        }
    }
}

impl Meta {
    /// Reads what the store keeps of itself; `None` if bytes of that have changed.
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Option<Self>> {
        let read =
            "SELECT salt, incarnation, time_high, fence_high, tally, seal FROM meta WHERE one = 1";
        connection.query_row(read, [], |row| {
            let meta = Self {
                salt: row.get(0)?,
                incarnation: row.get(1)?,
                time_high: Timestamp::from_micros(row.get::<_, i64>(2)?.cast_unsigned()),
                fence_high: Fence::from_number(row.get::<_, i64>(3)?.cast_unsigned()),
                tally: Tally(row.get::<_, i64>(4)?.cast_unsigned()),
            };
            let sound = row.get::<_, i64>(5)? == seal::of_meta(&meta);
            Ok(sound.then_some(meta))
        })
    }
}

/// Whose file it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// Nobody's: there is nothing in it.
    Empty,
    /// Ours, in the format that we know.
    Ours,
    /// Ours, in an earlier format.
    Older(i32),
    /// Ours, in a later format.
    Newer(i32),
    /// Another program's.
    Foreign,
}

fn recognise(connection: &Connection) -> rusqlite::Result<Kind> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, format) = (number("application_id")?, number("user_version")?);
    if application == APPLICATION_ID {
        return Ok(match format.cmp(&FORMAT) {
            Ordering::Less => Kind::Older(format),
            Ordering::Equal => Kind::Ours,
            Ordering::Greater => Kind::Newer(format),
        });
    }
    let things: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let empty = application == 0 && format == 0 && things == 0;
    Ok(if empty { Kind::Empty } else { Kind::Foreign })
}

/// One transaction: a process that dies in it leaves an empty file behind, not half a store.
fn create_tables(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    connection.execute_batch(TABLES)?;
    let meta = Meta {
        salt: random()?,
        ..Meta::default()
    };
    connection.execute(
        "INSERT INTO meta (one, salt, incarnation, time_high, fence_high, tally, seal) \
         VALUES (1, ?1, 0, 0, 0, 0, ?2)",
        params![meta.salt, seal::of_meta(&meta)],
    )?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", FORMAT)?;
    connection.execute_batch("COMMIT")
}

/// Bytes that nobody can guess.
pub(super) fn random<const N: usize>() -> rusqlite::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    Ok(bytes)
}

/// The format of the file that this version writes, and the only one that it reads. It grows with every change of
/// the tables or of what a column means; format 1 had no seals, and no version with it was released.
pub const FORMAT: i32 = 2;

/// "Once", as an SQLite application id.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"Once");

/// The size of a page. Larger pages make a commit of few records write more, smaller ones a scan
/// read more often.
pub(super) const PAGE_BYTES: i64 = 8_192;

/// Pages in the log before a commit copies them into the file: 64 MiB.
const CHECKPOINT_PAGES: i64 = 8_000;

/// KiB of pages that SQLite keeps in memory.
const CACHE_KIB: i64 = 32 * 1024;

/// How long to wait for another process to let go of the file: a restart overlaps for a moment.
const LOCK_WAIT: Duration = Duration::from_millis(250);

/// Prepared statements that are kept; there are fewer.
const STATEMENTS_MAX: usize = 32;

/// `record` is narrow, because opening scans it whole. Times are microseconds, stored as `u64` bit
/// by bit. `state_at` is the lease's end, since when it is unknown, or when it was completed, by
/// `state` (0 in flight, 1 unknown, 2 completed, 3 expired). No unique index on `id`: the writer's
/// memory keeps it.
const TABLES: &str = "
CREATE TABLE meta (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    salt        BLOB    NOT NULL CHECK (length(salt) = 32),
    incarnation INTEGER NOT NULL,
    time_high   INTEGER NOT NULL,
    fence_high  INTEGER NOT NULL,
    tally       INTEGER NOT NULL,
    seal        INTEGER NOT NULL
) STRICT;
CREATE TABLE record (
    row         INTEGER PRIMARY KEY,
    id          BLOB    NOT NULL CHECK (length(id) = 32),
    state       INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3),
    owner       BLOB    NOT NULL CHECK (length(owner) = 16),
    fence       INTEGER NOT NULL,
    revision    INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    state_at    INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    purge_at    INTEGER NOT NULL,
    fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 64),
    key_digest  BLOB    NOT NULL CHECK (length(key_digest) = 8),
    operation   TEXT    NOT NULL,
    seal        INTEGER NOT NULL
) STRICT;
CREATE TABLE body (
    row         INTEGER PRIMARY KEY,
    seal        INTEGER NOT NULL,
    response    BLOB    NOT NULL
) STRICT;
CREATE TABLE probe (
    row         INTEGER PRIMARY KEY,
    filler      BLOB    NOT NULL
) STRICT;
";
