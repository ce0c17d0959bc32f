//! One turn of a lane: a batch is sent, and each who waits is answered by what the server tells.
//!
//! What the server tells is judged by `oncegate::transition`, as every other store does it. Where it is of an instant at
//! which something else came between, it is asked again; never is a key taken for claimed that was not.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use futures_util::future::join3;
use oncegate::clock::Timestamp;
use oncegate::hash::RecordId;
use oncegate::record::{Fence, Record, RecordState};
use oncegate::store::{Insert, NewRecord, StoreErrorKind, Update};
use oncegate::transition::{self, Effect};

use super::batch::{Again, Batch, Changing, Claim, Command, Look};
use super::change::Write;
use super::error::{Trouble, failure};
use super::lane::Shared;
use super::rows::{Found, Told};
use super::session::{Parameters, Session};
use super::statements::Kind;
use super::time::Interval;
use crate::reply::{Failure, Reply};

/// Sends `batch`, and answers. What has to be asked again is put before all that waits. Tells whether the session can be
/// used on.
pub(super) async fn turn(
    shared: &Shared,
    session: &Session,
    batch: Batch,
    waiting: &mut VecDeque<Command>,
) -> bool {
    let asking = join3(
        asked(
            !batch.claims.is_empty(),
            claim(shared, session, &batch.claims),
        ),
        asked(
            !batch.changes.is_empty(),
            change(shared, session, &batch.changes),
        ),
        asked(
            !(batch.looks.is_empty() && batch.pings.is_empty()),
            look(shared, session, &batch.looks),
        ),
    );
    let (claimed, changed, looked) = match session.within(Box::pin(asking)).await {
        Ok(answers) => answers,
        Err(silent) => {
            batch.fail(&failure(silent));
            return false;
        }
    };
    let mut answering = Answering {
        shared,
        waiting,
        session_is_good: true,
    };
    if let Some(told) = claimed {
        answering.claims(batch.claims, told);
    }
    if let Some(told) = changed {
        answering.changes(batch.changes, told);
    }
    if let Some(told) = looked {
        answering.looks(batch.looks, batch.pings, told);
    }
    answering.session_is_good
}

/// Nothing, where nothing is to be asked.
async fn asked<T>(is_needed: bool, asking: impl Future<Output = T>) -> Option<T> {
    if is_needed { Some(asking.await) } else { None }
}

async fn claim(
    shared: &Shared,
    session: &Session,
    claims: &HashMap<RecordId, Vec<Claim>>,
) -> Result<Told, Trouble> {
    // The first of those who claim one key asks for all of them.
    let news: Vec<_> = claims
        .values()
        .filter_map(|claims| claims.first())
        .collect();
    let times = |of: fn(&NewRecord) -> Duration| {
        let times = news.iter().map(|claim| Interval(of(&claim.new)));
        times.collect::<Vec<_>>()
    };
    let ids: Vec<_> = news
        .iter()
        .map(|c| c.new.id.as_bytes().as_slice())
        .collect();
    let owners: Vec<_> = news
        .iter()
        .map(|c| c.new.owner.as_bytes().as_slice())
        .collect();
    let fingerprints: Vec<_> = news.iter().map(|c| c.new.fingerprint.to_bytes()).collect();
    let fingerprints: Vec<_> = fingerprints.iter().map(|bytes| bytes.as_slice()).collect();
    let digests = news
        .iter()
        .map(|c| c.new.about.key_digest.as_bytes().as_slice());
    let digests: Vec<_> = digests.collect();
    let operations: Vec<_> = news.iter().map(|c| &*c.new.about.operation).collect();
    let (leases, lives) = (times(|new| new.lease), times(|new| new.unknown.live));
    let tombstones = times(|new| new.unknown.tombstone);
    let (added, told_max) = (shared.clock.added(), told_bytes_max(news.len()));
    let salt = shared.salt.known();
    let salt_expected = salt.as_ref().map(|salt| salt.as_slice());
    let parameters: Parameters<'_> = vec![
        &added,
        &salt_expected,
        &told_max,
        &ids,
        &owners,
        &fingerprints,
        &digests,
        &operations,
        &leases,
        &lives,
        &tombstones,
    ];
    let told = Told::read(&session.ask(Kind::Insert, parameters).await?)?;
    // Then nothing was written, and what is told may be another database's.
    match salt {
        Some(known) if told.salt != Some(known) => Err(Trouble::Resalted),
        Some(_) | None => Ok(told),
    }
}

async fn change(
    shared: &Shared,
    session: &Session,
    changes: &HashMap<RecordId, Changing>,
) -> Result<Told, Trouble> {
    let writes: Vec<_> = changes
        .values()
        .map(|change| (change.id, &change.write))
        .collect();
    let times = |of: fn(&Write) -> Duration| {
        writes
            .iter()
            .map(|(_, write)| Interval(of(write)))
            .collect::<Vec<_>>()
    };
    let ids: Vec<_> = writes
        .iter()
        .map(|(id, _)| id.as_bytes().as_slice())
        .collect();
    let owners: Vec<_> = writes
        .iter()
        .map(|(_, w)| w.expect.owner.as_bytes().as_slice())
        .collect();
    let revisions: Vec<_> = writes
        .iter()
        // One that cannot be stored is nobody's.
        .map(|(_, w)| {
            w.expect
                .revision
                .map(|revision| i64::try_from(revision).unwrap_or(-1))
        })
        .collect();
    let from_unknown: Vec<_> = writes.iter().map(|(_, write)| write.from_unknown).collect();
    let states: Vec<_> = writes.iter().map(|(_, write)| write.state).collect();
    let new_owners: Vec<_> = writes
        .iter()
        .map(|(_, w)| {
            w.new_owner
                .as_ref()
                .map(|owner| owner.as_bytes().as_slice())
        })
        .collect();
    let responses: Vec<_> = writes
        .iter()
        .map(|(_, w)| {
            w.response
                .as_ref()
                .map(|response| response.as_bytes().as_ref())
        })
        .collect::<Vec<Option<&[u8]>>>();
    let (added, told_max) = (shared.clock.added(), told_bytes_max(writes.len()));
    let (leases, lives) = (times(|w| w.lease), times(|w| w.lasts.live));
    let tombstones = times(|w| w.lasts.tombstone);
    let parameters: Parameters<'_> = vec![
        &added,
        &told_max,
        &ids,
        &owners,
        &revisions,
        &from_unknown,
        &states,
        &new_owners,
        &leases,
        &lives,
        &tombstones,
        &responses,
    ];
    Ok(Told::read(&session.ask(Kind::Update, parameters).await?)?)
}

async fn look(
    shared: &Shared,
    session: &Session,
    looks: &HashMap<RecordId, Vec<Look>>,
) -> Result<Told, Trouble> {
    let ids: Vec<_> = looks.keys().map(|id| id.as_bytes().as_slice()).collect();
    let (added, told_max) = (shared.clock.added(), told_bytes_max(ids.len()));
    let parameters: Parameters<'_> = vec![&added, &told_max, &ids];
    Ok(Told::read(&session.ask(Kind::Get, parameters).await?)?)
}

/// Answers all who wait for one batch.
struct Answering<'a> {
    shared: &'a Shared,
    waiting: &'a mut VecDeque<Command>,
    session_is_good: bool,
}

impl Answering<'_> {
    fn claims(&mut self, claims: HashMap<RecordId, Vec<Claim>>, told: Result<Told, Trouble>) {
        let told = match told {
            Ok(told) => told,
            Err(trouble) => {
                let alone = claims.len() == 1;
                let claims = claims.into_values().flatten();
                return self.failed(claims.map(Command::Insert).collect(), trouble, alone);
            }
        };
        let at = told.at;
        let mut found = told.by_id();
        for (id, claims) in claims {
            let found = found.remove(&id);
            for claim in claims {
                self.claimed(claim, found.as_ref(), at);
            }
        }
    }

    fn claimed(&mut self, claim: Claim, found: Option<&Found>, at: Timestamp) {
        // It came or went while the statement ran: it may stand now, or be free.
        let Some(found) = found.filter(|found| !found.is_released) else {
            return self.again(Command::Insert(claim));
        };
        if found.is_cut {
            return self.again_alone(Command::Insert(claim));
        }
        let at = found.told_at(at);
        let (effect, insert) = judged(&found.record, &claim, at);
        match effect {
            Effect::Keep => {
                // Money: whoever is told that the key is its own has to find its name there.
                debug_assert!(match &insert {
                    Insert::Created(record) => record.owner == claim.new.owner,
                    Insert::Exists(_) => true,
                });
                claim.reply.answer(at, insert);
            }
            // It is past its end by now.
            Effect::Put(_) | Effect::Remove => self.again(Command::Insert(claim)),
        }
    }

    fn changes(&mut self, changes: HashMap<RecordId, Changing>, told: Result<Told, Trouble>) {
        let told = match told {
            Ok(told) => told,
            Err(trouble) => {
                let alone = changes.len() == 1;
                let changes = changes.into_values();
                return self.failed(changes.map(Command::Update).collect(), trouble, alone);
            }
        };
        let at = told.at;
        let mut found = told.by_id();
        for (id, changing) in changes {
            match found.remove(&id) {
                Some(found) if found.is_written => self.changed(changing, found, at),
                Some(found) if found.is_cut => self.again_alone(Command::Update(changing)),
                Some(found) => {
                    let at = found.told_at(at);
                    self.unchanged(changing, found.standing(), at);
                }
                // It has come meanwhile.
                None if changing.write.gives_up() => self.again(Command::Update(changing)),
                None => self.unchanged(changing, None, at),
            }
        }
    }

    fn changed(&mut self, changing: Changing, found: Found, at: Timestamp) {
        let at = found.told_at(at);
        let stands = found.standing().map(|mut record| {
            if let RecordState::Completed { response, .. } = &mut record.state
                && let Some(stored) = &changing.write.response
            {
                *response = stored.clone();
            }
            record
        });
        if changing.write.ends_the_claim() {
            self.shared.changes.changed(changing.id);
        }
        let answer = Update::Applied(stands);
        changing.reply.answer(at, answer);
    }

    fn unchanged(&mut self, changing: Changing, stands: Option<Record>, at: Timestamp) {
        let last = stands.as_ref().map(|record| record.fence);
        let fence = Fence::following(last.unwrap_or_default(), at);
        let change = changing.change.clone();
        match transition::update(stands.as_ref(), changing.expect, change, fence, at) {
            (Effect::Keep, update) => changing.reply.answer(at, update),
            // What stood there at the beginning could have been changed: something else came between.
            (Effect::Put(_) | Effect::Remove, _) => self.again(Command::Update(changing)),
        }
    }

    fn looks(
        &mut self,
        looks: HashMap<RecordId, Vec<Look>>,
        pings: Vec<Reply<()>>,
        told: Result<Told, Trouble>,
    ) {
        let told = match told {
            Ok(told) => told,
            Err(trouble) => {
                let alone = looks.len() <= 1;
                let looks = looks.into_values().flatten().map(Command::Get);
                let pings = pings.into_iter().map(Command::Ping);
                return self.failed(looks.chain(pings).collect(), trouble, alone);
            }
        };
        let at = told.at;
        for reply in pings {
            reply.answer(at, ());
        }
        let mut found = told.by_id();
        for (id, looks) in looks {
            let found = found.remove(&id);
            for look in looks {
                match &found {
                    Some(found) if found.is_cut => self.again_alone(Command::Get(look)),
                    found => {
                        let at = found.as_ref().map_or(at, |found| found.told_at(at));
                        let stands = found.clone().and_then(Found::standing);
                        let stands = stands.filter(|record| !record.is_purgeable(at));
                        look.reply.answer(at, stands);
                    }
                }
            }
        }
    }

    /// A statement failed. If one of its records may be the cause, each is tried without the others.
    fn failed(&mut self, commands: Vec<Command>, trouble: Trouble, alone: bool) {
        self.session_is_good &= !trouble.ends_the_session();
        if trouble.is_of_the_session() {
            for command in commands {
                self.again(command);
            }
        } else if trouble.may_be_of_one() && !alone {
            for command in commands {
                self.again_alone(command);
            }
        } else {
            let failure = trouble.failure();
            for command in commands {
                command.fail(&failure);
            }
        }
    }

    fn again(&mut self, command: Command) {
        self.ask_again(command, false);
    }

    fn again_alone(&mut self, command: Command) {
        self.ask_again(command, true);
    }

    fn ask_again(&mut self, mut command: Command, alone: bool) {
        let again = match &mut command {
            Command::Insert(claim) => Some(&mut claim.again),
            Command::Update(changing) => Some(&mut changing.again),
            Command::Get(look) => Some(&mut look.again),
            Command::Ping(_) => None,
        };
        match again {
            Some(Again {
                times,
                alone: is_alone,
            }) if *times < TIMES_MAX => {
                *times += 1;
                *is_alone = alone;
                self.waiting.push_front(command);
            }
            Some(_) | None => command.fail(&Failure::of_kind(StoreErrorKind::Unavailable)),
        }
    }
}

/// What a claim means where `record` stands. One that this claim, or one before it, has made is its own or is not.
fn judged(record: &Record, claim: &Claim, at: Timestamp) -> (Effect, Insert) {
    let fence = Fence::following(record.fence, at);
    transition::insert(Some(record), claim.new.clone(), fence, at)
}

/// All responses of an answer together are to be held; one that is asked for alone is, however large.
fn told_bytes_max(records: usize) -> i32 {
    match records {
        0 | 1 => i32::MAX,
        many => i32::try_from(TOLD_BYTES_MAX / many).unwrap_or(i32::MAX),
    }
}

/// Most bytes of responses that one statement tells.
const TOLD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How often something is asked for again before it is said to have failed.
const TIMES_MAX: u8 = 8;
