//! What needs a hand inside: a writer that is held up, and commits that fail or whose success is
//! lost.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use oncegate::StoreErrorKind;
use oncegate::clock::{Clock, ManualClock, Timestamp};
use oncegate::fingerprint::{FINGERPRINT_BYTES, Fingerprint};
use oncegate::hash::RecordId;
use oncegate::key::KeyDigest;
use oncegate::record::{About, OwnerId, Record, RecordState, Retention};
use oncegate::response::StoredResponse;
use oncegate::store::{Change, Expect, Insert, NewRecord, Store as _, Update};

use super::faults::{Fault, Held};
use super::{FileOptions, FileStore};

const KEPT: Retention = Retention {
    live: Duration::from_secs(3_600),
    tombstone: Duration::from_secs(3_600),
};

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// Options that make a test exact: time stands still, and a proof is tried at once.
fn options() -> FileOptions {
    FileOptions {
        clock: Some(Arc::new(ManualClock::at(Timestamp::from_micros(
            1_700_000_000_000_000,
        )))),
        prove_after: Duration::ZERO,
        ..FileOptions::default()
    }
}

fn id(byte: u8) -> RecordId {
    RecordId::from_bytes([byte; 32])
}

fn owner(byte: u8) -> OwnerId {
    OwnerId::from_bytes([byte; 16])
}

fn new_record(byte: u8) -> NewRecord {
    NewRecord {
        id: id(byte),
        owner: owner(byte),
        fingerprint: Fingerprint::from_bytes([byte; FINGERPRINT_BYTES]),
        about: About::new(KeyDigest::from_bytes([byte; 8]), &Method::POST, "/payments"),
        lease: Duration::from_secs(30),
        unknown: KEPT,
    }
}

fn complete(body: &[u8]) -> Change {
    let headers = HeaderMap::new();
    let response = StoredResponse::kept(StatusCode::CREATED, &headers, None, body, &headers);
    Change::Complete {
        response,
        retention: KEPT,
    }
}

fn by(byte: u8) -> Expect {
    Expect {
        owner: owner(byte),
        revision: None,
    }
}

async fn insert(store: &FileStore, byte: u8) -> Result<Insert, StoreErrorKind> {
    let answer = store.insert(new_record(byte)).await;
    answer
        .map(|answer| answer.value)
        .map_err(|error| error.kind())
}

async fn update(store: &FileStore, byte: u8, change: Change) -> Result<Update, StoreErrorKind> {
    let answer = store.update(id(byte), by(byte), change).await;
    answer
        .map(|answer| answer.value)
        .map_err(|error| error.kind())
}

async fn state(store: &FileStore, byte: u8) -> Option<RecordState> {
    store
        .get(id(byte))
        .await
        .unwrap()
        .value
        .map(|record: Record| record.state)
}

/// Polls once: the command is queued.
fn start<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Stops the writer with a ping in hand: what is queued from now on waits in the queue.
fn hold(store: &FileStore) -> Held<'_> {
    let held = store.faults().hold();
    assert!(start(&mut store.ping()).is_pending());
    held.wait_until_met();
    held
}

#[test]
fn what_waits_is_committed_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::open_with(directory.path().join("o.db"), options()).unwrap();
    let held = hold(&store);
    let mut inserts: Vec<_> = (0..100)
        .map(|byte| store.insert(new_record(byte)))
        .collect();
    for insert in &mut inserts {
        assert!(start(insert).is_pending());
    }
    drop(held);
    for insert in inserts {
        assert!(matches!(
            block_on(insert).unwrap().value,
            Insert::Created(_)
        ));
    }
    assert_eq!(store.commits(), 1);
}

#[test]
fn a_full_queue_refuses_claims_but_never_an_end_of_one() {
    let directory = tempfile::tempdir().unwrap();
    let options = FileOptions {
        queue_max: 4,
        ..options()
    };
    let store = FileStore::open_with(directory.path().join("o.db"), options).unwrap();
    block_on(insert(&store, 1)).unwrap();
    let held = hold(&store);
    let mut waiting: Vec<_> = (10..14)
        .map(|byte| store.insert(new_record(byte)))
        .collect();
    for insert in &mut waiting {
        assert!(start(insert).is_pending());
    }
    let Poll::Ready(Err(refused)) = start(&mut store.insert(new_record(99))) else {
        panic!()
    };
    assert_eq!(refused.kind(), StoreErrorKind::Overloaded);
    let Poll::Ready(Err(refused)) = start(&mut store.get(id(1))) else {
        panic!()
    };
    assert_eq!(refused.kind(), StoreErrorKind::Overloaded);
    let mut end = store.update(id(1), by(1), complete(b"paid"));
    assert!(start(&mut end).is_pending());
    drop(held);
    assert!(matches!(
        block_on(end).unwrap().value,
        Update::Applied(Some(_))
    ));
    assert_eq!(
        block_on(state(&store, 99)),
        None,
        "an overloaded insert took effect"
    );
}

#[test]
fn a_claim_whose_caller_left_before_it_was_done_is_not_taken() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::open_with(directory.path().join("o.db"), options()).unwrap();
    block_on(insert(&store, 2)).unwrap();
    let held = hold(&store);
    let mut claim = store.insert(new_record(1));
    assert!(start(&mut claim).is_pending());
    let mut end = store.update(id(2), by(2), Change::Release);
    assert!(start(&mut end).is_pending());
    drop((claim, end));
    drop(held);
    assert_eq!(block_on(state(&store, 1)), None);
    assert_eq!(
        block_on(state(&store, 2)),
        None,
        "the end of a claim is done, whoever leaves"
    );
}

#[test]
fn an_answer_that_depends_on_a_write_waits_for_its_commit_and_no_other_does() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::open_with(directory.path().join("o.db"), options()).unwrap();
    block_on(insert(&store, 9)).unwrap();
    let held = hold(&store);
    let (mut claim, mut again) = (store.insert(new_record(1)), store.insert(new_record(1)));
    let (mut look, mut other) = (store.get(id(1)), store.get(id(9)));
    assert!(start(&mut claim).is_pending() && start(&mut again).is_pending());
    assert!(start(&mut look).is_pending() && start(&mut other).is_pending());
    store.faults().strike(Fault::Fails);
    drop(held);
    // Had they been answered before the commit, they would have seen what was never stored.
    assert!(block_on(claim).is_err());
    assert!(block_on(again).is_err());
    assert!(block_on(look).is_err());
    assert!(block_on(other).unwrap().value.is_some());
}

/// The writer is held up, so whatever is answered was answered from memory: a completed record, whether it was written
/// or read, and for as long as it can be replayed.
#[test]
fn a_completed_record_is_replayed_without_the_writer_until_its_retention_ends() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("o.db");
    let clock = Arc::new(ManualClock::at(Timestamp::from_micros(
        1_700_000_000_000_000,
    )));
    let options = || FileOptions {
        clock: Some(Arc::clone(&clock) as Arc<dyn Clock>),
        ..options()
    };
    let store = FileStore::open_with(&path, options()).unwrap();
    block_on(insert(&store, 1)).unwrap();
    let written = block_on(update(&store, 1, complete(b"outcome"))).unwrap();
    let Update::Applied(Some(written)) = written else {
        panic!("{written:?}");
    };
    let held = hold(&store);
    let replayed = block_on(insert(&store, 1)).unwrap();
    assert_eq!(replayed, Insert::Exists(written.clone()));
    assert!(start(&mut store.insert(new_record(2))).is_pending());
    drop(held);
    drop(store);

    let store = FileStore::open_with(&path, options()).unwrap();
    assert_eq!(block_on(state(&store, 1)), Some(written.state.clone()));
    let held = hold(&store);
    assert_eq!(block_on(state(&store, 1)), Some(written.state));
    clock.advance(KEPT.live);
    assert!(start(&mut store.get(id(1))).is_pending());
    drop(held);
}

/// What did not become durable is in no memory either.
#[test]
fn an_outcome_whose_commit_failed_is_not_replayed_from_memory() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::open_with(directory.path().join("o.db"), options()).unwrap();
    block_on(insert(&store, 1)).unwrap();
    store.faults().strike(Fault::Fails);
    assert!(block_on(update(&store, 1, complete(b"lost"))).is_err());
    let _held = hold(&store);
    assert!(start(&mut store.get(id(1))).is_pending());
}

#[test]
fn a_batch_for_which_there_was_no_room_leaves_nothing_in_memory_either() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::open_with(directory.path().join("o.db"), options()).unwrap();
    block_on(async {
        insert(&store, 1).await.unwrap();
        insert(&store, 2).await.unwrap();
        update(&store, 2, complete(b"paid")).await.unwrap();
        for change in [Change::Release, complete(b"paid")] {
            store.faults().strike(Fault::Full);
            assert_eq!(update(&store, 1, change).await, Err(StoreErrorKind::Full));
            assert!(matches!(
                state(&store, 1).await,
                Some(RecordState::InFlight { .. })
            ));
        }
        store.faults().strike(Fault::Full);
        assert_eq!(insert(&store, 3).await, Err(StoreErrorKind::Full));
        assert_eq!(state(&store, 3).await, None);
        assert!(matches!(
            state(&store, 2).await,
            Some(RecordState::Completed { .. })
        ));
        assert!(matches!(insert(&store, 3).await, Ok(Insert::Created(_))));
        assert_eq!(
            update(&store, 1, Change::Release).await,
            Ok(Update::Applied(None))
        );
        assert!(matches!(insert(&store, 1).await, Ok(Insert::Created(_))));
    });
}

#[test]
fn a_commit_that_fails_stores_nothing_and_the_store_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::open_with(directory.path().join("o.db"), options()).unwrap();
    block_on(async {
        insert(&store, 1).await.unwrap();
        store.faults().strike(Fault::Fails);
        let failed = update(&store, 1, complete(b"paid")).await;
        assert_eq!(failed.unwrap_err(), StoreErrorKind::Unavailable);
        // Its holder lives: in flight, not unknown.
        assert!(matches!(
            state(&store, 1).await,
            Some(RecordState::InFlight { .. })
        ));
        assert!(matches!(
            update(&store, 1, complete(b"paid")).await,
            Ok(Update::Applied(Some(_)))
        ));
        store.faults().strike(Fault::Fails);
        assert_eq!(
            insert(&store, 2).await.unwrap_err(),
            StoreErrorKind::Unavailable
        );
        assert_eq!(state(&store, 2).await, None);
        assert!(matches!(
            state(&store, 1).await,
            Some(RecordState::Completed { .. })
        ));
    });
}

#[test]
fn a_commit_whose_success_is_lost_is_found_when_the_store_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::open_with(directory.path().join("o.db"), options()).unwrap();
    block_on(async {
        store.faults().strike(Fault::IsLost);
        assert_eq!(
            insert(&store, 1).await.unwrap_err(),
            StoreErrorKind::Unavailable
        );
        // What a caller does then: release until there is a definite answer.
        assert_eq!(
            update(&store, 1, Change::Release).await,
            Ok(Update::Applied(None))
        );
        let first = insert(&store, 2).await.unwrap();
        store.faults().strike(Fault::IsLost);
        let failed = update(&store, 2, complete(b"paid")).await;
        assert_eq!(failed.unwrap_err(), StoreErrorKind::Unavailable);
        let again = update(&store, 2, complete(b"paid")).await.unwrap();
        let (Insert::Created(claimed), Update::Applied(Some(completed))) = (first, again) else {
            panic!("the repeated completion was refused");
        };
        assert_eq!(
            completed.revision,
            claimed.revision + 1,
            "it was written twice"
        );
    });
}

#[test]
fn a_store_that_failed_refuses_at_once_until_its_pause_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let options = FileOptions {
        prove_after: Duration::from_secs(3_600),
        ..options()
    };
    let store = FileStore::open_with(directory.path().join("o.db"), options).unwrap();
    block_on(async {
        insert(&store, 1).await.unwrap();
        store.faults().strike(Fault::Fails);
        assert_eq!(
            insert(&store, 2).await.unwrap_err(),
            StoreErrorKind::Unavailable
        );
        for _ in 0..3 {
            assert_eq!(
                insert(&store, 3).await.unwrap_err(),
                StoreErrorKind::Unavailable
            );
            let refused = store.get(id(1)).await.unwrap_err();
            assert_eq!(refused.kind(), StoreErrorKind::Unavailable);
            assert!(store.ping().await.is_err());
        }
    });
}

#[test]
fn a_fence_given_in_a_batch_that_failed_is_not_given_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::open_with(directory.path().join("o.db"), options()).unwrap();
    block_on(async {
        let Insert::Created(first) = insert(&store, 1).await.unwrap() else {
            panic!()
        };
        store.faults().strike(Fault::Fails);
        insert(&store, 2).await.unwrap_err();
        let Insert::Created(third) = insert(&store, 3).await.unwrap() else {
            panic!()
        };
        assert!(third.fence.number() >= first.fence.number() + 2);
    });
}

#[test]
fn a_file_that_another_process_had_meanwhile_holds_nothing_in_flight() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("o.db");
    let store = FileStore::open_with(&path, options()).unwrap();
    block_on(async {
        insert(&store, 1).await.unwrap();
        // The file is closed by the failure, and nothing asks for it yet.
        store.faults().strike(Fault::Fails);
        insert(&store, 2).await.unwrap_err();
        let other = FileStore::open_with(&path, options()).unwrap();
        insert(&other, 3).await.unwrap();
        drop(other);
        for byte in [1, 3] {
            assert!(matches!(
                state(&store, byte).await,
                Some(RecordState::Unknown { .. })
            ));
        }
    });
}

#[test]
fn a_file_that_vanished_is_not_made_anew_under_a_running_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("o.db");
    let store = FileStore::open_with(&path, options()).unwrap();
    block_on(async {
        store.faults().strike(Fault::Fails);
        insert(&store, 1).await.unwrap_err();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(
            insert(&store, 2).await.unwrap_err(),
            StoreErrorKind::Unavailable
        );
        assert!(!path.exists());
        // Nor is another store's file believed to be this one.
        drop(FileStore::open_with(&path, options()).unwrap());
        assert_eq!(
            insert(&store, 2).await.unwrap_err(),
            StoreErrorKind::Unavailable
        );
    });
}
