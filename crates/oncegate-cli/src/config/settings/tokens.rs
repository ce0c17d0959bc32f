//! The settings about tokens: who may sign them, where the scope is a claim.

use std::time::Duration;

use super::{duration, set, top};
use crate::config::in_force::Config;
use crate::config::read;
use crate::config::setting::Setting;
use crate::config::value::{Shape, Value};

pub(super) static TOKENS: [Setting; 5] = [
    top(
        "jwt_secret_file",
        Shape::Word,
        |c, v| set(&mut c.jwt_secret_file, read::path(v).map(Some)),
        |c| show_path(c.jwt_secret_file.as_ref()),
    )
    .takes(
        "the path of a file of 32 bytes or more",
        "\"/etc/oncegate/jwt-secret\"",
    )
    .does("the secret that tokens are signed with (HS256, HS384, HS512), for `jwt:` in `scope`"),
    top(
        "jwt_jwks_file",
        Shape::Word,
        |c, v| set(&mut c.jwt_jwks_file, read::path(v).map(Some)),
        |c| show_path(c.jwt_jwks_file.as_ref()),
    )
    .takes(
        "the path of a JSON Web Key Set",
        "\"/etc/oncegate/jwks.json\"",
    )
    .does("the public keys that tokens are signed with (RS, PS, ES, EdDSA), for `jwt:` in `scope`"),
    top(
        "jwt_issuer",
        Shape::List,
        |c, v| set(&mut c.jwt_issuer, read::names(v)),
        |c: &Config| Some(Value::strings(&c.jwt_issuer)),
    )
    .takes("a list of strings", "[\"https://id.example\"]")
    .does("whose tokens count (`iss`); an empty list means any that the key fits"),
    top(
        "jwt_audience",
        Shape::List,
        |c, v| set(&mut c.jwt_audience, read::names(v)),
        |c: &Config| Some(Value::strings(&c.jwt_audience)),
    )
    .takes("a list of strings", "[\"payments\"]")
    .does("for whom a token has to be (`aud`); an empty list means anybody"),
    top(
        "jwt_leeway",
        Shape::Word,
        |c, v| {
            set(
                &mut c.jwt_leeway,
                read::duration(v, Duration::ZERO..=LEEWAY_MAX),
            )
        },
        |c| duration(c.jwt_leeway),
    )
    .takes("a duration from 0s to 10m", "\"30s\"")
    .does("how far the issuer's clock may be from ours"),
];

fn show_path(path: Option<&std::path::PathBuf>) -> Option<Value> {
    path.map(|path| Value::String(path.to_string_lossy().into_owned()))
}

const LEEWAY_MAX: Duration = Duration::from_secs(600);
