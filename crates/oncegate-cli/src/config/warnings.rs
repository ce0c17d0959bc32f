//! What an operator should know at start-up although nothing is wrong.
//!
//! Promises: a sentence each, that names the setting and what it costs. What only matters to a
//! route names the route.

use http::header::AUTHORIZATION;
use oncegate::Policy;
use oncegate::policy::{KeyUse, OnUnknown, StoreDown};
use oncegate::scope::{Anonymous, ScopeSource};
use oncegate_stores::StoreUrl;

use super::in_force::Config;

/// All warnings about this configuration.
pub(super) fn warnings(config: &Config, secret_is_world_readable: bool) -> Vec<String> {
    let mut all = about_the_server(config, secret_is_world_readable);
    for kind in KINDS {
        let places: Vec<String> = policies(config)
            .filter(|(_, policy)| policy.key != KeyUse::Ignored && (kind.strikes)(policy))
            .map(|(place, _)| place)
            .collect();
        if !places.is_empty() {
            all.push(format!("{} ({})", kind.text, places.join(", ")));
        }
    }
    all
}

fn about_the_server(config: &Config, secret_is_world_readable: bool) -> Vec<String> {
    let mut all = Vec::new();
    if config.store == StoreUrl::Memory {
        all.push(
            "`store = \"memory:\"`: a restart loses all keys, and retries execute again".into(),
        );
    }
    if config.secret.is_none() {
        all.push(
            "no `secret_file`: whoever gets hold of the store can test guesses of request bodies"
                .into(),
        );
    }
    if let Some(path) = config
        .secret_file
        .as_ref()
        .filter(|_| secret_is_world_readable)
    {
        let path = path.display();
        all.push(format!(
            "every user of this host can read `{path}`: `chmod 600` would do"
        ));
    }
    if let Some(admin) = config.admin.filter(|address| !address.ip().is_loopback()) {
        all.push(format!(
            "`admin = \"{admin}\"`: whoever can reach it may do everything"
        ));
    }
    all
}

fn policies(config: &Config) -> impl Iterator<Item = (String, &Policy)> {
    let routes = config
        .routes
        .iter()
        .map(|route| (route.to_string(), &*route.policy));
    std::iter::once(("[defaults]".to_owned(), config.defaults())).chain(routes)
}

struct Kind {
    text: &'static str,
    strikes: fn(&Policy) -> bool,
}

const KINDS: [Kind; 6] = [
    Kind {
        text: "`scope` has `header:authorization`: a client that gets a new token is a stranger, \
               and its retries execute again",
        strikes: |policy| {
            policy
                .scope
                .sources
                .contains(&ScopeSource::Header(AUTHORIZATION))
        },
    },
    Kind {
        text: "`scope = []`: all clients share their keys, and read each other's answers",
        strikes: |policy| {
            policy.scope.sources.is_empty() && policy.scope.anonymous == Anonymous::Allow
        },
    },
    Kind {
        text: "`store_down = \"execute\"`: while the store is down, no promise holds",
        strikes: |policy| policy.store_down == StoreDown::Execute,
    },
    Kind {
        text: "`on_unknown = \"reexecute\"`: what ran without an answer runs twice, unless the \
               upstream refuses lower values of Idempotency-Fence",
        strikes: |policy| policy.on_unknown == OnUnknown::Reexecute,
    },
    Kind {
        text: "`tombstones = \"0s\"`: a retry that comes after `retention` executes again",
        strikes: |policy| policy.tombstones.is_zero(),
    },
    Kind {
        text: "`transient_statuses` has a success in it: its key is free, and the retry executes \
               again",
        strikes: |policy| {
            policy
                .transient_statuses
                .iter()
                .any(http::StatusCode::is_success)
        },
    },
];
