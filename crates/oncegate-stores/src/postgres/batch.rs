//! What waits, gathered: one statement for all claims, one for all changes, one for all looks, sent together.
//!
//! While a batch is on its way more comes in; there is no timer. An id is in a batch once: of many who claim the same
//! key the first asks the server, and the others are answered by what it finds. A change is alone with its record.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use oncegate::hash::RecordId;
use oncegate::record::Record;
use oncegate::store::{Change, Expect, Insert, NewRecord, Update};

use super::change::Write;
use crate::reply::{Failure, Reply};

/// One thing to do, and who waits for it.
#[derive(Debug)]
pub(super) enum Command {
    /// Claim a key.
    Insert(Claim),
    /// Change a record.
    Update(Changing),
    /// Look at a record.
    Get(Look),
    /// Say whether work can be done.
    Ping(Reply<()>),
}

/// A claim that waits.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) new: NewRecord,
    pub(super) reply: Reply<Insert>,
    pub(super) again: Again,
}

/// A change that waits.
#[derive(Debug)]
pub(super) struct Changing {
    pub(super) id: RecordId,
    pub(super) expect: Expect,
    pub(super) change: Change,
    pub(super) write: Write,
    pub(super) reply: Reply<Update>,
    pub(super) again: Again,
}

/// A look that waits.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) id: RecordId,
    pub(super) reply: Reply<Option<Record>>,
    pub(super) again: Again,
}

/// How often something was asked for already, and whether it is to be asked for without others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Again {
    pub(super) times: u8,
    pub(super) alone: bool,
}

/// What is sent together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// By id, those who came first first.
    pub(super) claims: HashMap<RecordId, Vec<Claim>>,
    pub(super) changes: HashMap<RecordId, Changing>,
    pub(super) looks: HashMap<RecordId, Vec<Look>>,
    pub(super) pings: Vec<Reply<()>>,
    commands: usize,
    response_bytes: usize,
    is_closed: bool,
}

impl Command {
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Insert(claim) => claim.reply.is_abandoned(),
            Self::Update(changing) => changing.reply.is_abandoned(),
            Self::Get(look) => look.reply.is_abandoned(),
            Self::Ping(reply) => reply.is_abandoned(),
        }
    }

    fn is_alone(&self) -> bool {
        match self {
            Self::Insert(claim) => claim.again.alone,
            Self::Update(changing) => changing.again.alone,
            Self::Get(look) => look.again.alone,
            Self::Ping(_) => false,
        }
    }

    fn response_bytes(&self) -> usize {
        match self {
            Self::Update(changing) => changing.write.response_bytes(),
            Self::Insert(_) | Self::Get(_) | Self::Ping(_) => 0,
        }
    }

    /// Tells who waits that it failed.
    pub(super) fn fail(self, failure: &Failure) {
        match self {
            Self::Insert(claim) => claim.reply.fail(failure),
            Self::Update(changing) => changing.reply.fail(failure),
            Self::Get(look) => look.reply.fail(failure),
            Self::Ping(reply) => reply.fail(failure),
        }
    }
}

impl Batch {
    /// Takes what goes together, in the order in which it came. What nobody waits for any more has not been sent, and is
    /// not: a claim so late would hold a key for nobody.
    pub(super) fn gather(waiting: &mut VecDeque<Command>) -> Self {
        let mut batch = Self::default();
        while let Some(command) = waiting.pop_front() {
            if command.is_abandoned() {
                continue;
            }
            if !batch.has_room_for(&command) {
                waiting.push_front(command);
                break;
            }
            batch.take(command);
        }
        batch
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.commands == 0
    }

    fn has_room_for(&self, command: &Command) -> bool {
        if self.is_empty() {
            return true;
        }
        let fits = !self.is_closed
            && !command.is_alone()
            && self.commands < COMMANDS_MAX
            && self.response_bytes + command.response_bytes() <= WRITTEN_BYTES_MAX;
        // What was asked for one after the other about one record is done one after the other.
        fits && match command {
            Command::Insert(claim) => !self.changes.contains_key(&claim.new.id),
            Command::Update(changing) => {
                !self.changes.contains_key(&changing.id)
                    && !self.claims.contains_key(&changing.id)
                    && !self.looks.contains_key(&changing.id)
            }
            Command::Get(look) => !self.changes.contains_key(&look.id),
            Command::Ping(_) => true,
        }
    }

    fn take(&mut self, command: Command) {
        self.commands += 1;
        self.response_bytes += command.response_bytes();
        self.is_closed = command.is_alone();
        match command {
            Command::Insert(claim) => self.claims.entry(claim.new.id).or_default().push(claim),
            Command::Update(changing) => {
                let id = changing.id;
                if let Entry::Vacant(free) = self.changes.entry(id) {
                    free.insert(changing);
                }
            }
            Command::Get(look) => self.looks.entry(look.id).or_default().push(look),
            Command::Ping(reply) => self.pings.push(reply),
        }
    }

    /// Tells all who wait that it failed.
    pub(super) fn fail(self, failure: &Failure) {
        for claim in self.claims.into_values().flatten() {
            claim.reply.fail(failure);
        }
        for changing in self.changes.into_values() {
            changing.reply.fail(failure);
        }
        for look in self.looks.into_values().flatten() {
            look.reply.fail(failure);
        }
        for reply in self.pings {
            reply.fail(failure);
        }
    }
}

/// Most that is gathered for one batch.
pub(super) const COMMANDS_MAX: usize = 256;
/// Most bytes of responses that one statement writes; one that has more goes alone.
const WRITTEN_BYTES_MAX: usize = 1024 * 1024;
