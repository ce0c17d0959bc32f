//! A row as SQLite has it: plain values, and the seal over them.

use std::time::Duration;

use http::{Method, StatusCode};
use oncegate::clock::Timestamp;
use reqwest::Url;
use rusqlite::ToSql;

use super::name::OperationName;
use super::row::{Id, Identity, RequestDigest, Row, State, Sum};
use crate::dialect::Dialect;
use crate::operation::read_key;

/// The columns of `operation`, in the order in which they are read and written.
pub(super) const NAMES: &str = "id, identity, name, key, dialect, method, url, request, state, holder, attempts, \
     first_sent_at, retention, decided_at, status, seal";

/// How many there are.
pub(super) const COUNT: usize = 16;

/// Plain values.
#[derive(Debug)]
pub(super) struct Columns {
    id: i64,
    identity: [u8; 32],
    name: Option<String>,
    key: String,
    dialect: String,
    method: String,
    url: String,
    request: [u8; 32],
    state: i64,
    holder: Option<String>,
    attempts: i64,
    first_sent_at: i64,
    retention: i64,
    decided_at: i64,
    status: Option<i64>,
    seal: [u8; 32],
}

/// A row that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowError {
    /// Its bytes are not those that were written.
    #[error("{0}")]
    Damaged(&'static str),
    /// SQLite failed.
    #[error(transparent)]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for RowError {
    /// A value of another type than its column's is damage; the rest is SQLite's.
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error() {
            Some(_) => Self::Sqlite(error),
            None => Self::Damaged("a value is not of its column's type"),
        }
    }
}

impl Columns {
    /// The columns of a row, sealed.
    pub(super) fn of(row: &Row) -> Self {
        let mut columns = Self {
            id: row.id.0,
            identity: row.identity.0,
            name: row.name.as_ref().map(|name| name.as_str().to_owned()),
            key: row.key.as_str().to_owned(),
            dialect: row.dialect.name().to_owned(),
            method: row.method.as_str().to_owned(),
            url: row.url.as_str().to_owned(),
            request: row.request.0,
            state: row.state.code(),
            holder: row.holder.clone(),
            attempts: i64::from(row.attempts),
            first_sent_at: row.first_sent_at.as_micros().cast_signed(),
            retention: i64::try_from(row.retention.as_micros()).unwrap_or(i64::MAX),
            decided_at: row.decided_at.as_micros().cast_signed(),
            status: row.status.map(|status| i64::from(status.as_u16())),
            seal: [0; 32],
        };
        columns.seal = columns.sum();
        columns
    }

    /// Their values, for a statement.
    pub(super) fn values(&self) -> [&dyn ToSql; COUNT] {
        [
            &self.id,
            &self.identity,
            &self.name,
            &self.key,
            &self.dialect,
            &self.method,
            &self.url,
            &self.request,
            &self.state,
            &self.holder,
            &self.attempts,
            &self.first_sent_at,
            &self.retention,
            &self.decided_at,
            &self.status,
            &self.seal,
        ]
    }

    /// The row of these columns, if they are as they were written.
    pub(super) fn read(row: &rusqlite::Row<'_>) -> Result<Row, RowError> {
        let columns = Self {
            id: row.get(0)?,
            identity: row.get(1)?,
            name: row.get(2)?,
            key: row.get(3)?,
            dialect: row.get(4)?,
            method: row.get(5)?,
            url: row.get(6)?,
            request: row.get(7)?,
            state: row.get(8)?,
            holder: row.get(9)?,
            attempts: row.get(10)?,
            first_sent_at: row.get(11)?,
            retention: row.get(12)?,
            decided_at: row.get(13)?,
            status: row.get(14)?,
            seal: row.get(15)?,
        };
        if columns.seal != columns.sum() {
            return Err(RowError::Damaged("the row does not fit its seal"));
        }
        columns
            .parse()
            .ok_or(RowError::Damaged("the row cannot be read"))
    }

    fn sum(&self) -> [u8; 32] {
        let text = |text: &Option<String>| match text {
            Some(text) => [b"+", text.as_bytes()].concat(),
            None => Vec::new(),
        };
        let mut sum = Sum::new("oncegate journal row")
            .part(&self.identity)
            .part(&self.request)
            .part(&text(&self.name))
            .part(&text(&self.holder));
        for text in [&self.key, &self.dialect, &self.method, &self.url] {
            sum = sum.part(text.as_bytes());
        }
        for number in [
            self.id,
            self.state,
            self.attempts,
            self.first_sent_at,
            self.retention,
            self.decided_at,
            self.status.unwrap_or(-1),
        ] {
            sum = sum.part(&number.to_le_bytes());
        }
        sum.end()
    }

    fn parse(self) -> Option<Row> {
        let name = self.name.map(|name| OperationName::new(&name)).transpose();
        let status = self.status.map(|status| {
            let status = u16::try_from(status).ok()?;
            StatusCode::from_u16(status).ok()
        });
        Some(Row {
            id: Id(self.id),
            identity: Identity(self.identity),
            name: name.ok()?,
            key: read_key(&self.key).ok()?,
            dialect: Dialect::named(&self.dialect)?,
            method: Method::from_bytes(self.method.as_bytes()).ok()?,
            url: Url::parse(&self.url).ok()?,
            request: RequestDigest(self.request),
            state: State::of_code(self.state)?,
            holder: self.holder,
            attempts: u32::try_from(self.attempts).ok()?,
            first_sent_at: Timestamp::from_micros(self.first_sent_at.cast_unsigned()),
            retention: Duration::from_micros(u64::try_from(self.retention).ok()?),
            decided_at: Timestamp::from_micros(self.decided_at.cast_unsigned()),
            status: match status {
                None => None,
                Some(status) => Some(status?),
            },
        })
    }
}
