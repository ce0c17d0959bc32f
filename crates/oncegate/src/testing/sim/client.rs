//! The tasks of the simulation: clients that retry, holders that execute, an operator and a purger.
//!
//! Each tells the checker what it is about to ask and what it was answered. It may be dropped at every await: then
//! its claim is dropped with it, as in a crash.

use std::cell::Cell;
use std::rc::Rc;

use http::{HeaderMap, Method, StatusCode};

use super::checker::{Asked, Effect};
use super::{Task, World};
use crate::clock::Timestamp;
use crate::engine::{BeginRequest, Claim, Engine, EngineError, Renewal, Settled, Verdict};
use crate::fingerprint::Fingerprint;
use crate::hash::{Digest, HashKeyId, RecordId};
use crate::key::KeyDigest;
use crate::record::{About, Fence, RecordState};
use crate::response::StoredResponse;
use crate::store::{Settlement, StoreError, Update};
use crate::testing::faulty::pause;

/// One task: mostly a client.
pub(super) fn task(world: &Rc<World>) -> Task {
    let shared = Rc::clone(world);
    match world.index(20) {
        0 => Box::pin(operate(shared)),
        1 => Box::pin(purge(shared)),
        _ => Box::pin(retry(shared)),
    }
}

/// One operation of a client: attempts under one key, with one body.
async fn retry(world: Rc<World>) {
    let key = world.index(world.plan.keys);
    let body = usize::from(world.chance(100));
    for _attempt in 0..ATTEMPTS_MAX {
        let engine = world.engine();
        let request = request(key, body);
        let asked = world
            .checker
            .borrow_mut()
            .asks_begin(key, body, world.now());
        match engine.begin(&request, &world.plan.policy).await {
            Ok(verdict) => {
                let now = world.now();
                world
                    .checker
                    .borrow_mut()
                    .judged(asked, body, now, &verdict);
                answer(&world, verdict, asked, key, body).await;
            }
            Err(error) => {
                world.checker.borrow_mut().report.failed += 1;
                disown(&engine, &request, &error).await;
            }
        }
        pause().await;
    }
}

async fn answer(world: &World, verdict: Verdict, asked: Asked, key: usize, body: usize) {
    match verdict {
        Verdict::Execute(claim) => {
            let (fence, taken_over) = (claim.fence(), claim.is_taken_over());
            world
                .checker
                .borrow_mut()
                .claimed(asked, world.now(), fence, taken_over);
            Holder {
                world,
                key,
                body,
                fence,
                believed_from: asked.at,
            }
            .execute(claim)
            .await;
        }
        Verdict::Replay(replay) => {
            let text = String::from_utf8_lossy(&replay.response.body);
            world.checker.borrow_mut().replayed(asked, body, &text);
        }
        // The plan's policies let nobody past; if one did, that would be an execution that no rule covers.
        Verdict::Bypass(_) => world
            .checker
            .borrow_mut()
            .breaks(key, "let past without a claim"),
        Verdict::InFlight(_) | Verdict::Unknown(_) | Verdict::Mismatch | Verdict::Expired => {}
    }
}

/// What a supervisor does after a begin whose effect is not known; it may give up.
async fn disown(engine: &Engine, request: &BeginRequest, error: &EngineError) {
    if !error.may_have_taken_effect() {
        return;
    }
    for _try in 0..TRIES_MAX {
        if engine.disown(request.id, request.owner).await.is_ok() {
            return;
        }
        pause().await;
    }
}

/// Who holds a claim.
struct Holder<'a> {
    world: &'a World,
    key: usize,
    body: usize,
    fence: Fence,
    /// Before the step was begun that gave the lease, or the last that renewed it.
    believed_from: Timestamp,
}

impl Holder<'_> {
    async fn execute(mut self, claim: Claim) {
        let Some(claim) = self.hold(claim).await else {
            return;
        };
        let believes = self.world.now().since(self.believed_from) < claim.trusted_for();
        if self.world.chance(80) || !(believes || self.world.plan.reckless) {
            // Nothing was sent.
            return self.release(claim).await;
        }
        let number = self
            .world
            .checker
            .borrow_mut()
            .executed(self.key, self.fence);
        let Some(claim) = self.hold(claim).await else {
            return;
        };
        match self.world.index(20) {
            0..14 => self.complete(claim, number).await,
            14..16 => self.mark(claim).await,
            // It ran, but the answer says that nothing is kept: a 5xx.
            16..18 => self.release(claim).await,
            _ => drop(claim),
        }
    }

    /// Goes on for a while, and renews. `None` if the record is not its own any more.
    async fn hold(&mut self, mut claim: Claim) -> Option<Claim> {
        for _ in 0..self.world.index(4) {
            pause().await;
            if self.world.chance(300) {
                continue;
            }
            let asked = self
                .world
                .checker
                .borrow_mut()
                .asks(self.key, self.world.now());
            match claim.renew().await {
                Ok(Renewal::Held) => {
                    self.believed_from = asked.at;
                    self.world.checker.borrow_mut().renewed(asked, self.fence);
                }
                Ok(Renewal::Lost) => {
                    self.world.checker.borrow_mut().report.stale += 1;
                    return None;
                }
                Err(_) => {}
            }
        }
        Some(claim)
    }

    async fn complete(&self, mut claim: Claim, number: u64) {
        let answer = format!("body {} of execution {number}", self.body);
        for _try in 0..TRIES_MAX {
            let now = self.world.now();
            let asked = self
                .world
                .checker
                .borrow_mut()
                .asks_complete(self.key, &answer, now);
            let kept = self.world.plan.policy.completed();
            match claim.complete(response(&answer), kept).await {
                Ok(update) => return self.was_completed(asked, &answer, &update.value),
                Err(error) => claim = error.claim,
            }
            pause().await;
        }
    }

    fn was_completed(&self, asked: Asked, answer: &str, update: &Update) {
        let mut checker = self.world.checker.borrow_mut();
        if matches!(update, Update::Applied(stands) if !holds(stands, answer)) {
            checker.breaks(
                self.key,
                &format!("{answer:?} was stored, and other bytes stand"),
            );
        }
        checker.completed(asked, Some(self.fence), answer, effect_of(update));
    }

    async fn mark(&self, mut claim: Claim) {
        for _try in 0..TRIES_MAX {
            let now = self.world.now();
            let asked = self
                .world
                .checker
                .borrow_mut()
                .asks_mark(self.key, self.fence, now);
            match claim.mark_unknown().await {
                Ok(update) => {
                    let effect = effect_of(&update.value);
                    return self
                        .world
                        .checker
                        .borrow_mut()
                        .marked(asked, self.fence, effect);
                }
                Err(error) => claim = error.claim,
            }
            pause().await;
        }
    }

    async fn release(&self, mut claim: Claim) {
        for _try in 0..TRIES_MAX {
            let freeing = Freeing::ask(self.world, self.key, Some(self.fence));
            match claim.release().await {
                Ok(update) => return freeing.answered(effect_of(&update.value)),
                Err(error) => claim = error.claim,
            }
            drop(freeing);
            pause().await;
        }
    }
}

/// An operator decides what is unknown, by what was found out or by a guess.
async fn operate(world: Rc<World>) {
    let key = world.index(world.plan.keys);
    let id = request(key, 0).id;
    world.checker.borrow_mut().operates(key);
    if world.chance(500) {
        let freeing = Freeing::ask(&world, key, None);
        let settled = world.desk.settle(id, Settlement::NotExecuted).await;
        freeing.answered(settlement_effect(&settled));
        return;
    }
    let answer = format!("settled at {}", world.now());
    let asked = world
        .checker
        .borrow_mut()
        .asks_complete(key, &answer, world.now());
    let retention = world.plan.policy.completed();
    let settlement = Settlement::Completed {
        response: response(&answer),
        retention,
    };
    let settled = world.desk.settle(id, settlement).await;
    world
        .checker
        .borrow_mut()
        .completed(asked, None, &answer, settlement_effect(&settled));
}

async fn purge(world: Rc<World>) {
    for _ in 0..world.index(4) {
        // A failed step is made up for by the next.
        let _failed = world.engine().purge(PURGE_LIMIT).await.is_err();
        pause().await;
    }
}

/// Somebody gives a key up. Dropped without an answer, as in a crash, it may have had its effect; it will have none
/// later, because the step is dropped with it.
struct Freeing<'a> {
    world: &'a World,
    asked: Asked,
    fence: Option<Fence>,
    effect: Cell<Effect>,
}

impl<'a> Freeing<'a> {
    fn ask(world: &'a World, key: usize, fence: Option<Fence>) -> Self {
        let asked = world
            .checker
            .borrow_mut()
            .asks_release(key, fence, world.now());
        Self {
            world,
            asked,
            fence,
            effect: Cell::new(Effect::Unknown),
        }
    }

    fn answered(self, effect: Effect) {
        self.effect.set(effect);
    }
}

impl Drop for Freeing<'_> {
    fn drop(&mut self) {
        self.world
            .checker
            .borrow_mut()
            .released(self.asked, self.fence, self.effect.get());
    }
}

fn effect_of(update: &Update) -> Effect {
    match update {
        Update::Applied(_) => Effect::Applied,
        Update::Refused(_) => Effect::Refused,
    }
}

fn settlement_effect(settled: &Result<Settled, StoreError>) -> Effect {
    match settled {
        Ok(Settled::Done) => Effect::Applied,
        Ok(Settled::Absent | Settled::NotUnknown(_) | Settled::Changed) => Effect::Refused,
        Err(_) => Effect::Unknown,
    }
}

fn holds(stands: &Option<crate::record::Record>, answer: &str) -> bool {
    let Some(record) = stands else { return false };
    match &record.state {
        RecordState::Completed {
            response: stored, ..
        } => *stored == response(answer),
        RecordState::InFlight { .. } | RecordState::Unknown { .. } | RecordState::Expired => false,
    }
}

fn request(key: usize, body: usize) -> BeginRequest {
    let byte = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
    let digest = |number: u8| Digest::from_bytes([number; 16]);
    let hash_key = HashKeyId::from_u64(1);
    let fingerprint = Fingerprint::new(hash_key, digest(0), digest(byte(body)), None);
    let about = About::new(
        KeyDigest::from_bytes([byte(key); 8]),
        &Method::POST,
        "/payments",
    );
    BeginRequest::new(RecordId::from_bytes([byte(key); 32]), fingerprint, about)
}

fn response(answer: &str) -> StoredResponse {
    let none = HeaderMap::new();
    StoredResponse::kept(StatusCode::CREATED, &none, None, answer.as_bytes(), &none)
}

const ATTEMPTS_MAX: usize = 6;
const TRIES_MAX: usize = 4;
const PURGE_LIMIT: usize = 1000;
