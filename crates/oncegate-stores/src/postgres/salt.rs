//! The salt that the database keeps, and the one that was told.
//!
//! Each claim names the salt that this process knows, and the statement compares: so a database that was restored,
//! emptied or exchanged meanwhile takes no record under a salt that is not its own, without a look of its own.

use oncegate::store::{StoreError, StoreErrorKind};
use parking_lot::Mutex;

use super::error::{NAME, damaged};

/// The salt, as this process knows it. It knows none where a secret is set, because nobody asks for it.
#[derive(Debug, Default)]
pub(super) struct Salt(Mutex<Option<[u8; 32]>>);

impl Salt {
    /// What claims are to name.
    pub(super) fn known(&self) -> Option<[u8; 32]> {
        *self.0.lock()
    }

    /// The one to keep where there is none: the one that is known, so that records of processes that run on can still be
    /// compared.
    pub(super) fn ours(&self) -> Result<[u8; 32], StoreError> {
        if let Some(known) = self.known() {
            return Ok(known);
        }
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).map_err(|_| damaged(DOING, "there is no randomness"))?;
        Ok(salt)
    }

    /// The one that is kept.
    pub(super) fn learn(&self, kept: &[u8]) -> Result<[u8; 32], StoreError> {
        let kept = kept
            .try_into()
            .map_err(|_| damaged(DOING, "the salt has another length"))?;
        *self.0.lock() = Some(kept);
        Ok(kept)
    }
}

/// Two processes that bring a salt at the same instant: one of them has to look again.
pub(super) fn lost_again() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, NAME, DOING)
}

pub(super) const DOING: &str = "read the salt";
