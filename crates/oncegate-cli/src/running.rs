//! A proxy that runs: store, engine, layer, listeners, purger, put together once for `serve` and `demo`.
//!
//! Everything that can fail does so before a client can connect. Stopping is in order: no new connections, no new
//! keys; executions end; what is left is marked unknown.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use oncegate::store::{Inspect, StoreError};
use oncegate::{Engine, Store};
use oncegate_stores::OpenError;
use oncegate_tower::{BufferBudget, Drained, Oncegate, Policies, Settings, Spool};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tower_layer::Layer;

use crate::admin::{Admin, AdminService};
use crate::config::Config;
use crate::discovery::{Discovery, LiveDiscovery};
use crate::live::LiveRoutes;
use crate::metrics::{Metrics, TimedStore};
use crate::proxy::{
    self, Forward, ForwardSettings, PeerAddr, PoolSettings, ServerSettings, ServerTls, UpstreamTls,
};
use crate::routes::Routes;
use crate::tokens::Tokens;

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
    config: Config,
    routes: Arc<LiveRoutes>,
    discovery: Arc<LiveDiscovery>,
    tokens: Arc<Tokens>,
    metrics: Arc<Metrics>,
    tls: Option<ServerTls>,
    upstream_tls: Option<UpstreamTls>,
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
        let store = config.store.open().await?;
        let metrics = Arc::new(Metrics::default());
        let timed: Arc<dyn Store> = Arc::new(TimedStore::new(store.clone(), Arc::clone(&metrics)));
        let secret = config.secret.as_ref().map(crate::config::Secret::as_bytes);
        let engine = Engine::open(timed, secret).await?;
        let mut settings = Settings::default();
        settings.observer = metrics.clone();
        settings.quotas = config.quotas;
        settings.client_address = |request| {
            let peer = request.extensions.get::<PeerAddr>();
            peer.map(PeerAddr::ip)
        };
        settings.dialect = config.defaults().dialect;
        let tokens = Arc::new(Tokens::of(config));
        settings.token_verifier = Some(tokens.clone());
        settings.cors_origins = config
            .cors_origins
            .iter()
            .filter_map(|origin| HeaderValue::try_from(origin).ok())
            .collect();
        settings.buffer = BufferBudget::new(config.buffer_bytes_total_max);
        settings.spool = Spool::new(std::env::temp_dir(), config.spool_bytes_max);
        let oncegate = Oncegate::with(engine, settings);
        let tls = config
            .tls
            .as_ref()
            .map(|identity| ServerTls::new(identity, config.tls_handshake_timeout));
        let upstream_tls = upstream_tls(config);
        let forward_settings = forward_settings(config, upstream_tls.clone());
        let forward = Forward::new(config.upstream.clone(), forward_settings);
        let routes = Arc::new(LiveRoutes::new(Arc::clone(&config.routes)));
        let service = oncegate
            .layer_with(Arc::clone(&routes) as Arc<dyn Policies>)
            .layer(forward.clone());
        let discovery = Arc::new(LiveDiscovery::new(config));
        let service = Discovery::new(service, Arc::clone(&discovery));

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
            config: config.clone(),
            routes,
            discovery,
            tokens,
            metrics,
            tls: tls.clone(),
            upstream_tls,
            stop,
            servers: Vec::new(),
            admin_server: None,
        };
        let settings = ServerSettings {
            // The executions have `drain_timeout`; those that are given up then still have an answer to send.
            drain_timeout: config.drain_timeout + LAST_ANSWERS_TIMEOUT,
            tls,
            ..config.server.clone()
        };
        for listener in listeners {
            running.spawn_server(listener, service.clone(), settings.clone());
        }
        running.spawn_purger();
        if let Some(listener) = admin_listener {
            running.spawn_admin(listener);
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

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What an operator should know about the configuration in force, a sentence each.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.config.warnings
    }

    /// Takes over a new configuration. What is under way goes on under the old one: executions with their policies,
    /// connections with their certificates.
    ///
    /// # Errors
    /// With the settings that it differs in and that need a restart; nothing has changed then.
    pub fn follow(&mut self, config: Config) -> Result<(), Vec<&'static str>> {
        let restart_needed = self.config.restart_needed_for(&config);
        if !restart_needed.is_empty() {
            return Err(restart_needed);
        }
        // Before the routes: no execution under a new policy may be cut by an old timeout.
        let (connect_timeout, head_timeout) = timeouts_for(&config.routes);
        self.forward.follow(connect_timeout, head_timeout);
        if let (Some(tls), Some(identity)) = (&self.tls, &config.tls) {
            tls.exchange(identity);
        }
        if let (Some(tls), Some(trust)) = (&self.upstream_tls, &config.upstream_trust)
            && self.config.upstream_trust.as_ref() != Some(trust)
        {
            tls.exchange(trust);
            self.forward.forget_connections();
        }
        self.tokens.exchange(&config);
        self.routes.exchange(Arc::clone(&config.routes));
        self.discovery.exchange(&config);
        self.config = config;
        Ok(())
    }

    /// Stops in order, and says how that went.
    pub async fn stop(self) -> Drained {
        self.stop.cancel();
        let drain = self.oncegate.drain(self.config.drain_timeout);
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

    fn spawn_admin(&mut self, listener: TcpListener) {
        let admin = Admin {
            oncegate: self.oncegate.clone(),
            store: Arc::clone(&self.store),
            metrics: Arc::clone(&self.metrics),
            routes: Arc::clone(&self.routes),
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
fn timeouts_for(routes: &Routes) -> (Duration, Duration) {
    let timeouts = routes.policies().map(|policy| policy.upstream_timeout);
    let (shortest, longest) = timeouts
        .fold((Duration::MAX, Duration::ZERO), |(min, max), timeout| {
            (min.min(timeout), max.max(timeout))
        });
    let PoolSettings {
        connect_timeout,
        head_timeout,
        ..
    } = PoolSettings::default();
    (connect_timeout.min(shortest / 2), head_timeout.max(longest))
}

fn forward_settings(config: &Config, tls: Option<UpstreamTls>) -> ForwardSettings {
    let (connect_timeout, head_timeout) = timeouts_for(&config.routes);
    ForwardSettings {
        pool: PoolSettings {
            connect_timeout,
            head_timeout,
            ..PoolSettings::default()
        },
        tunnels_max: config.tunnels_max,
        tunnel_idle_timeout: config.tunnel_idle_timeout,
        forwarded: config.forwarded,
        tls,
    }
}

fn upstream_tls(config: &Config) -> Option<UpstreamTls> {
    let name = config.upstream.server_name()?.clone();
    let trust = config.upstream_trust.as_ref()?;
    Some(UpstreamTls::new(name, trust))
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
