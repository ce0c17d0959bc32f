//! What is in the journal, for people: no headers, no bodies.

use std::fmt;

use http::{Method, StatusCode};
use oncegate::clock::Timestamp;
use oncegate::key::IdempotencyKey;
use reqwest::Url;
use rusqlite::Connection;

use super::columns::{self, Columns, RowError};
use super::ledger::Ledger;
use super::name::OperationName;
use super::row::{Id, Row, State};
use crate::classify::Advice;

/// An operation in the journal.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a row can be read, or it cannot")]
pub enum Listed {
    /// One that can be read.
    Sound(Box<Entry>),
    /// One whose bytes have changed on the disk. It is never sent.
    Damaged {
        /// What was found.
        what: String,
    },
}

/// What is known of an operation.
#[derive(Clone)]
#[non_exhaustive]
pub struct Entry {
    /// Its name, if it has one.
    pub name: Option<OperationName>,
    /// Its key.
    pub key: IdempotencyKey,
    /// Its method.
    pub method: Method,
    /// Where it is sent first.
    pub url: Url,
    /// How it stands.
    pub stands: Stands,
    /// Attempts whose outcome is written. Those of a process that died are not among them.
    pub attempts: u32,
    /// The status of the last answer.
    pub status: Option<StatusCode>,
    /// When it was written, just before it was sent first.
    pub first_sent_at: Timestamp,
    /// When it was decided, if it is.
    pub decided_at: Option<Timestamp>,
}

impl fmt::Debug for Entry {
    /// Shows of the URL the host alone: the rest of it may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("name", &self.name)
            .field("key", &self.key)
            .field("method", &self.method)
            .field("host", &self.url.host_str())
            .field("stands", &self.stands)
            .field("attempts", &self.attempts)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// How an operation stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there is nothing else")]
pub enum Stands {
    /// It may have been sent. `in_use`: somebody alive is sending it.
    Open {
        /// Whether somebody is sending it.
        in_use: bool,
    },
    /// It happened.
    Yes,
    /// It did not happen.
    No(Advice),
}

pub(super) fn list(ledger: &mut Ledger, connection: &Connection) -> rusqlite::Result<Vec<Listed>> {
    let select = format!(
        "SELECT {} FROM operation ORDER BY state > 0, first_sent_at, id",
        columns::NAMES
    );
    let mut statement = connection.prepare_cached(&select)?;
    let mut rows = statement.query([])?;
    let mut listed = Vec::new();
    while let Some(row) = rows.next()? {
        listed.push(match Columns::read(row) {
            Ok(row) => Listed::Sound(Box::new(entry(ledger, row)?)),
            Err(RowError::Damaged(what)) => Listed::Damaged {
                what: what.to_owned(),
            },
            Err(RowError::Sqlite(error)) => return Err(error),
        });
    }
    Ok(listed)
}

pub(super) fn open_rows(connection: &Connection) -> rusqlite::Result<Vec<Id>> {
    let mut open = connection
        .prepare_cached("SELECT id FROM operation WHERE state = 0 ORDER BY first_sent_at, id")?;
    open.query_map([], |row| row.get(0).map(Id))?.collect()
}

pub(super) fn entry(ledger: &Ledger, row: Row) -> rusqlite::Result<Entry> {
    let stands = match row.state {
        State::Open => Stands::Open {
            in_use: ledger.is_held(&row)?,
        },
        State::Yes(_) => Stands::Yes,
        State::No { advice } => Stands::No(advice),
    };
    let decided = row.state != State::Open;
    Ok(Entry {
        name: row.name,
        key: row.key,
        method: row.method,
        url: row.url,
        stands,
        attempts: row.attempts,
        status: row.status,
        first_sent_at: row.first_sent_at,
        decided_at: decided.then_some(row.decided_at),
    })
}
