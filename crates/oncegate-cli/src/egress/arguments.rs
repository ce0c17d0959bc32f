//! The command line of `oncegate egress`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use oncegate_client::RetryPolicy;

use crate::command::Failed;
use crate::config::parse_duration;
use crate::proxy::{Scheme, Upstream};

/// The arguments of `oncegate egress`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// An upstream and its URL: requests for /NAME/PATH go to URL/PATH; can be repeated
    #[arg(long = "upstream", value_name = "NAME=URL", required = true)]
    pub(super) upstreams: Vec<Named>,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    pub(super) listen: SocketAddr,
    /// Listen on an address that others can reach, too: whoever can reach it is answered from the journal
    #[arg(long)]
    pub(super) listen_for_others: bool,
    /// The journal
    #[arg(long, value_name = "FILE", default_value = "oncegate-egress.journal")]
    pub(super) journal: PathBuf,
    /// How often an operation is sent at the most
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    pub(super) attempts: u16,
    /// How long one attempt may take
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse)]
    pub(super) timeout: Duration,
    /// How many operations may be under way; more are refused
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    pub(super) operations_max: u16,
    /// How large a request's body may be
    #[arg(long, value_name = "BYTES", default_value_t = 8 * 1024 * 1024)]
    pub(super) body_bytes_max: usize,
    /// How long operations may take to finish at shutdown
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse)]
    pub(super) drain_timeout: Duration,
}

/// An upstream with its name.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) name: String,
    /// Without a slash at its end.
    pub(super) url: String,
    pub(super) upstream: Upstream,
}

impl Arguments {
    /// What clap cannot see.
    pub(super) fn check(&self) -> Result<(), Failed> {
        if !self.listen.ip().is_loopback() && !self.listen_for_others {
            return Err(Failed::usage(format!(
                "others can reach {}: listen on 127.0.0.1, or say --listen-for-others",
                self.listen
            )));
        }
        let mut names: Vec<&str> = self.upstreams.iter().map(|it| it.name.as_str()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Failed::usage(format!(
                "two upstreams are named {}",
                pair[0]
            ))),
            None => Ok(()),
        }
    }

    /// How often and how long it tries.
    pub(super) fn policy(&self) -> RetryPolicy {
        let mut policy = RetryPolicy::default();
        policy.attempts_max = u32::from(self.attempts).max(1);
        policy.attempt_timeout = self.timeout;
        policy.connect_timeout = policy.connect_timeout.min(self.timeout);
        policy
    }
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, url) = text.split_once('=').ok_or("write NAME=URL")?;
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(fits) {
            return Err(format!(
                "a name has up to {NAME_BYTES_MAX} lower-case letters, digits and hyphens"
            ));
        }
        let upstream: Upstream = url.parse().map_err(|why| format!("{why}"))?;
        match upstream.scheme() {
            Scheme::Http | Scheme::Https => Ok(Self {
                name: name.to_owned(),
                url: url.trim_end_matches('/').to_owned(),
                upstream,
            }),
            Scheme::H2c => Err("h2c is not spoken here: write http:// or https://".to_owned()),
        }
    }
}

fn parse(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|refusal| refusal.why().to_owned())
}

/// The longest name of an upstream.
const NAME_BYTES_MAX: usize = 32;
