//! The memory that held bodies take, bounded in all.
//!
//! A request body is held until it was sent on, an answer until its caller took it: slow peers on either side would
//! otherwise pin as much as they like. Promises: what is held is counted for as long as anybody holds it, and given
//! back when it goes, however it goes. An outcome on its way to the store takes what its answer takes, until it is
//! there. Requests get three quarters, so that uploads cannot leave outcomes without room. Answers of up to
//! [`SMALL_BYTES`] need no room: for want of memory no usual outcome is left unkept. Those are bounded by the
//! executions and connections there may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// How many bytes of bodies one process may hold in memory. A clone is the same budget.
#[derive(Clone, Debug)]
pub struct BufferBudget {
    used: Arc<AtomicU64>,
    bytes_max: u64,
}

/// What room is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Held {
    /// A request's body: refused in time, it costs nobody anything.
    Request,
    /// An answer's body: without room its outcome is kept without it.
    Answer,
}

/// There is no room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct NoRoom;

impl BufferBudget {
    /// At most `bytes_max` bytes in all.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        Self {
            used: Arc::default(),
            bytes_max,
        }
    }

    /// How many bytes are held now.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// How many bytes of request bodies fit at most.
    #[must_use]
    pub const fn requests_max(&self) -> u64 {
        self.bytes_max - self.bytes_max / 4
    }

    /// A share of nothing yet.
    pub(crate) fn share(&self, held: Held) -> Share {
        Share {
            budget: self.clone(),
            held,
            length: 0,
            bytes: 0,
        }
    }

    /// Counts an answer that is whole already for as long as somebody holds it, if there is room for it.
    pub(crate) fn hold_answer(&self, bytes: Bytes) -> Result<Bytes, NoRoom> {
        let mut share = self.share(Held::Answer);
        share.grow(bytes.len())?;
        Ok(share.hold(bytes))
    }
}

impl Default for BufferBudget {
    /// At most [`BUFFER_BYTES_TOTAL_MAX`].
    fn default() -> Self {
        Self::new(BUFFER_BYTES_TOTAL_MAX)
    }
}

/// What one body takes of the budget.
#[derive(Debug)]
pub(crate) struct Share {
    budget: BufferBudget,
    held: Held,
    /// How long the body is.
    length: u64,
    /// How much of it is counted.
    bytes: u64,
}

impl Share {
    /// Makes room for `more` bytes.
    pub(crate) fn grow(&mut self, more: usize) -> Result<(), NoRoom> {
        let length = self.length + more as u64;
        let most = match self.held {
            Held::Answer if length <= SMALL_BYTES => {
                self.length = length;
                return Ok(());
            }
            Held::Answer => self.budget.bytes_max,
            Held::Request => self.budget.requests_max(),
        };
        // What was small so far is not counted yet.
        let more = length - self.bytes;
        let within = |used: u64| used.checked_add(more).filter(|sum| *sum <= most);
        let used = &self.budget.used;
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within)
            .map_err(|_used| NoRoom)?;
        (self.length, self.bytes) = (length, length);
        Ok(())
    }

    /// The bytes, which are counted until the last holder lets go of them; small ones no longer.
    pub(crate) fn hold(self, bytes: impl Into<Bytes>) -> Bytes {
        self.hold_with(bytes).0
    }

    /// The same, and something that keeps them counted after that, for as long as a copy of them is held.
    pub(crate) fn hold_with(self, bytes: impl Into<Bytes>) -> (Bytes, Option<StillCounted>) {
        let bytes = bytes.into();
        if bytes.len() as u64 <= SMALL_BYTES {
            return (bytes, None);
        }
        let share = Arc::new(self);
        let still = StillCounted {
            _share: Arc::clone(&share),
        };
        let counted = Counted {
            bytes,
            _share: share,
        };
        (Bytes::from_owner(counted), Some(still))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Counted {
    bytes: Bytes,
    _share: Arc<Share>,
}

/// Keeps the bytes of a body counted, without holding them.
#[derive(Debug)]
pub(crate) struct StillCounted {
    _share: Arc<Share>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The bytes that all held bodies take at most unless told otherwise.
pub const BUFFER_BYTES_TOTAL_MAX: u64 = 256 * 1024 * 1024;

/// Answers up to this are held without asking for room.
const SMALL_BYTES: u64 = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_until_the_last_holder_lets_go() {
        let budget = BufferBudget::new(100_000);
        let held = budget.hold_answer(vec![1; 20_000].into()).unwrap();
        let part = held.slice(10..20);
        drop(held);
        assert_eq!(budget.used(), 20_000);
        drop(part);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_copy_is_counted_once_with_its_original_and_after_it() {
        let budget = BufferBudget::new(100_000);
        let mut share = budget.share(Held::Answer);
        share.grow(20_000).unwrap();
        let (held, still) = share.hold_with(vec![1; 20_000]);
        assert_eq!(budget.used(), 20_000);
        drop(held);
        assert_eq!(budget.used(), 20_000);
        drop(still);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn requests_leave_a_quarter_to_answers_and_small_answers_need_no_room() {
        let budget = BufferBudget::new(100_000);
        let mut upload = budget.share(Held::Request);
        upload.grow(75_000).unwrap();
        assert_eq!(upload.grow(1), Err(NoRoom));
        let answer = budget.hold_answer(vec![1; 25_000].into()).unwrap();
        assert!(budget.hold_answer(vec![1; 20_000].into()).is_err());
        budget.hold_answer(vec![1; 16 * 1024].into()).unwrap();
        assert_eq!(budget.used(), 100_000);
        drop((upload, answer));
        assert_eq!(budget.used(), 0);
    }
}
