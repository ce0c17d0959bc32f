//! From a store's URL to a store.

use std::sync::Arc;

use oncegate::MemoryStore;
use oncegate::store::Inspect;

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
    #[error(transparent)]
    File(#[from] FileOpenError),
}

/// Opens the store that `url` names. An `Arc<dyn Inspect>` is an `Arc<dyn Store>` wherever one is wanted.
///
/// It blocks while a file is read: open stores before anything is served.
///
/// # Errors
/// If the URL names no store that is supported, or the store cannot be opened; see [`OpenError`].
pub fn open(url: &str) -> Result<Arc<dyn Inspect>, OpenError> {
    Ok(url.parse::<StoreUrl>()?.open()?)
}

impl StoreUrl {
    /// Opens the store. It blocks while a file is read.
    ///
    /// # Errors
    /// If the file cannot be opened as a store.
    pub fn open(&self) -> Result<Arc<dyn Inspect>, FileOpenError> {
        match self {
            Self::Memory => Ok(Arc::new(MemoryStore::new())),
            Self::File { path, durability } => {
                let mut options = FileOptions::default();
                options.durability = *durability;
                Ok(Arc::new(FileStore::open_with(path, options)?))
            }
        }
    }
}
