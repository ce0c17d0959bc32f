//! A change, as the script takes it.

use std::time::Duration;

use oncegate::record::{OwnerId, Retention};
use oncegate::response::StoredResponse;
use oncegate::store::{Change, Settlement};

/// A change as the script takes it. What a change does not have is empty or zero, and the script does not look at it.
pub(super) struct Words {
    pub(super) name: &'static str,
    pub(super) owner: Option<OwnerId>,
    pub(super) lease: Duration,
    pub(super) retention: Retention,
    pub(super) response: Option<StoredResponse>,
}

impl Words {
    pub(super) fn of(change: Change) -> Self {
        let none = Self {
            name: "",
            owner: None,
            lease: Duration::ZERO,
            retention: Retention {
                live: Duration::ZERO,
                tombstone: Duration::ZERO,
            },
            response: None,
        };
        match change {
            Change::Renew { lease, unknown } => Self {
                name: "renew",
                lease,
                retention: unknown,
                ..none
            },
            Change::Complete {
                response,
                retention,
            } => Self {
                name: "complete",
                retention,
                response: Some(response),
                ..none
            },
            Change::Release => Self {
                name: "release",
                ..none
            },
            Change::MarkUnknown { unknown } => Self {
                name: "mark-unknown",
                retention: unknown,
                ..none
            },
            Change::TakeOver {
                owner,
                lease,
                unknown,
            } => Self {
                name: "take-over",
                owner: Some(owner),
                lease,
                retention: unknown,
                ..none
            },
            Change::Settle { owner, settlement } => match settlement {
                Settlement::Completed {
                    response,
                    retention,
                } => Self {
                    name: "settle-completed",
                    owner: Some(owner),
                    retention,
                    response: Some(response),
                    ..none
                },
                Settlement::NotExecuted => Self {
                    name: "settle-not-executed",
                    owner: Some(owner),
                    ..none
                },
            },
        }
    }
}
