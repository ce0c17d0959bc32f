//! From a store's URL to a store.

#[cfg(feature = "file")]
use std::path::PathBuf;
use std::sync::Arc;

use oncegate::MemoryStore;
use oncegate::store::Inspect;

#[cfg(feature = "file")]
use crate::file::{FileOpenError, FileOptions, FileStore};
#[cfg(feature = "postgres")]
use crate::postgres::{PostgresOpenError, PostgresStore};
#[cfg(feature = "redis")]
use crate::redis::{RedisOpenError, RedisStore};
use crate::url::{StoreUrl, StoreUrlError};

/// A store that could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL names no store.
    #[error(transparent)]
    Url(#[from] StoreUrlError),
    /// The file cannot be a store.
    #[cfg(feature = "file")]
    #[error(transparent)]
    File(#[from] FileOpenError),
    /// The Redis cannot be a store.
    #[cfg(feature = "redis")]
    #[error(transparent)]
    Redis(#[from] RedisOpenError),
    /// The PostgreSQL cannot be a store.
    #[cfg(feature = "postgres")]
    #[error(transparent)]
    Postgres(#[from] PostgresOpenError),
}

/// Opens the store that `url` names. An `Arc<dyn Inspect>` is an `Arc<dyn Store>` wherever one is
/// wanted.
///
/// It needs a Tokio runtime: a file is read on a thread of its own, and connections are tasks.
///
/// # Errors
/// If the URL names no store that is supported, or the store cannot be opened; see [`OpenError`].
pub async fn open(url: &str) -> Result<Arc<dyn Inspect>, OpenError> {
    url.parse::<StoreUrl>()?.open().await
}

impl StoreUrl {
    /// Opens the store.
    ///
    /// # Errors
    /// If the store cannot be opened.
    pub async fn open(&self) -> Result<Arc<dyn Inspect>, OpenError> {
        match self {
            Self::Memory => Ok(Arc::new(MemoryStore::new())),
            #[cfg(feature = "file")]
            Self::File { path, durability } => {
                let options = FileOptions {
                    durability: *durability,
                    ..FileOptions::default()
                };
                Ok(Arc::new(open_file(path.clone(), options).await?))
            }
            #[cfg(feature = "redis")]
            Self::Redis(address) => Ok(Arc::new(RedisStore::open(address).await?)),
            #[cfg(feature = "postgres")]
            Self::Postgres(address) => Ok(Arc::new(PostgresStore::open(address).await?)),
        }
    }
}

impl StoreUrl {
    /// Brings the tables of a store that has some up to date, and answers their version. Other stores look after theirs
    /// when they are opened.
    ///
    /// # Errors
    /// If the store cannot be reached, or its tables cannot be changed.
    pub async fn migrate(&self) -> Result<Option<u32>, OpenError> {
        match self {
            Self::Memory => Ok(None),
            #[cfg(feature = "file")]
            Self::File { .. } => Ok(None),
            #[cfg(feature = "redis")]
            Self::Redis(_) => Ok(None),
            #[cfg(feature = "postgres")]
            Self::Postgres(address) => Ok(Some(PostgresStore::migrate(address).await?)),
        }
    }
}

/// Reading a file takes time: not on a thread that serves.
#[cfg(feature = "file")]
async fn open_file(path: PathBuf, options: FileOptions) -> Result<FileStore, FileOpenError> {
    let opening = tokio::task::spawn_blocking(move || FileStore::open_with(path, options));
    match opening.await {
        Ok(opened) => opened,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}
