//! The settings about quotas: how many new keys in how long.

use oncegate_tower::Quota;

use super::{set, text, top};
use crate::config::read;
use crate::config::setting::Setting;
use crate::config::units::show_quota;
use crate::config::value::{Shape, Value};

pub(super) static QUOTAS: [Setting; 3] = [
    top(
        "quota_per_scope",
        Shape::Word,
        |c, v| set(&mut c.quotas.per_scope, read::quota_or_off(v)),
        |c| show(c.quotas.per_scope),
    )
    .takes(TAKES, EXAMPLE)
    .does("how many new keys one scope may use"),
    top(
        "quota_per_address",
        Shape::Word,
        |c, v| set(&mut c.quotas.per_address, read::quota_or_off(v)),
        |c| show(c.quotas.per_address),
    )
    .takes(TAKES, EXAMPLE)
    .does("how many new keys may come from one address, where the scope is no verified claim"),
    top(
        "quota_total",
        Shape::Word,
        |c, v| set(&mut c.quotas.total, read::quota_or_off(v)),
        |c| show(c.quotas.total),
    )
    .takes(TAKES, EXAMPLE)
    .does("how many new keys are taken in all"),
];

fn show(quota: Option<Quota>) -> Option<Value> {
    text(&quota.map_or_else(|| "off".to_owned(), show_quota))
}

const TAKES: &str = "a number for each `s`, `m`, `h` or `d`, or `off`";
const EXAMPLE: &str = "\"1000/h\"";
