//! How an operation ended: yes, no, or nobody knows. Three values, because a client that has only two lies.

use oncegate::key::IdempotencyKey;

use crate::answer::{Answer, Failure};
use crate::classify::Advice;

/// How an operation ended.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "callers must handle all three")]
pub enum Outcome {
    /// It happened, once.
    Yes(Yes),
    /// It did not happen.
    No(No),
    /// It may have happened.
    Unknown(Unknown),
}

/// It happened.
#[derive(Debug)]
#[non_exhaustive]
pub struct Yes {
    /// The key it happened under.
    pub key: IdempotencyKey,
    /// What was answered; where `lost`, the answer that says so.
    pub answer: Option<Answer>,
    /// Whether the answer was stored by an earlier attempt.
    pub replayed: bool,
    /// Whether the answer of the operation itself is gone: it was too large to keep, or is not there yet.
    pub lost: bool,
    /// Attempts made.
    pub attempts: u32,
}

/// It did not happen.
#[derive(Debug)]
#[non_exhaustive]
pub struct No {
    /// The key.
    pub key: IdempotencyKey,
    /// What to do with the key.
    pub advice: Advice,
    /// What the last attempt brought.
    pub last: Last,
    /// Attempts made.
    pub attempts: u32,
}

/// It may have happened. The key must stay: a new one could make it happen twice.
#[derive(Debug)]
#[non_exhaustive]
pub struct Unknown {
    /// The key to ask with.
    pub key: IdempotencyKey,
    /// What the last attempt brought.
    pub last: Last,
    /// Attempts made.
    pub attempts: u32,
}

/// What the last attempt brought.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "there is nothing else it can bring"
)]
pub enum Last {
    /// An answer.
    Answer(Answer),
    /// No whole answer.
    Failure(Failure),
}

impl Last {
    /// The answer, if there was one.
    #[must_use]
    pub fn answer(self) -> Option<Answer> {
        match self {
            Self::Answer(answer) => Some(answer),
            Self::Failure(_) => None,
        }
    }
}

impl Outcome {
    /// The key.
    #[must_use]
    pub const fn key(&self) -> &IdempotencyKey {
        match self {
            Self::Yes(yes) => &yes.key,
            Self::No(no) => &no.key,
            Self::Unknown(unknown) => &unknown.key,
        }
    }

    /// Attempts made.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        match self {
            Self::Yes(yes) => yes.attempts,
            Self::No(no) => no.attempts,
            Self::Unknown(unknown) => unknown.attempts,
        }
    }
}
