//! Claims and outcomes that count only once replicas have them: `?wait=N`.
//!
//! `WAIT` holds up all that comes behind it on its connection, so each such write has one to itself. What too few
//! replicas have in time is answered as a write whose effect is not known: the master has it. It is then released, if
//! it was a claim, or written again, if it was an outcome, and waited for again.
//!
//! What it does not promise: that the replica that has it is the one that is promoted.

use std::time::Duration;

use oncegate::store::{Change, Settlement, StoreError, StoreErrorKind};
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, RedisResult, Value};
use tokio::sync::Semaphore;

use super::error::{NAME, failed};
use super::options::RedisOptions;
use super::scripts::Script;

/// Connections for writes that wait.
pub(super) struct Replicas {
    client: Client,
    config: AsyncConnectionConfig,
    /// How many must have a write.
    count: u8,
    timeout: Duration,
    idle: Mutex<Vec<MultiplexedConnection>>,
    places: Semaphore,
}

/// Too few replicas had a write in time.
#[derive(Debug, thiserror::Error)]
#[error("{acknowledged} of {count} replicas had it within {} ms", timeout.as_millis())]
struct TooFew {
    acknowledged: u64,
    count: u8,
    timeout: Duration,
}

impl Replicas {
    pub(super) fn new(client: Client, count: u8, options: &RedisOptions) -> Self {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(options.connect_timeout))
            .set_response_timeout(Some(options.answer_timeout));
        Self {
            client,
            config,
            count,
            timeout: options.wait_timeout,
            idle: Mutex::default(),
            places: Semaphore::new(WRITES_MAX),
        }
    }

    /// Runs a script, and waits for the replicas if it wrote. Should this future be dropped, its connection goes with
    /// it: nobody else hears its answers.
    pub(super) async fn write(
        &self,
        script: &Script,
        key: &str,
        doing: &'static str,
        arguments: impl Fn(&mut Cmd),
    ) -> Result<Value, StoreError> {
        let _place = self.places.acquire().await;
        let written = self.write_and_wait(script, key, arguments).await;
        let (value, acknowledged) = written.map_err(|error| failed(doing, error))?;
        if acknowledged < u64::from(self.count) {
            let few = TooFew {
                acknowledged,
                count: self.count,
                timeout: self.timeout,
            };
            return Err(StoreError::new(StoreErrorKind::Unavailable, NAME, doing).because(few));
        }
        Ok(value)
    }

    async fn write_and_wait(
        &self,
        script: &Script,
        key: &str,
        arguments: impl Fn(&mut Cmd),
    ) -> RedisResult<(Value, u64)> {
        let mut connection = self.connection().await?;
        let value = script.run(&mut connection, key, arguments).await?;
        let acknowledged = if has_written(&value) {
            let timeout = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
            redis::cmd("WAIT")
                .arg(self.count)
                // None would be for ever.
                .arg(timeout.max(1))
                .query_async(&mut connection)
                .await?
        } else {
            u64::from(self.count)
        };
        self.idle.lock().push(connection);
        Ok((value, acknowledged))
    }

    async fn connection(&self) -> RedisResult<MultiplexedConnection> {
        let idle = self.idle.lock().pop();
        match idle {
            Some(connection) => Ok(connection),
            None => {
                self.client
                    .get_multiplexed_async_connection_with_config(&self.config)
                    .await
            }
        }
    }
}

/// Whether more than the master must have a change: what was claimed, or became of it. A renewal that is lost makes a
/// key unknown too early, and a release that is lost keeps it too long: both are safe, and neither is worth a wait.
pub(super) const fn matters(change: &Change) -> bool {
    match change {
        Change::Complete { .. }
        | Change::MarkUnknown { .. }
        | Change::TakeOver { .. }
        | Change::Settle {
            settlement: Settlement::Completed { .. },
            ..
        } => true,
        Change::Renew { .. }
        | Change::Release
        | Change::Settle {
            settlement: Settlement::NotExecuted,
            ..
        } => false,
    }
}

/// The words of an answer behind which there is a write, now or when it was first asked for.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is no answer of a script is judged where it is read"
)]
fn has_written(value: &Value) -> bool {
    match value {
        Value::Array(fields) => matches!(
            fields.get(1),
            Some(Value::BulkString(word)) if WRITTEN.contains(&word.as_slice())
        ),
        _ => false,
    }
}

const WRITTEN: [&[u8]; 3] = [b"created", b"applied", b"repeated"];
/// Most writes that wait at once, a connection for each. More wait for a place.
const WRITES_MAX: usize = 64;
