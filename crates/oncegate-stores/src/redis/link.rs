//! The connection: one, shared by all callers, made anew by itself when it breaks.

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, Pipeline, RedisFuture, RedisResult, Value};

use super::options::RedisOptions;

/// A connection that all callers share.
#[derive(Clone)]
pub(super) enum Link {
    Single(ConnectionManager),
}

impl Link {
    pub(super) async fn single(client: Client, options: &RedisOptions) -> RedisResult<Self> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(options.connect_timeout))
            .set_response_timeout(Some(options.answer_timeout))
            .set_number_of_retries(RECONNECTS);
        let manager = ConnectionManager::new_with_config(client, config).await?;
        Ok(Self::Single(manager))
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(link) => link.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(link) => link.req_packed_commands(commands, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(link) => link.get_db(),
        }
    }
}

/// Attempts to connect before a request is told that there is no Redis; the next request tries again.
const RECONNECTS: usize = 1;
