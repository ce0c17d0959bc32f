//! A lane: one connection, and the task that sends over it what waits, batch after batch.
//!
//! Records are spread over the lanes by their ids. So what is asked about one record by this process is done in the order
//! in which it was asked: a release never overtakes the claim that it is to undo. A lane connects by itself, and again
//! after its connection broke; who waits meanwhile is told that the store is not available.
//!
//! Why lanes and no pool: all of a store's statements are whole by themselves, so nobody needs a connection for longer
//! than one of them, and what waits for a free one can be sent together instead.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::sleep;

use super::batch::{Batch, COMMANDS_MAX, Command};
use super::changes::Changes;
use super::error::failure;
use super::salt::Salt;
use super::session::{Session, Sessions};
use super::statements::Kind;
use super::time::Clock;
use super::turn::turn;
use crate::reply::Failure;

/// What the lanes of a store have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) sessions: Arc<Sessions>,
    pub(super) clock: Clock,
    pub(super) salt: Salt,
    pub(super) changes: Changes,
}

/// One lane.
#[derive(Debug)]
pub(super) struct Lane {
    shared: Arc<Shared>,
    commands: Receiver<Command>,
    waiting: VecDeque<Command>,
    session: Option<Session>,
}

impl Lane {
    pub(super) const fn new(shared: Arc<Shared>, commands: Receiver<Command>) -> Self {
        Self {
            shared,
            commands,
            waiting: VecDeque::new(),
            session: None,
        }
    }

    /// Until the store is gone, and all that it was asked for is done.
    pub(super) async fn run(mut self) {
        // The first who asks is not to wait for it.
        self.session = self.begin().await.ok();
        while self.receive().await {
            let batch = Batch::gather(&mut self.waiting);
            if batch.is_empty() {
                continue;
            }
            match self.connected().await {
                Ok(session) => {
                    if turn(&self.shared, &session, batch, &mut self.waiting).await {
                        self.session = Some(session);
                    } else {
                        session.abandon();
                    }
                }
                Err(failure) => {
                    batch.fail(&failure);
                    self.fail_all(&failure);
                    sleep(CONNECT_AGAIN_AFTER).await;
                }
            }
        }
    }

    /// Takes what has come in; waits only if nothing is left.
    async fn receive(&mut self) -> bool {
        let mut came = Vec::new();
        if self.waiting.is_empty() {
            self.commands.recv_many(&mut came, COMMANDS_MAX).await;
            self.waiting.extend(came);
            return !self.waiting.is_empty();
        }
        while self.waiting.len() < COMMANDS_MAX
            && let Ok(command) = self.commands.try_recv()
        {
            self.waiting.push_back(command);
        }
        true
    }

    async fn connected(&mut self) -> Result<Session, Failure> {
        match self.session.take().filter(Session::is_open) {
            Some(session) => Ok(session),
            None => self.begin().await,
        }
    }

    async fn begin(&self) -> Result<Session, Failure> {
        let prepared = &[Kind::Insert, Kind::Update, Kind::Get];
        self.shared.sessions.begin(prepared).await.map_err(failure)
    }

    /// There is no connection: nobody is to wait for the next attempt.
    fn fail_all(&mut self, failure: &Failure) {
        let came = std::iter::from_fn(|| self.commands.try_recv().ok());
        for command in self.waiting.drain(..).chain(came) {
            command.fail(failure);
        }
    }
}

/// Between two attempts to connect.
const CONNECT_AGAIN_AFTER: Duration = Duration::from_millis(100);
