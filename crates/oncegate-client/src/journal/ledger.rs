//! What is done to the journal, inside one transaction: begin an operation, take over one that was left, conclude,
//! forget what is old.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oncegate::clock::Timestamp;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use super::columns::{self, Columns, RowError};
use super::contents::{Contents, Written};
use super::error::NotSent;
use super::holder::{Holder, Holders};
use super::judge::{Standing, Verdict, judge};
use super::listing::{self, Entry};
use super::name::OperationName;
use super::options::JournalOptions;
use super::row::{Happened, Id, Identity, RequestDigest, Row, State};
use crate::answer::Answer;
use crate::dialect::Dialect;
use crate::operation::Operation;
use crate::outcome::{Outcome, Yes};

/// The journal, as the writer thread sees it.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) options: JournalOptions,
    pub(super) holders: Holders,
    pub(super) holder: Holder,
    pub(super) active: Arc<Active>,
    /// Rows that this transaction made, or opened anew because they did not happen.
    pub(super) created: Vec<Id>,
}

/// The rows that this process is sending.
#[derive(Debug, Default)]
pub(super) struct Active(Mutex<HashSet<Id>>);

/// The right to send an operation and to conclude it, until it is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    id: Id,
    active: Arc<Active>,
}

/// What the caller wants sent.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) name: Option<OperationName>,
    pub(super) operation: Operation,
    pub(super) dialect: Dialect,
    /// How long the server is believed to know the key.
    pub(super) retention: Duration,
    /// Whether other headers may be sent while it may have been sent already.
    pub(super) refresh_in_doubt: bool,
}

/// What is to be done now.
#[derive(Debug)]
pub(super) enum Begun {
    /// Send this.
    Send(Box<Sending>),
    /// Nothing: this is known already.
    Known(Outcome),
}

/// An operation that is in the journal and may be sent.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) hold: Hold,
    pub(super) operation: Operation,
    pub(super) dialect: Dialect,
    /// How long the server knows the key, unless it is said anew.
    pub(super) retention: Duration,
    /// How long ago it may have been sent first; None: nothing of it was sent.
    pub(super) age: Option<Duration>,
}

/// What was left open, and what is to be done about it.
#[derive(Debug)]
pub(super) struct TakenOver {
    /// What it is, if that can be read.
    pub(super) entry: Option<Entry>,
    pub(super) begun: Result<Begun, NotSent>,
}

/// How an operation ended, as it is written.
#[derive(Debug)]
pub(super) struct End {
    pub(super) state: State,
    pub(super) attempts: u32,
    pub(super) answer: Option<Answer>,
}

impl Ledger {
    /// Begins an operation, or goes on with the one that stands under its name or key.
    pub(super) fn begin(
        &mut self,
        connection: &Connection,
        wanted: &Wanted,
        now: Timestamp,
    ) -> rusqlite::Result<Result<Begun, NotSent>> {
        let identity = Identity::of(wanted.name.as_ref(), &wanted.operation);
        let request = self.digest(&wanted.operation, wanted.dialect);
        let found = match find(connection, "identity = ?1", &identity.0) {
            Ok(found) => found,
            Err(error) => return damaged(error),
        };
        let held = match &found {
            Some(row) => self.is_held(row)?,
            None => false,
        };
        let standing = found.as_ref().map(|row| Standing {
            state: row.state,
            same_request: row.request == request,
            held,
        });
        let verdict = judge(standing);
        let Some(row) = found else {
            let row = self.new_row(wanted, identity, request, now);
            insert(connection, &row)?;
            self.created.push(row.id);
            self.put_request(connection, row.id, &wanted.operation)?;
            return self.send(connection, row, wanted.operation.clone(), None);
        };
        match verdict {
            Verdict::Send | Verdict::SendAgain => {
                let mut anew = self.new_row(wanted, identity, request, now);
                anew.id = row.id;
                if verdict == Verdict::SendAgain {
                    anew.key = row.key;
                }
                self.created.push(anew.id);
                let operation = wanted.operation.under(anew.key.clone());
                self.put_request(connection, anew.id, &operation)?;
                self.send(connection, anew, operation, None)
            }
            Verdict::GoOn => {
                let operation = match self.go_on(connection, &row, wanted) {
                    Ok(operation) => operation,
                    Err(error) => return damaged(error),
                };
                let age = now.since(row.first_sent_at);
                self.send(connection, row, operation, Some(age))
            }
            Verdict::Recorded(happened) => recorded(connection, row, happened),
            Verdict::InUse => Ok(Err(NotSent::InUse { key: row.key })),
            Verdict::OtherRequest => Ok(Err(NotSent::OtherRequest {
                key: row.key,
                decided: row.state != State::Open,
            })),
        }
    }

    /// Takes over what was left open, as it was written. None: there is nothing to be done, or somebody does it.
    pub(super) fn take_over(
        &mut self,
        connection: &Connection,
        id: Id,
        now: Timestamp,
    ) -> rusqlite::Result<Option<TakenOver>> {
        let row = match find(connection, "id = ?1", &id.0) {
            Ok(Some(row)) => row,
            Ok(None) => return Ok(None),
            Err(error) => {
                let begun = damaged(error)?;
                return Ok(Some(TakenOver { entry: None, begun }));
            }
        };
        if row.state != State::Open || self.is_held(&row)? {
            return Ok(None);
        }
        let entry = Some(listing::entry(self, row.clone())?);
        let age = now.since(row.first_sent_at);
        let begun = match as_written(connection, &row) {
            Ok(operation) => self.send(connection, row, operation, Some(age))?,
            Err(error) => damaged(error)?,
        };
        Ok(Some(TakenOver { entry, begun }))
    }

    /// Writes how an operation ended. What somebody else decided meanwhile stands.
    pub(super) fn conclude(
        &self,
        connection: &Connection,
        hold: &Hold,
        end: &End,
        now: Timestamp,
    ) -> rusqlite::Result<Result<(), &'static str>> {
        let mut row = match find(connection, "id = ?1", &hold.id.0) {
            Ok(Some(row)) => row,
            Ok(None) => return Ok(Err("the row has vanished")),
            Err(RowError::Damaged(what)) => return Ok(Err(what)),
            Err(RowError::Sqlite(error)) => return Err(error),
        };
        if row.state != State::Open {
            return Ok(Ok(()));
        }
        row.attempts = row.attempts.saturating_add(end.attempts);
        row.status = end.answer.as_ref().map(|answer| answer.status);
        row.holder = None;
        match end.state {
            State::Open => {}
            State::Yes(_) | State::No { .. } => {
                let (contents, state) = self.decided(end);
                row.state = state;
                row.decided_at = now;
                put_contents(connection, row.id, &contents)?;
            }
        }
        update(connection, &row)?;
        Ok(Ok(()))
    }

    /// Forgets decided operations whose time is over, a bounded number of them.
    pub(super) fn prune(&self, connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
        let kept = i64::try_from(self.options.decided_kept.as_micros()).unwrap_or(i64::MAX);
        let before = now.as_micros().cast_signed().saturating_sub(kept);
        let mut old = connection.prepare_cached(
            "SELECT id FROM operation WHERE state > 0 AND decided_at < ?1 LIMIT ?2",
        )?;
        let ids: Vec<i64> = old
            .query_map(params![before, PRUNED_MAX], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        ids.into_iter()
            .try_for_each(|id| remove(connection, Id(id)))
    }

    /// The answer as it is kept, and the state that goes with it: an answer that is too large is lost.
    fn decided(&self, end: &End) -> (Contents, State) {
        let Some(answer) = &end.answer else {
            return (Contents::none(), end.state);
        };
        let (contents, fits) = Contents::of_answer(answer, self.options.answer_bytes_max);
        let state = match end.state {
            State::Yes(happened) => State::Yes(Happened {
                lost: happened.lost || !fits,
                ..happened
            }),
            State::Open | State::No { .. } => end.state,
        };
        (contents, state)
    }

    fn send(
        &self,
        connection: &Connection,
        mut row: Row,
        operation: Operation,
        age: Option<Duration>,
    ) -> rusqlite::Result<Result<Begun, NotSent>> {
        row.holder = Some(self.holder.name().to_owned());
        update(connection, &row)?;
        Ok(Ok(Begun::Send(Box::new(Sending {
            hold: Active::hold(&self.active, row.id),
            operation,
            dialect: row.dialect,
            retention: row.retention,
            age,
        }))))
    }

    fn put_request(
        &self,
        connection: &Connection,
        id: Id,
        operation: &Operation,
    ) -> rusqlite::Result<()> {
        put_contents(connection, id, &self.request(operation))
    }

    /// It goes on with the headers that it was sent with: a key may belong to the exact credential or account, and
    /// would run again under another. The caller's are taken where keys do not, and credentials that were not kept.
    /// Where nothing is new, nothing is written: there may be no room.
    fn go_on(
        &self,
        connection: &Connection,
        row: &Row,
        wanted: &Wanted,
    ) -> Result<Operation, RowError> {
        let kept = contents(connection, row.id)?;
        let mut operation = wanted.operation.under(row.key.clone());
        if !wanted.refresh_in_doubt {
            let headers = if self.options.credentials_kept {
                kept.headers.clone()
            } else {
                kept.headers_with_credentials_of(&operation)
            };
            operation = operation.with_headers(headers);
        }
        let request = self.request(&operation);
        if kept != request {
            put_contents(connection, row.id, &request)?;
        }
        Ok(operation)
    }

    fn request(&self, operation: &Operation) -> Contents {
        let with_credentials = self.options.credentials_kept;
        Contents::of_request(operation, with_credentials)
    }

    fn digest(&self, operation: &Operation, dialect: Dialect) -> RequestDigest {
        if self.options.credentials_compared {
            RequestDigest::with_credentials(operation, dialect)
        } else {
            RequestDigest::of(operation, dialect)
        }
    }

    fn new_row(
        &self,
        wanted: &Wanted,
        identity: Identity,
        request: RequestDigest,
        now: Timestamp,
    ) -> Row {
        let operation = &wanted.operation;
        Row {
            id: Id::random(),
            identity,
            name: wanted.name.clone(),
            key: operation.key().clone(),
            dialect: wanted.dialect,
            method: operation.method().clone(),
            url: operation.url().clone(),
            request,
            state: State::Open,
            holder: None,
            attempts: 0,
            first_sent_at: now,
            retention: wanted.retention,
            decided_at: now,
            status: None,
        }
    }

    /// Whether somebody alive is sending it: another process, or a task of this one.
    pub(super) fn is_held(&self, row: &Row) -> rusqlite::Result<bool> {
        match &row.holder {
            None => Ok(false),
            Some(name) if name == self.holder.name() => Ok(self.active.contains(row.id)),
            Some(name) => self
                .holders
                .is_alive(name)
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into())),
        }
    }
}

impl Active {
    fn hold(this: &Arc<Self>, id: Id) -> Hold {
        this.rows().insert(id);
        Hold {
            id,
            active: Arc::clone(this),
        }
    }

    fn contains(&self, id: Id) -> bool {
        self.rows().contains(&id)
    }

    fn rows(&self) -> std::sync::MutexGuard<'_, HashSet<Id>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.active.rows().remove(&self.id);
    }
}

/// Removes an operation and what it holds.
pub(super) fn remove(connection: &Connection, id: Id) -> rusqlite::Result<()> {
    for table in ["operation", "contents"] {
        connection
            .prepare_cached(&format!("DELETE FROM {table} WHERE id = ?1"))?
            .execute([id.0])?;
    }
    Ok(())
}

fn find(
    connection: &Connection,
    condition: &str,
    value: &dyn rusqlite::ToSql,
) -> Result<Option<Row>, RowError> {
    let select = format!("SELECT {} FROM operation WHERE {condition}", columns::NAMES);
    let mut statement = connection.prepare_cached(&select)?;
    let mut rows = statement.query([value])?;
    rows.next()?.map(Columns::read).transpose()
}

fn insert(connection: &Connection, row: &Row) -> rusqlite::Result<()> {
    let places = vec!["?"; columns::COUNT].join(", ");
    let insert = format!(
        "INSERT INTO operation ({}) VALUES ({places})",
        columns::NAMES
    );
    let mut statement = connection.prepare_cached(&insert)?;
    statement.execute(params_from_iter(Columns::of(row).values()))?;
    Ok(())
}

fn update(connection: &Connection, row: &Row) -> rusqlite::Result<()> {
    let places = vec!["?"; columns::COUNT].join(", ");
    let update = format!(
        "UPDATE operation SET ({}) = ({places}) WHERE id = ?1",
        columns::NAMES
    );
    let mut statement = connection.prepare_cached(&update)?;
    statement.execute(params_from_iter(Columns::of(row).values()))?;
    Ok(())
}

fn put_contents(connection: &Connection, id: Id, contents: &Contents) -> rusqlite::Result<()> {
    let written = contents.write();
    let seal = written.seal(id);
    let Written {
        headers,
        body,
        in_file,
    } = written;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO contents (id, headers, body, in_file, seal) VALUES (?, ?, ?, ?, ?)",
        )?
        .execute(params![id.0, headers, &body[..], in_file, seal])?;
    Ok(())
}

fn contents(connection: &Connection, id: Id) -> Result<Contents, RowError> {
    let select = "SELECT headers, body, in_file, seal FROM contents WHERE id = ?1";
    let mut statement = connection.prepare_cached(select)?;
    let read = statement.query_row([id.0], |row| {
        let written = Written {
            headers: row.get(0)?,
            body: row.get::<_, Vec<u8>>(1)?.into(),
            in_file: row.get(2)?,
        };
        Ok((written, row.get::<_, [u8; 32]>(3)?))
    });
    let (written, seal) = read
        .optional()?
        .ok_or(RowError::Damaged("what belongs to the row has vanished"))?;
    if seal != written.seal(id) {
        return Err(RowError::Damaged(
            "what belongs to the row does not fit its seal",
        ));
    }
    written
        .read()
        .ok_or(RowError::Damaged("what belongs to the row cannot be read"))
}

/// It happened, and this is what is known of it. Nothing is sent.
fn recorded(
    connection: &Connection,
    row: Row,
    happened: Happened,
) -> rusqlite::Result<Result<Begun, NotSent>> {
    let contents = match contents(connection, row.id) {
        Ok(contents) => contents,
        Err(error) => return damaged(error),
    };
    let body = contents.body.bytes().cloned().unwrap_or_default();
    let answer = row
        .status
        .map(|status| Answer::new(status, contents.headers, body));
    Ok(Ok(Begun::Known(Outcome::Yes(Yes {
        key: row.key,
        answer,
        replayed: true,
        lost: happened.lost,
        protection: happened.protection,
        maybe_twice: happened.maybe_twice,
        attempts: 0,
    }))))
}

/// The operation as it was written, byte for byte.
fn as_written(connection: &Connection, row: &Row) -> Result<Operation, RowError> {
    let Contents { headers, body } = contents(connection, row.id)?;
    let (key, method, url) = (row.key.clone(), row.method.clone(), row.url.clone());
    let operation = Operation::of_parts(key, method, url, headers, body);
    // Whichever way the process that wrote it compared.
    let digests = [RequestDigest::of, RequestDigest::with_credentials];
    if digests
        .iter()
        .any(|of| of(&operation, row.dialect) == row.request)
    {
        Ok(operation)
    } else {
        Err(RowError::Damaged("the request does not fit its digest"))
    }
}

/// Damage is told to the caller of that row; what SQLite says concerns everybody.
fn damaged<T>(error: RowError) -> rusqlite::Result<Result<T, NotSent>> {
    match error {
        RowError::Damaged(what) => {
            tracing::error!(
                what,
                "an operation in the journal cannot be read, and is not sent"
            );
            Ok(Err(NotSent::Damaged {
                what: what.to_owned(),
            }))
        }
        RowError::Sqlite(error) => Err(error),
    }
}

/// Operations that one step of forgetting takes.
const PRUNED_MAX: i64 = 100;
