//! The dialects, as their owners document them. `docs/profiles.md` says where each line comes from, and when it was looked up.
//!
//! What was not found documented is left open here, even where a vendor's servers are known to do it.

use super::{Dialect, Fate, Fates};
use crate::case::Promise;

pub(super) const ALL: &[Dialect] = &[ONCEGATE, IETF, STRIPE, ADYEN, PAYPAL, AUTO];

/// Ours.
pub const ONCEGATE: Dialect = Dialect {
    name: "oncegate",
    key_header: "Idempotency-Key",
    keys_are_quoted: false,
    key_length_max: 255,
    mismatch: &[422],
    in_flight: &[409],
    missing: &[400],
    malformed: &[400],
    replay_marker: IDEMPOTENT_REPLAYED,
    fates: Fates {
        client: Fate::Kept,
        rate_limited: Fate::Released,
        server: Fate::Released,
    },
    promised: &[
        Promise::StructuredKeys,
        Promise::KeyLength,
        Promise::Problems,
        Promise::Advice,
        Promise::Echo,
        Promise::JsonByValue,
    ],
};

/// The IETF draft, to the letter. What is kept, how long keys are and how replays look is left to the server.
pub const IETF: Dialect = Dialect {
    name: "ietf",
    keys_are_quoted: true,
    replay_marker: None,
    fates: OPEN,
    promised: &[Promise::StructuredKeys, Promise::Problems],
    ..ONCEGATE
};

/// Stripe's API v1: bare keys, errors of its own form, 5xx kept.
pub const STRIPE: Dialect = Dialect {
    name: "stripe",
    mismatch: &[400],
    // No key is required anywhere, and what is no key is not said.
    missing: &[],
    malformed: &[],
    fates: Fates {
        // Failed validation is not kept, later errors are: a 4xx alone does not show which it was.
        client: Fate::Open,
        rate_limited: Fate::Released,
        server: Fate::Kept,
    },
    promised: &[Promise::KeyLength],
    ..ONCEGATE
};

/// Adyen: keys are repeated; a mismatch is not documented, and what is kept depends on `transient-error`.
pub const ADYEN: Dialect = Dialect {
    name: "adyen",
    key_length_max: 64,
    mismatch: &[],
    in_flight: &[409, 422],
    missing: &[],
    malformed: &[],
    replay_marker: None,
    fates: OPEN,
    promised: &[Promise::KeyLength, Promise::Echo],
    ..ONCEGATE
};

/// PayPal: a header of its own, and repeats show the latest state, not the first answer.
pub const PAYPAL: Dialect = Dialect {
    name: "paypal",
    key_header: "PayPal-Request-Id",
    key_length_max: 108,
    missing: &[],
    malformed: &[],
    replay_marker: None,
    fates: OPEN,
    promised: &[],
    ..ONCEGATE
};

/// Whatever one of them documents. For a first look at an API of which nothing is known.
pub const AUTO: Dialect = Dialect {
    name: "auto",
    mismatch: &[400, 409, 422],
    in_flight: &[409, 422],
    // To most of them any text is a key.
    malformed: &[],
    replay_marker: None,
    fates: OPEN,
    promised: &[],
    ..ONCEGATE
};

const IDEMPOTENT_REPLAYED: Option<(&str, &str)> = Some(("Idempotent-Replayed", "true"));

const OPEN: Fates = Fates {
    client: Fate::Open,
    rate_limited: Fate::Open,
    server: Fate::Open,
};
