//! Why a file could not be opened as a store, in words that name the file and the way out.
//!
//! Failures after the opening are `StoreError`s: `reply` makes them.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// A file store that could not be opened. Nothing was changed in the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileOpenError {
    /// The path leads to a directory.
    #[error("{path} is a directory; the file store needs the path of a file")]
    IsDirectory {
        /// The path as it was given.
        path: PathBuf,
    },
    /// The directory that the file would be in is not there.
    #[error("directory {directory} does not exist; create it, or choose another path")]
    DirectoryMissing {
        /// That directory.
        directory: PathBuf,
    },
    /// The file or its directory cannot be written.
    #[error("{path} cannot be written; the process needs to write the file and its directory")]
    NotWritable {
        /// The path as it was given.
        path: PathBuf,
        /// What the operating system or SQLite said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Somebody else has it open.
    #[error("{path} is in use by another process; one process per file is the rule")]
    Locked {
        /// The path as it was given.
        path: PathBuf,
    },
    /// It is something else than a database.
    #[error("{path} is not a database, or is damaged at its very start")]
    NotADatabase {
        /// The path as it was given.
        path: PathBuf,
    },
    /// It is a database of another program.
    #[error("{path} is the database of another program; choose another path")]
    NotOurs {
        /// The path as it was given.
        path: PathBuf,
    },
    /// A newer version wrote it.
    #[error("{path} has format {found}, this version knows {known}; use the newer version again")]
    Newer {
        /// The path as it was given.
        path: PathBuf,
        /// The format of the file.
        found: i32,
        /// The format that this version reads.
        known: i32,
    },
    /// An older version wrote it.
    #[error(
        "{path} has format {found}, this version reads {known} alone; use the version that wrote it, \
         or another path, where none of its keys is known"
    )]
    Older {
        /// The path as it was given.
        path: PathBuf,
        /// The format of the file.
        found: i32,
        /// The format that this version reads.
        known: i32,
    },
    /// It is ours, but damaged in a way that hides keys: each of them might be executed again.
    #[error("{path} is damaged: {what}; restore it from a backup")]
    Corrupt {
        /// The path as it was given.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// There is no room to open it.
    #[error("there is no room on the disk of {path}; free some and try again")]
    Full {
        /// The path as it was given.
        path: PathBuf,
    },
    /// Anything else that SQLite or the operating system says.
    #[error("{path} cannot be opened")]
    Failed {
        /// The path as it was given.
        path: PathBuf,
        /// What was said.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl FileOpenError {
    /// What SQLite said while it opened `path`.
    pub(super) fn of_sqlite(path: &Path, error: rusqlite::Error) -> Self {
        let path = path.to_path_buf();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path },
            Some(ErrorCode::NotADatabase) => Self::NotADatabase { path },
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt {
                path,
                what: error.to_string(),
            },
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                Self::NotWritable {
                    path,
                    source: error.into(),
                }
            }
            _ => Self::Failed {
                path,
                source: error.into(),
            },
        }
    }

    /// What the operating system said when the file was to be created.
    pub(super) fn of_io(path: &Path, error: io::Error) -> Self {
        let path = path.to_path_buf();
        let unwritable = matches!(
            error.kind(),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
        );
        if unwritable {
            Self::NotWritable {
                path,
                source: error.into(),
            }
        } else if error.kind() == io::ErrorKind::StorageFull {
            Self::Full { path }
        } else {
            Self::Failed {
                path,
                source: error.into(),
            }
        }
    }
}
