//! The file itself: how it is created, recognised and opened.
//!
//! A file that is not ours, or of another format, is left as it is. It is never opened but through SQLite: closing any
//! other handle on it would silently drop this process's locks.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};

use super::error::JournalError;
use super::options::JournalOptions;

/// Which file.
#[derive(Clone, Debug)]
pub(super) struct FileAt {
    /// The path as it was given, for messages.
    given: PathBuf,
    /// The path without links, the same for all processes.
    real: PathBuf,
}

impl FileAt {
    /// The file at this path, which is created empty if it is missing.
    pub(super) fn create_if_missing(path: &Path) -> Result<Self, JournalError> {
        create_if_missing(path)?;
        let real = path
            .canonicalize()
            .map_err(|error| JournalError::of_io(path, error))?;
        Ok(Self {
            given: path.to_path_buf(),
            real,
        })
    }

    /// The path without links.
    pub(super) fn real(&self) -> &Path {
        &self.real
    }

    /// What SQLite said about it.
    pub(super) fn failed(&self, error: rusqlite::Error) -> JournalError {
        JournalError::of_sqlite(&self.given, error)
    }

    /// What the operating system said about it.
    pub(super) fn failed_io(&self, error: io::Error) -> JournalError {
        JournalError::of_io(&self.given, error)
    }

    /// Bytes of it have changed.
    pub(super) fn damaged(&self, what: &str) -> JournalError {
        JournalError::Damaged {
            path: self.given.clone(),
            what: what.to_owned(),
        }
    }

    /// Another process is at it.
    pub(super) fn busy(&self) -> JournalError {
        JournalError::Busy {
            path: self.given.clone(),
        }
    }

    /// Opens it. It is never created here: a file that vanished took its operations with it, and an empty one in its
    /// place would let each of them be sent anew.
    pub(super) fn open(&self, options: &JournalOptions) -> Result<Connection, JournalError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection =
            Connection::open_with_flags(&self.real, flags).map_err(|error| self.failed(error))?;
        match prepare(&connection, options).map_err(|error| self.failed(error))? {
            Kind::Empty | Kind::Ours => Ok(connection),
            Kind::Foreign => Err(JournalError::NotOurs {
                path: self.given.clone(),
            }),
            Kind::OtherFormat(found) => Err(JournalError::OtherFormat {
                path: self.given.clone(),
                found,
                known: FORMAT,
            }),
            Kind::WithoutLog => Err(JournalError::Failed {
                path: self.given.clone(),
                source: Arc::new(io::Error::other(
                    "the file system allows no write-ahead log",
                )),
            }),
        }
    }
}

/// Whose file it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// Nobody's: there was nothing in it. It is ours now.
    Empty,
    /// Ours, in the format that we know.
    Ours,
    /// Ours, in another format.
    OtherFormat(i32),
    /// Another program's.
    Foreign,
    /// Ours, where we cannot work.
    WithoutLog,
}

/// Recognises the file, and makes it ours if it is empty.
fn prepare(connection: &Connection, options: &JournalOptions) -> rusqlite::Result<Kind> {
    connection.busy_timeout(options.busy_timeout)?;
    let kind = recognise(connection)?;
    match kind {
        Kind::Foreign | Kind::OtherFormat(_) | Kind::WithoutLog => return Ok(kind),
        Kind::Empty | Kind::Ours => {}
    }
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Ok(Kind::WithoutLog);
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    // On macOS an fsync alone leaves the data in the drive's cache.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    // What a decided operation leaves behind is overwritten: it held bodies and credentials.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages = i64::try_from(options.bytes_max).unwrap_or(i64::MAX) / page.max(1);
    connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    if kind == Kind::Empty {
        return create_tables(connection);
    }
    Ok(kind)
}

fn recognise(connection: &Connection) -> rusqlite::Result<Kind> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, format) = (number("application_id")?, number("user_version")?);
    if application == APPLICATION_ID {
        return Ok(if format == FORMAT {
            Kind::Ours
        } else {
            Kind::OtherFormat(format)
        });
    }
    let things: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let empty = application == 0 && format == 0 && things == 0;
    Ok(if empty { Kind::Empty } else { Kind::Foreign })
}

/// One transaction: a process that dies in it leaves an empty file behind. Another process may have been faster.
fn create_tables(connection: &Connection) -> rusqlite::Result<Kind> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let kind = recognise(connection)?;
    if kind == Kind::Empty {
        connection.execute_batch(TABLES)?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.pragma_update(None, "user_version", FORMAT)?;
    }
    connection.execute_batch("COMMIT")?;
    Ok(kind)
}

/// Creates the file readable by its owner alone; SQLite gives its log the same mode.
fn create_if_missing(path: &Path) -> Result<(), JournalError> {
    if path.is_dir() {
        return Err(JournalError::IsDirectory {
            path: path.to_path_buf(),
        });
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(file) => {
            drop(file);
            sync_directory(path);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Err(JournalError::DirectoryMissing {
                directory: directory(path),
            })
        }
        Err(error) => Err(JournalError::of_io(path, error)),
    }
}

/// Makes the file's name durable. Not every file system can; SQLite does it once more with its log.
fn sync_directory(path: &Path) {
    if let Err(error) = File::open(directory(path)).and_then(|directory| directory.sync_all()) {
        tracing::debug!(%error, "the directory of the journal cannot be synced");
    }
}

fn directory(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        Some(_) | None => PathBuf::from("."),
    }
}

/// The format of the file, the only one that this version reads and writes. It grows with every change of the tables
/// or of what a column means.
pub const FORMAT: i32 = 1;

/// "OncJ", as an SQLite application id.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"OncJ");

/// `contents` holds the request while the operation is open, and the answer once it is decided. With `in_file`, `body`
/// names a file.
const TABLES: &str = "
CREATE TABLE operation (
    id            INTEGER PRIMARY KEY,
    identity      BLOB    NOT NULL UNIQUE CHECK (length(identity) = 32),
    name          TEXT,
    key           TEXT    NOT NULL,
    dialect       TEXT    NOT NULL,
    method        TEXT    NOT NULL,
    url           TEXT    NOT NULL,
    request       BLOB    NOT NULL CHECK (length(request) = 32),
    state         INTEGER NOT NULL CHECK (state BETWEEN 0 AND 14),
    holder        TEXT,
    attempts      INTEGER NOT NULL,
    first_sent_at INTEGER NOT NULL,
    retention     INTEGER NOT NULL,
    decided_at    INTEGER NOT NULL,
    status        INTEGER,
    seal          BLOB    NOT NULL CHECK (length(seal) = 32)
) STRICT;
CREATE INDEX operation_by_state ON operation (state, decided_at);
CREATE TABLE contents (
    id            INTEGER PRIMARY KEY,
    headers       BLOB    NOT NULL,
    body          BLOB    NOT NULL,
    in_file       INTEGER NOT NULL,
    seal          BLOB    NOT NULL CHECK (length(seal) = 32)
) STRICT;
";
