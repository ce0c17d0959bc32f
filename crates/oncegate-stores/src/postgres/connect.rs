//! A new connection: to the first host that takes it, within a time.
//!
//! It has no memory but for which host that was. Who keeps connections, and makes them anew, is not decided here.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::PostgresAddress;
use super::error::PostgresOpenError;
use super::options::PostgresOptions;
use super::trust;

/// The other half of a [`Client`]: carries its bytes, and has to be driven by somebody.
pub(super) type Link = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// Knows how to connect.
#[derive(Clone)]
pub(super) struct Connector {
    /// One for each host, in the order in which they were named.
    hosts: Arc<[Config]>,
    /// The one that took the last connection.
    last: Arc<AtomicUsize>,
    tls: MakeRustlsConnect,
    connect_timeout: Duration,
}

/// There is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nobody answered in time.
    #[error("no connection within {0:?}")]
    Timeout(Duration),
    /// It was refused.
    #[error(transparent)]
    Refused(#[from] tokio_postgres::Error),
}

impl Connector {
    pub(super) fn new(
        address: &PostgresAddress,
        options: &PostgresOptions,
    ) -> Result<Self, PostgresOpenError> {
        let mut hosts = address.configs()?;
        for config in &mut hosts {
            prepare(config, address, options);
        }
        Ok(Self {
            hosts: hosts.into(),
            last: Arc::default(),
            tls: trust::tls(address)?,
            connect_timeout: options.connect_timeout,
        })
    }

    /// Tries each host once, beginning with the one that worked last.
    pub(super) async fn connect(&self) -> Result<(Client, Link), ConnectError> {
        let first = self.last.load(Ordering::Relaxed);
        let mut failed = ConnectError::Timeout(self.connect_timeout);
        for step in 0..self.hosts.len() {
            let index = (first + step) % self.hosts.len();
            match self.connect_to(&self.hosts[index]).await {
                Ok(connected) => {
                    self.last.store(index, Ordering::Relaxed);
                    return Ok(connected);
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn connect_to(&self, host: &Config) -> Result<(Client, Link), ConnectError> {
        match timeout(self.connect_timeout, host.connect(self.tls.clone())).await {
            Ok(connected) => Ok(connected?),
            Err(_elapsed) => Err(ConnectError::Timeout(self.connect_timeout)),
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connector({} hosts)", self.hosts.len())
    }
}

fn prepare(config: &mut Config, address: &PostgresAddress, options: &PostgresOptions) {
    // A peer that is gone without a word is noticed. Whole seconds, and at least one: so the system counts.
    let silent = options.answer_timeout.max(Duration::from_secs(1));
    config
        .connect_timeout(options.connect_timeout)
        .tcp_user_timeout(silent)
        .keepalives_idle(silent)
        .keepalives_interval(silent);
    // A session that is shared has no settings of ours, and PgBouncer refuses those that it does not know.
    if !address.is_pooled() {
        config.options(session(options));
    }
}

/// What a session of ours is like, whatever the database or the role says: the server gives up what nobody waits for
/// any more, one statement sees what others have committed before it, and a plan that was made while the table was empty
/// goes by its key once it is full.
fn session(options: &PostgresOptions) -> String {
    let millis = options.answer_timeout.as_millis().max(1);
    let times = ["statement_timeout", "idle_in_transaction_session_timeout"];
    let times = times.map(|name| format!("-c {name}={millis}"));
    // A record that somebody else has locked is to hold up those that are sent with it for a moment alone: they are then
    // tried without it.
    let locked = format!("-c lock_timeout={}", (millis / 10).max(1));
    let plans = PLANS.map(|setting| format!("-c {setting}"));
    [
        times.join(" "),
        locked,
        ISOLATION.to_owned(),
        plans.join(" "),
    ]
    .join(" ")
}

/// The space is a part of the value.
const ISOLATION: &str = "-c default_transaction_isolation=read\\ committed";
/// Every statement finds its rows by the primary key or by their place.
const PLANS: [&str; 6] = [
    "plan_cache_mode=force_generic_plan",
    "enable_seqscan=off",
    "enable_hashjoin=off",
    "enable_mergejoin=off",
    "enable_bitmapscan=off",
    "jit=off",
];
