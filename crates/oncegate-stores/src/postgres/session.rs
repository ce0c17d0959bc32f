//! One session on the server: its statements, and how long an answer may take.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use super::connect::{ConnectError, Connector};
use super::statements::{Kind, Statements};

/// Knows how to begin sessions.
#[derive(Debug)]
pub(super) struct Sessions {
    pub(super) connector: Connector,
    pub(super) statements: Statements,
    /// Whether they are shared with others, as behind a PgBouncer: then nothing may be prepared.
    pub(super) are_pooled: bool,
    pub(super) answer_timeout: Duration,
}

/// One session. When it is dropped its connection ends as soon as what was sent is answered.
#[derive(Debug)]
pub(super) struct Session {
    client: Client,
    prepared: Vec<(Kind, tokio_postgres::Statement)>,
    driver: JoinHandle<()>,
    sessions: Arc<Sessions>,
}

/// Why a session had no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// There was no connection.
    #[error("cannot connect")]
    NotConnected(#[from] ConnectError),
    /// The server refused, or the connection broke.
    #[error("the server refused, or went away")]
    Refused(#[from] tokio_postgres::Error),
    /// The server is not heard of.
    #[error("no answer within {0:?}")]
    Silent(Duration),
}

/// What a statement is given: one for each of its types.
pub(super) type Parameters<'a> = Vec<&'a (dyn ToSql + Sync)>;

impl Sessions {
    /// Begins one that has these statements prepared.
    pub(super) async fn begin(self: &Arc<Self>, prepared: &[Kind]) -> Result<Session, AskError> {
        let (client, link) = self.connector.connect().await?;
        let driver = tokio::spawn(async move {
            // What ends it is told to those who wait for an answer.
            if let Err(error) = link.await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a connection ended"
                );
            }
        });
        let mut session = Session {
            client,
            prepared: Vec::new(),
            driver,
            sessions: self.clone(),
        };
        if !self.are_pooled {
            session.prepare(prepared).await?;
        }
        Ok(session)
    }
}

impl Session {
    /// Whether the connection is not known to have ended.
    pub(super) fn is_open(&self) -> bool {
        !self.client.is_closed()
    }

    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// For a transaction.
    pub(super) const fn client_mut(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Asks by one statement. Statements that are asked side by side share one round trip, in the order in which they
    /// are polled first.
    pub(super) async fn ask(
        &self,
        kind: Kind,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let prepared = self.prepared.iter().find(|(known, _)| *known == kind);
        if let Some((_, statement)) = prepared {
            return self.client.query(statement, &parameters).await;
        }
        let statement = self.sessions.statements.text(kind);
        let types = statement.types.iter().cloned();
        let typed: Vec<_> = parameters.into_iter().zip(types).collect();
        self.client.query_typed(&statement.text, &typed).await
    }

    /// Waits no longer than an answer may take. A session that was silent for so long is of no use any more.
    pub(super) async fn within<T>(&self, asking: impl Future<Output = T>) -> Result<T, AskError> {
        let limit = self.sessions.answer_timeout;
        timeout(limit, asking)
            .await
            .map_err(|_elapsed| AskError::Silent(limit))
    }

    /// Ends the connection at once: nobody waits for what is still to come.
    pub(super) fn abandon(self) {
        self.driver.abort();
    }

    async fn prepare(&mut self, kinds: &[Kind]) -> Result<(), AskError> {
        let preparing = kinds.iter().map(async |kind| {
            let statement = self.sessions.statements.text(*kind);
            let prepared = self
                .client
                .prepare_typed(&statement.text, statement.types)
                .await?;
            Ok::<_, tokio_postgres::Error>((*kind, prepared))
        });
        let preparing = futures_util::future::try_join_all(preparing);
        self.prepared = self.within(preparing).await??;
        Ok(())
    }
}
