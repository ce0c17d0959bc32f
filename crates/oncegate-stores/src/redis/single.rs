//! The connection to one server. The client's own manager makes it anew when it breaks, but not when a server refuses
//! to set it up, or answers on it that it is the wrong one: that would last until a restart.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::time::Instant;

use super::error::is_of_the_record;

/// A connection that all callers share. Cloning shares it.
#[derive(Clone)]
pub(super) struct Single(Arc<Inner>);

struct Inner {
    client: Client,
    config: ConnectionManagerConfig,
    current: Mutex<Current>,
}

struct Current {
    manager: ConnectionManager,
    /// When it took the place of another one.
    since: Option<Instant>,
}

impl Single {
    /// Connects.
    pub(super) async fn connect(
        client: Client,
        config: ConnectionManagerConfig,
    ) -> RedisResult<Self> {
        let manager = ConnectionManager::new_with_config(client.clone(), config.clone()).await?;
        Ok(Self(Arc::new(Inner {
            client,
            config,
            current: Mutex::new(Current {
                manager,
                since: None,
            }),
        })))
    }

    pub(super) async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        let mut manager = self.manager();
        let answer = manager.req_packed_command(command).await;
        self.heard(answer.as_ref().map(std::slice::from_ref));
        answer
    }

    pub(super) async fn send_all(
        &self,
        commands: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let mut manager = self.manager();
        let answers = manager.req_packed_commands(commands, offset, count).await;
        self.heard(answers.as_deref());
        answers
    }

    pub(super) fn database(&self) -> i64 {
        self.0.client.get_connection_info().redis_settings().db()
    }

    fn manager(&self) -> ConnectionManager {
        self.0.current.lock().manager.clone()
    }

    fn heard(&self, answers: Result<&[Value], &RedisError>) {
        let is_misplaced = match answers {
            Ok(values) => values.iter().any(|value| match refusal(value) {
                Some(error) => is_of_the_connection(&error),
                None => false,
            }),
            Err(error) => is_of_the_connection(error),
        };
        if is_misplaced {
            self.begin_anew();
        }
    }

    /// What is under way ends on the old connection. The new one is made with the next request.
    fn begin_anew(&self) {
        let mut current = self.0.current.lock();
        let begun_just_now = current
            .since
            .is_some_and(|since| since.elapsed() < ANEW_AFTER);
        if begun_just_now {
            return;
        }
        let (client, config) = (self.0.client.clone(), self.0.config.clone());
        if let Ok(manager) = ConnectionManager::new_lazy_with_config(client, config) {
            *current = Current {
                manager,
                since: Some(Instant::now()),
            };
        }
    }
}

impl fmt::Debug for Single {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Single")
    }
}

/// The client hands an error of the server's on as a value.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is no error is an answer, whatever another crate adds to its enum"
)]
fn refusal(value: &Value) -> Option<RedisError> {
    match value {
        Value::ServerError(error) => Some(error.clone().into()),
        _ => None,
    }
}

/// The server refuses, and not because of what was asked: a wrong password, too many clients, a server that became a
/// replica. Behind the same name there may be another one by now.
fn is_of_the_connection(error: &RedisError) -> bool {
    let known_to_the_manager = error.is_io_error();
    let of_the_script = error.kind() == ErrorKind::Server(ServerErrorKind::NoScript);
    !known_to_the_manager && !of_the_script && !is_of_the_record(error)
}

/// Between two connections that are made for this reason: a server that refuses everybody is not stormed.
const ANEW_AFTER: Duration = Duration::from_secs(1);
