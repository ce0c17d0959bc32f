//! The proxy is held to what the check asks of everybody: all of it is green before an API that answers in all forms.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::config::{check, example};
use super::{Api, Ended};
use crate::harness::{Proxy, Setup, Stage};
use crate::postgres::PostgresServer;
use crate::redis::Redis;

/// All that can be told of the example is right. What cannot be told are promises that the dialect does not make, and
/// just these.
fn must_be_green(checked: &Ended, untried: &[&str]) {
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
    assert_eq!(ids, [UNTOLD, untried].concat(), "{}", checked.stdout);
}

/// The example has an optional key; the proxy holds answers, and so gives them a length.
const UNTOLD: &[&str] = &[
    "missing-key-answer",
    "replay-chunked",
    "replay-no-hop-by-hop",
];
/// What needs a restart. A memory store would not survive it.
const RESTARTS: &[&str] = &["restart-keeps-keys", "crash-runs-once", "crash-is-told"];

async fn check_as_documented(stage: &Stage, proxy: SocketAddr, arguments: &[&str]) -> Ended {
    let file = stage.write("check.toml", &example("toml"));
    let server = format!("http://{proxy}");
    let all = [&server, "--operation", "pay", "--fail-on", "advice"];
    check(&file, &[&all[..], arguments].concat()).await
}

/// M-14, and what a crash in the middle of a request leaves behind: the command has the proxy killed with -9, and
/// started again on the same file.
#[tokio::test]
async fn all_is_green_before_a_file_store_that_is_killed_as_well() {
    let stage = Stage::new().await;
    must_be_green_though_killed(&stage, |setup| setup).await;
}

/// The same where the records are elsewhere.
#[tokio::test]
async fn all_is_green_before_a_redis_while_the_proxy_is_killed_as_well() {
    let stage = Stage::new().await;
    let redis = Redis::start(stage.folder()).await;
    must_be_green_though_killed(&stage, |setup| setup.flag("--store", &redis.url())).await;
}

#[tokio::test]
async fn all_is_green_before_a_postgresql_while_the_proxy_is_killed_as_well() {
    let stage = Stage::new().await;
    let postgres = PostgresServer::start(&[]);
    must_be_green_though_killed(&stage, |setup| setup.flag("--store", &postgres.url())).await;
}

/// A proxy on the store that `on` gives it.
async fn must_be_green_though_killed(stage: &Stage, on: impl FnOnce(Setup) -> Setup) {
    let api = Api::guarded().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = free.local_addr().unwrap();
    drop(free);
    let setup = on(stage.proxy_before(&format!("http://{}", api.address)));
    let proxy = setup.flag("--listen", &listen.to_string()).start().await;
    let killer = Killer::of(proxy).await;
    let command = format!("curl --silent --fail http://{}/", killer.address);
    let arguments = ["--profile", "oncegate", "--chaos", &command];
    let checked = check_as_documented(stage, listen, &arguments).await;
    must_be_green(&checked, &[]);
    assert!(
        killer.killed.load(Ordering::SeqCst) >= 2,
        "once for each of two cases at least"
    );
}

/// Whoever connects has the proxy killed, and is answered once it listens again.
struct Killer {
    address: SocketAddr,
    killed: Arc<AtomicUsize>,
    killing: JoinHandle<()>,
}

impl Killer {
    async fn of(mut proxy: Proxy) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let killed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&killed);
        let killing = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                proxy = proxy.kill().await.start().await;
                count.fetch_add(1, Ordering::SeqCst);
                let told = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                told.await.unwrap();
            }
        });
        Self {
            address,
            killed,
            killing,
        }
    }
}

impl Drop for Killer {
    fn drop(&mut self) {
        self.killing.abort();
    }
}

#[tokio::test]
async fn all_is_green_before_a_memory_store() {
    let stage = Stage::new().await;
    let api = Api::guarded().await;
    let proxy = stage.proxy_before(&format!("http://{}", api.address));
    let proxy = proxy.start().await;
    let checked = check_as_documented(&stage, proxy.listen, &["--profile", "oncegate"]).await;
    must_be_green(&checked, RESTARTS);
}

#[tokio::test]
async fn all_is_green_under_the_profile_of_the_draft() {
    let stage = Stage::new().await;
    let api = Api::guarded().await;
    let proxy = stage.proxy_before(&format!("http://{}", api.address));
    let proxy = proxy.flag("--profile", "ietf").start().await;
    let checked = check_as_documented(&stage, proxy.listen, &["--profile", "ietf"]).await;
    must_be_green(&checked, RESTARTS);
}
