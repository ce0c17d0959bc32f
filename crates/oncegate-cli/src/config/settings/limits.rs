//! The limits on clients, and on the memory and disk that their bodies may take in all.

use std::time::Duration;

use super::{DAY, Done, duration, integer, set, text, top};
use crate::config::in_force::Config;
use crate::config::read;
use crate::config::refusal::Refusal;
use crate::config::setting::Setting;
use crate::config::units::show_size;
use crate::config::value::{Shape, Value};

pub(super) static LIMITS: [Setting; 13] = [
    limit(
        "connections_max",
        |c, v| {
            set(
                &mut c.server.connections_max,
                read::number(v, 1..=1_000_000),
            )
        },
        |c| integer(c.server.connections_max),
    )
    .takes("an integer from 1 to 1000000", "10000")
    .does("how many clients may be connected to each address; more wait in the kernel's queue"),
    limit(
        "streams_max",
        |c, v| {
            let streams = read::number(v, 1..=10_000).map(|it| u32::try_from(it).unwrap_or(1));
            set(&mut c.server.streams_max, streams)
        },
        |c| integer(c.server.streams_max),
    )
    .takes("an integer from 1 to 10000", "128")
    .does("how many requests may be open on one HTTP/2 connection"),
    limit(
        "tunnels_max",
        |c, v| set(&mut c.tunnels_max, read::number(v, 0..=1_000_000)),
        |c| integer(c.tunnels_max),
    )
    .takes("an integer from 0 to 1000000", "1024")
    .does("how many upgraded connections and CONNECTs may be open; more are refused"),
    limit(
        "headers_max",
        |c, v| set(&mut c.server.headers_max, read::number(v, 1..=10_000)),
        |c| integer(c.server.headers_max),
    )
    .takes("an integer from 1 to 10000", "100")
    .does("how many headers a head of HTTP/1 may have; more is 431"),
    limit(
        "header_bytes_max",
        |c, v| {
            let size = read::size(v, 8 * KIB..=KIB * KIB);
            let size = size.map(|it| u32::try_from(it).unwrap_or(u32::MAX));
            set(&mut c.server.header_bytes_max, size)
        },
        |c| text(&show_size(c.server.header_bytes_max.into())),
    )
    .takes("a size from 8KiB to 1MiB", "\"64KiB\"")
    .does("how large a head may be; more is 431"),
    limit(
        "buffer_bytes_total_max",
        |c, v| {
            set(
                &mut c.buffer_bytes_total_max,
                read::size(v, KIB * KIB..=KIB * KIB * KIB * KIB),
            )
        },
        |c| text(&show_size(c.buffer_bytes_total_max)),
    )
    .takes("a size from 1MiB to 1024GiB", "\"256MiB\"")
    .does("how much memory held bodies may take in all, requests three quarters of it"),
    limit(
        "spool_bytes_max",
        |c, v| set(&mut c.spool_bytes_max, read::size(v, 0..=u64::MAX / 2)),
        |c| text(&show_size(c.spool_bytes_max)),
    )
    .takes("a size", "\"4GiB\"")
    .does("how much disk spooled request bodies may take in all"),
    limit(
        "first_byte_timeout",
        |c, v| set(&mut c.server.first_byte_timeout, time(v)),
        |c| duration(c.server.first_byte_timeout),
    )
    .takes(WAIT, "\"10s\"")
    .does("how long a new connection may say nothing"),
    limit(
        "header_timeout",
        |c, v| set(&mut c.server.header_timeout, time(v)),
        |c| duration(c.server.header_timeout),
    )
    .takes(WAIT, "\"10s\"")
    .does("how long a head may take from its first byte to its last"),
    limit(
        "idle_timeout",
        |c, v| set(&mut c.server.idle_timeout, time(v)),
        |c| duration(c.server.idle_timeout),
    )
    .takes(WAIT, "\"1m\"")
    .does("how long a connection may be without a request"),
    limit(
        "body_idle_timeout",
        |c, v| set(&mut c.server.body_idle_timeout, time(v)),
        |c| duration(c.server.body_idle_timeout),
    )
    .takes(WAIT, "\"30s\"")
    .does("how long a request's body may stall"),
    limit(
        "write_timeout",
        |c, v| set(&mut c.server.write_timeout, time(v)),
        |c| duration(c.server.write_timeout),
    )
    .takes(WAIT, "\"1m\"")
    .does("how long a client may take nothing of an answer"),
    limit(
        "tunnel_idle_timeout",
        |c, v| set(&mut c.tunnel_idle_timeout, time(v)),
        |c| duration(c.tunnel_idle_timeout),
    )
    .takes(WAIT, "\"1h\"")
    .does("how long an upgraded connection may carry nothing in either direction"),
];

const fn limit(
    name: &'static str,
    read: fn(&mut Config, &Value) -> Done,
    show: fn(&Config) -> Option<Value>,
) -> Setting {
    top(name, Shape::Word, read, show)
}

fn time(value: &Value) -> Result<Duration, Refusal> {
    read::duration(value, Duration::from_millis(1)..=DAY)
}

const WAIT: &str = "a duration from 1ms to 24h";
const KIB: u64 = 1024;
