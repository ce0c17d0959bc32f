//! Bounds on those who wait for another execution to end.

use std::collections::HashMap;
use std::sync::Arc;

use oncegate::hash::RecordId;
use parking_lot::Mutex;

/// Who waits, counted in all and for each key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_record: HashMap<RecordId, usize>,
}

/// The permission to wait; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    waiting: Waiting,
    id: RecordId,
}

impl Waiting {
    /// A place among those who wait for `id`, unless there are too many.
    pub(crate) fn take_place(&self, id: RecordId) -> Option<Place> {
        let mut counts = self.0.lock();
        let here = counts.by_record.get(&id).copied().unwrap_or(0);
        if counts.all >= WAITERS_MAX || here >= WAITERS_PER_KEY_MAX {
            return None;
        }
        counts.all += 1;
        counts.by_record.insert(id, here + 1);
        Some(Place {
            waiting: self.clone(),
            id,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.waiting.0.lock();
        counts.all -= 1;
        if let Some(here) = counts.by_record.get_mut(&self.id) {
            *here -= 1;
            if *here == 0 {
                counts.by_record.remove(&self.id);
            }
        }
    }
}

/// Duplicates that may wait in one process.
pub const WAITERS_MAX: usize = 1_024;
/// Duplicates that may wait for one key.
pub const WAITERS_PER_KEY_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_wait_for_one_key_are_bounded_and_places_come_back() {
        let waiting = Waiting::default();
        let id = RecordId::from_bytes([1; 32]);
        let places: Vec<_> = std::iter::from_fn(|| waiting.take_place(id)).collect();
        assert_eq!(places.len(), WAITERS_PER_KEY_MAX);
        assert!(waiting.take_place(RecordId::from_bytes([2; 32])).is_some());
        drop(places);
        assert!(waiting.take_place(id).is_some());
    }

    #[test]
    fn those_who_wait_are_bounded_in_all() {
        let waiting = Waiting::default();
        let id = |n: usize| RecordId::from_bytes([u8::try_from(n % 256).unwrap(); 32]);
        let places: Vec<_> = (0..4_096)
            .filter_map(|n| waiting.take_place(id(n)))
            .collect();
        assert_eq!(places.len(), WAITERS_MAX);
    }
}
