//! Names of the methods of a store, so that plans and counts can speak of them.

use std::fmt;

/// A method of [`Store`](crate::Store).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(
    clippy::exhaustive_enums,
    reason = "it grows with the trait, and callers must see that"
)]
pub enum StoreMethod {
    /// [`Store::insert`](crate::Store::insert).
    Insert,
    /// [`Store::update`](crate::Store::update).
    Update,
    /// [`Store::get`](crate::Store::get).
    Get,
    /// [`Store::purge`](crate::Store::purge).
    Purge,
    /// [`Store::watch`](crate::Store::watch).
    Watch,
    /// [`Store::ping`](crate::Store::ping).
    Ping,
    /// [`Store::info`](crate::Store::info).
    Info,
}

impl StoreMethod {
    /// All of them, in the order of the trait.
    pub const ALL: [Self; 7] = [
        Self::Insert,
        Self::Update,
        Self::Get,
        Self::Purge,
        Self::Watch,
        Self::Ping,
        Self::Info,
    ];

    /// The name, as metrics and errors show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Get => "get",
            Self::Purge => "purge",
            Self::Watch => "watch",
            Self::Ping => "ping",
            Self::Info => "info",
        }
    }

    /// Where this method stands in [`StoreMethod::ALL`].
    pub(super) const fn index(self) -> usize {
        match self {
            Self::Insert => 0,
            Self::Update => 1,
            Self::Get => 2,
            Self::Purge => 3,
            Self::Watch => 4,
            Self::Ping => 5,
            Self::Info => 6,
        }
    }
}

impl fmt::Display for StoreMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
