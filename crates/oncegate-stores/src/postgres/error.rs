//! Why a PostgreSQL cannot be a store, and what its errors mean to a caller.

use oncegate::store::{StoreError, StoreErrorKind};
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity, SqlState};

use super::address::{PostgresAddress, PostgresAddressError};
use super::connect::ConnectError;
use super::rows::RowError;
use super::session::AskError;
use super::trust::TrustError;
use crate::reply::Failure;

/// A PostgreSQL that cannot be a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresOpenError {
    /// The address is none.
    #[error(transparent)]
    Address(#[from] PostgresAddressError),
    /// Nobody can be trusted to say who the server is.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// It cannot be reached, or does not answer as a PostgreSQL would.
    #[error("cannot use {address}")]
    Unavailable {
        /// Where it was looked for, without the password.
        address: String,
        /// Why.
        source: AskError,
    },
    /// It lacks what the purge needs.
    #[error("the PostgreSQL is version {version}, and 14 is the oldest that can be a store")]
    TooOld {
        /// Its version.
        version: String,
    },
    /// A standby, or a database that was set so.
    #[error(
        "the PostgreSQL takes no writes: it is a standby, or default_transaction_read_only is on"
    )]
    ReadOnly,
    /// It would answer before it keeps.
    #[error(
        "the PostgreSQL answers before it keeps (synchronous_commit off), and what it lost would be executed again; \
         run: ALTER ROLE {user} SET synchronous_commit = on"
    )]
    Forgets {
        /// Who connects.
        user: String,
    },
    /// A claim has to see what others have committed before it.
    #[error(
        "the PostgreSQL's transactions are {isolation} by default, and claims need read committed; run: ALTER ROLE \
         {user} SET default_transaction_isolation = 'read committed'"
    )]
    Isolation {
        /// What is set.
        isolation: String,
        /// Who connects.
        user: String,
    },
    /// Paths could not be stored in it.
    #[error("the database has the encoding {encoding}, and a store needs UTF8")]
    Encoding {
        /// What it has.
        encoding: String,
    },
    /// Its tables are of a later version.
    #[error(
        "the tables have version {stands}, and this version of Oncegate knows them up to {latest}"
    )]
    Newer {
        /// The tables'.
        stands: u32,
        /// Ours.
        latest: u32,
    },
    /// Its tables are of an earlier version, or not there, and were not to be brought up to date.
    #[error(
        "the tables have version {stands}, and {latest} is needed; run: oncegate store migrate"
    )]
    NotMigrated {
        /// The tables'; zero if there are none.
        stands: u32,
        /// Ours.
        latest: u32,
    },
    /// The role may not do what has to be done.
    #[error(
        "the role lacks rights; who owns the database runs: CREATE SCHEMA IF NOT EXISTS {schema}; GRANT USAGE, CREATE \
         ON SCHEMA {schema} TO {user}; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {user}"
    )]
    Rights {
        /// The schema of the tables.
        schema: String,
        /// Who connects.
        user: String,
        /// What was refused.
        source: Error,
    },
}

impl PostgresOpenError {
    pub(super) fn unavailable(address: &PostgresAddress, source: AskError) -> Self {
        Self::Unavailable {
            address: address.to_string(),
            source,
        }
    }
}

/// Why a statement had no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The server refused it, or the connection broke.
    #[error("the server refused, or went away")]
    Refused(#[from] Error),
    /// A row is none of ours.
    #[error("a row cannot be read")]
    Unreadable(#[from] RowError),
    /// The salt is another one.
    #[error("the salt has changed")]
    Resalted,
}

impl Trouble {
    /// Whether the session is of no use any more.
    pub(super) fn ends_the_session(&self) -> bool {
        match self {
            Self::Refused(error) if is_panic(error) => true,
            Self::Refused(error) => match error.code() {
                None => true,
                // A server that goes down, or is a standby by now: perhaps another one is not.
                Some(code) => {
                    code.code().starts_with("57P")
                        || *code == SqlState::READ_ONLY_SQL_TRANSACTION
                        || is_of_the_session(code)
                }
            },
            Self::Unreadable(_) | Self::Resalted => false,
        }
    }

    /// Whether what is prepared in the session is not there any more, and another session may do.
    pub(super) fn is_of_the_session(&self) -> bool {
        match self {
            Self::Refused(error) => error.code().is_some_and(is_of_the_session),
            Self::Unreadable(_) | Self::Resalted => false,
        }
    }

    /// Whether one of the records may be the cause, and the statement would do without it.
    pub(super) fn may_be_of_one(&self) -> bool {
        match self {
            Self::Refused(error) if is_panic(error) => false,
            Self::Refused(error) => error.code().is_some_and(|code| {
                matches!(
                    code.code().get(..2),
                    Some("21" | "22" | "23" | "40" | "54" | "XX")
                ) || *code == SqlState::LOCK_NOT_AVAILABLE
                    || *code == SqlState::QUERY_CANCELED
            }),
            Self::Unreadable(_) => true,
            Self::Resalted => false,
        }
    }

    pub(super) fn failure(self) -> Failure {
        match self {
            Self::Refused(error) => Failure::because(kind(&error), error),
            Self::Unreadable(error) => of_row(error),
            Self::Resalted => Failure::of_kind(StoreErrorKind::Resalted),
        }
    }
}

pub(super) const NAME: &str = "postgres";

/// A failure to ask, as a caller has to take it.
pub(super) fn failure(error: AskError) -> Failure {
    let kind = match &error {
        AskError::NotConnected(ConnectError::Refused(refused)) | AskError::Refused(refused) => {
            kind(refused)
        }
        AskError::NotConnected(_) | AskError::Silent(_) => StoreErrorKind::Unavailable,
    };
    Failure::because(kind, error)
}

/// A row that no statement of ours has written.
pub(super) fn of_row(error: RowError) -> Failure {
    Failure::because(StoreErrorKind::Corrupt, error)
}

/// An answer that no statement of ours gives.
pub(super) fn damaged(doing: &'static str, what: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, NAME, doing).because(what)
}

/// A column that has another type.
pub(super) fn unreadable(doing: &'static str, error: Error) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, NAME, doing).because(error)
}

/// What a caller must know, by SQLSTATE. Each statement is whole by itself, so what was refused took no effect; what
/// broke off may have.
fn kind(error: &Error) -> StoreErrorKind {
    let Some(code) = error.code().filter(|_| !is_panic(error)) else {
        return StoreErrorKind::Unavailable;
    };
    match code.code() {
        // Disk full.
        "53100" => StoreErrorKind::Full,
        // Out of memory, too many connections, and other limits.
        "53000" | "53200" | "53300" | "53400" => StoreErrorKind::Overloaded,
        // A constraint, a value out of range, damaged data or indexes.
        code if matches!(code.get(..2), Some("21" | "22" | "23" | "XX")) => StoreErrorKind::Corrupt,
        // Also what is refused as such: a standby, a shutdown, tables or rights that are gone. It may pass.
        _ => StoreErrorKind::Unavailable,
    }
}

/// The server is dying, perhaps on the flush of a commit that its recovery will find: no code makes that a refusal.
fn is_panic(error: &Error) -> bool {
    let severity = error.as_db_error().and_then(DbError::parsed_severity);
    severity == Some(Severity::Panic)
}

fn is_of_the_session(code: &SqlState) -> bool {
    // A statement that is not there, or whose tables have changed.
    *code == SqlState::INVALID_SQL_STATEMENT_NAME || *code == SqlState::FEATURE_NOT_SUPPORTED
}
