//! A connection for what is not about single records, so that a long step of it holds up no claim.

use std::sync::Arc;

use oncegate::store::StoreError;
use tokio::sync::Mutex;
use tokio_postgres::Row;

use super::error::{NAME, failure};
use super::session::{AskError, Parameters, Session, Sessions};
use super::statements::Kind;

/// A session that is made anew when it is needed and gone. One asks at a time.
#[derive(Debug)]
pub(super) struct Aside {
    sessions: Arc<Sessions>,
    session: Mutex<Option<Session>>,
}

impl Aside {
    pub(super) fn new(sessions: Arc<Sessions>, session: Session) -> Self {
        Self {
            sessions,
            session: Mutex::new(Some(session)),
        }
    }

    pub(super) async fn ask(
        &self,
        kind: Kind,
        parameters: Parameters<'_>,
        doing: &'static str,
    ) -> Result<Vec<Row>, StoreError> {
        let mut place = self.session.lock().await;
        // Taken out: should this future be dropped half-way, what is still to come is not taken for the next answer's.
        let asked = match place.take().filter(Session::is_open) {
            Some(session) => Ok(session),
            None => self.sessions.begin(&[]).await,
        };
        let failed = |error: AskError| failure(error).error(NAME, doing);
        let session = asked.map_err(failed)?;
        match session.within(session.ask(kind, parameters)).await {
            Ok(Ok(rows)) => {
                *place = Some(session);
                Ok(rows)
            }
            Ok(Err(refused)) => Err(failed(refused.into())),
            Err(silent) => {
                session.abandon();
                Err(failed(silent))
            }
        }
    }
}
