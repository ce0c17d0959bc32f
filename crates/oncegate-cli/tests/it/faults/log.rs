//! Nobody reads the log, or its pipe is closed: answers do not wait for it, and the process lives.

use crate::harness::{Act, Proxy, Stage, pay, post};

/// A pipe that nobody reads is full after 64 KiB. Whoever logs then must not stand still with it: every request would.
#[tokio::test]
async fn a_log_that_nobody_reads_stops_no_request() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    proxy.ignore_log().await;
    must_serve(&proxy, &stage).await;
    // It ends in order, too.
    proxy.terminate().await;
    let (ended, _) = proxy.died().await;
    assert_eq!(ended.code(), Some(0));
}

/// A log collector that dies takes nobody with it.
#[tokio::test]
async fn a_log_whose_pipe_is_closed_stops_no_request() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    proxy.close_log();
    must_serve(&proxy, &stage).await;
    proxy.terminate().await;
    let (ended, _) = proxy.died().await;
    assert_eq!(ended.code(), Some(0));
}

/// What is logged before the end is there at the end: the last lines are the ones that explain it.
#[tokio::test]
async fn the_last_line_of_the_log_is_there_after_the_end() {
    let stage = Stage::new().await;
    let mut proxy = stage.proxy().start().await;
    proxy.terminate().await;
    assert_eq!(proxy.ended().await.code(), Some(0));
    let log = proxy.logged();
    assert!(log.contains("every execution came to its end"), "{log}");
}

/// Enough failures to log far more than any pipe holds, and what is to go on beside them.
async fn must_serve(proxy: &Proxy, stage: &Stage) {
    for number in 0..ROUNDS {
        for _ in 0..FAILURES {
            stage.origin.plan("", [Act::Cut]);
            let failed = proxy.send(&post("/payments", "{}")).await;
            assert_eq!(failed.code(), 502);
        }
        let key = format!("key-{number}");
        let answer = proxy.send(&pay(&key)).await;
        answer.must_be_executed();
        proxy.send(&pay(&key)).await.must_replay(&answer);
        assert_eq!(stage.origin.executions(&key), 1);
    }
}

const ROUNDS: usize = 20;
const FAILURES: usize = 40;
