//! Where a Redis is: `redis://`, `rediss://`, `redis-cluster://` or `rediss-cluster://`, read and judged whole.
//!
//! An address may hold a password. No error and no `Debug` shows it, and `Display` puts `***` in its place.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{ConnectionInfo, IntoConnectionInfo};

use super::options::RedisOptions;

/// Where a Redis is, and what the names of our keys in it begin with.
///
/// `redis://USER:PASSWORD@HOST:PORT/DB?prefix=NAME:`. `rediss` is with TLS, `redis-cluster` and `rediss-cluster` name
/// some nodes of a Cluster, divided by commas. `?ca=FILE` names the certificates to trust in place of the system's.
/// `?wait=N` lets a claim or an outcome count only once N replicas have it; a Cluster does not have it.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct RedisAddress {
    tls: bool,
    cluster: bool,
    /// User and password, as they were written.
    credentials: Option<String>,
    /// One node, or some of a Cluster.
    nodes: Vec<String>,
    database: u32,
    prefix: String,
    ca: Option<PathBuf>,
    /// How many replicas must have a claim or an outcome; 0 for none.
    wait: u8,
}

/// An address that names no Redis. What was written is not repeated: it may hold a password.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RedisAddressError {
    /// It does not begin with one of the four schemes.
    #[error(
        "store has no scheme of a Redis; it is one of: redis://, rediss://, redis-cluster://, rediss-cluster://"
    )]
    Scheme,
    /// No host can be read in it.
    #[error("store {scheme}:// has no address; write {scheme}://HOST:PORT")]
    Node {
        /// The scheme.
        scheme: &'static str,
    },
    /// A user or a password that would be read as something else.
    #[error("store {scheme}:// has a user or password with one of / ? # in it; write %2F %3F %23")]
    Credentials {
        /// The scheme.
        scheme: &'static str,
    },
    /// Several nodes that are no Cluster.
    #[error(
        "store {scheme}:// takes one address; a Cluster is {scheme}-cluster://HOST:PORT,HOST:PORT"
    )]
    Nodes {
        /// The scheme.
        scheme: &'static str,
    },
    /// What follows the address is no number of a database.
    #[error(
        "store {scheme}:// takes the number of a database behind the address, or nothing; a Cluster has only 0"
    )]
    Database {
        /// The scheme.
        scheme: &'static str,
    },
    /// A parameter that it does not have.
    #[error(
        "store {scheme}:// has no parameter {name:?}; it has prefix, with TLS ca, and where it is no Cluster wait"
    )]
    UnknownParameter {
        /// The scheme.
        scheme: &'static str,
        /// The parameter's name.
        name: String,
    },
    /// A prefix that would make key names that a Cluster or a walk through the keys misreads.
    #[error("store: prefix is 1 to {PREFIX_BYTES_MAX} letters, digits or any of _ . : -")]
    Prefix,
    /// No number of replicas.
    #[error("store: wait is a number of replicas, 1 to {WAIT_MAX}")]
    Wait,
}

impl RedisAddress {
    /// What the names of all our keys begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether it is a Cluster.
    #[must_use]
    pub const fn is_cluster(&self) -> bool {
        self.cluster
    }

    pub(super) const fn is_encrypted(&self) -> bool {
        self.tls
    }

    /// The file with the certificates to trust, in place of the system's.
    pub(super) fn ca(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    /// How many replicas must have a claim or an outcome, if any.
    pub(super) const fn wait(&self) -> Option<u8> {
        match self.wait {
            0 => None,
            count => Some(count),
        }
    }

    const fn scheme(&self) -> &'static str {
        scheme(self.tls, self.cluster)
    }

    /// One node after the other, as the client wants it.
    pub(super) fn connections(
        &self,
        options: &RedisOptions,
    ) -> Result<Vec<ConnectionInfo>, RedisAddressError> {
        self.nodes
            .iter()
            .map(|node| self.connection(node, options))
            .collect()
    }

    fn connection(
        &self,
        node: &str,
        options: &RedisOptions,
    ) -> Result<ConnectionInfo, RedisAddressError> {
        let credentials = self
            .credentials
            .as_ref()
            .map_or_else(String::new, |credentials| format!("{credentials}@"));
        let url = format!(
            "{}://{credentials}{node}/{}",
            scheme(self.tls, false),
            self.database
        );
        let scheme = self.scheme();
        let info = url
            .into_connection_info()
            .map_err(|_repeats_it| RedisAddressError::Node { scheme })?;
        Ok(info.set_tcp_settings(tcp_settings(options)))
    }
}

impl FromStr for RedisAddress {
    type Err = RedisAddressError;

    fn from_str(url: &str) -> Result<Self, RedisAddressError> {
        let (tls, cluster, rest) = SCHEMES
            .into_iter()
            .find_map(|(tls, cluster)| {
                let (written, rest) = url.split_once("://")?;
                let same = written.eq_ignore_ascii_case(scheme(tls, cluster));
                same.then_some((tls, cluster, rest))
            })
            .ok_or(RedisAddressError::Scheme)?;
        let scheme = scheme(tls, cluster);
        let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        // The client would look for the host in a part of the password, and messages would repeat another part.
        let is_cut_off = !place.contains('@') && parameters.contains('@');
        let split = place.rsplit_once('@');
        if is_cut_off || split.is_some_and(|(credentials, _hosts)| !is_credentials(credentials)) {
            return Err(RedisAddressError::Credentials { scheme });
        }
        let (credentials, hosts) = match split {
            Some((credentials, hosts)) => (Some(credentials.to_owned()), hosts),
            None => (None, place),
        };
        let (hosts, database) = hosts.split_once('/').unwrap_or((hosts, ""));
        let mut address = Self {
            tls,
            cluster,
            credentials,
            nodes: hosts.split(',').map(str::to_owned).collect(),
            database: database_number(database, cluster)
                .ok_or(RedisAddressError::Database { scheme })?,
            prefix: PREFIX.to_owned(),
            ca: None,
            wait: 0,
        };
        if address.nodes.len() > 1 && !cluster {
            return Err(RedisAddressError::Nodes { scheme });
        }
        if address.nodes.iter().any(|node| !is_node(node)) {
            return Err(RedisAddressError::Node { scheme });
        }
        for parameter in parameters.split('&').filter(|text| !text.is_empty()) {
            address.set(parameter)?;
        }
        // The client reads it once more, in its own way: what it will not take is to show now.
        address.connections(&RedisOptions::default())?;
        Ok(address)
    }
}

impl RedisAddress {
    fn set(&mut self, parameter: &str) -> Result<(), RedisAddressError> {
        match parameter.split_once('=').unwrap_or((parameter, "")) {
            ("prefix", prefix) if is_prefix(prefix) => prefix.clone_into(&mut self.prefix),
            ("prefix", _) => return Err(RedisAddressError::Prefix),
            ("ca", file) if self.tls && !file.is_empty() => self.ca = Some(file.into()),
            ("wait", count) if !self.cluster => {
                let count = count.parse().ok();
                let within = count.filter(|count| (1..=WAIT_MAX).contains(count));
                self.wait = within.ok_or(RedisAddressError::Wait)?;
            }
            (name, _) => {
                return Err(RedisAddressError::UnknownParameter {
                    scheme: self.scheme(),
                    name: name.to_owned(),
                });
            }
        }
        Ok(())
    }
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme())?;
        if let Some(credentials) = &self.credentials {
            match credentials.split_once(':') {
                Some((user, _password)) => write!(f, "{user}:***@")?,
                None => write!(f, "{credentials}@")?,
            }
        }
        f.write_str(&self.nodes.join(","))?;
        if self.database != 0 {
            write!(f, "/{}", self.database)?;
        }
        let mut mark = '?';
        if self.prefix != PREFIX {
            write!(f, "{mark}prefix={}", self.prefix)?;
            mark = '&';
        }
        if let Some(file) = &self.ca {
            write!(f, "{mark}ca={}", file.display())?;
            mark = '&';
        }
        match self.wait() {
            Some(count) => write!(f, "{mark}wait={count}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisAddress({self})")
    }
}

const fn scheme(tls: bool, cluster: bool) -> &'static str {
    match (tls, cluster) {
        (false, false) => "redis",
        (true, false) => "rediss",
        (false, true) => "redis-cluster",
        (true, true) => "rediss-cluster",
    }
}

fn database_number(text: &str, cluster: bool) -> Option<u32> {
    match text {
        "" => Some(0),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
            .parse()
            .ok()
            .filter(|number| !cluster || *number == 0),
        _ => None,
    }
}

/// A name or an address, with a port or without. What is not to be in it could mean something else to the client: a
/// fragment switches the check of certificates off there.
fn is_node(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte))
}

/// What is not to be in it ends the credentials where the client reads them.
fn is_credentials(text: &str) -> bool {
    !text.contains(['/', '?', '#'])
}

/// Braces would move the hash tag of a Cluster; `*` and its like would match other keys in a walk.
fn is_prefix(text: &str) -> bool {
    (1..=PREFIX_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte))
}

/// A peer that is gone without a word is noticed: what was sent and is not even received after this time ends the
/// connection, and the next request makes a new one.
fn tcp_settings(options: &RedisOptions) -> TcpSettings {
    // Whole seconds, and at least one: so the system counts.
    let silent = options.answer_timeout.max(Duration::from_secs(1));
    let settings = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(TcpKeepalive::new().with_time(silent).with_interval(silent));
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(silent);
    settings
}

const SCHEMES: [(bool, bool); 4] = [(false, false), (true, false), (false, true), (true, true)];
const PREFIX: &str = "oncegate:";
const PREFIX_BYTES_MAX: usize = 64;
const WAIT_MAX: u8 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<RedisAddress, RedisAddressError> {
        url.parse()
    }

    #[test]
    fn an_address_is_shown_as_it_is_understood_and_without_its_password() {
        let table = [
            ("redis://localhost", "redis://localhost"),
            ("REDIS://localhost:6380/0", "redis://localhost:6380"),
            ("redis://:hunter2@h:1/3", "redis://:***@h:1/3"),
            ("redis://me:hunter2@h", "redis://me:***@h"),
            ("redis://me:hunt@er2@h", "redis://me:***@h"),
            ("redis://me:hunt%2Fer2@h", "redis://me:***@h"),
            ("redis://h?wait=2", "redis://h?wait=2"),
            ("redis://[::1]:6379", "redis://[::1]:6379"),
            ("redis://h?prefix=oncegate:", "redis://h"),
            ("redis://h?prefix=shop.", "redis://h?prefix=shop."),
            (
                "rediss://h?prefix=a:&ca=/etc/ca.pem",
                "rediss://h?prefix=a:&ca=/etc/ca.pem",
            ),
            ("redis-cluster://a:1,b:2", "redis-cluster://a:1,b:2"),
            (
                "rediss-cluster://u:hunter2@a,b",
                "rediss-cluster://u:***@a,b",
            ),
        ];
        for (url, shown) in table {
            let address = parse(url).unwrap();
            assert_eq!(address.to_string(), shown, "{url}");
            assert_eq!(format!("{address:?}"), format!("RedisAddress({shown})"));
        }
    }

    #[test]
    fn a_bad_address_is_told_what_would_be_a_good_one() {
        use RedisAddressError::{
            Credentials, Database, Node, Nodes, Prefix, Scheme, UnknownParameter, Wait,
        };
        let scheme = "redis";
        let unknown = |name: &str| UnknownParameter {
            scheme,
            name: name.to_owned(),
        };
        let table = [
            ("localhost:6379", Scheme),
            ("redis:localhost", Scheme),
            ("valkey://h", Scheme),
            ("redis://", Node { scheme }),
            ("redis://h:port", Node { scheme }),
            ("redis://h#insecure", Node { scheme }),
            ("redis://me:1/2@h", Credentials { scheme }),
            ("redis://me:1?2@h", Credentials { scheme }),
            // The client would connect to a host "me", without a look at certificates.
            ("redis://me:6379#insecure@h", Credentials { scheme }),
            ("redis://h,", Nodes { scheme }),
            ("redis://a,b", Nodes { scheme }),
            ("redis://h/one", Database { scheme }),
            ("redis://h/1/2", Database { scheme }),
            ("redis://h/1#insecure", Database { scheme }),
            (
                "redis-cluster://h/1",
                Database {
                    scheme: "redis-cluster",
                },
            ),
            ("redis://h?prefix=", Prefix),
            ("redis://h?prefix={a}", Prefix),
            ("redis://h?prefix=a*", Prefix),
            ("redis://h?protocol=3", unknown("protocol")),
            ("redis://h?wait=0", Wait),
            ("redis://h?wait=9", Wait),
            ("redis://h?wait=all", Wait),
            (
                "redis-cluster://h?wait=1",
                UnknownParameter {
                    scheme: "redis-cluster",
                    name: "wait".to_owned(),
                },
            ),
            // There is nothing to trust without TLS.
            ("redis://h?ca=/etc/ca.pem", unknown("ca")),
        ];
        for (url, error) in table {
            assert_eq!(parse(url).unwrap_err(), error, "{url}");
        }
        let long = format!("redis://h?prefix={}", "a".repeat(PREFIX_BYTES_MAX + 1));
        assert_eq!(parse(&long), Err(Prefix));
    }

    #[test]
    fn no_message_repeats_a_password() {
        for url in [
            "redis://me:hunter2@",
            "redis://me:hunter2@h:port",
            "redis://me:hunter2@h/x",
            "redis://me:hunter2@h?x=1",
            "redis://me:1?hunter2@h",
            "redis://me:1?x=hunter2@h",
            "redis://me:1/hunter2@h",
        ] {
            let message = parse(url).unwrap_err().to_string();
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
