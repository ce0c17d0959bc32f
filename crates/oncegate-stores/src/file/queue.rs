//! What waits for the writer thread.
//!
//! Bounded for what may be refused: new claims, looks, listings, purges. Ends of claims and
//! renewals are always taken, because there are no more of them than claims; refusing one would
//! leave a key unknown. While the disk hangs the same renewal is asked for again and again: what
//! nobody waits for any more is swept out.

use std::collections::VecDeque;

use oncegate::hash::RecordId;
use oncegate::record::Record;
use oncegate::store::{
    Change, Expect, Filter, Insert, NewRecord, Page, Purged, Settlement, StoreErrorKind, Update,
};
use parking_lot::{Condvar, Mutex};

use super::rows::Row;
use crate::reply::{Failure, Reply};

/// One thing to do, and who waits for it.
#[derive(Debug)]
pub(super) enum Command {
    /// Claim a key.
    Insert {
        /// What to insert.
        new: NewRecord,
        /// Who waits.
        reply: Reply<Insert>,
    },
    /// Change a record.
    Update {
        /// Which.
        id: RecordId,
        /// If it is like this.
        expect: Expect,
        /// How.
        change: Change,
        /// Who waits.
        reply: Reply<Update>,
    },
    /// Look at a record.
    Get {
        /// Which.
        id: RecordId,
        /// Who waits.
        reply: Reply<Option<Record>>,
    },
    /// One step of a purge.
    Purge {
        /// How many records to look at.
        limit: usize,
        /// Who waits.
        reply: Reply<Purged>,
    },
    /// One page of a listing.
    List {
        /// Which records.
        filter: Filter,
        /// Behind this row.
        after: Row,
        /// How many.
        limit: usize,
        /// Who waits.
        reply: Reply<Page>,
    },
    /// Say whether work can be done.
    Ping {
        /// Who waits.
        reply: Reply<()>,
    },
}

impl Command {
    /// Whether nobody needs it done any more. An end of a claim is needed, even if its caller has
    /// gone.
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Insert { reply, .. } => reply.is_abandoned(),
            Self::Update { change, reply, .. } => !ends(change) && reply.is_abandoned(),
            Self::Get { reply, .. } => reply.is_abandoned(),
            Self::Purge { reply, .. } => reply.is_abandoned(),
            Self::List { reply, .. } => reply.is_abandoned(),
            Self::Ping { reply } => reply.is_abandoned(),
        }
    }

    /// Tells who waits that it failed.
    pub(super) fn fail(self, failure: &Failure) {
        match self {
            Self::Insert { reply, .. } => reply.fail(failure),
            Self::Update { reply, .. } => reply.fail(failure),
            Self::Get { reply, .. } => reply.fail(failure),
            Self::Purge { reply, .. } => reply.fail(failure),
            Self::List { reply, .. } => reply.fail(failure),
            Self::Ping { reply } => reply.fail(failure),
        }
    }

    /// Whether it may be refused when too much waits.
    fn is_refusable(&self) -> bool {
        match self {
            Self::Update { change, .. } => !ends(change) && !matches!(change, Change::Renew { .. }),
            Self::Insert { .. }
            | Self::Get { .. }
            | Self::Purge { .. }
            | Self::List { .. }
            | Self::Ping { .. } => true,
        }
    }

    /// The bytes that it will add to its batch, next to which the rest does not count.
    fn response_bytes(&self) -> usize {
        match self {
            Self::Update { change, .. } => response_bytes(change),
            Self::Insert { .. }
            | Self::Get { .. }
            | Self::Purge { .. }
            | Self::List { .. }
            | Self::Ping { .. } => 0,
        }
    }
}

/// The bytes of the response that `change` stores.
pub(super) fn response_bytes(change: &Change) -> usize {
    match change {
        Change::Complete { response, .. }
        | Change::Settle {
            settlement: Settlement::Completed { response, .. },
            ..
        } => response.as_bytes().len(),
        Change::Renew { .. }
        | Change::Release
        | Change::MarkUnknown { .. }
        | Change::TakeOver { .. }
        | Change::Settle {
            settlement: Settlement::NotExecuted,
            ..
        } => 0,
    }
}

/// Whether `change` ends a claim: then it is needed whoever waits for it, and there are no more of them than claims.
fn ends(change: &Change) -> bool {
    match change {
        Change::Complete { .. } | Change::Release | Change::MarkUnknown { .. } => true,
        Change::Renew { .. } | Change::TakeOver { .. } | Change::Settle { .. } => false,
    }
}

/// The commands that wait, in the order in which they came.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
    refusable_max: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    commands: VecDeque<Command>,
    refusable: usize,
    stage: Stage,
    /// How many may wait before those are looked for that nobody waits for any more.
    sweep_at: usize,
}

impl Waiting {
    /// Twice as many as were left the last time: a sweep costs each command no more than its push.
    fn sweep_if_due(&mut self) {
        if self.commands.len() < self.sweep_at.max(SWEEP_AT_LEAST) {
            return;
        }
        self.commands.retain(|command| !command.is_abandoned());
        let refusable = self
            .commands
            .iter()
            .filter(|command| command.is_refusable());
        self.refusable = refusable.count();
        self.sweep_at = self.commands.len() * 2;
    }
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Stage {
    #[default]
    Open,
    /// No more are coming; those that wait are still done.
    Closing,
    /// The thread has gone.
    Ended,
}

impl Queue {
    /// A queue in which at most `refusable_max` commands wait that may be refused.
    pub(super) fn new(refusable_max: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            more: Condvar::new(),
            refusable_max,
        }
    }

    /// Queues `command`, or tells its caller why not.
    pub(super) fn push(&self, command: Command) {
        let mut waiting = self.waiting.lock();
        let refused = if waiting.stage != Stage::Open {
            StoreErrorKind::Unavailable
        } else if command.is_refusable() && waiting.refusable >= self.refusable_max {
            StoreErrorKind::Overloaded
        } else {
            waiting.refusable += usize::from(command.is_refusable());
            waiting.commands.push_back(command);
            waiting.sweep_if_due();
            drop(waiting);
            self.more.notify_one();
            return;
        };
        drop(waiting);
        command.fail(&Failure::of_kind(refused));
    }

    /// Waits for work and moves a batch of it into `batch`. `false`: nothing waits, and no more is
    /// coming.
    pub(super) fn take(&self, batch: &mut Vec<Command>) -> bool {
        let mut waiting = self.waiting.lock();
        while waiting.commands.is_empty() {
            if waiting.stage != Stage::Open {
                return false;
            }
            self.more.wait(&mut waiting);
        }
        let mut bytes = 0;
        while batch.len() < BATCH_COMMANDS_MAX && bytes < BATCH_BYTES_MAX {
            let Some(command) = waiting.commands.pop_front() else {
                break;
            };
            bytes += command.response_bytes();
            waiting.refusable -= usize::from(command.is_refusable());
            batch.push(command);
        }
        true
    }

    /// Says that no more is coming.
    pub(super) fn close(&self) {
        self.waiting.lock().stage = Stage::Closing;
        self.more.notify_one();
    }

    /// Says that nothing will be done any more; those that wait learn it.
    pub(super) fn end(&self) {
        let mut waiting = self.waiting.lock();
        waiting.stage = Stage::Ended;
        let left = std::mem::take(&mut waiting.commands);
        drop(waiting);
        let failure = Failure::of_kind(StoreErrorKind::Unavailable);
        left.into_iter().for_each(|command| command.fail(&failure));
    }
}

/// Commands in one transaction.
const BATCH_COMMANDS_MAX: usize = 1_024;

/// Bytes of responses after which a batch takes no more commands.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Commands that may wait before any are swept out: more than a store that works ever has.
const SWEEP_AT_LEAST: usize = 32_768;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use oncegate::record::OwnerId;

    use super::*;
    use crate::file::reply::NAME;

    fn renewal() -> (Command, impl Sized) {
        let (reply, answer) = Reply::new(NAME, "update");
        let command = Command::Update {
            id: RecordId::from_bytes([1; 32]),
            expect: Expect {
                owner: OwnerId::from_bytes([1; 16]),
                revision: None,
            },
            change: Change::Renew {
                lease: Duration::from_secs(1),
                unknown: oncegate::record::Retention {
                    live: Duration::ZERO,
                    tombstone: Duration::ZERO,
                },
            },
            reply,
        };
        (command, answer)
    }

    /// The disk hung for hours, and each execution asked for its renewal once a second, gave up,
    /// and asked again: all of that was kept until there was no memory left.
    #[test]
    fn renewals_that_nobody_waits_for_do_not_pile_up_while_the_disk_hangs() {
        let queue = Queue::new(1);
        let (awaited, _answer) = renewal();
        queue.push(awaited);
        for _ in 0..4 * SWEEP_AT_LEAST {
            let (given_up, answer) = renewal();
            drop(answer);
            queue.push(given_up);
        }
        let waiting = queue.waiting.lock();
        assert!(waiting.commands.len() <= SWEEP_AT_LEAST);
        assert!(waiting.commands.iter().any(|left| !left.is_abandoned()));
    }

    #[test]
    fn what_may_be_refused_is_counted_anew_by_a_sweep() {
        let queue = Queue::new(2);
        let ping = || {
            let (reply, answer) = Reply::new(NAME, "ping");
            queue.push(Command::Ping { reply });
            answer
        };
        let (_awaited, given_up) = (ping(), ping());
        drop(given_up);
        let mut renewals = Vec::new();
        for _ in 0..SWEEP_AT_LEAST {
            let (command, answer) = renewal();
            queue.push(command);
            renewals.push(answer);
        }
        assert_eq!(queue.waiting.lock().refusable, 1);
    }
}
