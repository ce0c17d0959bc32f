//! How an operation ended: yes, no, or nobody knows. Three values, because a client that has only two lies.
//!
//! Who prefers `?` gets a [`Result`] by [`Outcome::into_result`]; its error is still two things, and says which.

use std::fmt;

use oncegate::key::IdempotencyKey;

use crate::answer::{Answer, Failure};
use crate::classify::{Advice, Protection};
use crate::course::Ending;

/// How an operation ended. Its text is for people, and does not show the key.
#[derive(Debug)]
#[must_use = "an outcome that nobody reads is unknown"]
#[expect(clippy::exhaustive_enums, reason = "callers must handle all three")]
pub enum Outcome {
    /// It happened.
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
    /// Whether the server kept the key for it.
    pub protection: Protection,
    /// Whether it may have happened more than once: an earlier attempt was in doubt, and nothing shows that the key
    /// kept this one from running as well.
    pub maybe_twice: bool,
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

/// An operation that is not known to have happened.
#[derive(Debug, thiserror::Error)]
#[expect(clippy::exhaustive_enums, reason = "yes is the third")]
pub enum Undone {
    /// It did not happen.
    #[error("{0}")]
    No(Box<No>),
    /// It may have happened.
    #[error("{0}")]
    Unknown(Box<Unknown>),
}

impl Last {
    /// The answer, or as much of it as came.
    #[must_use]
    pub fn answer(self) -> Option<Answer> {
        match self {
            Self::Answer(answer) => Some(answer),
            Self::Failure(failure) => failure.head.map(|head| *head),
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

    /// How it ended, without what was answered.
    #[must_use]
    pub const fn ending(&self) -> Ending {
        match self {
            Self::Yes(yes) => Ending::Yes {
                replayed: yes.replayed,
                lost: yes.lost,
                protection: yes.protection,
                maybe_twice: yes.maybe_twice,
            },
            Self::No(no) => Ending::No { advice: no.advice },
            Self::Unknown(_) => Ending::Unknown,
        }
    }

    /// Yes, or an error that still tells no from unknown.
    ///
    /// # Errors
    /// If it is not known to have happened.
    pub fn into_result(self) -> Result<Yes, Undone> {
        match self {
            Self::Yes(yes) => Ok(yes),
            Self::No(no) => Err(Undone::No(Box::new(no))),
            Self::Unknown(unknown) => Err(Undone::Unknown(Box::new(unknown))),
        }
    }
}

impl Undone {
    /// The key.
    #[must_use]
    pub const fn key(&self) -> &IdempotencyKey {
        match self {
            Self::No(no) => &no.key,
            Self::Unknown(unknown) => &unknown.key,
        }
    }

    /// What to do with the key.
    #[must_use]
    pub const fn advice(&self) -> Advice {
        match self {
            Self::No(no) => no.advice,
            Self::Unknown(_) => Advice::Reuse,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes(yes) => yes.fmt(f),
            Self::No(no) => no.fmt(f),
            Self::Unknown(unknown) => unknown.fmt(f),
        }
    }
}

impl fmt::Display for Yes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it happened")?;
        if let Some(answer) = &self.answer {
            write!(f, " ({})", answer.status)?;
        }
        match (self.replayed, self.protection) {
            (true, Protection::Shown | Protection::Unsaid | Protection::Absent) => {
                f.write_str(", by an earlier attempt")?;
            }
            (false, Protection::Absent) => f.write_str(", without the protection of its key")?,
            (false, Protection::Shown | Protection::Unsaid) => {}
        }
        if self.lost {
            f.write_str(", and its answer is gone")?;
        }
        if self.maybe_twice {
            f.write_str("; it may have happened more than once")?;
        }
        Ok(())
    }
}

impl fmt::Display for No {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let next = match self.advice {
            Advice::Reuse => "it may be sent again under the same key",
            Advice::Rotate => "another try is another operation, under a new key",
        };
        write!(f, "it did not happen ({}); {next}", self.last)
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "it may have happened ({}); ask again under the same key, never under a new one",
            self.last
        )
    }
}

impl fmt::Display for Last {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(answer) => answer.status.fmt(f),
            Self::Failure(failure) => failure.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};
    use oncegate::key::{IdempotencyKey, KeyRules};

    use super::{Last, No, Outcome, Unknown, Yes};
    use crate::answer::{Answer, Failure, FailureKind};
    use crate::classify::{Advice, Protection};

    fn key() -> IdempotencyKey {
        IdempotencyKey::parse(b"hush", &KeyRules::default()).expect("a key")
    }

    fn answer(status: StatusCode) -> Answer {
        Answer::new(status, HeaderMap::new(), Bytes::new())
    }

    #[test]
    fn the_text_says_what_to_do_with_the_key_and_does_not_show_it() {
        let yes = Outcome::Yes(Yes {
            key: key(),
            answer: Some(answer(StatusCode::CREATED)),
            replayed: false,
            lost: false,
            protection: Protection::Absent,
            maybe_twice: true,
            attempts: 2,
        });
        let no = Outcome::No(No {
            key: key(),
            advice: Advice::Rotate,
            last: Last::Answer(answer(StatusCode::PAYMENT_REQUIRED)),
            attempts: 1,
        });
        let broken = Failure::new(FailureKind::Broken, None::<std::io::Error>);
        let unknown = Outcome::Unknown(Unknown {
            key: key(),
            last: Last::Failure(broken),
            attempts: 3,
        });
        let rows = [
            (
                yes,
                "it happened (201 Created), without the protection of its key; it may have happened more than once",
            ),
            (
                no,
                "it did not happen (402 Payment Required); another try is another operation, under a new key",
            ),
            (
                unknown,
                "it may have happened (the exchange broke); ask again under the same key, never under a new one",
            ),
        ];
        for (outcome, text) in rows {
            assert_eq!(outcome.to_string(), text);
        }
    }

    #[test]
    fn an_error_of_an_unknown_outcome_never_advises_a_new_key() {
        let broken = Failure::new(FailureKind::Broken, None::<std::io::Error>);
        let unknown = Outcome::Unknown(Unknown {
            key: key(),
            last: Last::Failure(broken),
            attempts: 3,
        });
        let undone = unknown
            .into_result()
            .expect_err("not known to have happened");
        assert_eq!((undone.advice(), undone.key()), (Advice::Reuse, &key()));
    }
}
