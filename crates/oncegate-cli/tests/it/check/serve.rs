//! The proxy is held to what the check asks of everybody: all of it is green before an API that answers in all forms.

use std::net::SocketAddr;
use std::path::Path;

use super::config::{check, example};
use super::{Api, Ended};
use crate::harness::Stage;

/// All that can be told of the example is right. What cannot be told are promises that the dialect does not make, and
/// just these.
fn must_be_green(checked: &Ended) {
    assert_eq!(
        checked.code,
        Some(0),
        "{}\n{}",
        checked.stdout,
        checked.stderr
    );
    let untold = checked
        .stdout
        .lines()
        .filter(|line| line.starts_with("cannot tell"));
    let open = ["does not promise", "this dialect has no"];
    let promised = untold.filter(|line| !open.iter().any(|open| line.contains(open)));
    let ids: Vec<&str> = promised
        .filter_map(|line| line.split_whitespace().nth(3))
        .collect();
    assert_eq!(ids, UNTOLD, "{}", checked.stdout);
}

/// The example has an optional key, a service manager that a test has not, and no document; the proxy holds answers,
/// and so gives them a length.
const UNTOLD: &[&str] = &[
    "missing-key-answer",
    "replay-chunked",
    "replay-no-hop-by-hop",
    "documented-optional",
    "documented-length",
    "documented-mismatch",
    "documented-in-flight",
    "documented-server-error",
    "discovery-document",
    "restart-keeps-keys",
    "crash-runs-once",
    "crash-is-told",
];

async fn check_as_documented(stage: &Stage, proxy: SocketAddr, profile: &str) -> Ended {
    let file = stage.write("check.toml", &example("toml"));
    let server = format!("http://{proxy}");
    let file: &Path = &file;
    let arguments = [
        &server,
        "--operation",
        "pay",
        "--profile",
        profile,
        "--fail-on",
        "advice",
    ];
    check(file, &arguments).await
}

#[tokio::test]
async fn all_is_green_before_a_file_store() {
    let stage = Stage::new().await;
    let api = Api::guarded().await;
    let proxy = stage.proxy_before(&format!("http://{}", api.address));
    let proxy = proxy.start().await;
    let checked = check_as_documented(&stage, proxy.listen, "oncegate").await;
    must_be_green(&checked);
}

#[tokio::test]
async fn all_is_green_before_a_memory_store() {
    let stage = Stage::new().await;
    let api = Api::guarded().await;
    let proxy = stage.proxy_before(&format!("http://{}", api.address));
    let proxy = proxy.flag("--store", "memory:").start().await;
    let checked = check_as_documented(&stage, proxy.listen, "oncegate").await;
    must_be_green(&checked);
}

#[tokio::test]
async fn all_is_green_under_the_profile_of_the_draft() {
    let stage = Stage::new().await;
    let api = Api::guarded().await;
    let proxy = stage.proxy_before(&format!("http://{}", api.address));
    let proxy = proxy.flag("--profile", "ietf").start().await;
    let checked = check_as_documented(&stage, proxy.listen, "ietf").await;
    must_be_green(&checked);
}
