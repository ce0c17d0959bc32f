//! A proxy that runs: store, engine, layer, listeners, purger, put together once for `serve` and `demo`.
//!
//! Everything that can fail does so before a client can connect. Stopping is in order: no new connections, no new
//! keys; executions end; what is left is marked unknown.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use oncegate::record::Retention;
use oncegate::store::{Inspect, StoreError};
use oncegate::{Engine, Policy, Store};
use oncegate_stores::OpenError;
use oncegate_tower::{Drained, Oncegate, Policies, Settings};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tower_layer::Layer;

use crate::admin::{Admin, AdminService};
use crate::config::Config;
use crate::metrics::{Metrics, TimedStore};
use crate::proxy::{self, Forward, ForwardSettings, ServerSettings};

/// A proxy that could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address could not be listened on.
    #[error("cannot listen on {address} ({setting})")]
    Listen {
        /// The setting that names it.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The store could not be opened.
    #[error("cannot open the store")]
    Open(#[from] OpenError),
    /// The store was opened but does not answer.
    #[error("the store does not answer")]
    Store(#[from] StoreError),
}

/// A proxy that runs.
#[derive(Debug)]
pub struct Running {
    listening: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    oncegate: Oncegate,
    forward: Forward,
    store: Arc<dyn Inspect>,
    drain_timeout: Duration,
    stop: CancellationToken,
    servers: Vec<JoinHandle<()>>,
    admin_server: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts the proxy that `config` describes.
    ///
    /// # Errors
    /// If an address cannot be listened on, or the store cannot be opened.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        let listeners = listen_all("listen", &config.listen).await?;
        let admin_listener = match config.admin {
            Some(address) => Some(listen("admin", address).await?),
            None => None,
        };
        let store = open(config.store.clone()).await?;
        let metrics = Arc::new(Metrics::default());
        let timed: Arc<dyn Store> = Arc::new(TimedStore::new(store.clone(), Arc::clone(&metrics)));
        let secret = config.secret.as_ref().map(crate::config::Secret::as_bytes);
        let engine = Engine::open(timed, secret).await?;
        let mut settings = Settings::default();
        settings.observer = metrics.clone();
        settings.cors_origins = config
            .cors_origins
            .iter()
            .filter_map(|origin| HeaderValue::try_from(origin).ok())
            .collect();
        let oncegate = Oncegate::with(engine, settings);
        let forward = Forward::new(config.upstream.clone(), forward_settings(config));
        let service = oncegate
            .layer_with(Arc::clone(&config.routes) as Arc<dyn Policies>)
            .layer(forward.clone());

        let stop = CancellationToken::new();
        let mut running = Self {
            listening: listeners
                .iter()
                .filter_map(|listener| listener.local_addr().ok())
                .collect(),
            admin: admin_listener
                .as_ref()
                .and_then(|listener| listener.local_addr().ok()),
            oncegate,
            forward,
            store,
            drain_timeout: config.drain_timeout,
            stop,
            servers: Vec::new(),
            admin_server: None,
        };
        let settings = ServerSettings {
            // The executions have `drain_timeout`; those that are given up then still have an answer to send.
            drain_timeout: config.drain_timeout + LAST_ANSWERS_TIMEOUT,
            ..ServerSettings::default()
        };
        for listener in listeners {
            running.spawn_server(listener, service.clone(), settings.clone());
        }
        running.spawn_purger();
        if let Some(listener) = admin_listener {
            running.spawn_admin(listener, metrics, config);
        }
        Ok(running)
    }

    /// Where clients connect.
    #[must_use]
    pub fn listening(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// Where operators connect.
    #[must_use]
    pub const fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// The engine, the executions and the layer.
    #[must_use]
    pub const fn oncegate(&self) -> &Oncegate {
        &self.oncegate
    }

    /// The store, to look at.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Inspect> {
        &self.store
    }

    /// Stops in order, and says how that went.
    pub async fn stop(self) -> Drained {
        self.stop.cancel();
        let drain = self.oncegate.drain(self.drain_timeout);
        let servers = futures_util::future::join_all(self.servers);
        let (drained, _joined) = tokio::join!(drain, servers);
        self.forward.tunnels().drain(TUNNELS_DRAIN_TIMEOUT).await;
        // Last, so that an operator sees the drain.
        if let Some(admin) = self.admin_server {
            admin.abort();
        }
        drained
    }

    fn spawn_server<S>(&mut self, listener: TcpListener, service: S, settings: ServerSettings)
    where
        S: tower_service::Service<
                http::Request<proxy::ServerBody>,
                Response = http::Response<oncegate_tower::Body>,
                Error = std::convert::Infallible,
                Future: Send,
            > + Clone
            + Send
            + Sync
            + 'static,
    {
        let stopped = self.stop.clone().cancelled_owned();
        self.servers.push(tokio::spawn(async move {
            match proxy::serve(listener, service, settings, stopped).await {
                proxy::Drained::Whole => {}
                proxy::Drained::TimedOut { connections_cut } => {
                    tracing::warn!(connections_cut, "connections were cut at shutdown");
                }
            }
        }));
    }

    fn spawn_admin(&mut self, listener: TcpListener, metrics: Arc<Metrics>, config: &Config) {
        let admin = Admin {
            oncegate: self.oncegate.clone(),
            store: Arc::clone(&self.store),
            metrics,
            retention: settled_retention(config),
            stopping: self.stop.clone(),
        };
        // Served until the process ends: readiness must be seen to go while executions drain.
        self.admin_server = Some(tokio::spawn(async move {
            let settings = ServerSettings {
                connections_max: ADMIN_CONNECTIONS_MAX,
                ..Default::default()
            };
            let never = std::future::pending();
            proxy::serve(listener, AdminService::new(admin), settings, never).await;
        }));
    }

    fn spawn_purger(&self) {
        let engine = self.oncegate.engine().clone();
        let stop = self.stop.clone();
        // Nobody waits for it: a purge step that is cut off is one that never was.
        drop(tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = purge_for_ever(&engine) => {}
            }
        }));
    }
}

/// The layer bounds each execution by its route's `upstream_timeout`. The transport must not cut one short, and must
/// have given up connecting before: a request that was never sent is not unknown.
fn forward_settings(config: &Config) -> ForwardSettings {
    let timeouts = config
        .routes
        .policies()
        .map(|policy| policy.upstream_timeout);
    let (shortest, longest) = timeouts
        .fold((Duration::MAX, Duration::ZERO), |(min, max), timeout| {
            (min.min(timeout), max.max(timeout))
        });
    let mut settings = ForwardSettings::default();
    settings.pool.head_timeout = settings.pool.head_timeout.max(longest);
    settings.pool.connect_timeout = settings.pool.connect_timeout.min(shortest / 2);
    settings
}

/// How long an operator's word is kept: as long as any route keeps an outcome. The record does not say which route it
/// came from, and too long is the safe side.
fn settled_retention(config: &Config) -> Retention {
    let policies = || config.routes.policies().map(Policy::completed);
    Retention {
        live: policies().map(|kept| kept.live).max().unwrap_or_default(),
        tombstone: policies()
            .map(|kept| kept.tombstone)
            .max()
            .unwrap_or_default(),
    }
}

async fn listen_all(
    setting: &'static str,
    addresses: &[SocketAddr],
) -> Result<Vec<TcpListener>, StartError> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        listeners.push(listen(setting, *address).await?);
    }
    Ok(listeners)
}

async fn listen(setting: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen {
            setting,
            address,
            source,
        })
}

/// Opening reads a file: not on a thread that serves.
async fn open(url: String) -> Result<Arc<dyn Inspect>, StartError> {
    match tokio::task::spawn_blocking(move || oncegate_stores::open(&url)).await {
        Ok(opened) => Ok(opened?),
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

/// Comes round to every record again and again, in small steps with pauses between.
async fn purge_for_ever(engine: &Engine) {
    loop {
        let pause = match engine.purge(PURGE_RECORDS).await {
            Ok(purged) if purged.finished => PURGE_ROUND_PAUSE,
            Ok(_more) => PURGE_STEP_PAUSE,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a purge step failed"
                );
                PURGE_ROUND_PAUSE
            }
        };
        sleep(pause).await;
    }
}

const LAST_ANSWERS_TIMEOUT: Duration = Duration::from_secs(3);
const PURGE_RECORDS: usize = 500;
const PURGE_STEP_PAUSE: Duration = Duration::from_millis(20);
const PURGE_ROUND_PAUSE: Duration = Duration::from_secs(60);
const ADMIN_CONNECTIONS_MAX: usize = 64;
const TUNNELS_DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
