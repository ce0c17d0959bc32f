//! Rules of listing, for stores that are [`Inspect`]: it finds by phase and digest, and shows everything once.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::{BlockOn, Harness, KEPT, LEASE, SECOND, SuiteInspect, id, new_record, owner};
use crate::hash::RecordId;
use crate::key::KeyDigest;
use crate::record::{Phase, Record};
use crate::store::{Change, Cursor, Filter, Insert, Inspect, Page};

/// One rule's own store, and how to list it. Made by the macro.
#[doc(hidden)]
pub struct InspectHarness {
    harness: Harness,
    inspect: Arc<dyn Inspect>,
}

impl fmt::Debug for InspectHarness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InspectHarness")
            .field("harness", &self.harness)
            .finish_non_exhaustive()
    }
}

impl InspectHarness {
    /// Takes a fresh store.
    pub fn new(suite: impl SuiteInspect, block_on: BlockOn) -> Self {
        let inspect = suite.inspect();
        Self {
            harness: Harness::new(suite, block_on),
            inspect,
        }
    }

    async fn page(&self, filter: &Filter, after: Option<Cursor>, limit: usize) -> Page {
        let listed = self.inspect.list(filter.clone(), after, limit).await;
        let page = listed.expect("the store lists its records").value;
        let length = page.records.len();
        assert!(
            length <= limit,
            "a page of at most {limit} has {length} records"
        );
        page
    }

    /// Everything that the filter admits, page by page.
    async fn list(&self, filter: &Filter, limit: usize) -> Vec<Record> {
        let (mut records, mut after) = (Vec::new(), None);
        for _page in 0..PAGES_MAX {
            let page = self.page(filter, after, limit).await;
            records.extend(page.records);
            let Some(next) = page.next else {
                return records;
            };
            after = Some(next);
        }
        panic!("a listing did not come to an end within {PAGES_MAX} pages");
    }

    async fn found(&self, filter: Filter) -> HashSet<RecordId> {
        self.list(&filter, 2)
            .await
            .into_iter()
            .map(|record| record.id)
            .collect()
    }
}

/// In pages of whatever size.
pub async fn a_listing_pages_through_everything_once(at: InspectHarness) {
    for n in 0..MANY {
        at.harness.completed(id(n), owner(n), &[n]).await;
    }
    for limit in [1, 3, usize::from(MANY), 1000] {
        let records = at.list(&Filter::default(), limit).await;
        let ids: HashSet<RecordId> = records.iter().map(|record| record.id).collect();
        assert_eq!(
            records.len(),
            usize::from(MANY),
            "pages of {limit}: some twice or missing"
        );
        assert_eq!(ids.len(), usize::from(MANY), "pages of {limit}: some twice");
    }
}

/// What is listed is what stands.
pub async fn a_listing_shows_records_as_they_stand(at: InspectHarness) {
    let in_flight = at.harness.in_flight(id(1), owner(1)).await;
    let unknown = at.harness.marked_unknown(id(2), owner(2)).await;
    for record in at.list(&Filter::default(), 10).await {
        assert!(
            record == in_flight || record == unknown,
            "listed, but not there: {record:?}"
        );
    }
    assert_eq!(at.list(&Filter::default(), 10).await.len(), 2);
}

/// The phase is the one that time has brought: a lapsed lease is unknown, an old outcome is expired.
pub async fn a_listing_finds_by_phase(at: InspectHarness) {
    let harness = &at.harness;
    harness.completed(id(1), owner(1), b"old").await;
    harness.advance(KEPT.live + SECOND);
    harness.in_flight(id(2), owner(2)).await;
    harness.advance(LEASE + SECOND);
    harness.marked_unknown(id(3), owner(3)).await;
    harness.completed(id(4), owner(4), b"young").await;
    harness.in_flight(id(5), owner(5)).await;
    let table = [
        (Phase::InFlight, HashSet::from([id(5)])),
        (Phase::Unknown, HashSet::from([id(2), id(3)])),
        (Phase::Completed, HashSet::from([id(4)])),
        (Phase::Expired, HashSet::from([id(1)])),
    ];
    for (phase, meant) in table {
        let found = at
            .found(Filter {
                phase: Some(phase),
                ..Filter::default()
            })
            .await;
        assert_eq!(found, meant, "in phase {}", phase.name());
    }
}

/// An operator has the digest from a log line.
pub async fn a_listing_finds_by_the_digest_of_the_key(at: InspectHarness) {
    let digest = KeyDigest::from_bytes([0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff]);
    // Two scopes can have used one key.
    for n in [1, 2] {
        let mut new = new_record(id(n), owner(n));
        new.about.key_digest = digest;
        let created = at.harness.insert(new).await;
        assert!(matches!(created, Insert::Created(_)));
    }
    at.harness.in_flight(id(3), owner(3)).await;
    let filter = Filter {
        key_digest: Some(digest),
        ..Filter::default()
    };
    assert_eq!(at.found(filter).await, HashSet::from([id(1), id(2)]));
    let both = Filter {
        key_digest: Some(digest),
        phase: Some(Phase::Completed),
    };
    assert_eq!(
        at.found(both).await,
        HashSet::new(),
        "both conditions count"
    );
}

/// Absent is absent, removed or not.
pub async fn a_listing_does_not_show_records_past_their_end(at: InspectHarness) {
    at.harness.completed(id(1), owner(1), b"paid").await;
    at.harness.advance(KEPT.live + KEPT.tombstone + SECOND);
    assert_eq!(at.found(Filter::default()).await, HashSet::new());
}

/// Between two pages the record goes at which the first one ended, and others come before and behind it.
pub async fn a_listing_goes_on_while_records_come_and_go(at: InspectHarness) {
    let mut standing = Vec::new();
    for n in (0..MANY).step_by(2) {
        standing.push(at.harness.in_flight(id(n), owner(n)).await);
    }
    let first = at.page(&Filter::default(), None, 3).await;
    let last = first
        .records
        .last()
        .expect("the first page has records")
        .clone();
    at.harness.write(&last, Change::Release).await;
    for n in (1..MANY).step_by(2) {
        at.harness.in_flight(id(n), owner(n)).await;
    }
    let (mut listed, mut after) = (first.records, first.next);
    for _page in 0..PAGES_MAX {
        let Some(cursor) = after else { break };
        let page = at.page(&Filter::default(), Some(cursor), 3).await;
        listed.extend(page.records);
        after = page.next;
    }
    assert_eq!(after, None, "the listing did not come to an end");
    for record in standing {
        let times = listed.iter().filter(|other| **other == record).count();
        assert_eq!(times, 1, "{record:?} was listed {times} times");
    }
}

/// Nothing is nothing, and the end.
pub async fn a_listing_of_an_empty_store_is_empty(at: InspectHarness) {
    let page = at.page(&Filter::default(), None, 10).await;
    assert_eq!(page, Page::default());
}

const MANY: u8 = 20;
const PAGES_MAX: usize = 1000;
