//! Which record is in which row, in memory: 17 to 34 bytes a record.
//!
//! It keeps a 64-bit keyed hash of the id and the row, not the id: whoever asks verifies the id in
//! the row. Two ids with one hash are so rare that the second one is kept whole in a small map
//! beside.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use oncegate::hash::RecordId;

use super::rows::Row;

/// From record ids to rows.
#[derive(Debug, Default)]
pub(super) struct Index<S = RandomState> {
    /// Keys the hash: nobody outside can choose ids that collide.
    hasher: S,
    rows: HashMap<u64, Row, BuildHasherDefault<AlreadyHashed>>,
    /// Ids whose hash belongs to another id in `rows`.
    collided: HashMap<RecordId, Row>,
}

impl<S: BuildHasher> Index<S> {
    /// An empty index under this hasher, with room for `records`.
    pub(super) fn with_capacity(hasher: S, records: usize) -> Self {
        let rows = HashMap::with_capacity_and_hasher(records, BuildHasherDefault::default());
        Self {
            hasher,
            rows,
            collided: HashMap::new(),
        }
    }

    /// The one row where `id` can be. It may be another id's: verify it.
    pub(super) fn row(&self, id: RecordId) -> Option<Row> {
        if !self.collided.is_empty()
            && let Some(row) = self.collided.get(&id)
        {
            return Some(*row);
        }
        self.rows.get(&self.hash(id)).copied()
    }

    /// Moves `id` from the row `was`, if it had one, to `row`.
    pub(super) fn put(&mut self, id: RecordId, was: Option<Row>, row: Row) {
        if let Some(was) = was {
            self.remove(id, was);
        }
        if self.take_in(id, row).is_some() {
            self.collided.insert(id, row);
        }
    }

    /// Sorts ids in the order of where they will be in memory. A matter of speed alone.
    pub(super) fn arrange(&self, ids: &mut [(RecordId, Row)]) {
        // How the map of the standard library places hashes; were it otherwise, it would be slower.
        let slots = (self.rows.capacity() as u64 / 7 * 8).next_power_of_two();
        ids.sort_by_cached_key(|(id, _)| self.hash(*id) & (slots - 1));
    }

    /// Takes in `id`, which was not known before, unless its hash is taken: then answers by which
    /// row.
    pub(super) fn take_in(&mut self, id: RecordId, row: Row) -> Option<Row> {
        match self.rows.entry(self.hasher.hash_one(id)) {
            Entry::Vacant(free) => {
                free.insert(row);
                None
            }
            Entry::Occupied(taken) => Some(*taken.get()),
        }
    }

    /// Forgets that `id` is in `row`.
    pub(super) fn remove(&mut self, id: RecordId, row: Row) {
        if self.collided.get(&id) == Some(&row) {
            self.collided.remove(&id);
            return;
        }
        let hash = self.hash(id);
        if self.rows.get(&hash) == Some(&row) {
            self.rows.remove(&hash);
        }
    }

    /// How many records are known.
    pub(super) fn len(&self) -> usize {
        self.rows.len() + self.collided.len()
    }

    fn hash(&self, id: RecordId) -> u64 {
        self.hasher.hash_one(id)
    }
}

/// Passes a hash on as it is.
#[derive(Debug, Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives every id the same hash.
    #[derive(Debug, Default)]
    struct Constant;

    struct Seven;

    impl Hasher for Seven {
        fn finish(&self) -> u64 {
            7
        }

        fn write(&mut self, _: &[u8]) {}
    }

    impl BuildHasher for Constant {
        type Hasher = Seven;

        fn build_hasher(&self) -> Seven {
            Seven
        }
    }

    fn id(byte: u8) -> RecordId {
        RecordId::from_bytes([byte; 32])
    }

    #[test]
    fn ids_that_share_a_hash_are_each_found_and_removed_on_their_own() {
        let mut index = Index::with_capacity(Constant, 0);
        index.put(id(1), None, Row(10));
        index.put(id(2), None, Row(20));
        index.put(id(3), None, Row(30));
        assert_eq!(index.row(id(1)), Some(Row(10)));
        assert_eq!(index.row(id(2)), Some(Row(20)));
        assert_eq!(index.row(id(3)), Some(Row(30)));
        index.remove(id(1), Row(10));
        assert_eq!(index.row(id(1)), None);
        assert_eq!(index.row(id(2)), Some(Row(20)));
        index.put(id(3), Some(Row(30)), Row(31));
        assert_eq!(index.row(id(3)), Some(Row(31)));
        assert_eq!(index.len(), 2);
    }

    #[test]
    fn a_removal_of_another_ids_row_changes_nothing() {
        let mut index = Index::with_capacity(Constant, 0);
        index.put(id(1), None, Row(10));
        index.remove(id(2), Row(20));
        assert_eq!(index.row(id(1)), Some(Row(10)));
    }

    #[test]
    fn a_record_that_moves_is_found_in_its_new_row_alone() {
        let mut index: Index = Index::with_capacity(RandomState::new(), 4);
        index.put(id(1), None, Row(10));
        index.put(id(1), Some(Row(10)), Row(11));
        assert_eq!(index.row(id(1)), Some(Row(11)));
        assert_eq!(index.len(), 1);
    }
}
