//! From a store's URL to a store.

use std::sync::Arc;

use oncegate::MemoryStore;
use oncegate::store::Inspect;

#[cfg(feature = "file")]
use crate::file::{FileOpenError, FileOptions, FileStore};
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
}

/// Opens the store that `url` names. An `Arc<dyn Inspect>` is an `Arc<dyn Store>` wherever one is
/// wanted.
///
/// It blocks while a file is read: open stores before anything is served.
///
/// # Errors
/// If the URL names no store that is supported, or the store cannot be opened; see [`OpenError`].
pub fn open(url: &str) -> Result<Arc<dyn Inspect>, OpenError> {
    url.parse::<StoreUrl>()?.open()
}

impl StoreUrl {
    /// Opens the store. It blocks while a file is read.
    ///
    /// # Errors
    /// If the store cannot be opened.
    pub fn open(&self) -> Result<Arc<dyn Inspect>, OpenError> {
        match self {
            Self::Memory => Ok(Arc::new(MemoryStore::new())),
            #[cfg(feature = "file")]
            Self::File { path, durability } => {
                let options = FileOptions {
                    durability: *durability,
                    ..FileOptions::default()
                };
                Ok(Arc::new(FileStore::open_with(path, options)?))
            }
        }
    }
}
