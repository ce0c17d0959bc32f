//! The narrow part of a row: what an operation is, and how it stands. Every row carries a seal, because SQLite keeps
//! no sums: a bit that flips in a key would make a second payment of a retry.

use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use oncegate::clock::Timestamp;
use oncegate::key::IdempotencyKey;
use reqwest::Url;
use uuid::Uuid;

use super::contents::CREDENTIALS;
use super::name::OperationName;
use crate::body::Body;
use crate::classify::{Advice, Protection};
use crate::dialect::Dialect;
use crate::operation::Operation;

/// Names a row. Random, so that no two openings of the file give out the same.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Id(pub(super) i64);

/// By what an operation is found again: its name, else its key and where it goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Identity(pub(super) [u8; 32]);

/// What makes two requests the same: method, URL, dialect, content and what says how to read it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct RequestDigest(pub(super) [u8; 32]);

/// How an operation stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// It may have been sent.
    Open,
    /// It happened.
    Yes(Happened),
    /// It did not happen.
    No { advice: Advice },
}

/// What is known of something that happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Happened {
    /// Whether its answer is gone.
    pub(super) lost: bool,
    /// Whether it may have happened more than once.
    pub(super) maybe_twice: bool,
    /// Whether the server kept the key for it.
    pub(super) protection: Protection,
}

/// The narrow part of a row.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: Id,
    pub(super) identity: Identity,
    pub(super) name: Option<OperationName>,
    pub(super) key: IdempotencyKey,
    pub(super) dialect: Dialect,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) request: RequestDigest,
    pub(super) state: State,
    /// Who sends it, dead or alive; nobody if its outcome is unknown and told.
    pub(super) holder: Option<String>,
    pub(super) attempts: u32,
    pub(super) first_sent_at: Timestamp,
    /// How long the server was then believed to know the key.
    pub(super) retention: Duration,
    /// The same as `first_sent_at` while it is open.
    pub(super) decided_at: Timestamp,
    /// The status of the last answer.
    pub(super) status: Option<StatusCode>,
}

/// A sum over parts, each with its length.
pub(super) struct Sum(blake3::Hasher);

impl Id {
    pub(super) fn random() -> Self {
        let (random, _) = Uuid::new_v4().as_u64_pair();
        Self((random >> 1).cast_signed())
    }
}

impl Identity {
    pub(super) fn of(name: Option<&OperationName>, operation: &Operation) -> Self {
        let sum = Sum::new("oncegate journal identity");
        Self(match name {
            Some(name) => sum.part(name.as_str().as_bytes()).end(),
            None => sum
                .part(operation.key().as_str().as_bytes())
                .part(operation.method().as_str().as_bytes())
                .part(operation.url().as_str().as_bytes())
                .end(),
        })
    }
}

impl RequestDigest {
    /// What the request is, whoever sends it.
    pub(super) fn of(operation: &Operation, dialect: Dialect) -> Self {
        Self(
            Sum::new("oncegate journal request")
                .part(dialect.name().as_bytes())
                .part(operation.method().as_str().as_bytes())
                .part(operation.url().as_str().as_bytes())
                .part(header(operation.headers(), &CONTENT_TYPE))
                .part(header(operation.headers(), &CONTENT_ENCODING))
                .part(&operation.body().length().to_le_bytes())
                .part(&content_digest(operation.body()))
                .end(),
        )
    }

    /// The same, and who sends it.
    pub(super) fn with_credentials(operation: &Operation, dialect: Dialect) -> Self {
        let Self(request) = Self::of(operation, dialect);
        let mut sum = Sum::new("oncegate journal request and credentials").part(&request);
        for name in &CREDENTIALS {
            let values = operation.headers().get_all(name);
            sum = sum.part(&(values.iter().count() as u64).to_le_bytes());
            for value in values {
                sum = sum.part(value.as_bytes());
            }
        }
        Self(sum.end())
    }
}

/// The digest of the bytes, wherever they are.
fn content_digest(body: &Body) -> [u8; 32] {
    match body {
        Body::Bytes(bytes) => blake3::hash(bytes).into(),
        Body::File(file) => *file.digest(),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a [u8] {
    headers.get(name).map_or(b"", |value| value.as_bytes())
}

impl Sum {
    pub(super) fn new(purpose: &str) -> Self {
        Self(blake3::Hasher::new_derive_key(purpose))
    }

    pub(super) fn part(mut self, bytes: &[u8]) -> Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    pub(super) fn end(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

impl State {
    /// The number that stands for it. Those of `Yes` begin at 3.
    pub(super) const fn code(self) -> i64 {
        match self {
            Self::Open => 0,
            Self::No {
                advice: Advice::Reuse,
            } => 1,
            Self::No {
                advice: Advice::Rotate,
            } => 2,
            Self::Yes(happened) => 3 + happened.code(),
        }
    }

    pub(super) fn of_code(code: i64) -> Option<Self> {
        match code {
            0 => Some(Self::Open),
            1 => Some(Self::No {
                advice: Advice::Reuse,
            }),
            2 => Some(Self::No {
                advice: Advice::Rotate,
            }),
            _ => Happened::of_code(code - 3).map(Self::Yes),
        }
    }
}

impl Happened {
    const fn code(self) -> i64 {
        let protection = match self.protection {
            Protection::Shown => 0,
            Protection::Unsaid => 1,
            Protection::Absent => 2,
        };
        protection * 4 + self.maybe_twice as i64 * 2 + self.lost as i64
    }

    fn of_code(code: i64) -> Option<Self> {
        let protection = match code / 4 {
            0 => Protection::Shown,
            1 => Protection::Unsaid,
            2 => Protection::Absent,
            _ => return None,
        };
        (code >= 0).then_some(Self {
            lost: code % 2 == 1,
            maybe_twice: code / 2 % 2 == 1,
            protection,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::State;

    #[test]
    fn every_state_has_a_code_of_its_own() {
        let states: Vec<_> = (-20..40).filter_map(State::of_code).collect();
        assert_eq!(states.len(), 15);
        let codes: Vec<_> = states.into_iter().map(State::code).collect();
        assert_eq!(codes, (0..15).collect::<Vec<_>>());
    }
}
