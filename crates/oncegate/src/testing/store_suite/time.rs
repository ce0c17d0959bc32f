//! Rules of time: one clock, the store's; the lease apart from the retention; expiry by stored times.

use std::time::Duration;

use super::{
    DAY, HOUR, Harness, KEPT, LEASE, PURGE_LIMIT, SECOND, UNKNOWN, applied, body_of, complete,
    every_change, id, new_record, owner, renew, response,
};
use crate::clock::Timestamp;
use crate::record::{Phase, Record, RecordState, Retention};
use crate::store::{Change, Expect, Insert, Update};

/// Whatever is asked, in whatever order.
pub async fn every_answer_carries_a_time_that_never_goes_back(harness: Harness) {
    let store = &harness.store;
    let mut times: Vec<Timestamp> = Vec::new();
    for n in 0..20 {
        let expect = Expect {
            owner: owner(n),
            revision: None,
        };
        times.push(store.ping().await.expect("a ping").at);
        times.push(
            store
                .insert(new_record(id(n), owner(n)))
                .await
                .expect("an insert")
                .at,
        );
        times.push(
            store
                .insert(new_record(id(n), owner(99)))
                .await
                .expect("an insert")
                .at,
        );
        times.push(store.get(id(n)).await.expect("a get").at);
        times.push(
            store
                .update(id(n), expect, renew())
                .await
                .expect("an update")
                .at,
        );
        times.push(
            store
                .update(id(n), expect, complete(b""))
                .await
                .expect("an update")
                .at,
        );
        times.push(
            store
                .update(id(n), expect, Change::Release)
                .await
                .expect("an update")
                .at,
        );
        times.push(store.get(id(200)).await.expect("a get").at);
        times.push(store.purge(PURGE_LIMIT).await.expect("a purge").at);
        times.push(store.info().await.expect("an info").at);
        harness.advance(Duration::from_micros(u64::from(n)));
    }
    for pair in times.windows(2) {
        assert!(
            pair[0] <= pair[1],
            "time went back from {} to {}",
            pair[0],
            pair[1]
        );
    }
}

/// The suite's own hand on the clock: without it no rule about time would mean anything.
pub async fn time_passes_when_it_is_told_to(harness: Harness) {
    let before = harness.now().await;
    harness.advance(DAY);
    let after = harness.now().await;
    assert!(
        after.since(before) >= DAY,
        "a day passed, the store says {:?}",
        after.since(before)
    );
    assert!(
        after.since(before) < DAY + HOUR,
        "the store's clock ran away"
    );
}

/// The lease is the holder's, added to the store's time.
pub async fn a_lease_ends_so_long_after_the_insert(harness: Harness) {
    let before = harness.now().await;
    let record = harness.in_flight(id(1), owner(1)).await;
    let after = harness.now().await;
    assert_lease_between(&record, before, after);
    assert_eq!(record.expires_at, lease_end(&record).after(UNKNOWN.live));
    assert_eq!(record.purge_at, record.expires_at.after(UNKNOWN.tombstone));
}

/// A renewal counts from now, not from the end of the old lease.
pub async fn a_renewal_pushes_the_lease_on_from_now(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    harness.advance(LEASE / 3);
    let before = harness.now().await;
    let renewed = applied(harness.write(&record, renew()).await);
    let after = harness.now().await;
    assert_lease_between(&renewed, before, after);
    assert_eq!(
        renewed.purge_at,
        lease_end(&renewed)
            .after(UNKNOWN.live)
            .after(UNKNOWN.tombstone)
    );
}

/// M-21: an execution many leases long stays single as long as it is renewed.
pub async fn an_execution_many_leases_long_is_never_absent_while_it_is_renewed(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    for n in 0..100 {
        harness.advance(LEASE / 3 * 2);
        harness.purge_all().await;
        let told = harness.insert(new_record(id(1), owner(2))).await;
        let Insert::Exists(stands) = told else {
            panic!("renewal {n}: a second claim: {told:?}")
        };
        assert_eq!(
            stands.phase(harness.now().await),
            Phase::InFlight,
            "renewal {n}"
        );
        applied(harness.write(&record, renew()).await);
    }
    let completed = applied(harness.write(&record, complete(b"at last")).await);
    assert_eq!(completed.fence, record.fence);
}

/// M-20: a lapsed lease ends no record. It is unknown for as long as that was asked for, then a tombstone.
pub async fn a_record_outlives_its_lease_by_the_time_of_the_unknown(harness: Harness) {
    harness.in_flight(id(1), owner(1)).await;
    harness.advance(LEASE + SECOND);
    assert_phase(&harness, Phase::Unknown).await;
    harness.advance(UNKNOWN.live - HOUR);
    harness.purge_all().await;
    assert_phase(&harness, Phase::Unknown).await;
    harness.advance(HOUR);
    assert_phase(&harness, Phase::Expired).await;
    harness.advance(UNKNOWN.tombstone - HOUR);
    assert_phase(&harness, Phase::Expired).await;
    harness.advance(HOUR);
    assert_eq!(
        harness.get(id(1)).await,
        None,
        "a tombstone has its time too"
    );
}

/// However short the lease, `purge_at` does not follow it.
pub async fn the_end_of_a_record_does_not_follow_its_lease(harness: Harness) {
    let mut new = new_record(id(1), owner(1));
    new.lease = Duration::from_micros(1);
    let Insert::Created(record) = harness.insert(new).await else {
        panic!("a fresh store is empty");
    };
    assert!(
        record.purge_at
            >= record
                .created_at
                .after(UNKNOWN.live)
                .after(UNKNOWN.tombstone)
    );
    let shorter = Change::Renew {
        lease: Duration::from_micros(1),
        unknown: UNKNOWN,
    };
    harness.advance(HOUR);
    let renewed = applied(harness.write(&record, shorter).await);
    assert!(
        renewed.purge_at > record.purge_at,
        "a short lease shortened the record's life"
    );
}

/// A marked record counts from the mark.
pub async fn an_unknown_record_stays_so_for_as_long_as_was_asked(harness: Harness) {
    let unknown = harness.marked_unknown(id(1), owner(1)).await;
    let RecordState::Unknown { since } = unknown.state else {
        panic!("not unknown: {unknown:?}")
    };
    assert_eq!(unknown.expires_at, since.after(UNKNOWN.live));
    assert_eq!(
        unknown.purge_at,
        since.after(UNKNOWN.live).after(UNKNOWN.tombstone)
    );
    harness.advance(UNKNOWN.live - HOUR);
    harness.purge_all().await;
    harness.assert_stands(&unknown).await;
    assert_phase(&harness, Phase::Unknown).await;
}

/// M-42: nobody has purged, and it is expired all the same; what was stored about it is still told.
pub async fn a_record_expires_by_its_stored_times_without_a_purge(harness: Harness) {
    let completed = harness.completed(id(1), owner(1), b"paid").await;
    harness.advance(KEPT.live - HOUR);
    assert_phase(&harness, Phase::Completed).await;
    harness.advance(HOUR + SECOND);
    assert_phase(&harness, Phase::Expired).await;
    let Insert::Exists(told) = harness.insert(new_record(id(1), owner(2))).await else {
        panic!("an expired key was claimed anew");
    };
    assert_eq!((told.owner, told.fence), (completed.owner, completed.fence));
}

/// `purge_at <= now` is absent, removed or not: no method may tell of it.
pub async fn a_record_past_its_end_is_absent_even_if_it_was_not_removed(harness: Harness) {
    let completed = harness.completed(id(1), owner(1), b"paid").await;
    harness.advance(KEPT.live + KEPT.tombstone + SECOND);
    assert_eq!(harness.get(id(1)).await, None);
    for change in every_change() {
        let answer = harness.write_seen(&completed, change.clone()).await;
        let nothing = matches!(answer, Update::Applied(None) | Update::Refused(None));
        assert!(nothing, "{change:?} found {answer:?}");
    }
    let next = harness.in_flight(id(1), owner(2)).await;
    assert!(
        next.fence > completed.fence,
        "{} after {}",
        next.fence,
        completed.fence
    );
    harness.assert_stands(&next).await;
}

/// Retention and tombstone of the completion count, not those of the claim.
pub async fn a_completion_shortens_or_lengthens_the_life_of_a_record(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    let retention = Retention {
        live: HOUR,
        tombstone: Duration::ZERO,
    };
    let change = Change::Complete {
        response: response(b"short"),
        retention,
    };
    applied(harness.write(&record, change).await);
    harness.advance(HOUR + SECOND);
    assert_eq!(harness.get(id(1)).await, None, "no tombstone was asked for");
}

/// Times must not wrap round or lose digits.
pub async fn a_record_can_be_kept_for_a_hundred_years(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    let retention = Retention {
        live: DAY * 36_525,
        tombstone: DAY,
    };
    let change = Change::Complete {
        response: response(b"for ever"),
        retention,
    };
    let completed = applied(harness.write(&record, change).await);
    let RecordState::Completed { completed_at, .. } = completed.state else {
        panic!("not completed: {completed:?}");
    };
    assert_eq!(completed.expires_at, completed_at.after(retention.live));
    assert_eq!(
        completed.purge_at,
        completed_at
            .after(retention.live)
            .after(retention.tombstone)
    );
    harness.advance(DAY * 36_500);
    let stands = harness.get(id(1)).await.expect("it is kept");
    assert_eq!(stands, completed);
    assert_eq!(body_of(&stands), b"for ever");
}

async fn assert_phase(harness: &Harness, phase: Phase) {
    let look = harness.look(id(1)).await;
    let record = look.value.expect("the record stands");
    assert_eq!(record.phase(look.at), phase, "at {}: {record:?}", look.at);
}

fn assert_lease_between(record: &Record, before: Timestamp, after: Timestamp) {
    let end = lease_end(record);
    assert!(
        before.after(LEASE) <= end && end <= after.after(LEASE),
        "the lease ends at {end}"
    );
}

fn lease_end(record: &Record) -> Timestamp {
    let RecordState::InFlight { lease_expires_at } = record.state else {
        panic!("not in flight: {record:?}");
    };
    lease_expires_at
}
