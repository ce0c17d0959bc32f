//! What is there after the file was closed and opened again.

use std::sync::Arc;
use std::time::Duration;

use oncegate::StoreErrorKind;
use oncegate::clock::{Clock as _, ManualClock, Timestamp};
use oncegate::record::{RecordState, Retention};
use oncegate::store::{Change, Filter, Insert, Inspect as _, Store as _, Update};
use oncegate_stores::{Durability, FileStore};

use crate::harness::{
    KEPT, LEASE, Place, block_on, claim, complete, completed, get, kind, new_record, response,
    state, update,
};

#[test]
fn a_completed_record_replays_byte_for_byte_after_a_reopening() {
    let place = Place::new();
    let large: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
    for body in [&b""[..], b"\0\xff paid", &large] {
        let number = body.len() as u64;
        let before = block_on(completed(&place.open(), number, body));
        let after = block_on(get(&place.open(), number)).unwrap();
        assert_eq!(after, before);
        let RecordState::Completed {
            response: stored, ..
        } = after.state
        else {
            panic!()
        };
        assert_eq!(stored, response(body));
    }
}

#[test]
fn every_field_reads_back_as_it_was_even_for_ever() {
    let place = Place::new();
    let mut new = new_record(1);
    new.about.operation = "POST /zahlungen/\u{e4}\u{20ac}".into();
    let store = place.open();
    let Insert::Created(_) = block_on(store.insert(new)).unwrap().value else {
        panic!()
    };
    let retention = Retention {
        live: Duration::MAX,
        tombstone: Duration::MAX,
    };
    let change = Change::Complete {
        response: response(b"paid"),
        retention,
    };
    let Update::Applied(Some(before)) = block_on(update(&store, 1, change)).unwrap() else {
        panic!()
    };
    assert_eq!(before.purge_at, Timestamp::from_micros(u64::MAX));
    drop(store);
    assert_eq!(block_on(get(&place.open(), 1)), Some(before));
}

#[test]
fn what_was_in_flight_is_unknown_at_once_after_a_reopening() {
    let place = Place::new();
    let before = block_on(claim(&place.open(), 1));
    place.clock.advance(Duration::from_secs(1));
    let store = place.open();
    let after = block_on(get(&store, 1)).unwrap();
    assert_eq!(
        after.state,
        RecordState::Unknown {
            since: place.clock.now()
        }
    );
    assert_eq!((after.owner, after.fence), (before.owner, before.fence));
    assert_eq!(after.revision, before.revision + 1);
    assert_eq!(after.expires_at, place.clock.now().after(KEPT.live));
    // Late truth from a holder that lives after all is still better than not knowing.
    let late = block_on(update(&store, 1, complete(b"paid"))).unwrap();
    assert!(matches!(late, Update::Applied(Some(_))));
}

#[test]
fn a_long_outage_does_not_begin_the_time_of_an_unknown_record_anew() {
    let place = Place::new();
    let before = block_on(claim(&place.open(), 1));
    place.clock.advance(LEASE + KEPT.live / 2);
    let after = block_on(get(&place.open(), 1)).unwrap();
    assert!(matches!(after.state, RecordState::Unknown { .. }));
    assert_eq!(
        (after.expires_at, after.purge_at),
        (before.expires_at, before.purge_at)
    );
    place.clock.advance(KEPT.live + KEPT.tombstone);
    assert_eq!(block_on(get(&place.open(), 1)), None);
}

#[test]
fn a_released_key_is_free_after_a_reopening() {
    let place = Place::new();
    let store = place.open();
    block_on(claim(&store, 1));
    assert_eq!(
        block_on(update(&store, 1, Change::Release)).unwrap(),
        Update::Applied(None)
    );
    drop(store);
    block_on(claim(&place.open(), 1));
}

#[test]
fn a_fence_never_goes_back_over_a_release_and_a_reopening() {
    let place = Place::new();
    let mut highest = 0;
    // Time stands still: the number alone must grow.
    for _ in 0..5 {
        let store = place.open();
        for _ in 0..3 {
            let fence = block_on(claim(&store, 1)).fence.number();
            assert!(fence > highest, "{fence} after {highest}");
            highest = fence;
            block_on(update(&store, 1, Change::Release)).unwrap();
        }
    }
}

#[test]
fn time_never_goes_back_over_a_reopening_with_a_clock_set_back() {
    let place = Place::new();
    place.clock.advance(Duration::from_secs(3_600));
    let store = place.open();
    block_on(claim(&store, 1));
    place.clock.advance(Duration::from_secs(5));
    let last = block_on(store.ping()).unwrap().at;
    drop(store);
    let mut options = place.options();
    options.clock = Some(Arc::new(ManualClock::at(Timestamp::from_micros(7))));
    let store = FileStore::open_with(place.path(), options).unwrap();
    assert_eq!(block_on(store.ping()).unwrap().at, last);
    // So does the machine's own clock.
    drop(store);
    let far = Timestamp::from_micros(u64::MAX / 4);
    let mut options = place.options();
    options.clock = Some(Arc::new(ManualClock::at(far)));
    drop(FileStore::open_with(place.path(), options).unwrap());
    let store = FileStore::open(place.path()).unwrap();
    assert!(block_on(store.ping()).unwrap().at >= far);
}

#[test]
fn the_salt_stays_with_the_file() {
    let place = Place::new();
    let salt = |store: &FileStore| block_on(store.info()).unwrap().value.salt;
    let first = salt(&place.open());
    assert_ne!(first, [0; 32]);
    assert_eq!(salt(&place.open()), first);
    assert_ne!(salt(&Place::new().open()), first);
}

#[test]
fn a_store_that_need_not_survive_a_power_cut_survives_its_process() {
    let place = Place::new();
    let mut options = place.options();
    options.durability = Durability::Process;
    let store = FileStore::open_with(place.path(), options).unwrap();
    let before = block_on(completed(&store, 1, b"paid"));
    drop(store);
    assert_eq!(block_on(get(&place.open(), 1)), Some(before));
}

#[test]
fn a_damaged_record_is_an_error_for_its_own_key_alone_and_never_absent() {
    for (number, damage) in [
        (1, "UPDATE record SET state = 9 WHERE row = 1"),
        (2, "UPDATE record SET owner = x'00' WHERE row = 2"),
        (3, "UPDATE record SET fingerprint = x'00' WHERE row = 3"),
        (4, "DELETE FROM body WHERE row = 4"),
        // What SQLite takes for sound.
        (
            1,
            "UPDATE record SET expires_at = expires_at + 1 WHERE row = 1",
        ),
        (
            2,
            "UPDATE record SET operation = 'POST /refunds' WHERE row = 2",
        ),
        (
            3,
            "UPDATE body SET response = zeroblob(length(response)) WHERE row = 3",
        ),
        (4, "UPDATE record SET state = 3, state_at = 0 WHERE row = 4"),
    ] {
        let place = Place::new();
        let store = place.open();
        for each in 1..=5 {
            block_on(completed(&store, each, b"paid"));
        }
        drop(store);
        let sqlite = place.sqlite();
        sqlite
            .pragma_update(None, "ignore_check_constraints", true)
            .unwrap();
        assert_eq!(sqlite.execute(damage, []).unwrap(), 1);
        drop(sqlite);
        let store = place.open();
        block_on(async {
            let damaged = store.get(new_record(number).id).await;
            assert_eq!(kind(damaged), StoreErrorKind::Corrupt, "{damage}");
            assert_eq!(
                kind(store.insert(new_record(number)).await),
                StoreErrorKind::Corrupt
            );
            let released = update(&store, number, Change::Release).await;
            assert_eq!(kind(released), StoreErrorKind::Corrupt);
            assert!(matches!(
                state(&store, 5).await,
                Some(RecordState::Completed { .. })
            ));
            claim(&store, 6).await;
            // The others can still be listed.
            let page = store.list(Filter::default(), None, 10).await.unwrap().value;
            assert_eq!(page.records.len(), 5);
        });
    }
}
