//! What an answer means for the operation (M-45): pure, a value in and a value out.
//!
//! `next` and `executed` of a problem decide, then `Idempotency-Status`, then the status as the dialect documents it.
//! A reading speaks of this one attempt; what the attempts before it leave open is `course`'s to know.

mod marks;

use std::time::Duration;

use http::StatusCode;
use oncegate::problem::{Executed, Next};

use crate::answer::{Answer, Failure};
use crate::dialect::Dialect;
use marks::{Became, Marks};

/// What one attempt says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "callers act on each")]
pub enum Reading {
    /// It happened. `replayed`: this is the stored answer of an earlier attempt. `lost`: the answer was not kept.
    Yes {
        /// Whether this answer was stored before.
        replayed: bool,
        /// Whether the answer itself is gone.
        lost: bool,
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

/// What `answer` says in this dialect.
#[must_use]
pub fn read(dialect: Dialect, answer: &Answer) -> Reading {
    let marks = Marks::of(answer);
    if let Some((executed, next)) = marks.problem {
        return by_problem(executed, next, &marks);
    }
    if let Some(became) = marks.became {
        return by_mark(became, answer.status, &marks);
    }
    match dialect {
        Dialect::Oncegate | Dialect::Ietf | Dialect::Stripe | Dialect::Adyen | Dialect::PayPal => {
            by_status(answer.status, &marks)
        }
    }
}

/// What a failure says.
#[must_use]
pub fn read_failure(failure: &Failure) -> Reading {
    let executed = if failure.kind.nothing_ran() {
        Executed::No
    } else {
        Executed::Maybe
    };
    Reading::Again {
        executed,
        after: None,
    }
}

/// The server says what to do.
fn by_problem(executed: Executed, next: Next, marks: &Marks) -> Reading {
    match (next, executed) {
        (Next::SameKey, _) => Reading::Again {
            executed,
            after: marks.after,
        },
        (Next::None | Next::NewKey | Next::FixRequest, Executed::Yes) => Reading::Yes {
            replayed: true,
            lost: true,
        },
        (Next::NewKey | Next::FixRequest, _) => Reading::No {
            advice: Advice::Rotate,
            settles: false,
        },
        (Next::None, _) => Reading::Never,
    }
}

/// The server says what became of this request.
fn by_mark(became: Became, status: StatusCode, marks: &Marks) -> Reading {
    match became {
        Became::Outcome | Became::Replayed if is_redirect(status) => Reading::Moved,
        Became::Outcome | Became::Replayed => outcome(status, became == Became::Replayed),
        Became::Unknown => Reading::Again {
            executed: Executed::Maybe,
            after: marks.after,
        },
        Became::Unprotected => by_status(status, marks),
    }
}

/// The status of an outcome that was recorded, or is true all the same.
fn outcome(status: StatusCode, replayed: bool) -> Reading {
    if status.is_success() || status.is_redirection() {
        Reading::Yes {
            replayed,
            lost: false,
        }
    } else if status.is_client_error() {
        Reading::No {
            advice: Advice::Rotate,
            settles: true,
        }
    } else {
        // A server error that is kept stays the answer for as long as the key is known.
        Reading::Never
    }
}

/// Nothing but the status, and what headers add to it.
fn by_status(status: StatusCode, marks: &Marks) -> Reading {
    let again = |executed| Reading::Again {
        executed,
        after: marks.after,
    };
    match status.as_u16() {
        307 | 308 => Reading::Moved,
        200..=399 => Reading::Yes {
            replayed: marks.replayed,
            lost: false,
        },
        401 | 403 => Reading::Unauthorised,
        408 | 425 | 429 => again(Executed::No),
        409 => again(Executed::Maybe),
        422 => Reading::No {
            advice: Advice::Rotate,
            settles: false,
        },
        400..=499 => Reading::No {
            advice: Advice::Rotate,
            settles: true,
        },
        _ => again(Executed::Maybe),
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 307 | 308)
}
