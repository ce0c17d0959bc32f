//! What a PostgreSQL alone does: it keeps what it answered over a power cut, runs full, is a standby, loses its tables.

use super::Postgres;
use super::server::PostgresServer;
use crate::faults::{must_be_refused, once_back};
use crate::harness::{Act, Gate, Stage, oncegate, pay};
use crate::shared::StoreServer;

/// M-14: what callers were told is there, and what was under way is recorded as soon as the server takes it.
#[tokio::test]
async fn a_killed_postgresql_loses_nothing_that_was_answered() {
    let stage = Stage::new().await;
    let mut postgres = Postgres::start(stage.folder()).await;
    let proxy = postgres.under(stage.proxy()).start().await;
    let before = proxy.send(&pay("before")).await;
    before.must_be_executed();
    let gate = Gate::default();
    stage.origin.plan("slow", [Act::CreateBehind(gate.clone())]);
    let request = pay("slow");
    let asking = proxy.send(&request);
    let killing = async {
        stage.origin.executed("slow").await;
        postgres.kill().await;
        gate.open();
        postgres.start_again().await;
    };
    let (answer, ()) = tokio::join!(asking, killing);
    answer.must_be_executed();
    once_back(&proxy, "before").await.must_replay(&before);
    once_back(&proxy, "slow").await.must_replay(&answer);
    assert_eq!(stage.origin.executions("before"), 1);
    assert_eq!(stage.origin.executions("slow"), 1);
}

#[tokio::test]
async fn a_postgresql_without_room_refuses_new_keys_and_replays_old_ones() {
    let stage = Stage::new().await;
    let server = PostgresServer::start_on_a_small_disk();
    let proxy = stage.proxy().flag("--store", &server.url()).start().await;
    let old = proxy.send(&pay("old")).await;
    old.must_be_executed();
    server.fill_the_disk();
    // There is some room in what was taken already.
    let mut refused = None;
    for number in 0..KEYS_MAX {
        let key = format!("new-{number}");
        let answer = proxy.send(&pay(&key)).await;
        if answer.code() == 503 {
            must_be_refused(&answer);
            refused = Some(key);
            break;
        }
    }
    let refused = refused.expect("the disk is full");
    assert_eq!(stage.origin.executions(&refused), 0);
    proxy.send(&pay("old")).await.must_replay(&old);
    server.make_room_on_the_disk();
    once_back(&proxy, &refused).await.must_be_executed();
    assert_eq!(stage.origin.executions(&refused), 1);
}

#[tokio::test]
async fn a_proxy_does_not_start_on_a_standby_and_says_so() {
    let stage = Stage::new().await;
    let server = PostgresServer::start(&[]);
    let proxy = stage.proxy().flag("--store", &server.url()).start().await;
    proxy.send(&pay("first")).await.must_be_executed();
    let standby = server.standby();
    let ended = stage.proxy().flag("--store", &standby.url()).fail().await;
    ended.must_fail(69, &["cannot open the store", "takes no writes"]);
}

/// Whoever does that has broken the promise for all keys; but nothing runs while nothing can be recorded.
#[tokio::test]
async fn a_schema_that_is_dropped_is_refused_and_nothing_runs() {
    let stage = Stage::new().await;
    let server = PostgresServer::start(&[]);
    let proxy = stage.proxy().flag("--store", &server.url()).start().await;
    proxy.send(&pay("before")).await.must_be_executed();
    server.sql("DROP SCHEMA oncegate CASCADE");
    must_be_refused(&proxy.send(&pay("during")).await);
    must_be_refused(&proxy.send(&pay("before")).await);
    assert_eq!(stage.origin.executions("during"), 0);
    assert_eq!(stage.origin.executions("before"), 1);
    // The next one to start makes it anew.
    let _other = stage.proxy().flag("--store", &server.url()).start().await;
    once_back(&proxy, "during").await.must_be_executed();
}

#[tokio::test]
async fn a_password_is_neither_logged_nor_printed() {
    let stage = Stage::new().await;
    let postgres = Postgres::start(stage.folder()).await;
    let url = postgres.url_as("oncegate:hunter2");
    let setup = stage.proxy().flag("--store", &url).log("trace");
    let proxy = setup.start().await;
    proxy.send(&pay("kept")).await.must_be_executed();
    let printed = oncegate(&["serve", "--store", &url, "--print-config"]).await;
    assert!(
        printed.stdout.contains("postgres://oncegate:***@"),
        "{printed:?}"
    );
    for said in [proxy.logged(), printed.stdout, printed.stderr] {
        assert!(!said.contains("hunter2"), "{said}");
    }
}

const KEYS_MAX: usize = 20_000;
