//! What processes tell each other about records: "I wait for these" and "these have changed". Pure.
//!
//! To tell everybody of every change would cost the server a commit for each, though hardly ever does anybody wait. So
//! whoever waits says so, and whoever changes a record that somebody waits for says that.
//!
//! All of it is a hint. What is forgotten here, because a bound was reached or a connection broke, is found out by the
//! slow poll of whoever waits.

use std::collections::HashSet;

use oncegate::hash::RecordId;

/// What one process knows of the others' waiting, and what it has to tell them.
#[derive(Debug, Default)]
pub(super) struct Notices {
    /// What this process has said that it waits for.
    awaited_here: Lately,
    /// What others have said that they wait for.
    awaited_elsewhere: Lately,
    /// What this process has changed: somebody may have begun to wait just before, and be heard of only now.
    changed_here: Lately,
    /// What is to be told.
    waits: HashSet<RecordId>,
    changes: HashSet<RecordId>,
}

impl Notices {
    /// Somebody waits here. Whether there is something to tell now.
    pub(super) fn awaited(&mut self, id: RecordId) -> bool {
        let told = self.awaited_here.contains(id);
        if told || self.waits.len() >= TO_TELL_MAX {
            return false;
        }
        self.awaited_here.insert(id);
        self.waits.insert(id)
    }

    /// A record was changed here. Whether there is something to tell now.
    pub(super) fn changed(&mut self, id: RecordId) -> bool {
        self.changed_here.insert(id);
        // Who waits here knows by now, and whoever waits for it after this says so anew.
        self.awaited_here.remove(id);
        self.waits.remove(&id);
        self.awaited_elsewhere.remove(id) && self.tell_of_change(id)
    }

    /// Another process has told something. Answers whom to wake here, and whether there is something to tell now.
    pub(super) fn heard(&mut self, told: &str) -> (Vec<RecordId>, bool) {
        let Some((kind, ids)) = read(told) else {
            return (Vec::new(), false);
        };
        match kind {
            Kind::Waits => (Vec::new(), self.awaited_by_others(ids)),
            Kind::Changed => {
                for &id in &ids {
                    self.awaited_here.remove(id);
                    self.awaited_elsewhere.remove(id);
                }
                (ids, false)
            }
        }
    }

    /// What to tell next: as much as one message holds.
    pub(super) fn next(&mut self) -> Option<String> {
        let (kind, ids) = if self.changes.is_empty() {
            (Kind::Waits, &mut self.waits)
        } else {
            (Kind::Changed, &mut self.changes)
        };
        let some: Vec<RecordId> = ids.iter().copied().take(IDS_IN_A_MESSAGE).collect();
        for id in &some {
            ids.remove(id);
        }
        (!some.is_empty()).then(|| write(kind, &some))
    }

    /// The connection is a new one: what was told may not have been heard.
    pub(super) fn forget_what_was_told(&mut self) {
        self.awaited_here = Lately::default();
    }

    fn awaited_by_others(&mut self, ids: Vec<RecordId>) -> bool {
        let mut tells = false;
        for id in ids {
            if self.changed_here.contains(id) {
                tells |= self.tell_of_change(id);
            } else {
                self.awaited_elsewhere.insert(id);
            }
        }
        tells
    }

    fn tell_of_change(&mut self, id: RecordId) -> bool {
        self.changes.len() < TO_TELL_MAX && self.changes.insert(id)
    }
}

/// The ids that came last, [`LATELY`] of them at least and twice as many at most.
#[derive(Debug, Default)]
struct Lately {
    young: HashSet<RecordId>,
    old: HashSet<RecordId>,
}

impl Lately {
    fn insert(&mut self, id: RecordId) {
        if self.young.len() >= LATELY {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id);
    }

    fn contains(&self, id: RecordId) -> bool {
        self.young.contains(&id) || self.old.contains(&id)
    }

    fn remove(&mut self, id: RecordId) -> bool {
        let was_young = self.young.remove(&id);
        self.old.remove(&id) || was_young
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Waits,
    Changed,
}

/// A letter, and ids of one length each behind it.
fn write(kind: Kind, ids: &[RecordId]) -> String {
    let letter = match kind {
        Kind::Waits => WAITS,
        Kind::Changed => CHANGED,
    };
    let ids = ids.iter().map(ToString::to_string);
    std::iter::once(letter.to_owned()).chain(ids).collect()
}

/// What is none of ours is nothing.
fn read(told: &str) -> Option<(Kind, Vec<RecordId>)> {
    let (kind, ids) = match told.split_at_checked(1)? {
        (WAITS, ids) => (Kind::Waits, ids),
        (CHANGED, ids) => (Kind::Changed, ids),
        _ => return None,
    };
    let ids = ids.as_bytes().chunks(ID_BYTES).map(|id| {
        let text = std::str::from_utf8(id).ok()?;
        text.parse().ok()
    });
    Some((kind, ids.collect::<Option<Vec<RecordId>>>()?))
}

const WAITS: &str = "w";
const CHANGED: &str = "c";
/// An id in hexadecimal.
const ID_BYTES: usize = 64;
/// PostgreSQL takes less than 8,000 bytes in a message.
const IDS_IN_A_MESSAGE: usize = 120;
/// More than this is not told: those who wait for it poll.
const TO_TELL_MAX: usize = 8_192;
/// Twice as many wait at most where limits are as they come.
const LATELY: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> RecordId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        RecordId::from_bytes(bytes)
    }

    /// All that `from` has to tell is heard by `to`. Answers whom that wakes.
    fn pass(from: &mut Notices, to: &mut Notices) -> Vec<RecordId> {
        let mut woken = Vec::new();
        while let Some(told) = from.next() {
            assert!(told.len() < 8_000, "{} bytes", told.len());
            woken.extend(to.heard(&told).0);
        }
        woken.sort_unstable_by_key(ToString::to_string);
        woken
    }

    #[test]
    fn a_change_that_nobody_waits_for_is_not_told() {
        let mut holder = Notices::default();
        assert!(!holder.changed(id(1)));
        assert_eq!(holder.next(), None);
    }

    #[test]
    fn a_change_that_somebody_waits_for_elsewhere_is_told_once() {
        let (mut holder, mut waiter) = (Notices::default(), Notices::default());
        assert!(waiter.awaited(id(1)));
        assert!(!waiter.awaited(id(1)), "it was told already");
        assert_eq!(pass(&mut waiter, &mut holder), []);
        assert!(!holder.changed(id(2)));
        assert!(holder.changed(id(1)));
        assert_eq!(pass(&mut holder, &mut waiter), [id(1)]);
        assert!(!holder.changed(id(1)));
        assert!(waiter.awaited(id(1)), "who waits again says so again");
    }

    /// The record changed between the look of the one who waits and the arrival of its word.
    #[test]
    fn one_whose_word_comes_after_the_change_is_woken_at_once() {
        let (mut holder, mut waiter) = (Notices::default(), Notices::default());
        assert!(waiter.awaited(id(1)));
        assert!(!holder.changed(id(1)));
        let told = waiter.next().unwrap();
        assert_eq!(holder.heard(&told), (Vec::new(), true));
        assert_eq!(pass(&mut holder, &mut waiter), [id(1)]);
    }

    #[test]
    fn many_waits_are_told_in_messages_that_the_server_takes() {
        let (mut holder, mut waiter) = (Notices::default(), Notices::default());
        for number in 0..1_000 {
            waiter.awaited(id(number));
        }
        pass(&mut waiter, &mut holder);
        for number in 0..1_000 {
            assert!(holder.changed(id(number)), "{number}");
        }
        let all: Vec<RecordId> = (0..1_000).map(id).collect();
        assert_eq!(pass(&mut holder, &mut waiter), all);
    }

    #[test]
    fn what_is_remembered_and_what_is_to_be_told_is_bounded() {
        let (mut holder, mut waiter) = (Notices::default(), Notices::default());
        for number in 0..TO_TELL_MAX + 1 {
            waiter.awaited(id(number));
        }
        assert_eq!(waiter.waits.len(), TO_TELL_MAX);
        pass(&mut waiter, &mut holder);
        for number in 0..5 * LATELY {
            holder.changed(id(100_000 + number));
            waiter.awaited(id(200_000 + number));
            if number % IDS_IN_A_MESSAGE == 0 {
                pass(&mut waiter, &mut holder);
            }
        }
        for known in [
            &waiter.awaited_here,
            &holder.awaited_elsewhere,
            &holder.changed_here,
        ] {
            let count = known.young.len() + known.old.len();
            assert!((LATELY..=2 * LATELY).contains(&count), "{count}");
        }
    }

    #[test]
    fn a_wait_that_ends_here_before_it_was_told_is_not_told() {
        let mut both = Notices::default();
        assert!(both.awaited(id(1)));
        assert!(!both.changed(id(1)));
        assert_eq!(both.next(), None);
        assert!(both.awaited(id(1)), "who waits again says so again");
    }

    #[test]
    fn after_a_reconnect_waits_are_told_again() {
        let mut waiter = Notices::default();
        assert!(waiter.awaited(id(1)));
        assert!(waiter.next().is_some());
        waiter.forget_what_was_told();
        assert!(waiter.awaited(id(1)));
    }

    #[test]
    fn what_others_say_in_our_channel_is_nothing() {
        let mut notices = Notices::default();
        for told in ["", "w12", "cé", "hello", "é", "w\u{e9}", &"c".repeat(65)] {
            let (woken, _tells) = notices.heard(told);
            // Sixty-four letters c are a good id.
            assert_eq!(woken.len(), usize::from(told.len() == 65), "{told}");
        }
        assert_eq!(notices.next(), None);
    }
}
