//! What an answer means for the operation (M-45): pure, a value in and a value out.
//!
//! `next` and `executed` of a problem decide, then `Idempotency-Status`, then what the dialect's vendor documents,
//! then the status. A reading speaks of this one attempt; what the attempts before it leave open is `course`'s to
//! know. An answer settles what they left open only if it shows that the server looked the key up.

mod marks;
mod vendor;

use std::time::Duration;

use http::StatusCode;
use oncegate::key::IdempotencyKey;
use oncegate::problem::{Executed, Next};

use crate::answer::{Answer, Failure, FailureKind};
use crate::dialect::Dialect;
use marks::{Became, Marks, Refusal};

pub(crate) use marks::advertised_retention;

/// What one attempt says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "callers act on each")]
pub enum Reading {
    /// It happened.
    Yes {
        /// Whether this answer was stored before, by an earlier attempt.
        replayed: bool,
        /// Whether the answer itself is gone: it was not kept, or is larger than this client takes.
        lost: bool,
        /// Whether the key kept it from happening twice.
        protection: Protection,
    },
    /// It did not happen, and the same request will not make it happen.
    No {
        /// What a next try needs.
        advice: Advice,
        /// Whether that is the key's outcome, so that no earlier attempt had another.
        settles: bool,
    },
    /// Try again with the same key.
    Again {
        /// Whether this attempt ran something.
        executed: Executed,
        /// How long the server asks to wait.
        after: Option<Duration>,
    },
    /// The credentials were refused; nothing ran.
    Unauthorised,
    /// Nothing ran here; the request belongs elsewhere (307, 308).
    Moved,
    /// It may have happened, and no attempt will tell.
    Never,
}

/// What to do with the key.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum Advice {
    /// The same operation may be sent again under the same key.
    Reuse,
    /// Another attempt is another operation, and needs a new key.
    Rotate,
}

/// Whether the server kept the key for this operation.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "callers weigh each")]
pub enum Protection {
    /// The answer shows it.
    Shown,
    /// The answer says nothing of keys. A server that knows none, and a portal in between, answer so too.
    Unsaid,
    /// The server says that it did not (`ignored`, `bypassed`).
    Absent,
}

/// What `answer` says in this dialect of the operation under `key`.
#[must_use]
pub fn read(dialect: Dialect, key: &IdempotencyKey, answer: &Answer) -> Reading {
    let marks = Marks::of(dialect, key, answer);
    let status = answer.status;
    if let Some(refusal) = marks.refusal {
        return by_problem(refusal, status, &marks);
    }
    match marks.became {
        Some(Became::Outcome) => outcome(status, &marks),
        Some(Became::Refused) => by_refusal(status, &marks),
        Some(Became::Unknown) => marks.again(Executed::Maybe),
        Some(Became::Released | Became::Unprotected) | None => {
            vendor::reading(dialect, status, &marks).unwrap_or_else(|| by_status(status, &marks))
        }
    }
}

/// What a failure says.
#[must_use]
pub fn read_failure(dialect: Dialect, key: &IdempotencyKey, failure: &Failure) -> Reading {
    let again = |executed| Reading::Again {
        executed,
        after: None,
    };
    let no = |advice| Reading::No {
        advice,
        settles: false,
    };
    match failure.kind {
        FailureKind::NameUnknown | FailureKind::Connect | FailureKind::HandedBack => {
            again(Executed::No)
        }
        FailureKind::Untrusted | FailureKind::Unsendable => no(Advice::Reuse),
        FailureKind::KeyUnfit | FailureKind::BodyChanged => no(Advice::Rotate),
        FailureKind::BodyTorn | FailureKind::KeyForgotten => Reading::Never,
        FailureKind::TimedOut | FailureKind::Broken => again(begun(dialect, key, failure)),
        FailureKind::TooLarge => failure
            .head
            .as_deref()
            .map_or(again(Executed::Maybe), |head| {
                without_body(read(dialect, key, head))
            }),
    }
}

/// What is known when an answer broke off in its body: a head that says that the outcome is recorded stays true.
fn begun(dialect: Dialect, key: &IdempotencyKey, failure: &Failure) -> Executed {
    let Some(head) = &failure.head else {
        return Executed::Maybe;
    };
    let recorded = Marks::of(dialect, key, head).is_recorded();
    match read(dialect, key, head) {
        Reading::Yes { .. } if recorded => Executed::Yes,
        Reading::Yes { .. }
        | Reading::No { .. }
        | Reading::Again { .. }
        | Reading::Unauthorised
        | Reading::Moved
        | Reading::Never => Executed::Maybe,
    }
}

/// The answer is there and its body is not: asking again would bring the same.
const fn without_body(reading: Reading) -> Reading {
    match reading {
        Reading::Yes {
            replayed,
            protection,
            ..
        } => Reading::Yes {
            replayed,
            lost: true,
            protection,
        },
        Reading::No { .. }
        | Reading::Again { .. }
        | Reading::Unauthorised
        | Reading::Moved
        | Reading::Never => reading,
    }
}

/// The server says what to do.
fn by_problem(refusal: Refusal, status: StatusCode, marks: &Marks) -> Reading {
    let refused = |advice| Reading::No {
        advice,
        settles: false,
    };
    match (refusal.next, refusal.executed) {
        (Next::SameKey, executed) => marks.again(executed),
        (Next::None | Next::NewKey | Next::FixRequest, Executed::Yes) => completed(refusal, marks),
        (Next::None | Next::NewKey | Next::FixRequest, Executed::Maybe) => Reading::Never,
        // What has to be mended is the credential, and that is no part of the operation.
        (Next::FixRequest, Executed::No) if status == StatusCode::UNAUTHORIZED => {
            Reading::Unauthorised
        }
        (Next::None | Next::NewKey | Next::FixRequest, Executed::No) => refused(Advice::Rotate),
    }
}

/// It ran to its end, and the answer was not kept; at most its status.
fn completed(refusal: Refusal, marks: &Marks) -> Reading {
    let original = refusal.original_status.unwrap_or(StatusCode::OK);
    let mut marks = marks.clone();
    marks.replayed = true;
    marks.settles = true;
    marks.protection = Protection::Shown;
    without_body(outcome(original, &marks))
}

/// The outcome that is recorded for the key, or is true all the same.
fn outcome(status: StatusCode, marks: &Marks) -> Reading {
    match status.as_u16() {
        307 | 308 => Reading::Moved,
        200..=399 => marks.yes(),
        400..=499 => marks.no(),
        // A server error that is kept stays the answer for as long as the key is known.
        _ => Reading::Never,
    }
}

/// The server refused this request, and the document that says why did not come through.
fn by_refusal(status: StatusCode, marks: &Marks) -> Reading {
    match status.as_u16() {
        // It contradicts itself: a success is no refusal.
        200..=399 => Reading::Never,
        401 => Reading::Unauthorised,
        409 => marks.again(Executed::Maybe),
        410 => Reading::Never,
        429 | 500..=599 => marks.again(Executed::No),
        _ => Reading::No {
            advice: Advice::Rotate,
            settles: false,
        },
    }
}

/// Nothing but the status, and what headers add to it.
fn by_status(status: StatusCode, marks: &Marks) -> Reading {
    match status.as_u16() {
        307 | 308 => Reading::Moved,
        // 303 answers the request by what is elsewhere. All other redirects come from gateways (to `https:`, to a
        // login) as well as from handlers: nobody can tell whether it ran.
        200..=299 | 303 => marks.yes(),
        300..=399 => Reading::Never,
        401 | 403 => Reading::Unauthorised,
        // A proxy on the way wants credentials: the request did not get past it.
        407 => Reading::No {
            advice: Advice::Reuse,
            settles: false,
        },
        421 | 423 | 425 | 429 | 511 => marks.again(Executed::No),
        // 408 says that the request did not arrive whole, of one that was sent whole.
        408 | 409 => marks.again(Executed::Maybe),
        400..=499 => marks.no(),
        // A server error that is replayed is kept.
        _ if marks.replayed => Reading::Never,
        _ => marks.again(Executed::Maybe),
    }
}

#[cfg(test)]
mod tests;
