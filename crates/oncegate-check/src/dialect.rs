//! How APIs word the pattern: names of headers, statuses of refusals, what is promised.

use crate::case::Refusal;

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
    /// Statuses of a missing or malformed key.
    pub invalid: &'static [u16],
    /// The header that marks a replay, and its value.
    pub replay_marker: Option<(&'static str, &'static str)>,
    /// Whether refusals are RFC 9457 problem documents.
    pub problems: bool,
}

impl Dialect {
    /// The statuses that say so.
    #[must_use]
    pub const fn statuses(&self, refusal: Refusal) -> &'static [u16] {
        match refusal {
            Refusal::Mismatch => self.mismatch,
            Refusal::InFlight => self.in_flight,
            Refusal::Missing | Refusal::Malformed => self.invalid,
        }
    }

    /// All that have a name.
    #[must_use]
    pub const fn all() -> &'static [Self] {
        ALL
    }
}

const ALL: &[Dialect] = &[ONCEGATE, IETF];

/// Ours.
pub const ONCEGATE: Dialect = Dialect {
    name: "oncegate",
    key_header: "Idempotency-Key",
    keys_are_quoted: false,
    key_length_max: 255,
    mismatch: &[422],
    in_flight: &[409],
    invalid: &[400],
    replay_marker: Some(("Idempotent-Replayed", "true")),
    problems: true,
};

/// The IETF draft, to the letter.
pub const IETF: Dialect = Dialect {
    name: "ietf",
    keys_are_quoted: true,
    replay_marker: None,
    ..ONCEGATE
};
