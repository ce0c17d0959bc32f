//! The memory and the disk that bodies may take in all: what finds no room is refused before it runs, what ran is
//! known to have run, and what was executed before is still told.

use oncegate::Policy;
use oncegate::testing::{Fault, StoreMethod};
use oncegate_tower::{BufferBudget, Settings, Spool};

use crate::handler::{Feed, Gate, Handler, paid, respond};
use crate::harness::{Bench, Setup, pay, settle, with_body};

const KIB: usize = 1024;

/// A bench whose bodies may take `total` KiB of memory in all, of which requests may take three quarters.
async fn bench(total: u64, handler: Handler) -> (Bench, BufferBudget) {
    let budget = BufferBudget::new(total * KIB as u64);
    let mut settings = Settings::default();
    settings.buffer = budget.clone();
    let setup = Setup {
        settings,
        ..Setup::default()
    };
    (setup.bench(handler).await, budget)
}

/// A handler that holds no request body after its answer.
fn forgetful() -> Handler {
    Handler::streaming(|number, request, _| async move {
        drop(request);
        Ok(paid(number))
    })
}

/// M-38: an upload that does not end takes all the room there is for requests.
#[tokio::test(start_paused = true)]
async fn a_request_that_finds_no_room_is_refused_and_replays_go_on() {
    let (bench, budget) = bench(64, forgetful()).await;
    let large = |key: &str| with_body(pay(key), "x".repeat(20 * KIB));
    bench.send(large("done")).await.is_executed("payment 1");
    assert_eq!(budget.used(), 0);

    let (feed, body) = Feed::new();
    let upload = bench.start(pay("upload").map(|_| body));
    feed.data("x".repeat(48 * KIB));
    settle().await;
    assert_eq!(budget.used(), 48 * KIB as u64);
    for new in [large("new"), pay("small")] {
        let refused = bench.send(new).await;
        refused.is_refused(503, "overloaded");
        assert!(refused.retry_after().is_some());
    }
    assert_eq!((bench.handler.calls(), bench.phase("new").await), (1, None));
    bench.send(large("done")).await.is_replayed("payment 1");
    let other = with_body(pay("done"), "y".repeat(20 * KIB));
    bench.send(other).await.is_refused(422, "mismatch");

    // What is there already goes on, and gives its room back.
    feed.ended();
    upload.await.unwrap().is_executed("payment 2");
    assert_eq!(budget.used(), 0);
    bench.send(large("new")).await.is_executed("payment 3");
}

/// M-38: an upload that breaks off gives its room back at once.
#[tokio::test(start_paused = true)]
async fn an_upload_that_breaks_off_gives_its_room_back() {
    let (bench, budget) = bench(64, forgetful()).await;
    let (feed, body) = Feed::new();
    let upload = bench.start(pay("upload").map(|_| body));
    feed.data("x".repeat(48 * KIB));
    settle().await;
    bench.send(pay("k")).await.is_refused(503, "overloaded");
    feed.broken();
    upload.await.unwrap().is_refused(400, "request-incomplete");
    assert_eq!(budget.used(), 0);
    bench.send(pay("k")).await.is_executed("payment 1");
}

/// M-40: an execution's outcome is never lost for want of memory: what finds no room is passed on whole.
#[tokio::test(start_paused = true)]
async fn an_answer_that_finds_no_room_is_passed_on_whole_and_never_executed_again() {
    let long = "x".repeat(100 * KIB);
    let answered = long.clone();
    let handler = Handler::answering(move |_| respond(201, answered.clone()));
    let (bench, budget) = bench(64, handler).await;
    let first = bench.send(pay("k")).await;
    assert_eq!(
        (first.became(), first.parameter("kept")),
        ("executed", Some("?0"))
    );
    assert!(first.finished && first.text() == long);
    bench
        .send(pay("k"))
        .await
        .is_refused(410, "response-not-kept");
    assert_eq!((bench.handler.calls(), budget.used()), (1, 0));
}

/// M-11: an answer of the usual size needs no room, so that a full memory leaves no payment without its receipt.
#[tokio::test(start_paused = true)]
async fn an_answer_of_16_kib_is_kept_and_replayed_however_full_memory_is() {
    let receipt = "x".repeat(16 * KIB);
    let answered = receipt.clone();
    let handler = Handler::answering(move |_| respond(201, answered.clone()));
    let (bench, _budget) = bench(1, handler).await;
    bench.send(pay("k")).await.is_executed(&receipt);
    bench.send(pay("k")).await.is_replayed(&receipt);
}

/// An answer is held until its caller has taken it, and so is its replay: a caller that reads nothing takes room.
#[tokio::test(start_paused = true)]
async fn answers_that_nobody_reads_take_room_until_they_are_dropped() {
    let long = "x".repeat(40 * KIB);
    let answered = long.clone();
    let handler = Handler::answering(move |_| respond(201, answered.clone()));
    let (bench, budget) = bench(64, handler).await;
    let unread = bench.head(pay("k")).await.unwrap();
    assert_eq!(budget.used(), 40 * KIB as u64);
    // The outcome stays recorded; there is only no room to tell it in.
    let refused = bench.send(pay("k")).await;
    refused.is_refused_though_executed(503, "overloaded");
    drop(unread);
    assert_eq!(budget.used(), 0);
    bench.send(pay("k")).await.is_replayed(&long);
    assert_eq!((bench.handler.calls(), budget.used()), (1, 0));
}

/// M-38: the same on disk. Forced by a handler that holds its request's body unread.
#[tokio::test]
async fn a_spool_that_is_full_refuses_new_requests_and_replays_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    settings.spool = Spool::new(folder.path(), 64 * KIB as u64);
    let policy = Policy {
        buffer_bytes_max: 1_024,
        ..Policy::default()
    };
    let setup = Setup {
        settings,
        policy,
        ..Setup::default()
    };
    let gate = Gate::default();
    let at = gate.clone();
    let handler = Handler::streaming(move |number, request, _| {
        let at = at.clone();
        async move {
            at.pass().await;
            drop(request);
            Ok(paid(number))
        }
    });
    let bench = setup.bench(handler).await;
    let large = |key: &str| with_body(pay(key), "x".repeat(40 * KIB));
    gate.open();
    bench.send(large("done")).await.is_executed("payment 1");
    gate.entered().await;
    let first = bench.start(large("first"));
    gate.entered().await;
    bench.send(large("new")).await.is_refused(503, "overloaded");
    bench.send(large("done")).await.is_replayed("payment 1");
    bench
        .send(large("first"))
        .await
        .is_refused(409, "in-flight");
    gate.open();
    first.await.unwrap().is_executed("payment 2");
    gate.open();
    bench.send(large("new")).await.is_executed("payment 3");
}

/// M-38: a completed key whose answer finds no room used to be told `executed: no`. A client that believes that and
/// makes a new key pays twice.
#[tokio::test(start_paused = true)]
async fn a_replay_that_finds_no_room_is_told_that_the_operation_was_executed() {
    let receipt = "y".repeat(20 * KIB);
    let answered = receipt.clone();
    let handler = Handler::answering(move |_| respond(201, answered.clone()));
    let (bench, _budget) = bench(64, handler).await;
    bench.send(pay("k")).await.is_executed(&receipt);
    let (feed, body) = Feed::new();
    let upload = bench.start(pay("upload").map(|_| body));
    feed.data("x".repeat(47 * KIB));
    settle().await;

    let refused = bench.send(pay("k")).await;
    refused.is_refused_though_executed(503, "overloaded");
    assert_eq!(refused.retry_after(), Some(1));
    assert_eq!(refused.parameter("age"), Some("0"));
    // The same when not even its own body finds room. A key that has no record is not told so.
    feed.data("x".repeat(KIB));
    settle().await;
    let refused = bench.send(pay("k")).await;
    refused.is_refused_though_executed(503, "overloaded");
    bench.send(pay("new")).await.is_refused(503, "overloaded");

    feed.broken();
    upload.await.unwrap().is_refused(400, "request-incomplete");
    bench.send(pay("k")).await.is_replayed(&receipt);
    assert_eq!(bench.handler.calls(), 1);
}

/// An outcome that the store does not take is kept for it after the caller was answered, for up to an hour. None of
/// that used to be counted. Forced by a store that hangs at every end of a claim.
#[tokio::test(start_paused = true)]
async fn an_outcome_that_waits_for_the_store_takes_room_until_it_is_recorded() {
    let long = "y".repeat(40 * KIB);
    let answered = long.clone();
    let handler = Handler::answering(move |_| respond(201, answered.clone()));
    let (bench, budget) = bench(64, handler).await;
    bench.faulty.plan(StoreMethod::Update, 1, Fault::HangBefore);
    let first = bench.send(pay("a")).await;
    assert_eq!((first.became(), first.text()), ("unrecorded", &*long));
    drop(first);
    assert_eq!(budget.used(), 40 * KIB as u64);
    // There is no room for a second one: it is passed on whole.
    let second = bench.send(pay("b")).await;
    assert_eq!(
        (second.became(), second.parameter("kept")),
        ("executed", Some("?0"))
    );
    bench.faulty.release_hung();
    settle().await;
    assert_eq!(budget.used(), 0);
    bench.send(pay("a")).await.is_replayed(&long);
    assert_eq!(bench.handler.calls(), 2);
}
