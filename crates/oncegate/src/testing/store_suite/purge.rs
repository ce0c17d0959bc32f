//! Rules of the purge: it takes bodies, then records, in bounded steps; it never takes what is still needed.

use super::{
    DAY, HOUR, Harness, KEPT, LEASE, SECOND, UNKNOWN, complete, every_change, id, new_record, owner,
};
use crate::hash::RecordId;
use crate::record::{Phase, Record, RecordState};
use crate::store::{Insert, Update};

/// Before its time nothing changes: not a byte, not a revision.
pub async fn a_purge_leaves_everything_that_has_time_left_as_it_was(harness: Harness) {
    let in_flight = harness.in_flight(id(1), owner(1)).await;
    let unknown = harness.marked_unknown(id(2), owner(2)).await;
    let completed = harness.completed(id(3), owner(3), b"paid").await;
    harness.advance(KEPT.live - HOUR);
    // `in_flight` has lapsed long ago: nobody may lose it for that.
    assert_eq!(harness.purge_all().await, 0);
    for record in [&in_flight, &unknown, &completed] {
        harness.assert_stands(record).await;
    }
}

/// Retention is over: the body goes, the tombstone stays and says whose it was.
pub async fn a_purge_takes_the_body_of_an_expired_record_and_leaves_a_tombstone(harness: Harness) {
    let completed = harness.completed(id(1), owner(1), &[7; 100_000]).await;
    harness.advance(KEPT.live + SECOND);
    harness.purge_all().await;
    let stands = harness.get(id(1)).await.expect("a tombstone stands");
    assert_eq!(stands.state, RecordState::Expired);
    assert_eq!(
        (stands.owner, stands.fence),
        (completed.owner, completed.fence)
    );
    assert_eq!(stands.fingerprint, completed.fingerprint);
    assert_eq!(stands.about, completed.about);
    assert_eq!(
        (stands.expires_at, stands.purge_at),
        (completed.expires_at, completed.purge_at)
    );
}

/// A tombstone refuses whoever comes late, its own owner too.
pub async fn a_tombstone_is_told_to_inserts_and_closed_to_changes(harness: Harness) {
    let completed = harness.completed(id(1), owner(1), b"paid").await;
    harness.advance(KEPT.live + SECOND);
    harness.purge_all().await;
    let tombstone = harness.get(id(1)).await.expect("a tombstone stands");
    for late in [owner(1), owner(2)] {
        let told = harness.insert(new_record(id(1), late)).await;
        assert_eq!(told, Insert::Exists(tombstone.clone()));
    }
    for change in every_change() {
        let stands = Record {
            revision: tombstone.revision,
            ..completed.clone()
        };
        let refused = harness.write_seen(&stands, change.clone()).await;
        assert_eq!(
            refused,
            Update::Refused(Some(tombstone.clone())),
            "{change:?}"
        );
    }
    harness.assert_stands(&tombstone).await;
}

/// After the tombstone's time the record goes, and the key can be used anew.
pub async fn a_purge_removes_a_record_whose_tombstone_has_had_its_time(harness: Harness) {
    harness.completed(id(1), owner(1), b"paid").await;
    harness.advance(KEPT.live + SECOND);
    assert_eq!(
        harness.purge_all().await,
        1,
        "the body of one record was to be taken"
    );
    harness.advance(KEPT.tombstone);
    assert_eq!(harness.purge_all().await, 1, "one record was to be removed");
    assert_eq!(harness.get(id(1)).await, None);
    assert_eq!(harness.purge_all().await, 0, "nothing was left to purge");
    harness.in_flight(id(1), owner(2)).await;
}

/// In steps of seven: none does more, together they do all, and they end.
pub async fn a_purge_goes_in_bounded_steps_that_come_to_an_end(harness: Harness) {
    for n in 0..MANY {
        harness.completed(neighbour(n), owner(n), b"paid").await;
    }
    harness.advance(KEPT.live + SECOND);
    let stripped = harness.purge_to_the_end(7).await + harness.purge_to_the_end(7).await;
    assert_eq!(stripped, usize::from(MANY), "not every body was taken once");
    harness.advance(KEPT.tombstone);
    let removed = harness.purge_to_the_end(7).await + harness.purge_to_the_end(7).await;
    assert_eq!(
        removed,
        usize::from(MANY),
        "not every record was removed once"
    );
}

/// A record that stands between purgeable ones stays where it is.
pub async fn a_purge_picks_only_those_whose_time_has_come(harness: Harness) {
    for n in 0..MANY {
        harness.completed(id(n), owner(n), b"old").await;
    }
    harness.advance(KEPT.live + KEPT.tombstone - HOUR);
    let young = harness.completed(id(MANY), owner(MANY), b"young").await;
    harness.advance(HOUR + SECOND);
    harness.purge_all().await;
    for n in 0..MANY {
        assert_eq!(
            harness.get(id(n)).await,
            None,
            "record {n} had had its time"
        );
    }
    harness.assert_stands(&young).await;
}

/// Money: an in-flight record that vanished would be a second charge.
pub async fn a_purge_never_takes_a_record_in_flight_before_its_time(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    for _day in 0..29 {
        harness.advance(DAY);
        harness.purge_all().await;
        harness.assert_stands(&record).await;
    }
    let completed = harness.write(&record, complete(b"after a month")).await;
    assert!(
        matches!(completed, Update::Applied(Some(_))),
        "late truth was refused: {completed:?}"
    );
}

/// An unknown record that nobody settled becomes a tombstone, then goes.
pub async fn a_purge_turns_an_unknown_record_into_a_tombstone_after_its_time(harness: Harness) {
    harness.in_flight(id(1), owner(1)).await;
    harness.marked_unknown(id(2), owner(2)).await;
    harness.advance(LEASE + UNKNOWN.live + SECOND);
    harness.purge_all().await;
    for n in [1, 2] {
        let look = harness.look(id(n)).await;
        let stands = look.value.expect("a tombstone stands");
        assert_eq!(stands.phase(look.at), Phase::Expired, "record {n}");
    }
    harness.advance(UNKNOWN.tombstone);
    harness.purge_all().await;
    assert_eq!(
        (harness.get(id(1)).await, harness.get(id(2)).await),
        (None, None)
    );
}

/// Nothing to do is done at once.
pub async fn a_purge_of_an_empty_store_comes_to_an_end(harness: Harness) {
    assert_eq!(harness.purge_all().await, 0);
}

/// Ids that a store which sorts or shards by them keeps in one place.
fn neighbour(number: u8) -> RecordId {
    let mut bytes = [7; 32];
    bytes[31] = number;
    RecordId::from_bytes(bytes)
}

const MANY: u8 = 50;
