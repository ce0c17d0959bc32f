//! What the store does after a failure: nothing that it could not prove to be able to do.
//!
//! * **No room** (`SQLITE_FULL`) is found before a commit record is written: nothing took effect,
//!   the transaction is taken back. What stands is still answered, ends of claims and purges are
//!   still tried; new claims are refused until a probing write went through.
//! * **Anything else**, a failed fsync above all: what is on the disk is not known, and the file's
//!   pages in memory are not to be trusted. Everything is refused until the file was opened again,
//!   its log copied and emptied, a probing write committed and memory built anew. Records in flight
//!   stay so: their holders are alive.
//!
//! The proof is tried by the next command, but no more often than every `prove_after`.

use std::time::Duration;

use oncegate::clock::{Clock as _, SystemClock, Timestamp};
use oncegate::store::StoreErrorKind;
use rusqlite::ErrorCode;

use super::error::FileOpenError;
use super::ledger::Ledger;
use super::schema::{FileAt, Meta};
use super::store::Shared;
use crate::reply::Failure;

/// Whether the store works, and what it works on.
#[derive(Debug)]
pub(super) struct Health {
    state: State,
    file: FileAt,
    prove_after: Duration,
    /// For the pauses alone: they are real ones, whatever clock the records live by.
    pauses: SystemClock,
}

#[derive(Debug)]
enum State {
    /// All is well.
    Sound(Box<Ledger>),
    /// There was no room, at `since`.
    Full {
        ledger: Box<Ledger>,
        since: Timestamp,
        failure: Failure,
    },
    /// What is on the disk is not known, or cannot be reached, since `since`.
    Broken {
        known: Box<Meta>,
        since: Timestamp,
        failure: Failure,
    },
}

/// Why a proof failed.
#[derive(Debug, thiserror::Error)]
enum Unproved {
    #[error("the file cannot be opened again")]
    Open(#[from] FileOpenError),
    #[error("the file is not the one that was open")]
    AnotherFile,
    #[error("the probing write failed")]
    Write(#[from] rusqlite::Error),
}

impl Health {
    /// The health of a store that was just opened.
    pub(super) fn new(ledger: Ledger, file: FileAt, prove_after: Duration) -> Self {
        let state = State::Sound(Box::new(ledger));
        Self {
            state,
            file,
            prove_after,
            pauses: SystemClock::default(),
        }
    }

    /// What to work on, and why new claims are refused if they are; or why there is nothing to work
    /// on.
    pub(super) fn ledger(&mut self) -> Result<(&mut Ledger, Option<Failure>), Failure> {
        match &mut self.state {
            State::Sound(ledger) => Ok((ledger, None)),
            State::Full {
                ledger, failure, ..
            } => Ok((ledger, Some(failure.clone()))),
            State::Broken { failure, .. } => Err(failure.clone()),
        }
    }

    /// Takes back what was begun, and says what its callers are told.
    pub(super) fn fail(&mut self, error: rusqlite::Error) -> Failure {
        let since = self.pauses.now();
        let full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
        let kind = if full {
            StoreErrorKind::Full
        } else {
            StoreErrorKind::Unavailable
        };
        tracing::error!(%error, "the file store failed and refuses claims for now");
        let failure = Failure::because(kind, error);
        self.replace(|state| match state {
            State::Sound(mut ledger) | State::Full { mut ledger, .. } => {
                if full && ledger.roll_back().is_ok() {
                    State::Full {
                        ledger,
                        since,
                        failure: failure.clone(),
                    }
                } else {
                    // The connection goes with its ledger: no page that it holds in memory is
                    // believed again.
                    let known = Box::new(ledger.meta.clone());
                    State::Broken {
                        known,
                        since,
                        failure: failure.clone(),
                    }
                }
            }
            State::Broken { .. } => state,
        });
        failure
    }

    /// After a failure, tries to prove that work can be done again, if the pause is over.
    pub(super) fn prove_if_due(&mut self, shared: &Shared) {
        let now = self.pauses.now();
        let (State::Full { since, .. } | State::Broken { since, .. }) = &self.state else {
            return;
        };
        if now.since(*since) < self.prove_after {
            return;
        }
        let file = self.file.clone();
        self.replace(|state| match state {
            State::Sound(_) => state,
            State::Full {
                ledger, failure, ..
            } => prove_room(ledger, failure, now, shared),
            State::Broken { known, failure, .. } => prove_file(&file, known, failure, now, shared),
        });
    }

    /// Closes the file, if there is anything to close: its log is copied, and the time remembered.
    pub(super) fn close(self, shared: &Shared) {
        let (State::Sound(mut ledger) | State::Full { mut ledger, .. }) = self.state else {
            return;
        };
        let closed = ledger
            .begin()
            .and_then(|()| ledger.commit(shared.time.high()))
            .and_then(|()| ledger.truncate_log());
        if let Err(error) = closed {
            tracing::warn!(%error, "the file store was closed, but its log could not be emptied");
        }
    }

    fn replace(&mut self, change: impl FnOnce(State) -> State) {
        let failure = Failure::of_kind(StoreErrorKind::Unavailable);
        let known = Box::new(Meta::default());
        let since = Timestamp::default();
        // Seen by nobody, but for a panic in `change`: then the store stays down.
        let meanwhile = State::Broken {
            known,
            since,
            failure,
        };
        self.state = change(std::mem::replace(&mut self.state, meanwhile));
    }
}

/// Whether there is room again.
fn prove_room(
    mut ledger: Box<Ledger>,
    failure: Failure,
    since: Timestamp,
    shared: &Shared,
) -> State {
    // An emptied log may be the room that is missing. It need not succeed.
    if let Err(error) = ledger.truncate_log() {
        tracing::debug!(%error, "the log of a full file store could not be emptied");
    }
    match ledger.probe(shared.time.high()) {
        Ok(()) => {
            tracing::info!("the file store has room again");
            State::Sound(ledger)
        }
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
            if ledger.roll_back().is_ok() {
                State::Full {
                    ledger,
                    since,
                    failure,
                }
            } else {
                broken(ledger.meta.clone(), since, error.into())
            }
        }
        Err(error) => broken(ledger.meta.clone(), since, error.into()),
    }
}

/// Whether the file can be read and written again, and still is the same.
fn prove_file(
    file: &FileAt,
    known: Box<Meta>,
    failure: Failure,
    since: Timestamp,
    shared: &Shared,
) -> State {
    match reopen(file, &known, shared) {
        Ok(ledger) => {
            tracing::info!("the file store was opened again");
            prove_room(ledger, failure, since, shared)
        }
        Err(error) => broken(*known, since, error),
    }
}

fn reopen(file: &FileAt, known: &Meta, shared: &Shared) -> Result<Box<Ledger>, Unproved> {
    let mut ledger = Ledger::open_again(file)?;
    if ledger.meta.salt != known.salt {
        return Err(Unproved::AnotherFile);
    }
    // The highest fence may have been given in the batch that failed.
    ledger.meta.fence_high = ledger.meta.fence_high.max(known.fence_high);
    if ledger.meta.incarnation != known.incarnation {
        // Another process had it meanwhile, and made our claims unknown; what it left in flight is
        // dead too.
        ledger.disown_the_dead(shared.time.now())?;
    }
    Ok(Box::new(ledger))
}

fn broken(known: Meta, since: Timestamp, error: Unproved) -> State {
    tracing::warn!(
        error = &error as &dyn std::error::Error,
        "the file store is still down"
    );
    let failure = Failure::because(StoreErrorKind::Unavailable, error);
    State::Broken {
        known: Box::new(known),
        since,
        failure,
    }
}
