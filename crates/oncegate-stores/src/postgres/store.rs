//! `PostgresStore`: from the methods of the seam to the lanes, and back.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use oncegate::hash::RecordId;
use oncegate::record::Record;
use oncegate::store::{
    BoxFuture, Change, Cursor, Expect, Filter, Insert, Inspect, NewRecord, Page, Purged, Stamped,
    Store, StoreError, StoreErrorKind, StoreInfo, StoreResult, Update,
};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Sender, channel};
use tokio::sync::oneshot;

use super::address::PostgresAddress;
use super::aside::Aside;
use super::batch::{Again, Changing, Claim, Command, Look};
use super::change::Write;
use super::changes::Changes;
use super::connect::Connector;
use super::error::{NAME, PostgresOpenError};
use super::lane::{Lane, Shared};
use super::options::PostgresOptions;
use super::purge::Place;
use super::salt::Salt;
use super::session::Sessions;
use super::statements::Statements;
use super::time::Clock;
use super::{fitness, migrations};
use crate::reply::Reply;

/// Records in a PostgreSQL.
pub struct PostgresStore {
    pub(super) shared: Arc<Shared>,
    /// For what is not about single records.
    pub(super) aside: Aside,
    /// Where the next purge step goes on.
    pub(super) purge_place: tokio::sync::Mutex<Place>,
    lanes: Vec<Sender<Command>>,
    schema: String,
}

impl PostgresStore {
    /// Connects, brings the tables up to date unless the address says not to, and looks whether this PostgreSQL can be
    /// a store. It needs a Tokio runtime, and goes on needing it.
    ///
    /// # Errors
    /// If it cannot be reached or cannot be a store: see [`PostgresOpenError`].
    pub async fn open(address: &PostgresAddress) -> Result<Self, PostgresOpenError> {
        Self::open_with(address, PostgresOptions::default()).await
    }

    /// The same with time-outs of one's own.
    ///
    /// # Errors
    /// If it cannot be reached or cannot be a store: see [`PostgresOpenError`].
    pub async fn open_with(
        address: &PostgresAddress,
        options: PostgresOptions,
    ) -> Result<Self, PostgresOpenError> {
        let sessions = sessions(address, &options)?;
        let mut session = migrations::session(&sessions, address).await?;
        let user = fitness::confirm(&session, address).await?;
        if address.migrates() {
            migrations::migrate(&mut session, address, &user).await?;
        } else {
            migrations::confirm(&session, address, &user).await?;
        }
        let changes = if address.is_pooled() {
            Changes::of_this_process()
        } else {
            let connector = sessions.connector.clone();
            Changes::shared_by(connector, address.schema(), options.answer_timeout)
        };
        let shared = Arc::new(Shared {
            sessions: sessions.clone(),
            clock: Clock::default(),
            salt: Salt::default(),
            changes,
        });
        let lanes = (0..options.lanes.max(1))
            .map(|_| spawn_lane(&shared))
            .collect();
        Ok(Self {
            shared,
            aside: Aside::new(sessions, session),
            purge_place: tokio::sync::Mutex::default(),
            lanes,
            schema: address.schema().to_owned(),
        })
    }

    /// Brings the tables up to date, and answers their version. Safe beside others who do the same, and beside stores
    /// that are open.
    ///
    /// # Errors
    /// If it cannot be reached or cannot be a store: see [`PostgresOpenError`].
    pub async fn migrate(address: &PostgresAddress) -> Result<u32, PostgresOpenError> {
        let sessions = sessions(address, &PostgresOptions::default())?;
        let mut session = migrations::session(&sessions, address).await?;
        let user = fitness::confirm(&session, address).await?;
        migrations::migrate(&mut session, address, &user).await
    }

    /// A hand on the clock, for tests: microseconds that are added to the server's time.
    #[doc(hidden)]
    #[must_use]
    pub fn ahead(&self) -> Arc<AtomicU64> {
        self.shared.clock.ahead()
    }

    pub(super) async fn look(
        &self,
        id: RecordId,
        doing: &'static str,
    ) -> StoreResult<Option<Record>> {
        let (reply, answer) = Reply::new(NAME, doing);
        let again = Again::default();
        self.begin(id, Command::Get(Look { id, reply, again }), doing)?;
        answered(answer, doing).await
    }

    /// For what may be refused while too much waits.
    fn begin(&self, id: RecordId, command: Command, doing: &'static str) -> Result<(), StoreError> {
        let kind = match self.lane(id).try_send(command) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(_)) => StoreErrorKind::Overloaded,
            Err(TrySendError::Closed(_)) => StoreErrorKind::Unavailable,
        };
        Err(StoreError::new(kind, NAME, doing))
    }

    /// Ids are hashes: any byte of theirs spreads them.
    fn lane(&self, id: RecordId) -> &Sender<Command> {
        let [first, ..] = id.as_bytes();
        &self.lanes[usize::from(*first) % self.lanes.len()]
    }

    async fn insert_now(&self, new: NewRecord) -> StoreResult<Insert> {
        const DOING: &str = "insert";
        let (reply, answer) = Reply::new(NAME, DOING);
        let (id, again) = (new.id, Again::default());
        self.begin(id, Command::Insert(Claim { new, reply, again }), DOING)?;
        answered(answer, DOING).await
    }

    async fn update_now(
        &self,
        id: RecordId,
        expect: Expect,
        change: Change,
    ) -> StoreResult<Update> {
        const DOING: &str = "update";
        let (reply, answer) = Reply::new(NAME, DOING);
        let command = Command::Update(Changing {
            id,
            expect,
            write: Write::of(expect, &change),
            change,
            reply,
            again: Again::default(),
        });
        // Never refused, because there are no more of them than claims, and one that is lost leaves a key unknown: it
        // waits for room, and who asked decides for how long.
        if self.lane(id).send(command).await.is_err() {
            return Err(StoreError::new(StoreErrorKind::Unavailable, NAME, DOING));
        }
        answered(answer, DOING).await
    }

    pub(super) async fn ping_now(&self) -> StoreResult<()> {
        const DOING: &str = "ping";
        let (reply, answer) = Reply::new(NAME, DOING);
        self.begin(RecordId::from_bytes([0; 32]), Command::Ping(reply), DOING)?;
        answered(answer, DOING).await
    }

    async fn info_now(&self) -> StoreResult<StoreInfo> {
        let salt = self.kept_salt().await?;
        let at = self.ping_now().await?.at;
        Ok(Stamped {
            at,
            value: StoreInfo { name: NAME, salt },
        })
    }
}

impl Store for PostgresStore {
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
        Box::pin(self.look(id, "get"))
    }

    fn purge(&self, limit: usize) -> BoxFuture<'_, StoreResult<Purged>> {
        Box::pin(self.purge_now(limit))
    }

    fn watch(&self, id: RecordId) -> BoxFuture<'static, ()> {
        self.shared.changes.watch(id)
    }

    fn ping(&self) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(self.ping_now())
    }

    fn info(&self) -> BoxFuture<'_, StoreResult<StoreInfo>> {
        Box::pin(self.info_now())
    }
}

impl Inspect for PostgresStore {
    fn list(
        &self,
        filter: Filter,
        after: Option<Cursor>,
        limit: usize,
    ) -> BoxFuture<'_, StoreResult<Page>> {
        Box::pin(async move { self.list_now(&filter, after, limit).await })
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresStore({})", self.schema)
    }
}

fn sessions(
    address: &PostgresAddress,
    options: &PostgresOptions,
) -> Result<Arc<Sessions>, PostgresOpenError> {
    Ok(Arc::new(Sessions {
        connector: Connector::new(address, options)?,
        statements: Statements::of(address.schema()),
        are_pooled: address.is_pooled(),
        answer_timeout: options.answer_timeout,
    }))
}

/// It ends when the store is gone and all that was asked for is done.
fn spawn_lane(shared: &Arc<Shared>) -> Sender<Command> {
    let (sender, commands) = channel(WAITING_MAX);
    tokio::spawn(Lane::new(shared.clone(), commands).run());
    sender
}

async fn answered<T>(
    answer: oneshot::Receiver<StoreResult<T>>,
    doing: &'static str,
) -> StoreResult<T> {
    // A caller that leaves here is answered by nobody; what it asked for may still be done.
    let gone = |_| Err(StoreError::new(StoreErrorKind::Unavailable, NAME, doing));
    answer.await.unwrap_or_else(gone)
}

/// How much may wait for one lane.
const WAITING_MAX: usize = 4_096;
