//! `RedisStore`: from the methods of the seam to scripts, and back.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oncegate::clock::Timestamp;
use oncegate::hash::RecordId;
use oncegate::record::{OwnerId, Record, Retention};
use oncegate::response::StoredResponse;
use oncegate::store::{
    BoxFuture, Change, Cursor, Expect, Filter, Insert, Inspect, NewRecord, Page, Purged,
    Settlement, Stamped, Store, StoreError, StoreInfo, StoreResult, Update,
};
use redis::{Client, Script, ScriptInvocation, Value};
use tokio::sync::Mutex;

use super::changes::Changes;
use super::error::{NAME, RedisOpenError, damaged, failed};
use super::link::Link;
use super::options::RedisOptions;
use super::place::Place;
use super::reply::Reply;
use super::scripts::Scripts;

/// Records in a Redis.
pub struct RedisStore {
    link: Link,
    scripts: Scripts,
    changes: Changes,
    prefix: String,
    /// The highest time that an answer had: the server's clock may be set back.
    latest: AtomicU64,
    /// What tests add to the server's time, in microseconds.
    ahead: Arc<AtomicU64>,
    /// Where the next purge step goes on.
    purge_place: Mutex<Place>,
}

impl RedisStore {
    /// Connects, and looks whether this Redis can be a store.
    ///
    /// # Errors
    /// If it cannot be reached, or evicts keys: see [`RedisOpenError`].
    pub async fn open(url: &str, options: RedisOptions) -> Result<Self, RedisOpenError> {
        let client = Client::open(url).map_err(RedisOpenError::Address)?;
        let mut link = Link::single(client.clone(), &options)
            .await
            .map_err(RedisOpenError::Unavailable)?;
        keeps_everything(&mut link).await?;
        let channel = format!("{}changes", options.prefix);
        Ok(Self {
            link,
            scripts: Scripts::new(),
            changes: Changes::new(client, channel),
            prefix: options.prefix,
            latest: AtomicU64::new(0),
            ahead: Arc::default(),
            purge_place: Mutex::default(),
        })
    }

    /// A hand on the clock, for tests: microseconds that are added to the server's time.
    #[doc(hidden)]
    #[must_use]
    pub fn ahead(&self) -> Arc<AtomicU64> {
        self.ahead.clone()
    }

    /// The name of the record's key; those of its body and fence begin with it. The hash tag is the id.
    fn key(&self, id: RecordId) -> String {
        format!("{}{{{id}}}", self.prefix)
    }

    fn invocation<'a>(&self, script: &'a Script, key: &str) -> ScriptInvocation<'a> {
        let mut invocation = script.key(key);
        invocation
            .key(format!("{key}:body"))
            .key(format!("{key}:fence"))
            .arg(self.ahead.load(Ordering::Relaxed));
        invocation
    }

    async fn run(
        &self,
        invocation: ScriptInvocation<'_>,
        doing: &'static str,
    ) -> Result<Value, StoreError> {
        let mut link = self.link.clone();
        invocation
            .invoke_async(&mut link)
            .await
            .map_err(|error| failed(doing, error))
    }

    /// No answer is older than one that was given before.
    fn stamp<T>(&self, at: Timestamp, value: T) -> Stamped<T> {
        let latest = self.latest.fetch_max(at.as_micros(), Ordering::Relaxed);
        Stamped {
            at: at.max(Timestamp::from_micros(latest)),
            value,
        }
    }

    async fn insert_now(&self, new: NewRecord) -> StoreResult<Insert> {
        const DOING: &str = "insert";
        let mut invocation = self.invocation(&self.scripts.insert, &self.key(new.id));
        invocation
            .arg(new.owner.as_bytes())
            .arg(&new.fingerprint.to_bytes())
            .arg(new.about.key_digest.as_bytes())
            .arg(&*new.about.operation)
            .arg(micros(new.lease));
        retention_arguments(&mut invocation, new.unknown);
        let value = self.run(invocation, DOING).await?;
        let reply = Reply::read(value, new.id, None, DOING)?;
        let record = reply.record.ok_or_else(|| damaged(DOING, "no record"))?;
        let insert = match reply.word.as_slice() {
            b"created" => Insert::Created(record),
            b"exists" => Insert::Exists(record),
            _ => return Err(damaged(DOING, "an answer that is none")),
        };
        Ok(self.stamp(reply.at, insert))
    }

    async fn update_now(
        &self,
        id: RecordId,
        expect: Expect,
        change: Change,
    ) -> StoreResult<Update> {
        const DOING: &str = "update";
        let change = Words::of(change);
        let mut invocation = self.invocation(&self.scripts.update, &self.key(id));
        invocation
            .arg(change.name)
            .arg(expect.owner.as_bytes())
            .arg(
                expect
                    .revision
                    .map_or_else(String::new, |revision| revision.to_string()),
            )
            .arg(
                change
                    .owner
                    .as_ref()
                    .map_or(&[][..], |owner| owner.as_bytes()),
            )
            .arg(micros(change.lease));
        retention_arguments(&mut invocation, change.retention);
        invocation
            .arg(self.changes.channel())
            .arg(id.as_bytes())
            .arg(
                change
                    .response
                    .as_ref()
                    .map_or(&[][..], |response| response.as_bytes()),
            );
        let value = self.run(invocation, DOING).await?;
        let reply = Reply::read(value, id, change.response, DOING)?;
        self.changes.wake(id);
        let update = match reply.word.as_slice() {
            b"applied" | b"repeated" => Update::Applied(reply.record),
            b"refused" => Update::Refused(reply.record),
            _ => return Err(damaged(DOING, "an answer that is none")),
        };
        Ok(self.stamp(reply.at, update))
    }
}

/// A change as the script takes it.
struct Words {
    name: &'static str,
    owner: Option<OwnerId>,
    lease: Duration,
    retention: Retention,
    response: Option<StoredResponse>,
}

impl Words {
    fn of(change: Change) -> Self {
        let none = Self {
            name: "",
            owner: None,
            lease: Duration::ZERO,
            retention: Retention {
                live: Duration::ZERO,
                tombstone: Duration::ZERO,
            },
            response: None,
        };
        match change {
            Change::Renew { lease, unknown } => Self {
                name: "renew",
                lease,
                retention: unknown,
                ..none
            },
            Change::Complete {
                response,
                retention,
            } => Self {
                name: "complete",
                retention,
                response: Some(response),
                ..none
            },
            Change::Release => Self {
                name: "release",
                ..none
            },
            Change::MarkUnknown { unknown } => Self {
                name: "mark-unknown",
                retention: unknown,
                ..none
            },
            Change::TakeOver {
                owner,
                lease,
                unknown,
            } => Self {
                name: "take-over",
                owner: Some(owner),
                lease,
                retention: unknown,
                ..none
            },
            Change::Settle { owner, settlement } => match settlement {
                Settlement::Completed {
                    response,
                    retention,
                } => Self {
                    name: "settle-completed",
                    owner: Some(owner),
                    retention,
                    response: Some(response),
                    ..none
                },
                Settlement::NotExecuted => Self {
                    name: "settle-not-executed",
                    owner: Some(owner),
                    ..none
                },
            },
        }
    }
}

fn retention_arguments(invocation: &mut ScriptInvocation<'_>, retention: Retention) {
    invocation
        .arg(micros(retention.live))
        .arg(micros(retention.tombstone));
}

/// Whole microseconds; more than fit is for ever.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Refuses a Redis that would drop what is needed when it is full.
async fn keeps_everything(link: &mut Link) -> Result<(), RedisOpenError> {
    let memory: String = redis::cmd("INFO")
        .arg("memory")
        .query_async(link)
        .await
        .map_err(RedisOpenError::Unavailable)?;
    let policy = memory
        .lines()
        .find_map(|line| line.strip_prefix("maxmemory_policy:"))
        .map(str::trim);
    match policy {
        None | Some("noeviction") => Ok(()),
        Some(policy) => Err(RedisOpenError::Evicts {
            policy: policy.to_owned(),
        }),
    }
}

impl RedisStore {
    async fn get_now(&self, id: RecordId) -> Result<Reply, StoreError> {
        const DOING: &str = "get";
        let invocation = self.invocation(&self.scripts.get, &self.key(id));
        let value = self.run(invocation, DOING).await?;
        Reply::read(value, id, None, DOING)
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        let mut link = self.link.clone();
        let (seconds, micros): (u64, u64) = redis::cmd("TIME")
            .query_async(&mut link)
            .await
            .map_err(|error| failed("ping", error))?;
        let ahead = self.ahead.load(Ordering::Relaxed);
        Ok(Timestamp::from_micros(
            seconds * MICROS_PER_SECOND + micros + ahead,
        ))
    }

    /// Redis removes records and bodies by its own clock. Something is left to do only where the store's time was set
    /// ahead of that, by tests.
    async fn purge_now(&self, limit: usize) -> StoreResult<Purged> {
        let at = self.now().await?;
        let mut purged = Purged {
            finished: true,
            ..Purged::default()
        };
        if self.ahead.load(Ordering::Relaxed) == 0 {
            return Ok(self.stamp(at, purged));
        }
        let mut place = self.purge_place.lock().await;
        let mut link = self.link.clone();
        place.more(&mut link, &self.prefix, limit, "purge").await?;
        for id in place.take(limit) {
            match self.purge_one(id).await?.as_slice() {
                b"removed" => purged.removed += 1,
                b"stripped" => purged.stripped += 1,
                _ => {}
            }
        }
        purged.finished = place.is_at_the_end();
        Ok(self.stamp(at, purged))
    }

    async fn purge_one(&self, id: RecordId) -> Result<Vec<u8>, StoreError> {
        const DOING: &str = "purge";
        let invocation = self.invocation(&self.scripts.purge, &self.key(id));
        let value = self.run(invocation, DOING).await?;
        Ok(Reply::read(value, id, None, DOING)?.word)
    }

    async fn list_now(
        &self,
        filter: &Filter,
        after: Option<Cursor>,
        limit: usize,
    ) -> StoreResult<Page> {
        const DOING: &str = "list";
        let mut place = Place::of(after).ok_or_else(|| damaged(DOING, "a cursor that is none"))?;
        let mut link = self.link.clone();
        let mut at = self.now().await?;
        let mut records = Vec::new();
        for _step in 0..LIST_STEPS_MAX {
            place.more(&mut link, &self.prefix, limit, DOING).await?;
            for id in place.take(limit - records.len()) {
                let reply = self.get_now(id).await?;
                at = at.max(reply.at);
                records.extend(
                    reply
                        .record
                        .filter(|record| filter.admits(record, reply.at)),
                );
            }
            if records.len() >= limit || place.is_at_the_end() {
                break;
            }
        }
        Ok(self.stamp(
            at,
            Page {
                records,
                next: place.cursor(),
            },
        ))
    }

    async fn salt(&self) -> Result<[u8; 32], StoreError> {
        const DOING: &str = "read the salt";
        let mut ours = [0; 32];
        getrandom::fill(&mut ours).map_err(|_| damaged(DOING, "there is no randomness"))?;
        let key = format!("{}salt", self.prefix);
        let mut link = self.link.clone();
        let (salt,): (Vec<u8>,) = redis::pipe()
            .cmd("SET")
            .arg(&key)
            .arg(&ours)
            .arg("NX")
            .ignore()
            .cmd("GET")
            .arg(&key)
            .query_async(&mut link)
            .await
            .map_err(|error| failed(DOING, error))?;
        salt.try_into()
            .map_err(|_| damaged(DOING, "the salt has another length"))
    }
}

impl Store for RedisStore {
    fn insert(&self, new: NewRecord) -> BoxFuture<'_, StoreResult<Insert>> {
        Box::pin(self.insert_now(new))
    }

    fn update(
        &self,
        id: RecordId,
        expect: Expect,
        change: Change,
    ) -> BoxFuture<'_, StoreResult<Update>> {
        Box::pin(self.update_now(id, expect, change))
    }

    fn get(&self, id: RecordId) -> BoxFuture<'_, StoreResult<Option<Record>>> {
        Box::pin(async move {
            let reply = self.get_now(id).await?;
            Ok(self.stamp(reply.at, reply.record))
        })
    }

    fn purge(&self, limit: usize) -> BoxFuture<'_, StoreResult<Purged>> {
        Box::pin(self.purge_now(limit))
    }

    fn watch(&self, id: RecordId) -> BoxFuture<'static, ()> {
        self.changes.watch(id)
    }

    fn ping(&self) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async move {
            let at = self.now().await?;
            Ok(self.stamp(at, ()))
        })
    }

    fn info(&self) -> BoxFuture<'_, StoreResult<StoreInfo>> {
        Box::pin(async move {
            let salt = self.salt().await?;
            let at = self.now().await?;
            Ok(self.stamp(at, StoreInfo { name: NAME, salt }))
        })
    }
}

impl Inspect for RedisStore {
    fn list(
        &self,
        filter: Filter,
        after: Option<Cursor>,
        limit: usize,
    ) -> BoxFuture<'_, StoreResult<Page>> {
        Box::pin(async move { self.list_now(&filter, after, limit).await })
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisStore({})", self.prefix)
    }
}

const MICROS_PER_SECOND: u64 = 1_000_000;
/// Most steps through the keys for one page: a filter may admit few of many.
const LIST_STEPS_MAX: usize = 1_000;
