//! Failures on command, for tests in this crate: a batch that waits, a commit that fails or whose
//! success is lost.

use std::ffi::c_int;

use parking_lot::{Condvar, Mutex};
use rusqlite::ffi;

/// What is to go wrong.
#[derive(Debug, Default)]
pub(super) struct Faults {
    gate: Mutex<Gate>,
    moved: Condvar,
    next_commit: Mutex<Option<Fault>>,
}

/// What goes wrong with a commit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    /// There is no room for it.
    Full,
    /// It fails without effect, but nobody can know.
    Fails,
    /// It succeeds, but looks as if its fsync had failed.
    IsLost,
}

#[derive(Debug, Default)]
struct Gate {
    closed: bool,
    /// Whether the writer stands before it.
    met: bool,
}

/// The writer stands before the gate for as long as this lives.
#[derive(Debug)]
pub(super) struct Held<'a>(&'a Faults);

impl Faults {
    /// Closes the gate before the writer's next batch.
    pub(super) fn hold(&self) -> Held<'_> {
        *self.gate.lock() = Gate {
            closed: true,
            met: false,
        };
        Held(self)
    }

    /// Where the writer waits with a batch in hand.
    pub(super) fn pass(&self) {
        let mut gate = self.gate.lock();
        gate.met = true;
        self.moved.notify_all();
        self.moved.wait_while(&mut gate, |gate| gate.closed);
    }

    /// Makes the next commit go wrong.
    pub(super) fn strike(&self, fault: Fault) {
        *self.next_commit.lock() = Some(fault);
    }

    /// Called before a commit.
    pub(super) fn before_commit(&self) -> rusqlite::Result<()> {
        self.fail_if(Fault::Full, ffi::SQLITE_FULL)?;
        self.fail_if(Fault::Fails, ffi::SQLITE_IOERR_FSYNC)
    }

    /// Called after a commit.
    pub(super) fn after_commit(&self) -> rusqlite::Result<()> {
        self.fail_if(Fault::IsLost, ffi::SQLITE_IOERR_FSYNC)
    }

    fn fail_if(&self, fault: Fault, code: c_int) -> rusqlite::Result<()> {
        match self.next_commit.lock().take_if(|next| *next == fault) {
            Some(_) => Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)),
            None => Ok(()),
        }
    }
}

impl Held<'_> {
    /// Waits until the writer stands before the gate: what is queued from now on is queued.
    pub(super) fn wait_until_met(&self) {
        self.0
            .moved
            .wait_while(&mut self.0.gate.lock(), |gate| !gate.met);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.gate.lock().closed = false;
        self.0.moved.notify_all();
    }
}
