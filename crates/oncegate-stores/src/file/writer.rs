//! The writer thread: takes what is queued, runs it as one transaction, commits once, then answers.
//!
//! An answer that depends on a write of its batch goes out after the commit; any other goes out at
//! once, so that a replay waits for nobody's fsync. If a statement or the commit fails, nothing of
//! the batch was stored as far as any caller is told, and `health` says what the store does next.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use oncegate::clock::Timestamp;
use oncegate::hash::RecordId;
use oncegate::record::Record;
use oncegate::store::{Change, Expect, Insert, NewRecord, StoreErrorKind, Update};
use oncegate::transition::{self, Effect};

use super::health::Health;
use super::ledger::{Found, Ledger};
use super::queue::Command;
use super::reply::{Answer, of_row};
use super::rows::RowError;
use super::store::Shared;
use crate::reply::{Failure, Reply};

/// What the thread owns.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) health: Health,
}

/// One transaction in the making.
#[derive(Debug)]
struct Batch {
    now: Timestamp,
    /// Held back until the commit.
    answers: Vec<Answer>,
    /// Records that this batch changes.
    touched: HashSet<RecordId>,
    /// Whether a purge came round and took something: then the log is to be emptied.
    empty_log: bool,
}

impl Writer {
    /// Works until the queue is closed and empty, then closes the file.
    pub(super) fn run(mut self) {
        // Whatever ends this thread, nobody waits for it in vain.
        let shared = Arc::clone(&self.shared);
        let _end = scope_end(&shared);
        let mut commands = Vec::new();
        while self.shared.queue.take(&mut commands) {
            #[cfg(test)]
            self.shared.faults.pass();
            self.health.prove_if_due(&self.shared);
            let mut batch = commands.drain(..);
            while batch.len() > 0 {
                self.transact(&mut batch);
            }
        }
        self.health.close(&self.shared);
    }

    /// Runs commands as one transaction: all that are left, or up to the one that fails.
    fn transact(&mut self, commands: &mut impl Iterator<Item = Command>) {
        let mut batch = Batch {
            now: self.shared.time.now(),
            answers: Vec::new(),
            touched: HashSet::new(),
            empty_log: false,
        };
        for command in commands {
            if command.is_abandoned() {
                continue;
            }
            let (ledger, refusing) = match self.health.ledger() {
                Ok(working) => working,
                Err(failure) => {
                    command.fail(&failure);
                    continue;
                }
            };
            if let Err(error) = batch.apply(ledger, refusing.as_ref(), command) {
                return self.fail(batch, error);
            }
        }
        match self.commit() {
            Ok(()) => self.answer(batch),
            Err(error) => self.fail(batch, error),
        }
    }

    fn commit(&mut self) -> rusqlite::Result<()> {
        let Ok((ledger, _)) = self.health.ledger() else {
            return Ok(());
        };
        if !ledger.in_transaction() {
            ledger.keep();
            return Ok(());
        }
        #[cfg(test)]
        self.shared.faults.before_commit()?;
        ledger.commit(self.shared.time.high())?;
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        #[cfg(test)]
        self.shared.faults.after_commit()?;
        Ok(())
    }

    /// Everything is durable: wakes who waits, answers, and empties the log if a purge asks for it.
    fn answer(&mut self, batch: Batch) {
        let (purges, others): (Vec<_>, Vec<_>) = batch
            .answers
            .into_iter()
            .partition(|answer| matches!(answer, Answer::Purge(..)));
        batch
            .touched
            .into_iter()
            .for_each(|id| self.shared.watchers.wake(id));
        others.into_iter().for_each(|answer| answer.send(batch.now));
        if batch.empty_log
            && let Ok((ledger, _)) = self.health.ledger()
            && let Err(error) = ledger.truncate_log()
        {
            tracing::warn!(%error, "the log of the file store could not be emptied after a purge");
        }
        purges.into_iter().for_each(|answer| answer.send(batch.now));
    }

    fn fail(&mut self, batch: Batch, error: rusqlite::Error) {
        let failure = self.health.fail(error);
        batch
            .answers
            .into_iter()
            .for_each(|answer| answer.fail(&failure));
    }
}

impl Batch {
    /// Does one command. An error is one of the whole batch; what concerns one record alone is
    /// answered here.
    fn apply(
        &mut self,
        ledger: &mut Ledger,
        refusing: Option<&Failure>,
        command: Command,
    ) -> rusqlite::Result<()> {
        match command {
            Command::Insert { new, reply } => self.insert(ledger, refusing, new, reply),
            Command::Update {
                id,
                expect,
                change,
                reply,
            } => self.update(ledger, id, expect, change, reply),
            Command::Get { id, reply } => self.get(ledger, id, reply),
            Command::Purge { limit, reply } => {
                let purged = ledger.purge(limit, self.now)?;
                if purged.finished && std::mem::take(&mut ledger.purge_took) {
                    self.empty_log = true;
                }
                self.answers.push(Answer::Purge(reply, purged));
                Ok(())
            }
            Command::List {
                filter,
                after,
                limit,
                reply,
            } => {
                let page = ledger.list(&filter, after, limit, self.now)?;
                // It may show what is not durable yet.
                if ledger.in_transaction() {
                    self.answers.push(Answer::List(reply, page));
                } else {
                    reply.answer(self.now, page);
                }
                Ok(())
            }
            Command::Ping { reply } => {
                match refusing {
                    Some(failure) => reply.fail(failure),
                    None => reply.answer(self.now, ()),
                }
                Ok(())
            }
        }
    }

    fn insert(
        &mut self,
        ledger: &mut Ledger,
        refusing: Option<&Failure>,
        new: NewRecord,
        reply: Reply<Insert>,
    ) -> rusqlite::Result<()> {
        let id = new.id;
        let found = match ledger.find(id) {
            Ok(found) => found,
            Err(error) => return unreadable(error, |failure| reply.fail(failure)),
        };
        let fence = ledger.next_fence(self.now);
        let (effect, answer) = transition::insert(record(found.as_ref()), new, fence, self.now);
        match effect {
            Effect::Put(_) if let Some(failure) = refusing => {
                reply.fail(failure);
                Ok(())
            }
            Effect::Put(record) => {
                self.hold_back(id, Answer::Insert(reply, answer));
                ledger.create(found.as_ref(), record)
            }
            Effect::Keep | Effect::Remove => {
                self.answer_or_hold_back(id, Answer::Insert(reply, answer));
                Ok(())
            }
        }
    }

    fn update(
        &mut self,
        ledger: &mut Ledger,
        id: RecordId,
        expect: Expect,
        change: Change,
        reply: Reply<Update>,
    ) -> rusqlite::Result<()> {
        let found = match ledger.find(id) {
            Ok(found) => found,
            Err(error) => return unreadable(error, |failure| reply.fail(failure)),
        };
        let fence = ledger.next_fence(self.now);
        let (effect, answer) =
            transition::update(record(found.as_ref()), expect, change, fence, self.now);
        let answer = Answer::Update(reply, answer);
        let (Some(found), Effect::Put(_) | Effect::Remove) = (&found, &effect) else {
            self.answer_or_hold_back(id, answer);
            return Ok(());
        };
        self.hold_back(id, answer);
        match effect {
            Effect::Put(record) => ledger.overwrite(found, record),
            Effect::Remove => ledger.remove(found),
            Effect::Keep => Ok(()),
        }
    }

    fn get(
        &mut self,
        ledger: &Ledger,
        id: RecordId,
        reply: Reply<Option<Record>>,
    ) -> rusqlite::Result<()> {
        let found = match ledger.find(id) {
            Ok(found) => found,
            Err(error) => return unreadable(error, |failure| reply.fail(failure)),
        };
        let standing = found
            .map(|found| found.record)
            .filter(|record| !record.is_purgeable(self.now));
        self.answer_or_hold_back(id, Answer::Get(reply, standing));
        Ok(())
    }

    fn hold_back(&mut self, id: RecordId, answer: Answer) {
        self.touched.insert(id);
        self.answers.push(answer);
    }

    fn answer_or_hold_back(&mut self, id: RecordId, answer: Answer) {
        if self.touched.contains(&id) {
            self.answers.push(answer);
        } else {
            answer.send(self.now);
        }
    }
}

fn record(found: Option<&Found>) -> Option<&Record> {
    found.map(|found| &found.record)
}

/// Tells one caller that its record cannot be read; or fails the batch, if more than that record is
/// concerned.
fn unreadable(error: RowError, answer: impl FnOnce(&Failure)) -> rusqlite::Result<()> {
    if error.is_of_one_record() {
        tracing::error!(%error, "a record of the file store cannot be read");
        answer(&of_row(error));
        return Ok(());
    }
    answer(&Failure::of_kind(StoreErrorKind::Unavailable));
    match error {
        RowError::Unreadable { source, .. } => Err(source),
        RowError::Damaged { .. } => Ok(()),
    }
}

/// Ends the queue when it is dropped, by a panic too.
fn scope_end(shared: &Arc<Shared>) -> impl Drop + use<> {
    struct End(Arc<Shared>);
    impl Drop for End {
        fn drop(&mut self) {
            self.0.queue.end();
        }
    }
    End(Arc::clone(shared))
}
