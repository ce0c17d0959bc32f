//! Descriptors and memory run out.

use std::collections::HashMap;

use tokio::task::JoinSet;

use super::{must_replay_all, once_back};
use crate::harness::{Act, Answer, Proxy, Setup, Stage, Wire, pay, program, run, try_send};

/// Idle connections take every descriptor. Nobody new is let in; on a connection that is open, what is stored is
/// replayed, and what would need a new connection to the upstream or a spool file is refused before anything runs.
/// When they go, everything goes on.
#[tokio::test]
async fn a_proxy_without_descriptors_runs_nothing_and_goes_on_when_it_has_some() {
    let stage = Stage::new().await;
    let limited = ["sh", "-c", "ulimit -n \"$0\"; exec \"$@\"", "48"];
    let setup = stage.proxy().set("keyed_idle_max=0s");
    // A body that is spooled, and still small enough to be written before anybody reads it.
    let setup = setup.set("buffer_bytes_max=4KiB").wrapped(&limited);
    let proxy = setup.start().await;
    let mut wire = Wire::connect(proxy.listen).await.unwrap();
    let old = ask(&mut wire, &pay("old")).await;
    old.must_be_executed();

    let mut idle = Vec::new();
    for _ in 0..80 {
        idle.push(Wire::connect(proxy.listen).await.unwrap());
    }
    proxy.must_log("cannot accept connections").await;
    for _ in 0..3 {
        ask(&mut wire, &pay("old")).await.must_replay(&old);
        let refused = ask(&mut wire, &pay("new")).await;
        refused.must_be_problem(502, "upstream-unreachable", "no", "same-key");
    }
    let large = pay("large").body(vec![b'x'; 6 * 1024]);
    let refused = ask(&mut wire, &large).await;
    refused.must_be_problem(503, "overloaded", "no", "same-key");
    assert_eq!(stage.origin.book().len(), 1);

    drop(idle);
    let new = once_back(&proxy, "new").await;
    new.must_be_executed();
    let seen = [("old".to_owned(), old), ("new".to_owned(), new)];
    must_replay_all(&proxy, &stage, &seen).await;
}

async fn ask(wire: &mut Wire, request: &crate::harness::Request) -> Answer {
    wire.write(request.bytes()).await.unwrap();
    Answer(wire.read_answer().await.unwrap())
}

/// Large answers take all the memory that the process may have. It ends in the middle of it, which is a crash like any
/// other: whatever a caller read is replayed after the restart, and nothing runs twice.
#[tokio::test]
async fn a_proxy_that_runs_out_of_memory_runs_nothing_twice() {
    let stage = Stage::with(|_| large_answer()).await;
    // The allocator sets address space aside, a gibibyte at first; here it is what is limited.
    let setup = stage.proxy().env("MIMALLOC_ARENA_RESERVE", "8192");
    let proxy = setup.start().await;
    limit_memory(&proxy, HEADROOM_BYTES).await;
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let to = proxy.listen;
        callers.spawn(async move {
            let key = format!("key-{number}");
            let answer = try_send(to, &pay(&key)).await;
            (key, answer.ok())
        });
    }
    let answers: HashMap<String, Option<Answer>> = callers.join_all().await.into_iter().collect();
    let setup = must_have_aborted(proxy).await;

    let proxy = setup.start().await;
    let mut ends: HashMap<String, usize> = HashMap::new();
    for (key, first) in &answers {
        let retry = once_back(&proxy, key).await;
        if let Some(first) = first.as_ref().filter(|first| first.code() == 201) {
            retry.must_replay(first);
        }
        let end = [retry.became(), &retry.slug()].join(" ");
        assert!(
            ["replayed ", "executed ", "refused outcome-unknown"].contains(&end.as_str()),
            "{key}: {end}"
        );
        assert_eq!(stage.origin.executions(key), 1, "{key}: {end}");
        *ends.entry(end).or_default() += 1;
    }
    println!("{ends:?}");
    assert!(ends.contains_key("refused outcome-unknown"), "{ends:?}");
}

/// So much more than it has now.
async fn limit_memory(proxy: &Proxy, more: u64) {
    let id = proxy.id();
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let size = status
        .lines()
        .find_map(|line| line.strip_prefix("VmSize:"))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
        .unwrap();
    let limit = size * 1024 + more;
    let mut command = program("prlimit");
    command.args([format!("--pid={id}"), format!("--as={limit}:{limit}")]);
    assert_eq!(run(command).await.code, Some(0));
}

async fn must_have_aborted(proxy: Proxy) -> Setup {
    let (ended, setup) = proxy.died().await;
    assert_eq!(ended.code(), None, "{ended:?}");
    setup
}

fn large_answer() -> Act {
    let body = "x".repeat(7 * 1024 * 1024);
    let head = format!(
        "HTTP/1.1 201 Created\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    Act::bytes(head + &body)
}

const CALLERS: usize = 24;
const HEADROOM_BYTES: u64 = 48 * 1024 * 1024;
