//! `oncegate check`: the real binary against APIs that are what the test says they are.

mod api;
mod command_line;
mod config;
mod described;
mod serve;
mod tls;

use std::net::SocketAddr;

use crate::harness::oncegate;

pub(crate) use api::Api;

/// What came of a check.
pub(crate) use crate::harness::Ended;

/// Checks the payments of an API, in no more than its plain form.
async fn check(to: SocketAddr, arguments: &[&str]) -> Ended {
    let url = format!("http://{to}/payments");
    let plain = ["check", &url, "-d", PAYMENT];
    oncegate(&[&plain, arguments].concat()).await
}

const PAYMENT: &str = r#"{"amount":5000}"#;
