//! Sums over what was written, by which bytes that changed on the disk are noticed.
//!
//! SQLite keeps none of its own: a bit that flips in an id would make a key pass for absent and be executed again, one
//! in a body would be replayed. Every record, every response and the store's own row carry a seal; the [`Tally`] says
//! which records there are, so that one that vanished is missed. This is no protection from people: whoever can write
//! the file can make seals.

use crc32fast::Hasher;
use oncegate::hash::RecordId;
use oncegate::record::Record;

use super::rows::{Row, code_and_time};
use super::schema::Meta;

/// The seal of a record in this row, without its response.
pub(super) fn of_record(row: Row, record: &Record) -> i64 {
    let (code, at) = code_and_time(&record.state);
    let mut sum = Hasher::new();
    sum.update(record.id.as_bytes());
    sum.update(record.owner.as_bytes());
    sum.update(&record.fingerprint.to_bytes());
    sum.update(record.about.key_digest.as_bytes());
    for number in [row.0, code.number(), at] {
        sum.update(&number.to_le_bytes());
    }
    for number in [record.fence.number(), record.revision] {
        sum.update(&number.to_le_bytes());
    }
    for time in [record.created_at, record.expires_at, record.purge_at] {
        sum.update(&time.as_micros().to_le_bytes());
    }
    sum.update(record.about.operation.as_bytes());
    i64::from(sum.finalize())
}

/// The seal of the response that belongs to this row.
pub(super) fn of_body(row: Row, response: &[u8]) -> i64 {
    let mut sum = Hasher::new();
    sum.update(&row.0.to_le_bytes());
    sum.update(response);
    i64::from(sum.finalize())
}

/// The seal of what the store keeps of itself.
pub(super) fn of_meta(meta: &Meta) -> i64 {
    let mut sum = Hasher::new();
    sum.update(&meta.salt);
    sum.update(&meta.incarnation.to_le_bytes());
    for number in [
        meta.time_high.as_micros(),
        meta.fence_high.number(),
        meta.tally.0,
    ] {
        sum.update(&number.to_le_bytes());
    }
    i64::from(sum.finalize())
}

/// Which records there are, and in which rows, as one number.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Tally(pub(super) u64);

impl Tally {
    /// Counts a record in, or out again.
    pub(super) fn toggle(&mut self, row: Row, id: RecordId) {
        // An id is a hash already; what is added is its place, and that no two bits cancel each other out.
        let mut mixed = row.0.cast_unsigned().wrapping_mul(MIX);
        for part in id.as_bytes().chunks_exact(8) {
            let part = part.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            mixed = (mixed ^ part).wrapping_mul(MIX).rotate_left(29);
        }
        self.0 ^= mixed;
    }
}

/// Odd, so that multiplying by it loses nothing.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_notices_a_record_that_vanished_changed_or_moved() {
        let ids = [[7; 32], [9; 32]].map(RecordId::from_bytes);
        let of = |rows: &[(i64, RecordId)]| {
            let mut tally = Tally::default();
            for (row, id) in rows {
                tally.toggle(Row(*row), *id);
            }
            tally
        };
        let whole = of(&[(1, ids[0]), (2, ids[1])]);
        assert_eq!(whole, of(&[(2, ids[1]), (1, ids[0])]));
        assert_ne!(whole, of(&[(1, ids[0])]));
        assert_ne!(whole, of(&[(2, ids[0]), (1, ids[1])]));
        assert_eq!(of(&[(1, ids[0]), (1, ids[0])]), Tally::default());
        for bit in 0..256 {
            let mut changed = [7; 32];
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = RecordId::from_bytes(changed);
            assert_ne!(whole, of(&[(1, changed), (2, ids[1])]), "bit {bit}");
        }
    }
}
