//! Whether what is behind the connection was looked at since it last broke: it may be another Redis, one that was
//! restarted, or one that is set up in another way.

use std::sync::atomic::{AtomicU64, Ordering};

/// A doubt that stays until somebody has looked, and found all well. Two who look at once disturb nobody; one who
/// leaves while looking resolves nothing.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    raised: AtomicU64,
    resolved: AtomicU64,
}

/// The doubts that there were when somebody began to look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raised(u64);

impl Doubt {
    /// The next insert looks.
    pub(super) fn raise(&self) {
        self.raised.fetch_add(1, Ordering::AcqRel);
    }

    /// What is to be looked into; `None` if there is nothing.
    pub(super) fn pending(&self) -> Option<Raised> {
        let raised = self.raised.load(Ordering::Acquire);
        (self.resolved.load(Ordering::Acquire) < raised).then_some(Raised(raised))
    }

    /// All was well. What was raised since the look began stays.
    pub(super) fn resolve(&self, Raised(seen): Raised) {
        self.resolved.fetch_max(seen, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubt_stays_until_a_look_that_began_after_it_found_all_well() {
        let doubt = Doubt::default();
        assert!(doubt.pending().is_none());
        doubt.raise();
        let first = doubt.pending().unwrap();
        // Others see it as long as the first one looks.
        assert!(doubt.pending().is_some());
        doubt.raise();
        doubt.resolve(first);
        let second = doubt.pending().unwrap();
        doubt.resolve(second);
        assert!(doubt.pending().is_none());
        doubt.resolve(first);
        assert!(doubt.pending().is_none());
    }
}
