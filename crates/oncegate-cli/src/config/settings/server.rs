//! The settings of the server: where it listens, where requests and records go.

use std::time::Duration;

use super::{DAY, duration, set, text, top};
use crate::config::in_force::Config;
use crate::config::profile::Profile;
use crate::config::read;
use crate::config::setting::{Place, Setting};
use crate::config::value::{Shape, Value};
use crate::proxy::Forwarded;

pub(super) static SERVER: [Setting; 9] = [
    top(
        "listen",
        Shape::List,
        |c, v| set(&mut c.listen, read::addresses(v)),
        show_listen,
    )
    .takes(
        "an IP address with a port, or a list of them",
        "\"127.0.0.1:8080\"",
    )
    .does("where clients connect"),
    top(
        "admin",
        Shape::Word,
        |c, v| set(&mut c.admin, read::address_or_off(v)),
        |c| {
            text(
                &c.admin
                    .map_or_else(|| "off".to_owned(), |address| address.to_string()),
            )
        },
    )
    .takes("an IP address with a port, or `off`", "\"127.0.0.1:9090\"")
    .does("where operators connect; whoever can reach it may do everything"),
    top(
        "upstream",
        Shape::Word,
        |c, v| set(&mut c.upstream, read::word(v).and_then(read::parsed)),
        |c| text(&c.upstream.to_string()),
    )
    .takes(
        "`http://HOST:PORT`, `https://HOST:PORT` or `h2c://HOST:PORT`",
        "\"http://127.0.0.1:3000\"",
    )
    .does("where requests go; a base path is put before theirs"),
    top(
        "store",
        Shape::Word,
        |c, v| set(&mut c.store, read::store(v)),
        // As the store itself shows it: without a password.
        |c| text(&c.store.to_string()),
    )
    .takes(
        "`memory:`, `file:PATH`, `file:PATH?durability=process`, `redis://HOST:PORT`, `redis-cluster://HOST:PORT,HOST:PORT` or `postgres://HOST:PORT/DATABASE`",
        "\"file:oncegate.db\"",
    )
    .does("where records live"),
    top(
        "profile",
        Shape::Word,
        |c, v| set(&mut c.profile, Profile::read(v)),
        |c| text(&c.profile.to_string()),
    )
    .takes(
        "`oncegate`, `ietf`, `stripe`, `adyen` or `paypal`",
        "\"ietf\"",
    )
    .does("what the defaults start from: see [profiles.md](profiles.md)"),
    top(
        "secret_file",
        Shape::Word,
        |c, v| set(&mut c.secret_file, read::path(v).map(Some)),
        |c| {
            c.secret_file
                .as_ref()
                .and_then(|path| text(&path.to_string_lossy()))
        },
    )
    .takes(
        "the path of a file of 16 bytes or more",
        "\"/etc/oncegate/secret\"",
    )
    .does("keys the hashes; the same on all proxies"),
    top(
        "cors_origins",
        Shape::List,
        |c, v| set(&mut c.cors_origins, read::origins(v)),
        |c| Some(Value::strings(&c.cors_origins)),
    )
    .takes("a list of origins", "[\"https://shop.example\"]")
    .does("whose scripts may read refusals and the published contract"),
    top(
        "discovery",
        Shape::Word,
        |c, v| set(&mut c.discovery, read::path_or_off(v)),
        |c| text(c.discovery.as_deref().unwrap_or("off")),
    )
    .takes("a path, or `off`", "\"/.well-known/idempotency\"")
    .does("where the contract is published: see [discovery.md](discovery.md)"),
    top(
        "forwarded",
        Shape::Word,
        |c, v| set(&mut c.forwarded, read::choice(v, &FORWARDED)),
        |c| Some(read::word_for(&c.forwarded, &FORWARDED)),
    )
    .takes("`append` or `replace`", "\"replace\"")
    .does("what becomes of the `Forwarded`, `X-Forwarded-*` and `X-Real-IP` that a client sends"),
];

/// Of the server, and yet in `[defaults]`: there it stands among the other timeouts.
pub(super) static SHUTDOWN: [Setting; 1] = [top(
    "drain_timeout",
    Shape::Word,
    |c, v| {
        set(
            &mut c.drain_timeout,
            read::duration(v, Duration::ZERO..=DAY),
        )
    },
    |c| duration(c.drain_timeout),
)
.stands(Place::Defaults)
.takes("a duration from 0s to 24h", "\"30s\"")
.does("how long executions may take to end at shutdown; the rest is unknown")];

const FORWARDED: [(&str, Forwarded); 2] = [
    ("append", Forwarded::Append),
    ("replace", Forwarded::Replace),
];

fn show_listen(config: &Config) -> Option<Value> {
    match &config.listen[..] {
        [address] => text(&address.to_string()),
        addresses => Some(Value::strings(addresses)),
    }
}
