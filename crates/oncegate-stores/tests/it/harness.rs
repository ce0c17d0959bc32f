//! What the tests share: a file in a directory of its own, a hand on the clock, and short words for
//! the store.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use oncegate::clock::{ManualClock, Timestamp};
use oncegate::fingerprint::{FINGERPRINT_BYTES, Fingerprint};
use oncegate::hash::RecordId;
use oncegate::key::KeyDigest;
use oncegate::record::{About, OwnerId, Record, RecordState, Retention};
use oncegate::response::StoredResponse;
use oncegate::store::{Change, Expect, Insert, NewRecord, StoreError, Update};
use oncegate::{Store, StoreErrorKind};
use oncegate_stores::{FileOpenError, FileOptions, FileStore};
use tempfile::TempDir;

pub(crate) const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
pub(crate) const LEASE: Duration = Duration::from_secs(30);
pub(crate) const KEPT: Retention = Retention {
    live: Duration::from_secs(86_400),
    tombstone: Duration::from_secs(7 * 86_400),
};

/// A place for one file, and the clock that its stores live by.
pub(crate) struct Place {
    pub(crate) clock: Arc<ManualClock>,
    directory: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            clock: Arc::new(ManualClock::at(START)),
            directory,
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("oncegate.db")
    }

    /// Time stands still until it is advanced, and a proof is tried at once.
    pub(crate) fn options(&self) -> FileOptions {
        let mut options = FileOptions::default();
        options.clock = Some(self.clock.clone());
        options.prove_after = Duration::ZERO;
        options
    }

    pub(crate) fn try_open(&self) -> Result<FileStore, FileOpenError> {
        FileStore::open_with(self.path(), self.options())
    }

    pub(crate) fn open(&self) -> FileStore {
        self.try_open().unwrap()
    }

    /// A connection behind the store's back, while it is closed.
    pub(crate) fn sqlite(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// The same on a runtime that all tests share, for stores whose connection is a task: it goes on while the thread that
/// made it waits for others.
pub(crate) fn on_threads<F: Future>(future: F) -> F::Output {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME
        .get_or_init(|| {
            tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .unwrap()
        })
        .block_on(future)
}

pub(crate) fn id(number: u64) -> RecordId {
    // Ids differ early, as hashes do: maps and indexes hash the first half of them.
    let mut bytes = [0x5a; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    RecordId::from_bytes(bytes)
}

pub(crate) fn owner(number: u64) -> OwnerId {
    let mut bytes = [0xa5; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    OwnerId::from_bytes(bytes)
}

pub(crate) fn new_record(number: u64) -> NewRecord {
    let digest = KeyDigest::from_bytes(number.to_be_bytes());
    NewRecord {
        id: id(number),
        owner: owner(number),
        fingerprint: Fingerprint::from_bytes([7; FINGERPRINT_BYTES]),
        about: About::new(digest, &Method::POST, "/payments"),
        lease: LEASE,
        unknown: KEPT,
    }
}

pub(crate) fn response(body: &[u8]) -> StoredResponse {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    StoredResponse::kept(StatusCode::CREATED, &headers, None, body, &HeaderMap::new())
}

pub(crate) fn complete(body: &[u8]) -> Change {
    Change::Complete {
        response: response(body),
        retention: KEPT,
    }
}

/// Claims a key that is free.
pub(crate) async fn claim(store: &dyn Store, number: u64) -> Record {
    match store.insert(new_record(number)).await.unwrap().value {
        Insert::Created(record) => record,
        Insert::Exists(record) => panic!("{record:?} stands already"),
    }
}

pub(crate) async fn update(
    store: &dyn Store,
    number: u64,
    change: Change,
) -> Result<Update, StoreError> {
    let expect = Expect {
        owner: owner(number),
        revision: None,
    };
    Ok(store.update(id(number), expect, change).await?.value)
}

/// Claims and completes a key that is free.
pub(crate) async fn completed(store: &dyn Store, number: u64, body: &[u8]) -> Record {
    claim(store, number).await;
    match update(store, number, complete(body)).await.unwrap() {
        Update::Applied(Some(record)) => record,
        refused @ (Update::Applied(None) | Update::Refused(_)) => panic!("{refused:?}"),
    }
}

pub(crate) async fn get(store: &dyn Store, number: u64) -> Option<Record> {
    store.get(id(number)).await.unwrap().value
}

pub(crate) async fn state(store: &dyn Store, number: u64) -> Option<RecordState> {
    get(store, number).await.map(|record| record.state)
}

pub(crate) fn kind<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> StoreErrorKind {
    answer.unwrap_err().kind()
}

/// Purges until a round is over. Answers how many records were stripped and removed.
pub(crate) async fn purge(store: &dyn Store) -> (usize, usize) {
    let (mut stripped, mut removed) = (0, 0);
    for _step in 0..10_000 {
        let purged = store.purge(100).await.unwrap().value;
        stripped += purged.stripped;
        removed += purged.removed;
        if purged.finished {
            return (stripped, removed);
        }
    }
    panic!("a purge did not come to an end");
}
