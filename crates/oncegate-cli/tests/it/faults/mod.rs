//! What the machine does to the proxy: disks, clocks, limits, signals. The real binary each time, struck while it
//! runs.
//!
//! In every case the origin's own book says how often a key was executed, and each test asks three things: was a
//! caller ever lied to, did anything run twice, and does the proxy come back by itself.

mod clock;
mod damage;
mod disk;
mod hung;
mod limits;
mod log;
mod shim;
mod spool;
mod stopped;

use crate::harness::{Answer, Proxy, Stage, pay, poll_until};
pub(crate) use shim::{Faults, Operation, What, Where};

/// Nothing ran, and the caller is told to come back with the same key.
#[track_caller]
pub(crate) fn must_be_refused(answer: &Answer) {
    answer.must_be_problem(503, "store-unavailable", "no", "same-key");
}

/// Sends `key` again until the store is back and answers it in some other way.
pub(crate) async fn once_back(proxy: &Proxy, key: &str) -> Answer {
    poll_until("a store that comes back", || async {
        let answer = proxy.send(&pay(key)).await;
        // For a moment the key may look as if its refused claim were still under way.
        let comes_back = answer.code() == 503 || answer.slug() == "in-flight";
        (!comes_back).then_some(answer)
    })
    .await
}

/// All of this was executed once, and is replayed as it was first answered.
async fn must_replay_all(proxy: &Proxy, stage: &Stage, seen: &[(String, Answer)]) {
    for (key, first) in seen {
        once_back(proxy, key).await.must_replay(first);
        assert_eq!(stage.origin.executions(key), 1, "{key}");
    }
}
