//! What the disk sees: bodies that are gone, a file that shrinks, no room, and few commits for many
//! writes.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use oncegate::StoreErrorKind;
use oncegate::record::RecordState;
use oncegate::store::{Change, Store as _, Update};
use oncegate_stores::FileStore;

use crate::harness::{
    KEPT, Place, block_on, claim, complete, completed, get, kind, new_record, purge, state, update,
};

/// The bytes of the file and of its log. Reading them drops this process's locks on the file, which
/// no one else wants here.
fn on_disk(place: &Place) -> Vec<u8> {
    let mut bytes = fs::read(place.path()).unwrap();
    bytes.extend(fs::read(place.path().with_file_name("oncegate.db-wal")).unwrap_or_default());
    bytes
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

#[test]
fn the_bytes_of_an_expired_body_are_gone_from_the_disk_after_a_purge() {
    let place = Place::new();
    let store = place.open();
    let secret = b"card 4242 4242 4242 4242";
    block_on(async {
        for number in 0_u64..20 {
            // One that fits on a page with others, and one that fills pages of its own.
            let body = [
                &secret[..],
                if number % 2 == 0 {
                    &[]
                } else {
                    &[b'.'; 20_000]
                },
                secret,
            ]
            .concat();
            completed(&store, number, &body).await;
        }
        assert!(contains(&on_disk(&place), secret));
        place.clock.advance(KEPT.live);
        assert_eq!(purge(&store).await, (20, 0));
        assert!(!contains(&on_disk(&place), secret));
        for number in 0..20 {
            assert_eq!(state(&store, number).await, Some(RecordState::Expired));
        }
        place.clock.advance(KEPT.tombstone);
        assert_eq!(purge(&store).await, (0, 20));
        assert_eq!(get(&store, 1).await, None);
    });
    drop(store);
    assert!(!contains(&on_disk(&place), secret));
}

#[test]
fn the_file_shrinks_after_a_purge() {
    let place = Place::new();
    let store = place.open();
    block_on(async {
        for number in 0..200 {
            completed(&store, number, &[7; 200_000]).await;
        }
        place.clock.advance(KEPT.live + KEPT.tombstone);
        let young = completed(&store, 1_000, b"young").await;
        // The cursor comes round in steps; what is left of the file is what still stands and 2 MiB
        // to grow into.
        assert_eq!(purge(&store).await, (0, 200));
        let bytes = on_disk(&place).len();
        assert!(bytes < 3 * 1024 * 1024, "{bytes} bytes are left of 40 MB");
        assert_eq!(get(&store, 1_000).await, Some(young));
    });
}

#[test]
fn a_full_file_refuses_claims_answers_what_stands_and_recovers_without_a_restart() {
    let place = Place::new();
    let mut options = place.options();
    options.bytes_max = Some(2 * 1024 * 1024);
    let store = FileStore::open_with(place.path(), options).unwrap();
    block_on(async {
        claim(&store, 1_000).await;
        claim(&store, 1_001).await;
        let mut number = 0;
        let refused = loop {
            claim(&store, number).await;
            match update(&store, number, complete(&[7; 100_000])).await {
                Ok(_) => number += 1,
                Err(error) => break error.kind(),
            }
            assert!(number < 100, "2 MiB hold no 10 MB");
        };
        assert_eq!(refused, StoreErrorKind::Full);
        assert_eq!(
            kind(store.insert(new_record(2_000)).await),
            StoreErrorKind::Full
        );
        assert_eq!(kind(store.ping().await), StoreErrorKind::Full);
        // What stands is replayed, and what makes no more of it is done.
        assert!(matches!(
            state(&store, 0).await,
            Some(RecordState::Completed { .. })
        ));
        assert!(matches!(
            state(&store, number).await,
            Some(RecordState::InFlight { .. })
        ));
        assert_eq!(
            update(&store, 1_000, Change::Release).await.unwrap(),
            Update::Applied(None)
        );
        let unknown = update(&store, 1_001, Change::MarkUnknown { unknown: KEPT }).await;
        assert!(matches!(unknown.unwrap(), Update::Applied(Some(_))));
        assert_eq!(
            get(&store, 2_000).await,
            None,
            "a refused claim took effect"
        );
        // Room comes, and the store takes work again.
        place.clock.advance(KEPT.live);
        purge(&store).await;
        claim(&store, 2_000).await;
        let late = update(&store, number, complete(&[7; 100_000]))
            .await
            .unwrap();
        assert!(matches!(late, Update::Applied(Some(_))));
    });
    drop(store);
    let store = place.open();
    assert!(matches!(
        block_on(state(&store, 2_000)),
        Some(RecordState::Unknown { .. })
    ));
}

#[test]
fn a_purge_goes_round_in_steps_while_claims_come() {
    let place = Place::new();
    let store = place.open();
    block_on(async {
        for number in 0..50 {
            completed(&store, number, b"old").await;
        }
        place
            .clock
            .advance(KEPT.live + KEPT.tombstone + Duration::from_secs(1));
        let mut removed = 0;
        for number in 100..200 {
            let purged = store.purge(7).await.unwrap().value;
            assert!(purged.removed + purged.stripped <= 7);
            removed += purged.removed;
            completed(&store, number, b"young").await;
        }
        assert_eq!(removed, 50);
        for number in 100..200 {
            assert!(get(&store, number).await.is_some());
        }
    });
}

#[test]
fn many_claims_at_once_share_few_commits() {
    let place = Place::new();
    let store = Arc::new(place.open());
    let before = store.commits();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let claims: Vec<_> = (0..1_000)
            .map(|number| {
                let store = Arc::clone(&store);
                tokio::spawn(async move { completed(&*store, number, b"paid").await })
            })
            .collect();
        for claim in claims {
            claim.await.unwrap();
        }
    });
    let commits = store.commits() - before;
    assert!(commits < 500, "2,000 writes took {commits} commits");
}

#[test]
fn an_answer_that_changes_nothing_takes_no_commit() {
    let place = Place::new();
    let store = place.open();
    block_on(async {
        completed(&store, 1, b"paid").await;
        let before = store.commits();
        for _ in 0..10 {
            store.insert(new_record(1)).await.unwrap();
            update(&store, 1, complete(b"paid")).await.unwrap();
            update(&store, 2, Change::Release).await.unwrap();
            get(&store, 1).await.unwrap();
            store.ping().await.unwrap();
            purge(&store).await;
        }
        assert_eq!(store.commits(), before);
    });
}
