//! The machine's clock is set, far and in both directions, while the proxy runs and while it does not.

use std::time::Duration;

use oncegate::clock::{Clock, SystemClock, Timestamp};

use super::shim::Faults;
use super::{must_replay_all, once_back};
use crate::harness::{Act, Answer, Gate, Stage, pay, send};

/// M-41: a running proxy does not look at the clock. Nothing expires, no lease lapses, no fence goes back, and what is
/// in flight stays single.
#[tokio::test]
async fn a_clock_that_is_set_while_the_proxy_runs_changes_nothing() {
    let stage = Stage::new().await;
    let faults = Faults::new(stage.folder());
    let mut proxy = faults
        .under(stage.proxy().set("store_timeout=1s").set("lease=2s"))
        .start()
        .await;
    let gate = Gate::default();
    stage.origin.plan("slow", [Act::CreateBehind(gate.clone())]);
    let to = proxy.listen;
    let slow = tokio::spawn(async move { send(to, &pay("slow")).await });
    stage.origin.executed("slow").await;
    let old = proxy.send(&pay("old")).await;
    old.must_be_executed();
    let mut seen = vec![("old".to_owned(), old)];
    for (number, jump) in Jump::ALL.into_iter().enumerate() {
        jump.make(&faults);
        let key = format!("new-{number}");
        let new = proxy.send(&pay(&key)).await;
        new.must_be_executed();
        seen.push((key, new));
        must_replay_all(&proxy, &stage, &seen).await;
        let replay = proxy.send(&pay("old")).await;
        assert!(number_of(&replay, "age") < 60, "{replay:?}");
        let ttl = number_of(&replay, "ttl");
        assert!((DAY - 60..=DAY).contains(&ttl), "{replay:?}");
        let duplicate = proxy.send(&pay("slow")).await;
        duplicate.must_be_problem(409, "in-flight", "maybe", "same-key");
    }
    must_grow(&fences(&stage));
    gate.open();
    let slow = slow.await.unwrap();
    slow.must_be_executed();
    seen.push(("slow".to_owned(), slow));
    must_replay_all(&proxy, &stage, &seen).await;
    // The clock did change: the log goes by it.
    proxy.terminate().await;
    proxy.ended().await;
    let log = proxy.logged();
    assert!(log.contains("\"timestamp\":\"1970-"), "{log}");
}

/// M-41: a proxy that starts by a clock that was set back goes on from the highest time stored. Nothing that was
/// completed is lost or kept for longer, and the start says what it found.
#[tokio::test]
async fn a_clock_that_was_set_back_across_a_restart_loses_nothing() {
    let stage = Stage::new().await;
    let faults = Faults::new(stage.folder());
    let mut setup = faults.under(stage.proxy());
    let proxy = setup.start().await;
    let old = proxy.send(&pay("old")).await;
    assert!(!proxy.logged().contains(CLOCK_BEHIND), "{}", proxy.logged());
    setup = proxy.kill().await;
    let mut seen = vec![("old".to_owned(), old)];
    for (number, jump) in Jump::ALL.into_iter().enumerate() {
        if jump.is_ahead() {
            continue;
        }
        jump.make(&faults);
        let proxy = setup.start().await;
        assert!(proxy.logged().contains(CLOCK_BEHIND), "{}", proxy.logged());
        let key = format!("new-{number}");
        let new = proxy.send(&pay(&key)).await;
        new.must_be_executed();
        seen.push((key, new));
        must_replay_all(&proxy, &stage, &seen).await;
        let ttl = number_of(&proxy.send(&pay("old")).await, "ttl");
        assert!((DAY - 60..=DAY).contains(&ttl), "{ttl}");
        setup = proxy.kill().await;
    }
    faults.clock_ahead(Duration::ZERO);
    let proxy = setup.start().await;
    must_replay_all(&proxy, &stage, &seen).await;
    must_grow(&fences(&stage));
}

/// M-41, M-42: a key that has expired stays expired, whatever the clock says at the next start.
#[tokio::test]
async fn an_expired_key_is_not_brought_back_by_the_clock() {
    let stage = Stage::new().await;
    let faults = Faults::new(stage.folder());
    let proxy = faults
        .under(stage.proxy().set("retention=1s"))
        .start()
        .await;
    proxy.send(&pay("old")).await.must_be_executed();
    let expired = crate::harness::poll_until("the end of retention", || async {
        let answer = proxy.send(&pay("old")).await;
        (answer.code() != 201).then_some(answer)
    })
    .await;
    expired.must_be_problem(410, "key-expired", "maybe", "none");
    let mut setup = proxy.stop().await;
    for jump in Jump::ALL {
        jump.make(&faults);
        let proxy = setup.start().await;
        let late = proxy.send(&pay("old")).await;
        late.must_be_problem(410, "key-expired", "maybe", "none");
        setup = proxy.stop().await;
    }
    assert_eq!(stage.origin.executions("old"), 1);
}

/// M-41: the clock was far ahead at one start and is right again at the next. What had expired by the wrong clock is
/// refused, never executed; the store's time does not go back, and the start says so; new keys live their whole time.
#[tokio::test]
async fn a_clock_that_was_ahead_once_makes_keys_expire_but_runs_none_twice() {
    let stage = Stage::new().await;
    let faults = Faults::new(stage.folder());
    let proxy = faults.under(stage.proxy()).start().await;
    proxy.send(&pay("old")).await.must_be_executed();
    let setup = proxy.kill().await;

    faults.clock_ahead(HOUR);
    let proxy = setup.start().await;
    let replay = proxy.send(&pay("old")).await;
    assert_eq!(replay.became(), "replayed", "{replay:?}");
    assert!(number_of(&replay, "ttl") <= DAY - 3_600, "{replay:?}");
    let setup = proxy.kill().await;

    faults.clock_ahead(2 * 24 * HOUR);
    let proxy = setup.start().await;
    let log = proxy.logged();
    assert!(log.contains(CLOCK_AHEAD), "{log}");
    let late = proxy.send(&pay("old")).await;
    late.must_be_problem(410, "key-expired", "maybe", "none");
    let ahead = proxy.send(&pay("ahead")).await;
    ahead.must_be_executed();
    let setup = proxy.kill().await;

    faults.clock_ahead(Duration::ZERO);
    let proxy = setup.start().await;
    let log = proxy.logged();
    assert!(log.contains(CLOCK_BEHIND), "{log}");
    let late = proxy.send(&pay("old")).await;
    late.must_be_problem(410, "key-expired", "maybe", "none");
    once_back(&proxy, "ahead").await.must_replay(&ahead);
    let new = proxy.send(&pay("new")).await;
    new.must_be_executed();
    let replay = proxy.send(&pay("new")).await;
    assert!((DAY - 60..=DAY).contains(&number_of(&replay, "ttl")));
    for key in ["old", "ahead", "new"] {
        assert_eq!(stage.origin.executions(key), 1, "{key}");
    }
    must_grow(&fences(&stage));
}

/// Where the clock is set to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Jump {
    HourAhead,
    HourBack,
    DaysAhead,
    DaysBack,
    Epoch,
}

impl Jump {
    const ALL: [Self; 5] = [
        Self::HourAhead,
        Self::HourBack,
        Self::DaysAhead,
        Self::DaysBack,
        Self::Epoch,
    ];

    fn make(self, faults: &Faults) {
        match self {
            Self::HourAhead => faults.clock_ahead(HOUR),
            Self::HourBack => faults.clock_behind(HOUR),
            Self::DaysAhead => faults.clock_ahead(2 * 24 * HOUR),
            Self::DaysBack => faults.clock_behind(2 * 24 * HOUR),
            // A machine whose battery is empty starts here.
            Self::Epoch => {
                let now = SystemClock::default().now();
                faults.clock_behind(now.since(Timestamp::default()) - HOUR);
            }
        }
    }

    fn is_ahead(self) -> bool {
        matches!(self, Self::HourAhead | Self::DaysAhead)
    }
}

/// A parameter of `Idempotency-Status`.
fn number_of(answer: &Answer, name: &str) -> u64 {
    let status = answer.header("idempotency-status").unwrap_or_default();
    let found = status
        .split(';')
        .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
    found
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("no {name} in {answer:?}"))
}

/// The fences in the order in which the origin saw them.
fn fences(stage: &Stage) -> Vec<u64> {
    let book = stage.origin.book();
    let fence = |execution: &crate::harness::Execution| {
        let fence = execution.request.header("idempotency-fence").unwrap();
        fence.parse().unwrap()
    };
    book.iter().map(fence).collect()
}

fn must_grow(fences: &[u64]) {
    assert!(fences.is_sorted_by(|a, b| a < b), "{fences:?}");
}

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: u64 = 24 * 3_600;
const CLOCK_BEHIND: &str = "the machine's clock stands behind the highest time stored";
const CLOCK_AHEAD: &str = "the machine's clock is far ahead of the highest time stored";
