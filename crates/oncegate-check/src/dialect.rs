//! How APIs word the pattern: names of headers, statuses of refusals, what is promised and what is left open.
//!
//! What a dialect does not promise is never a pass: the verdict is "cannot tell", and says that nobody promised it.

use crate::case::{Failure, Need, Promise, Refusal};

mod known;
mod resemblance;

pub use known::{ADYEN, AUTO, IETF, ONCEGATE, PAYPAL, STRIPE};
pub use resemblance::{Evidence, Resemblance, resemblance};

/// One way to word the pattern.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// Its name on command lines.
    pub name: &'static str,
    /// The header that carries the key.
    pub key_header: &'static str,
    /// Whether keys are written in quotes.
    pub keys_are_quoted: bool,
    /// Longest key in bytes.
    pub key_length_max: usize,
    /// Statuses of a mismatch.
    pub mismatch: &'static [u16],
    /// Statuses of a duplicate in flight.
    pub in_flight: &'static [u16],
    /// Statuses where a key is required and missing.
    pub missing: &'static [u16],
    /// Statuses of what is no key.
    pub malformed: &'static [u16],
    /// The header that marks a replay, and its value.
    pub replay_marker: Option<(&'static str, &'static str)>,
    /// What becomes of a key whose request failed.
    pub fates: Fates,
    /// What else is promised.
    pub promised: &'static [Promise],
}

/// What becomes of a key whose request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fates {
    /// By a 4xx for what it says.
    pub client: Fate,
    /// By a 429.
    pub rate_limited: Fate,
    /// By a 5xx.
    pub server: Fate,
}

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The answer is kept and replayed.
    Kept,
    /// The key is free: the retry runs.
    Released,
    /// Nothing is said about it.
    Open,
}

impl Dialect {
    /// All that have a name.
    #[must_use]
    pub const fn all() -> &'static [Self] {
        known::ALL
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::all().iter().find(|dialect| dialect.name == name)
    }

    /// The statuses that say so; none, if the dialect does not say.
    #[must_use]
    pub const fn statuses(&self, refusal: Refusal) -> &'static [u16] {
        match refusal {
            Refusal::Mismatch => self.mismatch,
            Refusal::InFlight => self.in_flight,
            Refusal::Missing => self.missing,
            Refusal::Malformed => self.malformed,
        }
    }

    /// What becomes of a key whose request failed so.
    #[must_use]
    pub const fn fate(&self, failure: Failure) -> Fate {
        match failure {
            // Whoever has the right credentials now must get through, whatever the dialect.
            Failure::Unauthorized => Fate::Released,
            Failure::Client => self.fates.client,
            Failure::RateLimited => self.fates.rate_limited,
            Failure::Server => self.fates.server,
        }
    }

    /// Whether it says anything about that.
    #[must_use]
    pub fn promises(&self, promise: Promise) -> bool {
        match promise {
            Promise::Status(refusal) => !self.statuses(refusal).is_empty(),
            Promise::Fate(failure) => self.fate(failure) != Fate::Open,
            Promise::StructuredKeys
            | Promise::KeyLength
            | Promise::Problems
            | Promise::Advice
            | Promise::Echo
            | Promise::JsonByValue => self.promised.contains(&promise),
        }
    }

    /// Why a case that needs this is not tried, if the dialect is why.
    #[must_use]
    pub fn lacks(&self, need: Need) -> Option<String> {
        match need {
            Need::Promise(promise) if !self.promises(promise) => Some(self.open(promise)),
            Need::Promise(_)
            | Need::SecondPrincipal
            | Need::Credential
            | Need::Body
            | Need::JsonObject
            | Need::Variant(_)
            | Need::Chaos
            | Need::KeyRequired
            | Need::KeyOptional
            | Need::Documented(_) => None,
        }
    }

    /// That this is left open.
    #[must_use]
    pub fn open(&self, promise: Promise) -> String {
        let name = self.name;
        let subject = promise.subject();
        if name == AUTO.name {
            format!("dialects differ on {subject}: name yours to have it judged")
        } else {
            format!("the dialect {name} does not promise {subject}")
        }
    }
}

impl Promise {
    /// What it is about, to be read after "promise".
    pub(crate) const fn subject(self) -> &'static str {
        match self {
            Self::StructuredKeys => "that quotes and parameters are no part of the key",
            Self::KeyLength => "how long a key may be",
            Self::Status(Refusal::Mismatch) => "a status for a mismatch",
            Self::Status(Refusal::InFlight) => "a status for a duplicate in flight",
            Self::Status(Refusal::Missing) => "a status for a missing key",
            Self::Status(Refusal::Malformed) => "a status for what is no key",
            Self::Problems => "problem documents",
            Self::Advice => "`Idempotency-Status`, `executed` and `next`",
            Self::Echo => "to repeat the key",
            Self::JsonByValue => "to compare JSON by what it means",
            Self::Fate(Failure::Client) => "what becomes of a key after a 4xx",
            Self::Fate(Failure::RateLimited) => "what becomes of a key after a 429",
            Self::Fate(Failure::Server) => "what becomes of a key after a 5xx",
            Self::Fate(Failure::Unauthorized) => "what becomes of a key after a 401",
        }
    }
}
