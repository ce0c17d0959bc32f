//! Failures on command, for tests in this crate: a batch that waits, a commit that fails or whose
//! success is lost.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};
use rusqlite::ffi;

/// What is to go wrong.
#[derive(Debug, Default)]
pub(super) struct Faults {
    gate: Mutex<()>,
    before_commit: AtomicBool,
    after_commit: AtomicBool,
}

impl Faults {
    /// Holds the writer up before its next batch for as long as the guard lives.
    pub(super) fn hold(&self) -> MutexGuard<'_, ()> {
        self.gate.lock()
    }

    /// Where the writer waits if it is held up.
    pub(super) fn pass(&self) {
        drop(self.gate.lock());
    }

    /// Makes the next commit fail without effect.
    pub(super) fn fail_next_commit(&self) {
        self.before_commit.store(true, Ordering::SeqCst);
    }

    /// Makes the next commit succeed but look like a failed fsync.
    pub(super) fn lose_next_commit(&self) {
        self.after_commit.store(true, Ordering::SeqCst);
    }

    /// Called before a commit.
    pub(super) fn strike_before_commit(&self) -> rusqlite::Result<()> {
        strike(&self.before_commit)
    }

    /// Called after a commit.
    pub(super) fn strike_after_commit(&self) -> rusqlite::Result<()> {
        strike(&self.after_commit)
    }
}

fn strike(armed: &AtomicBool) -> rusqlite::Result<()> {
    if armed.swap(false, Ordering::SeqCst) {
        return Err(rusqlite::Error::SqliteFailure(
            ffi::Error::new(ffi::SQLITE_IOERR_FSYNC),
            None,
        ));
    }
    Ok(())
}
