//! `RedisStore`: from the methods of the seam to scripts, and back.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oncegate::clock::Timestamp;
use oncegate::hash::RecordId;
use oncegate::record::{Record, Retention};
use oncegate::store::{
    BoxFuture, Change, Cursor, Expect, Filter, Insert, Inspect, NewRecord, Page, Purged, Stamped,
    Store, StoreError, StoreErrorKind, StoreInfo, StoreResult, Update,
};
use redis::{Cmd, RedisError, Value};
use tokio::sync::Mutex;

use super::address::RedisAddress;
use super::changes::Changes;
use super::doubt::Doubt;
use super::error::{NAME, RedisOpenError, damaged, failed};
use super::fitness::{still_fit, unfit};
use super::link::{Link, Peer};
use super::options::RedisOptions;
use super::place::Place;
use super::replicas::{Replicas, matters};
use super::reply::Reply;
use super::salt::Salt;
use super::scripts::{Script, Scripts};
use super::words::Words;

/// Records in a Redis.
pub struct RedisStore {
    pub(super) link: Link,
    /// Who must have claims and outcomes, if not the master alone.
    replicas: Option<Replicas>,
    pub(super) scripts: Scripts,
    pub(super) prefix: String,
    /// Where the next purge step goes on.
    pub(super) purge_place: Mutex<Place>,
    changes: Changes,
    salt: Salt,
    salt_key: String,
    doubt: Doubt,
    /// What tests add to the server's time, in microseconds.
    ahead: Arc<AtomicU64>,
}

impl RedisStore {
    /// Connects, and looks whether this Redis can be a store. It needs a Tokio runtime, and goes on needing it.
    ///
    /// # Errors
    /// If it cannot be reached, or evicts keys: see [`RedisOpenError`].
    pub async fn open(address: &RedisAddress) -> Result<Self, RedisOpenError> {
        Self::open_with(address, RedisOptions::default()).await
    }

    /// The same with time-outs of one's own.
    ///
    /// # Errors
    /// If it cannot be reached, or evicts keys: see [`RedisOpenError`].
    pub async fn open_with(
        address: &RedisAddress,
        options: RedisOptions,
    ) -> Result<Self, RedisOpenError> {
        let unavailable = |source: RedisError| RedisOpenError::Unavailable {
            address: address.to_string(),
            source,
        };
        let peer = Peer::at(address, &options)?;
        let mut link = peer.link(&options).await.map_err(unavailable)?;
        if let Some(reason) = unfit(&mut link).await.map_err(unavailable)? {
            return Err(reason);
        }
        let prefix = address.prefix().to_owned();
        let clients = peer.clients().map_err(unavailable)?;
        let waits = address.wait().zip(clients.first().cloned());
        let replicas = waits.map(|(count, client)| Replicas::new(client, count, &options));
        let changes = Changes::new(clients, format!("{prefix}changes"), options.connect_timeout);
        Ok(Self {
            link,
            replicas,
            scripts: Scripts::new(),
            purge_place: Mutex::default(),
            changes,
            salt: Salt::default(),
            salt_key: format!("{prefix}salt"),
            doubt: Doubt::default(),
            ahead: Arc::default(),
            prefix,
        })
    }

    /// A hand on the clock, for tests: microseconds that are added to the server's time.
    #[doc(hidden)]
    #[must_use]
    pub fn ahead(&self) -> Arc<AtomicU64> {
        self.ahead.clone()
    }

    /// Runs a script on a record. The key of the record, and those of its body and fence behind it, have its id as
    /// their hash tag.
    pub(super) async fn run(
        &self,
        script: &Script,
        id: RecordId,
        doing: &'static str,
        arguments: impl Fn(&mut Cmd),
    ) -> Result<Value, StoreError> {
        let key = self.key(id);
        let mut link = self.link.clone();
        let answer = script.run(&mut link, &key, self.with_time(arguments));
        answer
            .await
            .map_err(|error| self.doubted(failed(doing, error)))
    }

    /// The same, and waits for the replicas that must have what it writes.
    async fn run_and_wait(
        &self,
        script: &Script,
        id: RecordId,
        doing: &'static str,
        arguments: impl Fn(&mut Cmd),
    ) -> Result<Value, StoreError> {
        let Some(replicas) = &self.replicas else {
            return self.run(script, id, doing, arguments).await;
        };
        let key = self.key(id);
        let answer = replicas.write(script, &key, doing, self.with_time(arguments));
        answer.await.map_err(|error| self.doubted(error))
    }

    fn key(&self, id: RecordId) -> String {
        format!("{}{{{id}}}", self.prefix)
    }

    fn with_time(&self, arguments: impl Fn(&mut Cmd)) -> impl Fn(&mut Cmd) {
        let ahead = self.ahead.load(Ordering::Relaxed);
        move |command| {
            command.arg(ahead);
            arguments(command);
        }
    }

    /// After a failure the connection may be a new one, to a Redis that has forgotten everything.
    fn doubted(&self, error: StoreError) -> StoreError {
        if error.kind() == StoreErrorKind::Unavailable {
            self.doubt.raise();
        }
        error
    }

    /// Whether tests have set the time ahead.
    pub(super) fn is_ahead(&self) -> bool {
        self.ahead.load(Ordering::Relaxed) != 0
    }

    pub(super) async fn now(&self, doing: &'static str) -> Result<Timestamp, StoreError> {
        let mut link = self.link.clone();
        let (seconds, micros): (u64, u64) = redis::cmd("TIME")
            .query_async(&mut link)
            .await
            .map_err(|error| self.doubted(failed(doing, error)))?;
        let ahead = self.ahead.load(Ordering::Relaxed);
        Ok(Timestamp::from_micros(
            seconds * MICROS_PER_SECOND + micros + ahead,
        ))
    }

    async fn insert_now(&self, new: NewRecord) -> StoreResult<Insert> {
        const DOING: &str = "insert";
        self.confirm().await?;
        let arguments = |command: &mut Cmd| {
            command
                .arg(new.owner.as_bytes())
                .arg(&new.fingerprint.to_bytes())
                .arg(new.about.key_digest.as_bytes())
                .arg(&*new.about.operation)
                .arg(micros(new.lease));
            retention_arguments(command, new.unknown);
        };
        let value = self
            .run_and_wait(&self.scripts.insert, new.id, DOING, arguments)
            .await?;
        let reply = Reply::read(value, new.id, None, DOING)?;
        let record = reply.record.ok_or_else(|| damaged(DOING, "no record"))?;
        let insert = match reply.word.as_slice() {
            b"created" => Insert::Created(record),
            b"exists" => Insert::Exists(record),
            _ => return Err(damaged(DOING, "an answer that is none")),
        };
        Ok(Stamped {
            at: reply.at,
            value: insert,
        })
    }

    async fn update_now(
        &self,
        id: RecordId,
        expect: Expect,
        change: Change,
    ) -> StoreResult<Update> {
        const DOING: &str = "update";
        let waits = matters(&change);
        let change = Words::of(change);
        let owner = change.owner.as_ref().map(|owner| owner.as_bytes());
        let arguments = |command: &mut Cmd| {
            command
                .arg(change.name)
                .arg(expect.owner.as_bytes())
                .arg(
                    expect
                        .revision
                        .map(|revision| revision.to_string())
                        .unwrap_or_default(),
                )
                .arg(owner.map_or(&[][..], |owner| owner))
                .arg(micros(change.lease));
            retention_arguments(command, change.retention);
            let response = change.response.as_ref();
            command
                .arg(self.changes.channel())
                .arg(id.as_bytes())
                .arg(response.map_or(&[][..], |response| response.as_bytes()));
        };
        let script = &self.scripts.update;
        let value = if waits {
            self.run_and_wait(script, id, DOING, arguments).await?
        } else {
            self.run(script, id, DOING, arguments).await?
        };
        let reply = Reply::read(value, id, change.response, DOING)?;
        self.changes.wake(id);
        let update = match reply.word.as_slice() {
            b"applied" | b"repeated" => Update::Applied(reply.record),
            b"refused" => Update::Refused(reply.record),
            _ => return Err(damaged(DOING, "an answer that is none")),
        };
        Ok(Stamped {
            at: reply.at,
            value: update,
        })
    }

    pub(super) async fn get_now(&self, id: RecordId) -> Result<Reply, StoreError> {
        const DOING: &str = "get";
        let value = self.run(&self.scripts.get, id, DOING, |_| {}).await?;
        Reply::read(value, id, None, DOING)
    }

    /// Looks at what is behind the connection, if that broke since the last time: whether the salt is still the same,
    /// and whether it still keeps what it has.
    async fn confirm(&self) -> Result<(), StoreError> {
        let Some(raised) = self.doubt.pending() else {
            return Ok(());
        };
        let mut link = self.link.clone();
        self.salt.confirm(&mut link, &self.salt_key).await?;
        still_fit(&mut link).await?;
        self.doubt.resolve(raised);
        Ok(())
    }

    /// The same, connection broken or not. If the salt is another one, the next insert says so.
    pub(super) async fn look_again(&self) -> Result<(), StoreError> {
        self.doubt.raise();
        match self.confirm().await {
            Err(error) if error.kind() == StoreErrorKind::Resalted => Ok(()),
            looked => looked,
        }
    }

    async fn info_now(&self) -> StoreResult<StoreInfo> {
        let mut link = self.link.clone();
        let salt = self.salt.read(&mut link, &self.salt_key).await?;
        let at = self.now("info").await?;
        Ok(Stamped {
            at,
            value: StoreInfo { name: NAME, salt },
        })
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
            Ok(Stamped {
                at: reply.at,
                value: reply.record,
            })
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
            let at = self.now("ping").await?;
            Ok(Stamped { at, value: () })
        })
    }

    fn info(&self) -> BoxFuture<'_, StoreResult<StoreInfo>> {
        Box::pin(self.info_now())
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

fn retention_arguments(command: &mut Cmd, retention: Retention) {
    command
        .arg(micros(retention.live))
        .arg(micros(retention.tombstone));
}

/// Whole microseconds; more than fit is for ever.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

const MICROS_PER_SECOND: u64 = 1_000_000;
