//! The configuration that is in force.
//!
//! Promises: whoever holds a [`Config`] need not check anything again, and what
//! [`Config::print`] writes reads back as the same configuration.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use oncegate::Policy;
use oncegate::contract::Served;
use oncegate_stores::StoreUrl;
use oncegate_tower::{BUFFER_BYTES_TOTAL_MAX, JWT_LEEWAY, JwtKeys, Quotas, SPOOL_BYTES_MAX};

use super::profile::Profile;
use super::secret::Secret;
use super::setting::{Access, Place, Setting};
use super::settings::{find, settings_at};
use super::value::Value;
use crate::discovery::DISCOVERY_PATH;
use crate::proxy::{ForwardSettings, Forwarded, Identity, ServerSettings, Trust, Upstream};
use crate::routes::{Route, Routes};

/// Everything that `oncegate serve` has to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where clients connect; at least one address.
    pub listen: Vec<SocketAddr>,
    /// Where operators connect.
    pub admin: Option<SocketAddr>,
    /// Where requests go.
    pub upstream: Upstream,
    /// Which store.
    pub store: StoreUrl,
    /// What the defaults started from.
    pub profile: Profile,
    /// Where the secret was read from.
    pub secret_file: Option<PathBuf>,
    /// What keys the hashes.
    pub secret: Option<Secret>,
    /// Where the secret that tokens are signed with was read from.
    pub jwt_secret_file: Option<PathBuf>,
    /// Where the public keys that tokens are signed with were read from.
    pub jwt_jwks_file: Option<PathBuf>,
    /// Whose tokens count; all if it is empty.
    pub jwt_issuer: Vec<String>,
    /// For whom a token has to be; anybody if it is empty.
    pub jwt_audience: Vec<String>,
    /// How far the clock of the tokens' issuer may be from ours.
    pub jwt_leeway: Duration,
    /// What tokens are verified with, where the scope is a claim.
    pub jwt_keys: Option<JwtKeys>,
    /// How many new keys are taken in how long.
    pub quotas: Quotas,
    /// Origins whose scripts may read our refusals.
    pub cors_origins: Vec<String>,
    /// Where the contract is published, if anywhere.
    pub discovery: Option<String>,
    /// What becomes of that which clients say of the hops before us.
    pub forwarded: Forwarded,
    /// Where our certificate was read from.
    pub tls_cert_file: Option<PathBuf>,
    /// Where its key was read from.
    pub tls_key_file: Option<PathBuf>,
    /// How long a client may take until TLS stands.
    pub tls_handshake_timeout: Duration,
    /// What clients are shown; with it, they are spoken to over TLS.
    pub tls: Option<Identity>,
    /// Where the upstream's authorities were read from.
    pub upstream_ca_file: Option<PathBuf>,
    /// Where the certificate for the upstream was read from.
    pub upstream_client_cert_file: Option<PathBuf>,
    /// Where its key was read from.
    pub upstream_client_key_file: Option<PathBuf>,
    /// Whom an upstream behind `https` is vouched for by; none for other upstreams.
    pub upstream_trust: Option<Trust>,
    /// The limits on clients.
    pub server: ServerSettings,
    /// How many upgraded connections and CONNECTs may be open.
    pub tunnels_max: usize,
    /// How long one of them may carry nothing.
    pub tunnel_idle_timeout: Duration,
    /// How much memory held bodies may take in all.
    pub buffer_bytes_total_max: u64,
    /// How much disk spooled request bodies may take in all.
    pub spool_bytes_max: u64,
    /// How long executions may take to end at shutdown.
    pub drain_timeout: Duration,
    /// The policies: one for each route, and the defaults.
    pub routes: Arc<Routes>,
    /// What an operator should know at start-up, a sentence each.
    pub warnings: Vec<String>,
}

impl Config {
    /// The policy of all requests that no route matches.
    #[must_use]
    pub fn defaults(&self) -> &Policy {
        self.routes.defaults()
    }

    /// What holds of the whole proxy, for the contract that is published.
    pub(crate) fn served(&self) -> Served {
        let remembers = |policy: &Policy| !policy.tombstones.is_zero();
        Served {
            quotas: self.quotas != Quotas::default(),
            tombstones: self.routes.policies().any(remembers),
            ..Served::default()
        }
    }

    /// The configuration as a TOML file with every setting in it. Secrets show as paths only.
    #[must_use]
    pub fn print(&self) -> String {
        let mut out = String::new();
        self.print_all(&mut out, Place::Top);
        out.push_str("\n[defaults]\n");
        self.print_all(&mut out, Place::Defaults);
        for route in self.routes.iter() {
            out.push_str("\n[[route]]\n");
            self.print_route(&mut out, route);
        }
        out
    }

    /// What these settings are under a policy, as TOML.
    pub(crate) fn shown<'n>(&self, policy: &Policy, names: &[&'n str]) -> Vec<(&'n str, String)> {
        let shown = names.iter().filter_map(|name| {
            let value = find(name)?.show(self, policy)?;
            Some((*name, value.to_string()))
        });
        shown.collect()
    }

    fn print_all(&self, out: &mut String, place: Place) {
        for setting in settings_at(place) {
            match setting.show(self, self.defaults()) {
                Some(value) => print_line(out, setting, &value),
                // A comment, so that a reader sees that it exists.
                None => print_comment(out, setting),
            }
        }
    }

    /// Only what differs from the defaults: the rest is the same by definition.
    fn print_route(&self, out: &mut String, route: &Route) {
        for setting in settings_at(Place::Route) {
            let value = match setting.access {
                Access::Match { show, .. } => Some(show(route)),
                Access::Config { .. } => None,
                // They stand in `match`.
                Access::Policy { .. } if setting.name == "methods" => None,
                Access::Policy { show, .. } => {
                    show(&route.policy).filter(|own| Some(own) != show(self.defaults()).as_ref())
                }
            };
            if let Some(value) = value {
                print_line(out, setting, &value);
            }
        }
    }
}

/// What is built in: the profile `oncegate` without any routes.
impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![(Ipv4Addr::LOCALHOST, 8080).into()],
            admin: Some((Ipv4Addr::LOCALHOST, 9090).into()),
            upstream: UPSTREAM.parse().expect("the built-in upstream is a URL"),
            store: STORE.parse().expect("the built-in store is a URL"),
            profile: Profile::default(),
            secret_file: None,
            secret: None,
            jwt_secret_file: None,
            jwt_jwks_file: None,
            jwt_issuer: Vec::new(),
            jwt_audience: Vec::new(),
            jwt_leeway: JWT_LEEWAY,
            jwt_keys: None,
            quotas: Quotas::default(),
            cors_origins: Vec::new(),
            discovery: Some(DISCOVERY_PATH.to_owned()),
            forwarded: Forwarded::default(),
            tls_cert_file: None,
            tls_key_file: None,
            tls_handshake_timeout: Duration::from_secs(10),
            tls: None,
            upstream_ca_file: None,
            upstream_client_cert_file: None,
            upstream_client_key_file: None,
            upstream_trust: None,
            server: ServerSettings::default(),
            tunnels_max: ForwardSettings::default().tunnels_max,
            tunnel_idle_timeout: ForwardSettings::default().tunnel_idle_timeout,
            buffer_bytes_total_max: BUFFER_BYTES_TOTAL_MAX,
            spool_bytes_max: SPOOL_BYTES_MAX,
            drain_timeout: Duration::from_secs(30),
            routes: Arc::default(),
            warnings: Vec::new(),
        }
    }
}

fn print_line(out: &mut String, setting: &Setting, value: &Value) {
    writeln!(out, "{} = {value}", setting.name).expect("a string takes all that is written to it");
}

fn print_comment(out: &mut String, setting: &Setting) {
    writeln!(out, "# {} is not set", setting.name)
        .expect("a string takes all that is written to it");
}

const UPSTREAM: &str = "http://127.0.0.1:3000";
const STORE: &str = "file:oncegate.db";
