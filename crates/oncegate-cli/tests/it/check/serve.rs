//! The proxy is held to what the check asks of everybody: all of it is green before an API that answers in all forms.

use std::net::SocketAddr;
use std::path::Path;

use super::config::{check, example};
use super::{Api, Ended};
use crate::harness::Stage;

/// All that can be told of the example's operations is right; and what cannot be told, and why, is just this.
fn must_be_green(checked: &Ended, untold: &[&str]) {
    assert_eq!(
        checked.code,
        Some(0),
        "{}\n{}",
        checked.stdout,
        checked.stderr
    );
    for line in checked
        .stdout
        .lines()
        .filter(|line| line.starts_with("cannot tell"))
    {
        assert!(untold.iter().any(|id| line.contains(id)), "{line}");
    }
}

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
    let api = Api::start().await;
    let proxy = stage.proxy_before(&format!("http://{}", api.address));
    let proxy = proxy.start().await;
    let checked = check_as_documented(&stage, proxy.listen, "oncegate").await;
    must_be_green(&checked, &[]);
}

#[tokio::test]
async fn all_is_green_before_a_memory_store() {
    let stage = Stage::new().await;
    let api = Api::start().await;
    let proxy = stage.proxy_before(&format!("http://{}", api.address));
    let proxy = proxy.flag("--store", "memory:").start().await;
    let checked = check_as_documented(&stage, proxy.listen, "oncegate").await;
    must_be_green(&checked, &[]);
}

/// The draft has no mark for replays.
#[tokio::test]
async fn all_is_green_under_the_profile_of_the_draft() {
    let stage = Stage::new().await;
    let api = Api::start().await;
    let proxy = stage.proxy_before(&format!("http://{}", api.address));
    let proxy = proxy.flag("--profile", "ietf").start().await;
    let checked = check_as_documented(&stage, proxy.listen, "ietf").await;
    must_be_green(&checked, &["replay-marked"]);
}
