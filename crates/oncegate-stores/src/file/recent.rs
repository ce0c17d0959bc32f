//! Completed records that were written or read of late, in memory: their replays wait for no thread and no disk.
//!
//! A completed record does not change until its retention ends, so what is kept here cannot be out of date. Only what
//! the file was said to hold is kept. Promises: never more than [`RECENT_BYTES_MAX`] in all; the oldest goes first.

use std::collections::{HashMap, VecDeque};

use oncegate::clock::Timestamp;
use oncegate::hash::RecordId;
use oncegate::record::{Phase, Record, RecordState};
use parking_lot::Mutex;

/// The latest completed records.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    records: HashMap<RecordId, Record>,
    /// In the order in which they came.
    order: VecDeque<RecordId>,
    bytes: usize,
}

impl Recent {
    /// The record, if it is here and can be replayed at `now`.
    pub(super) fn completed(&self, id: RecordId, now: Timestamp) -> Option<Record> {
        let kept = self.0.lock();
        let record = kept.records.get(&id)?;
        (record.phase(now) == Phase::Completed).then(|| record.clone())
    }

    /// Keeps `record` if it is completed: it was just read, or its write is durable.
    pub(super) fn note(&self, record: &Record) {
        let RecordState::Completed { .. } = record.state else {
            return;
        };
        let bytes = kept_bytes(record);
        if bytes > RECORD_BYTES_MAX {
            return;
        }
        let mut kept = self.0.lock();
        if kept.records.contains_key(&record.id) {
            return;
        }
        while kept.bytes + bytes > RECENT_BYTES_MAX {
            let Some(oldest) = kept.order.pop_front() else {
                break;
            };
            let gone = kept.records.remove(&oldest);
            kept.bytes -= gone.as_ref().map_or(0, kept_bytes);
        }
        kept.bytes += bytes;
        kept.order.push_back(record.id);
        kept.records.insert(record.id, record.clone());
    }
}

/// What it takes here: itself, and its places in the map and in the order.
fn kept_bytes(record: &Record) -> usize {
    record.size_bytes() + 4 * size_of::<RecordId>()
}

/// What all of them may take.
pub const RECENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A larger one would push out too many others.
const RECORD_BYTES_MAX: usize = RECENT_BYTES_MAX / 64;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, Method, StatusCode};
    use oncegate::fingerprint::{FINGERPRINT_BYTES, Fingerprint};
    use oncegate::key::KeyDigest;
    use oncegate::record::{About, Fence, OwnerId};
    use oncegate::response::StoredResponse;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

    fn record(number: u32, body_bytes: usize) -> Record {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&number.to_le_bytes());
        let (headers, body) = (HeaderMap::new(), vec![7; body_bytes]);
        let response = StoredResponse::kept(StatusCode::CREATED, &headers, None, &body, &headers);
        Record {
            id: RecordId::from_bytes(id),
            owner: OwnerId::from_bytes([1; 16]),
            fence: Fence::from_number(1),
            revision: 1,
            fingerprint: Fingerprint::from_bytes([1; FINGERPRINT_BYTES]),
            about: About::new(KeyDigest::from_bytes([1; 8]), &Method::POST, "/"),
            created_at: NOW,
            state: RecordState::Completed {
                completed_at: NOW,
                response,
            },
            expires_at: NOW.after(Duration::from_secs(60)),
            purge_at: NOW.after(Duration::from_secs(120)),
        }
    }

    #[test]
    fn the_oldest_goes_first_and_the_bound_holds() {
        let recent = Recent::default();
        let body_bytes = 100_000;
        let fit = RECENT_BYTES_MAX / kept_bytes(&record(0, body_bytes));
        let numbers = 0..=u32::try_from(fit).unwrap();
        for number in numbers.clone() {
            recent.note(&record(number, body_bytes));
            recent.note(&record(number, body_bytes));
        }
        let here = |number| recent.completed(record(number, 0).id, NOW).is_some();
        assert!(!here(0));
        assert!(numbers.skip(1).all(here));
        let kept = recent.0.lock();
        assert!(kept.bytes <= RECENT_BYTES_MAX);
        let bytes: usize = kept.records.values().map(kept_bytes).sum();
        assert_eq!(kept.bytes, bytes);
        assert_eq!(kept.order.len(), kept.records.len());
    }

    #[test]
    fn only_what_is_completed_and_not_too_large_is_kept() {
        let recent = Recent::default();
        let mut unknown = record(1, 10);
        unknown.state = RecordState::Unknown { since: NOW };
        recent.note(&unknown);
        recent.note(&record(2, RECORD_BYTES_MAX));
        for number in [1, 2] {
            assert!(recent.completed(record(number, 0).id, NOW).is_none());
        }
    }
}
