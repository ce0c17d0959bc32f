//! A change, as the statement `update` takes it.

use std::time::Duration;

use oncegate::record::{OwnerId, Retention};
use oncegate::response::StoredResponse;
use oncegate::store::{Change, Expect, Settlement};

/// What a change writes. Whether it may is decided by the statement: from which states it leads is the one thing about
/// `transition.rs` that is repeated here.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) expect: Expect,
    /// Whether it may be applied to an unknown record, too.
    pub(super) from_unknown: bool,
    /// The state to which it leads.
    pub(super) state: &'static str,
    /// Who holds the record from then on, if that is somebody else.
    pub(super) new_owner: Option<OwnerId>,
    pub(super) lease: Duration,
    pub(super) lasts: Retention,
    pub(super) response: Option<StoredResponse>,
}

impl Write {
    pub(super) fn of(expect: Expect, change: &Change) -> Self {
        match change {
            Change::Renew { lease, unknown } => Self {
                lease: *lease,
                ..Self::to(IN_FLIGHT, false, expect, *unknown)
            },
            Change::Complete {
                response,
                retention,
            } => Self {
                response: Some(response.clone()),
                ..Self::to("completed", true, expect, *retention)
            },
            Change::Release => Self::to(RELEASED, true, expect, FENCE_KEPT),
            Change::MarkUnknown { unknown } => Self::to("unknown", false, expect, *unknown),
            Change::TakeOver {
                owner,
                lease,
                unknown,
            } => Self {
                new_owner: Some(*owner),
                lease: *lease,
                ..Self::to(IN_FLIGHT, true, expect, *unknown)
            },
            Change::Settle { owner, settlement } => Self {
                new_owner: Some(*owner),
                ..Self::settling(expect, settlement)
            },
        }
    }

    /// Whether those who wait for the record can go on.
    pub(super) fn ends_the_claim(&self) -> bool {
        self.state != IN_FLIGHT
    }

    /// Whether its owner says that it will not execute. Then its name is left where nothing stands.
    pub(super) fn gives_up(&self) -> bool {
        self.state == RELEASED && self.new_owner.is_none()
    }

    /// How much it adds to a batch, next to which the rest does not count.
    pub(super) fn response_bytes(&self) -> usize {
        let response = self.response.as_ref();
        response.map_or(0, |response| response.as_bytes().len())
    }

    fn settling(expect: Expect, settlement: &Settlement) -> Self {
        match settlement {
            Settlement::Completed {
                response,
                retention,
            } => Self {
                response: Some(response.clone()),
                ..Self::to("completed", true, expect, *retention)
            },
            Settlement::NotExecuted => Self::to(RELEASED, true, expect, FENCE_KEPT),
        }
    }

    const fn to(state: &'static str, from_unknown: bool, expect: Expect, lasts: Retention) -> Self {
        Self {
            expect,
            from_unknown,
            state,
            new_owner: None,
            lease: Duration::ZERO,
            lasts,
            response: None,
        }
    }
}

const IN_FLIGHT: &str = "in-flight";
const RELEASED: &str = "released";
/// How long the fence of a record that was given up is remembered, should the clock be set back.
const FENCE_KEPT: Retention = Retention {
    live: Duration::ZERO,
    tombstone: Duration::from_secs(24 * 60 * 60),
};
