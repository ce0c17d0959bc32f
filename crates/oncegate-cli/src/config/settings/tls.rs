//! The settings of TLS, on either side: files, and whom to trust.

use std::path::PathBuf;
use std::time::Duration;

use super::{duration, set, text, top};
use crate::config::read;
use crate::config::setting::Setting;
use crate::config::value::{Shape, Value};

pub(super) static TLS: [Setting; 6] = [
    top(
        "tls_cert_file",
        Shape::Word,
        |c, v| set(&mut c.tls_cert_file, read::path(v).map(Some)),
        |c| file(c.tls_cert_file.as_ref()),
    )
    .takes("the path of a PEM file", "\"/etc/oncegate/tls.crt\"")
    .does("our certificate, then its chain; with it, `listen` speaks TLS and nothing else"),
    top(
        "tls_key_file",
        Shape::Word,
        |c, v| set(&mut c.tls_key_file, read::path(v).map(Some)),
        |c| file(c.tls_key_file.as_ref()),
    )
    .takes("the path of a PEM file", "\"/etc/oncegate/tls.key\"")
    .does("the private key of our certificate"),
    top(
        "tls_handshake_timeout",
        Shape::Word,
        |c, v| {
            set(
                &mut c.tls_handshake_timeout,
                read::duration(v, MILLISECOND..=MINUTE),
            )
        },
        |c| duration(c.tls_handshake_timeout),
    )
    .takes("a duration from 1ms to 1m", "\"10s\"")
    .does("how long a client may take from connecting to the end of its handshake"),
    top(
        "upstream_ca_file",
        Shape::Word,
        |c, v| set(&mut c.upstream_ca_file, read::path(v).map(Some)),
        |c| file(c.upstream_ca_file.as_ref()),
    )
    .takes(
        "the path of a PEM file",
        "\"/etc/oncegate/upstream-ca.crt\"",
    )
    .does("who may vouch for an upstream behind `https://`; not set: whom the system trusts"),
    top(
        "upstream_client_cert_file",
        Shape::Word,
        |c, v| set(&mut c.upstream_client_cert_file, read::path(v).map(Some)),
        |c| file(c.upstream_client_cert_file.as_ref()),
    )
    .takes("the path of a PEM file", "\"/etc/oncegate/client.crt\"")
    .does("the certificate that the upstream is shown if it asks, then its chain"),
    top(
        "upstream_client_key_file",
        Shape::Word,
        |c, v| set(&mut c.upstream_client_key_file, read::path(v).map(Some)),
        |c| file(c.upstream_client_key_file.as_ref()),
    )
    .takes("the path of a PEM file", "\"/etc/oncegate/client.key\"")
    .does("the private key of that certificate"),
];

fn file(path: Option<&PathBuf>) -> Option<Value> {
    path.and_then(|path| text(&path.to_string_lossy()))
}

const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
