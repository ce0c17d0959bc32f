//! Large request bodies on disk: unlinked temporary files, bounded in all.
//!
//! A spooled file has no name, so that a crash leaves nothing behind. Its bytes are counted while it lives, and
//! given back when it goes, however it goes.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

/// Where large bodies go, and how much of them there may be at once.
#[derive(Clone, Debug)]
pub struct Spool {
    directory: PathBuf,
    used: Arc<AtomicU64>,
    bytes_max: u64,
}

/// A body that could not be spooled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    /// All spooled bodies together would pass the bound.
    #[error("the spool holds {bytes_max} bytes already")]
    Full { bytes_max: u64 },
    /// The disk failed.
    #[error("the spool file failed")]
    File(#[from] io::Error),
}

impl Spool {
    /// Spools into `directory`, at most `bytes_max` bytes in all.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>, bytes_max: u64) -> Self {
        Self {
            directory: directory.into(),
            used: Arc::default(),
            bytes_max,
        }
    }

    /// Opens a file for one body.
    pub(crate) async fn open(&self) -> Result<Spooling, SpoolError> {
        let directory = self.directory.clone();
        let file = tokio::task::spawn_blocking(move || tempfile::tempfile_in(directory))
            .await
            .map_err(io::Error::other)??;
        let share = Share {
            spool: self.clone(),
            bytes: 0,
        };
        Ok(Spooling {
            file: tokio::fs::File::from_std(file),
            share,
        })
    }
}

impl Default for Spool {
    /// The system's folder for temporary files, at most [`SPOOL_BYTES_MAX`].
    fn default() -> Self {
        Self::new(std::env::temp_dir(), SPOOL_BYTES_MAX)
    }
}

/// The bytes that one body takes of the bound.
#[derive(Debug)]
struct Share {
    spool: Spool,
    bytes: u64,
}

impl Share {
    fn grow(&mut self, more: u64) -> Result<(), SpoolError> {
        let bytes_max = self.spool.bytes_max;
        let within = |used: u64| used.checked_add(more).filter(|sum| *sum <= bytes_max);
        self.spool
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, within)
            .map_err(|_used| SpoolError::Full { bytes_max })?;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.spool.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A body that is being spooled.
#[derive(Debug)]
pub(crate) struct Spooling {
    file: tokio::fs::File,
    share: Share,
}

impl Spooling {
    pub(crate) async fn write(&mut self, chunk: &[u8]) -> Result<(), SpoolError> {
        self.share.grow(chunk.len() as u64)?;
        Ok(self.file.write_all(chunk).await?)
    }

    /// Ends the writing and goes back to the start.
    pub(crate) async fn finish(mut self) -> Result<Spooled, SpoolError> {
        self.file.flush().await?;
        let mut file: File = self.file.into_std().await;
        file.seek(SeekFrom::Start(0))?;
        let left = self.share.bytes;
        Ok(Spooled {
            file: tokio::fs::File::from_std(file),
            left,
            _share: self.share,
        })
    }
}

/// A body on disk, read from its start.
#[derive(Debug)]
pub(crate) struct Spooled {
    file: tokio::fs::File,
    left: u64,
    _share: Share,
}

impl Spooled {
    pub(crate) const fn left(&self) -> u64 {
        self.left
    }

    /// The next chunk; a file that ends before its time is an error, never a short body.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        if self.left == 0 {
            return Poll::Ready(Ok(None));
        }
        let want = usize::try_from(self.left)
            .unwrap_or(CHUNK_BYTES)
            .min(CHUNK_BYTES);
        let mut chunk = vec![0; want];
        let mut buffer = ReadBuf::new(&mut chunk);
        ready!(Pin::new(&mut self.file).poll_read(cx, &mut buffer))?;
        let read = buffer.filled().len();
        if read == 0 {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        self.left -= read as u64;
        chunk.truncate(read);
        Poll::Ready(Ok(Some(chunk.into())))
    }
}

/// The bytes that all spooled bodies take at most unless told otherwise.
pub const SPOOL_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

const CHUNK_BYTES: usize = 64 * 1024;
