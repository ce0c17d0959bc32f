//! The disk under the file store fails or is full: 503 and nothing runs, what was answered is kept, and the proxy
//! comes back by itself.

use std::path::PathBuf;

use super::shim::{Faults, Operation, What, Where};
use super::{must_be_refused, must_replay_all, once_back};
use crate::harness::{Act, Gate, Proxy, Setup, Stage, get, pay, post, program, run};

/// M-25: a log that cannot be written is an outage. Nothing runs while it lasts; the proxy opens the file again and
/// proves it, and goes on without a restart.
#[tokio::test]
async fn a_store_that_cannot_be_written_refuses_keys_and_comes_back() {
    an_outage(Operation::Write, What::Io).await;
}

/// M-25: the same for a sync that fails, which says nothing of what is on the disk.
#[tokio::test]
async fn a_store_that_cannot_be_synced_refuses_keys_and_comes_back() {
    an_outage(Operation::Sync, What::Io).await;
    an_outage(Operation::Sync, What::Full).await;
}

async fn an_outage(operation: Operation, what: What) {
    let stage = Stage::new().await;
    let faults = Faults::new(stage.folder());
    let proxy = faults.under(stage.proxy()).start().await;
    let old = proxy.send(&pay("old")).await;
    let proxy = proxy.stop().await.start().await;
    let recent = proxy.send(&pay("recent")).await;
    let mut seen = vec![("old".to_owned(), old), ("recent".to_owned(), recent)];
    seen.iter()
        .for_each(|(_, answer)| answer.must_be_executed());

    faults.strike(operation, Where::Log, what);
    for key in ["new", "old", "new", "other"] {
        must_be_refused(&proxy.send(&pay(key)).await);
        // This one is in memory: it was durable before it was told, whatever becomes of the disk.
        proxy.send(&pay("recent")).await.must_replay(&seen[1].1);
    }
    assert_eq!(proxy.ask("/ready").await.code(), 503);
    assert_eq!(proxy.ask("/live").await.code(), 200);
    // What carries no key needs no store.
    assert_eq!(proxy.send(&post("/payments", "{}")).await.code(), 201);
    assert_eq!(proxy.send(&get("/payments/1")).await.code(), 200);
    assert_eq!(stage.origin.executions("new"), 0);

    faults.heal();
    let new = once_back(&proxy, "new").await;
    new.must_be_executed();
    seen.push(("new".to_owned(), new));
    assert_eq!(proxy.ask("/ready").await.code(), 200);
    must_replay_all(&proxy, &stage, &seen).await;
    let proxy = proxy.kill().await.start().await;
    must_replay_all(&proxy, &stage, &seen).await;
}

/// M-25: without room nothing new is taken, but nothing is lost: what was answered is replayed meanwhile.
#[tokio::test]
async fn a_store_without_room_refuses_new_keys_and_replays_old_ones() {
    let stage = Stage::new().await;
    let faults = Faults::new(stage.folder());
    let proxy = faults.under(stage.proxy()).start().await;
    let old = proxy.send(&pay("old")).await;
    old.must_be_executed();
    faults.strike(Operation::Write, Where::Store, What::Full);
    for _ in 0..3 {
        must_be_refused(&proxy.send(&pay("new")).await);
        proxy.send(&pay("old")).await.must_replay(&old);
    }
    assert_eq!(stage.origin.executions("new"), 0);
    faults.heal();
    let new = once_back(&proxy, "new").await;
    new.must_be_executed();
    let seen = [("old".to_owned(), old), ("new".to_owned(), new)];
    must_replay_all(&proxy, &stage, &seen).await;
}

/// M-25, M-26: a real file system that runs full, in the middle of whatever is written then; and room that comes
/// back. Where the machine allows no file system of our own, the shim takes its place.
#[tokio::test]
async fn a_disk_that_runs_full_loses_nothing_and_runs_nothing_twice() {
    let stage = Stage::new().await;
    let disk = SmallDisk::new(&stage).await;
    let proxy = disk
        .under(stage.proxy().set("complete_timeout=500ms"))
        .start()
        .await;
    let mut seen = Vec::new();
    let mut others = Vec::new();
    while others.len() < 5 {
        let key = format!("key-{}", seen.len() + others.len());
        assert!(seen.len() < KEYS_MAX, "the disk does not run full");
        if seen.len() == KEYS_BEFORE_SHIM {
            disk.fill();
        }
        let answer = proxy.send(&pay(&key)).await;
        match (answer.became(), answer.code()) {
            // The answer itself may have found no room where the fact that it ran still did.
            ("executed", 201) if !is_without_body(&answer) => seen.push((key, answer)),
            ("executed" | "unrecorded", 201) => others.push(key),
            _ => {
                must_be_refused(&answer);
                assert_eq!(stage.origin.executions(&key), 0, "{key}");
                others.push(key);
            }
        }
    }
    must_replay_all(&proxy, &stage, &seen).await;
    disk.make_room(&proxy);
    for key in &others {
        let answer = once_back(&proxy, key).await;
        assert!(
            matches!(answer.code(), 201 | 410),
            "{key} came to no end: {answer:?}"
        );
        assert_eq!(stage.origin.executions(key), 1, "{key}");
    }
    must_replay_all(&proxy, &stage, &seen).await;
}

fn is_without_body(answer: &crate::harness::Answer) -> bool {
    answer
        .header("idempotency-status")
        .is_some_and(|status| status.contains("kept=?0"))
}

/// "fsyncgate": after a sync that failed the next one succeeds, and the pages in between may be on no disk. A claim in
/// such a batch is not taken, and the key runs when it comes again.
#[tokio::test]
async fn a_claim_whose_sync_failed_once_is_not_taken() {
    for what in [What::Io, What::Forgotten] {
        let stage = Stage::new().await;
        let faults = Faults::new(stage.folder());
        let proxy = faults.under(stage.proxy()).start().await;
        let old = proxy.send(&pay("old")).await;
        faults.strike_once(Operation::Sync, Where::Log, what);
        must_be_refused(&proxy.send(&pay("new")).await);
        assert_eq!(faults.struck(Operation::Sync), 1);
        assert_eq!(stage.origin.executions("new"), 0);
        let new = once_back(&proxy, "new").await;
        new.must_be_executed();
        let proxy = proxy.kill().await.start().await;
        let seen = [("old".to_owned(), old), ("new".to_owned(), new)];
        must_replay_all(&proxy, &stage, &seen).await;
    }
}

/// "fsyncgate", M-14: an outcome in such a batch is written once more before its caller hears of it.
#[tokio::test]
async fn an_outcome_whose_sync_failed_once_is_written_again_before_it_is_told() {
    for what in [What::Io, What::Forgotten] {
        let stage = Stage::new().await;
        let faults = Faults::new(stage.folder());
        let proxy = faults.under(stage.proxy()).start().await;
        let gate = Gate::default();
        stage.origin.plan("slow", [Act::CreateBehind(gate.clone())]);
        let request = pay("slow");
        let asking = proxy.send(&request);
        let failing = async {
            stage.origin.executed("slow").await;
            faults.strike_once(Operation::Sync, Where::Log, what);
            gate.open();
        };
        let (answer, ()) = tokio::join!(asking, failing);
        answer.must_be_executed();
        assert_eq!(faults.struck(Operation::Sync), 1);
        let proxy = proxy.kill().await.start().await;
        must_replay_all(&proxy, &stage, &[("slow".to_owned(), answer)]).await;
    }
}

/// M-26: an outcome that cannot be written is told as `unrecorded`, goes on being tried, and is replayed once the disk
/// is back.
#[tokio::test]
async fn an_outcome_that_cannot_be_written_is_unrecorded_until_the_disk_is_back() {
    for (operation, what) in [
        (Operation::Sync, What::Io),
        (Operation::Sync, What::Forgotten),
        (Operation::Write, What::Io),
        (Operation::Write, What::Full),
    ] {
        let stage = Stage::new().await;
        let faults = Faults::new(stage.folder());
        let proxy = unrecorded(&stage, &faults, operation, what).await;
        let retry = proxy.send(&pay("slow")).await;
        if what == What::Full {
            // What stands can still be read, and that is a claim.
            retry.must_be_problem(409, "in-flight", "maybe", "same-key");
        } else {
            must_be_refused(&retry);
        }
        faults.heal();
        let retry = once_back(&proxy, "slow").await;
        assert_eq!(stage.origin.executions("slow"), 1);
        if what == What::Full {
            // Where the answer found no room, the fact that it ran is kept.
            retry.must_be_problem(410, "response-not-kept", "yes", "none");
            continue;
        }
        assert_eq!(retry.became(), "replayed", "{retry:?}");
        assert_eq!(retry.body(), stage.origin.book()[0].answer);
        let proxy = proxy.kill().await.start().await;
        must_replay_all(&proxy, &stage, &[("slow".to_owned(), retry)]).await;
    }
}

/// M-41: the process dies while the disk fails. Its claim was durable, its outcome was not: unknown, and not run again.
#[tokio::test]
async fn a_kill_while_the_disk_fails_leaves_an_unknown_key_and_runs_nothing_twice() {
    for what in [What::Io, What::Forgotten] {
        let stage = Stage::new().await;
        let faults = Faults::new(stage.folder());
        let proxy = unrecorded(&stage, &faults, Operation::Sync, what).await;
        let setup = proxy.kill().await;
        faults.heal();
        let proxy = setup.start().await;
        let retry = proxy.send(&pay("slow")).await;
        // Bytes that no sync confirmed may have reached the disk all the same.
        if retry.became() == "replayed" {
            assert_eq!(retry.body(), stage.origin.book()[0].answer);
        } else {
            retry.must_be_problem(409, "outcome-unknown", "maybe", "same-key");
        }
        assert_eq!(stage.origin.executions("slow"), 1);
    }
}

/// A proxy whose disk fails between the execution of `slow` and its outcome; the caller has its true answer.
async fn unrecorded(stage: &Stage, faults: &Faults, operation: Operation, what: What) -> Proxy {
    let setup = faults.under(stage.proxy().set("complete_timeout=300ms"));
    let proxy = setup.start().await;
    let gate = Gate::default();
    stage.origin.plan("slow", [Act::CreateBehind(gate.clone())]);
    let request = pay("slow");
    let asking = proxy.send(&request);
    let failing = async {
        stage.origin.executed("slow").await;
        faults.strike(operation, Where::Log, what);
        gate.open();
    };
    let (answer, ()) = tokio::join!(asking, failing);
    assert_eq!(
        (answer.code(), answer.became()),
        (201, "unrecorded"),
        "{answer:?}"
    );
    assert_eq!(answer.body(), stage.origin.book()[0].answer);
    proxy
}

/// A write that is done by half is no failure: the rest follows, and nothing is lost.
#[tokio::test]
async fn writes_that_are_done_by_halves_lose_nothing() {
    let stage = Stage::new().await;
    let faults = Faults::new(stage.folder());
    let proxy = faults.under(stage.proxy()).start().await;
    faults.strike(Operation::Write, Where::Store, What::Half);
    let mut seen = Vec::new();
    for number in 0..8 {
        let key = format!("key-{number}");
        let answer = proxy.send(&pay(&key)).await;
        answer.must_be_executed();
        seen.push((key, answer));
    }
    assert!(faults.struck(Operation::Write) > 8);
    must_replay_all(&proxy, &stage, &seen).await;
    let proxy = proxy.kill().await.start().await;
    must_replay_all(&proxy, &stage, &seen).await;
}

/// A disk that cannot be read hides what was executed: refused, never taken for absent.
#[tokio::test]
async fn a_store_that_cannot_be_read_refuses_and_comes_back() {
    let stage = Stage::new().await;
    let faults = Faults::new(stage.folder());
    let setup = faults.under(stage.proxy().set("complete_timeout=300ms"));
    let proxy = setup.start().await;
    let first = proxy.send(&pay("old")).await;
    first.must_be_executed();
    // A new process has nothing of it in memory.
    let proxy = proxy.stop().await.start().await;
    faults.strike(Operation::Read, Where::Store, What::Io);
    for _ in 0..3 {
        must_be_refused(&proxy.send(&pay("old")).await);
    }
    assert!(faults.struck(Operation::Read) > 0);
    // To claim a new key nothing has to be read; to complete it something may.
    let new = proxy.send(&pay("new")).await;
    assert!(
        new.code() == 503 || ["executed", "unrecorded"].contains(&new.became()),
        "{new:?}"
    );
    must_be_refused(&proxy.send(&pay("old")).await);
    faults.heal();
    once_back(&proxy, "old").await.must_replay(&first);
    let new = once_back(&proxy, "new").await;
    assert_eq!(new.code(), 201, "{new:?}");
    assert_eq!(stage.origin.executions("old"), 1);
    assert_eq!(stage.origin.executions("new"), 1);
}

/// M-14: what is in the log alone is stored, too. A proxy that cannot copy it into the file at its end leaves it there.
#[tokio::test]
async fn a_log_that_cannot_be_copied_at_the_end_is_read_at_the_next_start() {
    for (operation, what) in [
        (Operation::Sync, What::Io),
        (Operation::Write, What::Io),
        (Operation::Write, What::Full),
    ] {
        let stage = Stage::new().await;
        let faults = Faults::new(stage.folder());
        let proxy = faults.under(stage.proxy()).start().await;
        let first = proxy.send(&pay("old")).await;
        first.must_be_executed();
        faults.strike(operation, Where::File, what);
        let setup = proxy.stop().await;
        assert!(faults.struck(operation) > 0);
        faults.heal();
        let proxy = setup.start().await;
        must_replay_all(&proxy, &stage, &[("old".to_owned(), first)]).await;
    }
}

/// A proxy does not start on a disk that it cannot read or write: it says so and ends with 69.
#[tokio::test]
async fn a_proxy_does_not_start_on_a_disk_that_fails() {
    let stage = Stage::new().await;
    let faults = Faults::new(stage.folder());
    let setup = faults.under(stage.proxy());
    let proxy = setup.start().await;
    let first = proxy.send(&pay("old")).await;
    let setup = proxy.stop().await;
    for (operation, what, says) in [
        (Operation::Read, What::Io, "cannot be opened"),
        (Operation::Write, What::Full, "there is no room on the disk"),
        (Operation::Sync, What::Io, "cannot be opened"),
        (Operation::Open, What::TooMany, "Too many open files"),
    ] {
        faults.strike(operation, Where::Store, what);
        setup.fail().await.must_fail(69, &["oncegate.db", says]);
        faults.heal();
    }
    let proxy = setup.start().await;
    must_replay_all(&proxy, &stage, &[("old".to_owned(), first)]).await;
}

/// A file system of a few megabytes with the store on it, which the proxy alone sees; or faults in its place.
struct SmallDisk {
    mount: PathBuf,
    faults: Option<Faults>,
}

impl SmallDisk {
    async fn new(stage: &Stage) -> Self {
        let mount = stage.folder().join("disk");
        std::fs::create_dir(&mount).unwrap();
        let mut probe = program("unshare");
        probe
            .args(["-rm", "mount", "-t", "tmpfs", "tmpfs"])
            .arg(&mount);
        let faults = (run(probe).await.code != Some(0)).then(|| Faults::new(stage.folder()));
        println!("a file system of our own: {}", faults.is_none());
        Self { mount, faults }
    }

    fn under(&self, setup: Setup) -> Setup {
        if let Some(faults) = &self.faults {
            return faults.under(setup);
        }
        let mount = self.mount.to_str().unwrap();
        let store = format!("file:{mount}/oncegate.db");
        let wrapper = ["unshare", "-rm", "sh", "-c", MOUNT_AND_RUN, mount];
        setup.flag("--store", &store).wrapped(&wrapper)
    }

    /// A real one runs full by itself.
    fn fill(&self) {
        if let Some(faults) = &self.faults {
            faults.strike(Operation::Write, Where::Store, What::Full);
        }
    }

    fn make_room(&self, proxy: &Proxy) {
        match &self.faults {
            Some(faults) => faults.heal(),
            None => {
                let root = format!("/proc/{}/root{}", proxy.id(), self.mount.display());
                std::fs::remove_file(format!("{root}/ballast")).unwrap();
            }
        }
    }
}

/// Half of the room is taken until somebody removes it.
const MOUNT_AND_RUN: &str = "mount -t tmpfs -o size=4m tmpfs \"$0\" && \
     head -c 2097152 /dev/zero > \"$0/ballast\" && exec \"$@\"";
const KEYS_MAX: usize = 2_000;
const KEYS_BEFORE_SHIM: usize = 20;
