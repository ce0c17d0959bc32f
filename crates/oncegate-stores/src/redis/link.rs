//! The connection: shared by all callers, made anew by itself when it breaks. To a Cluster, one for each node.

use redis::aio::{ConnectionLike, ConnectionManagerConfig};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
use redis::{
    Client, Cmd, ConnectionInfo, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult,
    TlsCertificates, Value,
};

use super::address::RedisAddress;
use super::error::RedisOpenError;
use super::options::RedisOptions;
use super::single::Single;

/// A connection that all callers share.
#[derive(Clone)]
pub(super) enum Link {
    Single(Single),
    Cluster(ClusterConnection),
}

/// What is needed to connect: to be linked with the store, and to listen.
pub(super) struct Peer {
    nodes: Vec<ConnectionInfo>,
    certificates: Option<TlsCertificates>,
    is_cluster: bool,
}

impl Peer {
    pub(super) fn at(
        address: &RedisAddress,
        options: &RedisOptions,
    ) -> Result<Self, RedisOpenError> {
        if address.is_encrypted() {
            // Someone else's choice stands; without one, the provider would be guessed from what was compiled in.
            let provider = rustls::crypto::aws_lc_rs::default_provider();
            let _ours_or_theirs = provider.install_default();
        }
        let certificates = match address.ca() {
            Some(file) => Some(TlsCertificates {
                client_tls: None,
                root_cert: Some(std::fs::read(file).map_err(|source| {
                    RedisOpenError::Certificates {
                        file: file.to_owned(),
                        source,
                    }
                })?),
            }),
            None => None,
        };
        Ok(Self {
            nodes: address.connections(options)?,
            certificates,
            is_cluster: address.is_cluster(),
        })
    }

    /// A client of each node that was named.
    pub(super) fn clients(&self) -> RedisResult<Vec<Client>> {
        let client = |node: &ConnectionInfo| match &self.certificates {
            Some(certificates) => Client::build_with_tls(node.clone(), certificates.clone()),
            None => Client::open(node.clone()),
        };
        self.nodes.iter().map(client).collect()
    }

    pub(super) async fn link(&self, options: &RedisOptions) -> RedisResult<Link> {
        if self.is_cluster {
            return self.link_to_cluster(options).await.map(Link::Cluster);
        }
        let client = self.clients()?.into_iter().next();
        let client = client.ok_or((ErrorKind::InvalidClientConfig, "no address"))?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(options.connect_timeout))
            .set_response_timeout(Some(options.answer_timeout))
            .set_number_of_retries(RETRIES);
        Single::connect(client, config).await.map(Link::Single)
    }

    async fn link_to_cluster(&self, options: &RedisOptions) -> RedisResult<ClusterConnection> {
        let mut builder = ClusterClientBuilder::new(self.nodes.iter().cloned())
            .connection_timeout(options.connect_timeout)
            .response_timeout(options.answer_timeout)
            .overall_response_timeout(Some(options.answer_timeout))
            .retries(CLUSTER_RETRIES);
        if let Some(node) = self.nodes.first() {
            builder = builder.tcp_settings(node.tcp_settings().clone());
        }
        if let Some(certificates) = &self.certificates {
            builder = builder.certs(certificates.clone());
        }
        builder.build()?.get_async_connection().await
    }
}

impl Link {
    /// What `INFO` says, of each node that holds records, with the name by which the node can be asked.
    pub(super) async fn info(&mut self) -> RedisResult<Vec<(String, String)>> {
        let told = redis::cmd("INFO").query_async(self).await?;
        let Value::Map(nodes) = told else {
            return Ok(vec![(String::new(), redis::from_redis_value(told)?)]);
        };
        nodes
            .into_iter()
            .map(|(node, told)| {
                let node = redis::from_redis_value(node)?;
                Ok((node, redis::from_redis_value(told.extract_error()?)?))
            })
            .collect()
    }

    /// The nodes that hold records, in an order that stays.
    pub(super) async fn nodes(&mut self) -> RedisResult<Vec<String>> {
        let Self::Cluster(_) = self else {
            return Ok(vec![String::new()]);
        };
        let info = self.info().await?;
        let mut nodes: Vec<String> = info.into_iter().map(|(node, _told)| node).collect();
        nodes.sort_unstable();
        Ok(nodes)
    }

    /// Asks one node, that [`nodes`](Self::nodes) named.
    pub(super) async fn ask(&mut self, node: &str, command: Cmd) -> RedisResult<Value> {
        match self {
            Self::Single(link) => link.send(&command).await,
            Self::Cluster(link) => {
                let address = node
                    .rsplit_once(':')
                    .and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
                let (host, port) = address.ok_or_else(|| no_node(node))?;
                let node = SingleNodeRoutingInfo::ByAddress { host, port };
                link.route_command(command, RoutingInfo::SingleNode(node))
                    .await
            }
        }
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(link) => Box::pin(link.send(command)),
            Self::Cluster(link) => link.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(link) => Box::pin(link.send_all(commands, offset, count)),
            Self::Cluster(link) => link.req_packed_commands(commands, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(link) => link.database(),
            Self::Cluster(link) => link.get_db(),
        }
    }
}

fn no_node(node: &str) -> RedisError {
    (
        ErrorKind::ClusterConnectionNotFound,
        "no node of the Cluster",
        node.to_owned(),
    )
        .into()
}

/// Attempts to connect again before a request is told that there is no Redis; the next request tries anew.
const RETRIES: usize = 1;
/// How often a request to a Cluster follows a slot that moved, or asks a node again. What the scripts do can be done
/// twice: they name the owner.
const CLUSTER_RETRIES: u32 = 3;
