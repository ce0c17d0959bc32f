//! Why a journal cannot be used, and why an operation was not sent.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oncegate::key::IdempotencyKey;
use rusqlite::ErrorCode;

/// Why this call sent nothing. What an earlier one, or another process, may have sent is another matter: each variant
/// says it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotSent {
    /// It could not be written into the journal. It was not sent before, unless it was there already.
    #[error("the operation could not be written into the journal")]
    Journal(#[from] JournalError),
    /// Another process, or another task of this one, is sending it right now. Its outcome will be in the journal.
    #[error("the operation is being sent by somebody else")]
    InUse {
        /// The key that it is sent under.
        key: IdempotencyKey,
    },
    /// The name, or the key, stands for another request. Sending this one under a new key could be a second payment.
    #[error("the name or key of the operation stands for another request in the journal, {}", in_words(*decided))]
    OtherRequest {
        /// The key of that other request.
        key: IdempotencyKey,
        /// Whether that one happened; otherwise its outcome is not known yet.
        decided: bool,
    },
    /// What the journal holds of it is damaged. It may have been sent, and is not sent from here on.
    #[error("what the journal holds of the operation is damaged: {what}")]
    Damaged {
        /// What was found.
        what: String,
    },
    /// Its body is larger than the journal takes.
    #[error("the operation's body has {bytes} bytes, the journal takes {bytes_max}")]
    TooLarge {
        /// How large it is.
        bytes: u64,
        /// How large it may be.
        bytes_max: u64,
    },
}

/// A journal that cannot be used. `Full`, `Busy` and `Failed` may pass.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The path leads to a directory.
    #[error("{path} is a directory; the journal needs the path of a file")]
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
        source: Arc<dyn Error + Send + Sync>,
    },
    /// It is the database of another program, or none at all.
    #[error("{path} is no journal; choose another path")]
    NotOurs {
        /// The path as it was given.
        path: PathBuf,
    },
    /// Another version wrote it.
    #[error("{path} has format {found}, this version knows {known}; use the version that wrote it")]
    OtherFormat {
        /// The path as it was given.
        path: PathBuf,
        /// The format of the file.
        found: i32,
        /// The format that this version reads.
        known: i32,
    },
    /// Its bytes have changed on the disk.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// The path as it was given.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// There is no room, on the disk or within `bytes_max`.
    #[error("there is no room for {path}")]
    Full {
        /// The path as it was given.
        path: PathBuf,
    },
    /// Another process has been writing for too long.
    #[error("{path} is being written by another process")]
    Busy {
        /// The path as it was given.
        path: PathBuf,
    },
    /// Anything else that SQLite or the operating system says.
    #[error("{path} cannot be read or written")]
    Failed {
        /// The path as it was given.
        path: PathBuf,
        /// What was said.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// Its thread has ended.
    #[error("the journal is closed")]
    Closed,
}

impl JournalError {
    /// What SQLite said about `path`.
    pub(super) fn of_sqlite(path: &Path, error: rusqlite::Error) -> Self {
        let path = path.to_path_buf();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path },
            Some(ErrorCode::NotADatabase) => Self::NotOurs { path },
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged {
                path,
                what: error.to_string(),
            },
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                Self::NotWritable {
                    path,
                    source: Arc::new(error),
                }
            }
            _ => Self::Failed {
                path,
                source: Arc::new(error),
            },
        }
    }

    /// What the operating system said about `path`.
    pub(super) fn of_io(path: &Path, error: io::Error) -> Self {
        let path = path.to_path_buf();
        let kind = error.kind();
        let source = Arc::new(error);
        if kind == io::ErrorKind::StorageFull {
            Self::Full { path }
        } else if [
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::ReadOnlyFilesystem,
        ]
        .contains(&kind)
        {
            Self::NotWritable { path, source }
        } else {
            Self::Failed { path, source }
        }
    }
}

const fn in_words(decided: bool) -> &'static str {
    if decided {
        "which happened"
    } else {
        "which is undecided"
    }
}
