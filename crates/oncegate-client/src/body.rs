//! The body of an operation: bytes in memory, or a file that is read again for each attempt.
//!
//! Promises of a file: it is never whole in memory, and no attempt that would end with other bytes than the first one
//! ever becomes a whole request. Its length, its time and a digest of its bytes are taken once. A file with another
//! length is refused before a byte is sent; one with another time is read through before; and the last bytes of each
//! attempt go out only after the digest of all of them was seen to be the same.

mod reader;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

pub(crate) use reader::FileReader;

/// The body of an operation.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever keeps bodies must keep both"
)]
pub enum Body {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A file.
    File(FileBody),
}

/// A file as it was when the operation was made.
#[derive(Clone)]
pub struct FileBody(Arc<Seen>);

/// What is known of the file. The time is no part of what the body is: a copy with the same bytes is the same body.
struct Seen {
    path: PathBuf,
    length: u64,
    digest: [u8; 32],
    /// When it was changed last, if that was seen.
    modified: Option<SystemTime>,
}

/// Why a body cannot be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The file is not what it was.
    #[error("{path} is not what it was when the operation was made")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("{path} cannot be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Body {
    /// How many bytes it has.
    #[must_use]
    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(file) => file.length(),
        }
    }

    /// The bytes, if they are in memory.
    #[must_use]
    pub const fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::File(_) => None,
        }
    }
}

impl FileBody {
    /// The file as it is now. Reads it once.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, BodyError> {
        let path = path.as_ref();
        let unreadable = |source| BodyError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let mut file = File::open(path).await.map_err(unreadable)?;
        // Taken before the bytes: a change in between then shows as another time.
        let modified = file.metadata().await.map_err(unreadable)?.modified();
        let (digest, length) = digest(&mut file).await.map_err(unreadable)?;
        Ok(Self(Arc::new(Seen {
            path: path.to_owned(),
            length,
            digest,
            modified: modified.ok(),
        })))
    }

    /// The file as a journal remembers it. Its bytes are compared before any of them is sent.
    #[must_use]
    pub fn recorded(path: impl Into<PathBuf>, length: u64, digest: [u8; 32]) -> Self {
        Self(Arc::new(Seen {
            path: path.into(),
            length,
            digest,
            modified: None,
        }))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// How many bytes it has.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.0.length
    }

    /// The BLAKE3 digest of its bytes.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.0.digest
    }

    /// Begins to read it for an attempt.
    pub(crate) async fn read(&self) -> Result<FileReader, BodyError> {
        let seen = &*self.0;
        let unreadable = |source| BodyError::Unreadable {
            path: seen.path.clone(),
            source,
        };
        let mut file = File::open(&seen.path).await.map_err(unreadable)?;
        let metadata = file.metadata().await.map_err(unreadable)?;
        if metadata.len() != seen.length {
            return Err(self.changed());
        }
        let same_time = metadata.modified().ok() == seen.modified && seen.modified.is_some();
        if !same_time {
            let (digest, length) = digest(&mut file).await.map_err(unreadable)?;
            if (digest, length) != (seen.digest, seen.length) {
                return Err(self.changed());
            }
            file = File::open(&seen.path).await.map_err(unreadable)?;
        }
        Ok(FileReader::new(file, self.clone()))
    }

    fn changed(&self) -> BodyError {
        BodyError::Changed {
            path: self.0.path.clone(),
        }
    }
}

impl fmt::Debug for FileBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileBody")
            .field("path", &self.0.path)
            .field("length", &self.0.length)
            .finish_non_exhaustive()
    }
}

impl PartialEq for FileBody {
    fn eq(&self, other: &Self) -> bool {
        (self.0.length, self.0.digest) == (other.0.length, other.0.digest)
    }
}

impl Eq for FileBody {}

async fn digest(file: &mut File) -> io::Result<([u8; 32], u64)> {
    let mut hasher = blake3::Hasher::new();
    let mut part = vec![0; PART_BYTES];
    let mut length = 0;
    loop {
        match file.read(&mut part).await? {
            0 => return Ok((hasher.finalize().into(), length)),
            read => {
                hasher.update(&part[..read]);
                length += read as u64;
            }
        }
    }
}

/// How much of a file is in memory at once, twice.
const PART_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests;
