//! Many requests with one key at once, and requests that are not the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use http::Request;
use oncegate::hash::RecordId;
use oncegate::policy::OnUnknown;
use oncegate::record::Phase;
use oncegate::store::{
    BoxFuture, Change, Expect, Insert, NewRecord, Purged, StoreInfo, StoreResult, Update,
};
use oncegate::{Policy, Store};
use oncegate_tower::Body;

use crate::handler::Handler;
use crate::harness::{Answer, Bench, code, pay, settle, with_body, with_header};

/// Of these answers to one key: one executed, all others told the truth.
#[track_caller]
fn one_executed(answers: &[Answer], body: &str) {
    let (executed, others): (Vec<_>, Vec<_>) = answers
        .iter()
        .partition(|answer| answer.became() == "executed");
    assert_eq!(executed.len(), 1);
    executed[0].is_executed(body);
    for other in others {
        if other.became() == "replayed" {
            other.is_replayed(body);
        } else {
            other.is_refused(409, "in-flight");
        }
    }
}

/// M-10: two hundred firsts at once: one executes, the others are told that it is in flight. Forced by a gate in
/// the handler that opens when all have asked.
#[tokio::test(start_paused = true)]
async fn two_hundred_simultaneous_firsts_execute_once() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::new(handler).await;
    let started: Vec<_> = (0..200).map(|_| bench.start(pay("k"))).collect();
    gate.entered().await;
    settle().await;
    gate.open();
    let answers: Vec<_> = join_all(started)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    one_executed(&answers, "payment 1");
    let refused = answers.iter().filter(|answer| answer.became() == "refused");
    assert_eq!(refused.count(), 199);
    assert_eq!(bench.handler.calls(), 1);
    bench.send(pay("k")).await.is_replayed("payment 1");
}

/// M-10: the same over two processes that share a store.
#[tokio::test(start_paused = true)]
async fn two_hundred_firsts_over_two_processes_execute_once() {
    let (handler, gate) = Handler::gated();
    let here = Bench::new(handler).await;
    let there = here.beside(Policy::default()).await;
    let started: Vec<_> = (0..100)
        .flat_map(|_| [here.start(pay("k")), there.start(pay("k"))])
        .collect();
    gate.entered().await;
    settle().await;
    gate.open();
    let answers: Vec<_> = join_all(started)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    one_executed(&answers, "payment 1");
    assert_eq!(here.handler.calls(), 1);
    there.send(pay("k")).await.is_replayed("payment 1");
}

/// M-10: the same on several threads, with nothing to order them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn firsts_on_several_threads_execute_once_for_each_key() {
    let bench = Bench::new(Handler::paying()).await;
    let there = bench.beside(Policy::default()).await;
    for round in 1..=20 {
        let key = format!("k{round}");
        let started = (0..16).map(|n| [&bench, &there][n % 2].start(pay(&key)));
        let started: Vec<_> = started.collect();
        let answers: Vec<_> = join_all(started)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        one_executed(&answers, &format!("payment {round}"));
        assert_eq!(bench.handler.calls(), round);
    }
}

/// M-10: other keys do not wait for one that is in flight.
#[tokio::test(start_paused = true)]
async fn keys_are_independent() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::new(handler).await;
    let one = bench.start(pay("one"));
    gate.entered().await;
    let two = bench.start(pay("two"));
    gate.entered().await;
    gate.open();
    gate.open();
    one.await.unwrap().is_executed("payment 1");
    two.await.unwrap().is_executed("payment 2");
}

fn other() -> Request<Body> {
    with_body(pay("k"), r#"{"amount":999,"currency":"EUR"}"#)
}

/// M-17: another request under the same key is a mismatch, in flight and after, and the record is not touched.
#[tokio::test(start_paused = true)]
async fn a_mismatch_is_refused_in_flight_and_after_and_touches_nothing() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::new(handler).await;
    let first = bench.start(pay("k"));
    gate.entered().await;
    let before = bench.record("k").await;
    bench.send(other()).await.is_refused(422, "mismatch");
    assert_eq!(bench.record("k").await, before);

    gate.open();
    first.await.unwrap().is_executed("payment 1");
    let before = bench.record("k").await;
    bench.send(other()).await.is_refused(422, "mismatch");
    assert_eq!(bench.record("k").await, before);
    bench.send(pay("k")).await.is_replayed("payment 1");
    assert_eq!(bench.handler.calls(), 1);
}

/// M-18: mismatch is judged before in flight: a duplicate that could never be answered is not told to come again.
#[tokio::test(start_paused = true)]
async fn a_mismatch_wins_over_in_flight() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::new(handler).await;
    let first = bench.start(pay("k"));
    gate.entered().await;
    let refused = bench.send(other()).await;
    refused.is_refused(422, "mismatch");
    assert_eq!(refused.retry_after(), None);
    bench.send(pay("k")).await.is_refused(409, "in-flight");
    gate.open();
    first.await.unwrap().is_executed("payment 1");
}

/// M-18: a mismatch wins over unknown, too.
#[tokio::test(start_paused = true)]
async fn a_mismatch_wins_over_unknown() {
    let policy = Policy {
        on_unknown: OnUnknown::Reexecute,
        ..Policy::default()
    };
    let bench = Bench::under(policy, Handler::with_status(504)).await;
    assert_eq!(bench.send(pay("k")).await.became(), "unknown");
    bench.send(other()).await.is_refused(422, "mismatch");
    assert_eq!(bench.handler.calls(), 1);
}

/// M-19: query, path, method and content type are part of the request.
#[tokio::test(start_paused = true)]
async fn another_query_path_method_or_content_type_is_a_mismatch() {
    let bench = Bench::new(Handler::paying()).await;
    bench.send(pay("k")).await.is_executed("payment 1");
    let at = |uri: &str| {
        let mut request = pay("k");
        *request.uri_mut() = uri.parse().unwrap();
        request
    };
    let mut patch = pay("k");
    *patch.method_mut() = http::Method::PATCH;
    let mut text = pay("k");
    let plain = http::HeaderValue::from_static("text/plain");
    text.headers_mut().insert("content-type", plain);
    let encoded = with_header(pay("k"), "content-encoding", "gzip");
    for different in [
        at("/payments?dry=1"),
        at("/payments?"),
        at("/payments/"),
        at("/refunds"),
        patch,
        text,
        encoded,
    ] {
        let described = format!("{different:?}");
        let answer = bench.send(different).await;
        assert_eq!(answer.status(), 422, "{described}");
        answer.is_refused(422, "mismatch");
    }
    assert_eq!(bench.handler.calls(), 1);
}

/// M-17: the status of a mismatch can be set; the problem says the same.
#[tokio::test(start_paused = true)]
async fn the_status_of_a_mismatch_can_be_set() {
    let policy = Policy {
        mismatch_status: code(400),
        ..Policy::default()
    };
    let bench = Bench::under(policy, Handler::paying()).await;
    bench.send(pay("k")).await.is_executed("payment 1");
    bench.send(other()).await.is_refused(400, "mismatch");
}

/// A store in which a record that somebody is about to take over is gone before that: released by its holder.
#[derive(Debug)]
struct Vanishing {
    inner: Arc<dyn Store>,
    vanished: AtomicBool,
}

#[deny(clippy::missing_trait_methods)]
impl Store for Vanishing {
    fn insert(&self, new: NewRecord) -> BoxFuture<'_, StoreResult<Insert>> {
        self.inner.insert(new)
    }

    fn update(
        &self,
        id: RecordId,
        expect: Expect,
        change: Change,
    ) -> BoxFuture<'_, StoreResult<Update>> {
        let taking_over = matches!(change, Change::TakeOver { .. });
        let vanish = taking_over && !self.vanished.swap(true, Ordering::SeqCst);
        Box::pin(async move {
            if vanish {
                let held = Expect {
                    revision: None,
                    ..expect
                };
                self.inner.update(id, held, Change::Release).await?;
            }
            self.inner.update(id, expect, change).await
        })
    }

    fn get(&self, id: RecordId) -> BoxFuture<'_, StoreResult<Option<oncegate::record::Record>>> {
        self.inner.get(id)
    }

    fn purge(&self, limit: usize) -> BoxFuture<'_, StoreResult<Purged>> {
        self.inner.purge(limit)
    }

    fn watch(&self, id: RecordId) -> BoxFuture<'static, ()> {
        self.inner.watch(id)
    }

    fn ping(&self) -> BoxFuture<'_, StoreResult<()>> {
        self.inner.ping()
    }

    fn info(&self) -> BoxFuture<'_, StoreResult<StoreInfo>> {
        self.inner.info()
    }
}

/// M-23: a record that refuses the insert and is gone before the take-over does not leave an execution without a
/// claim: the request begins anew, and what it executes is recorded.
#[tokio::test(start_paused = true)]
async fn a_record_that_vanishes_under_a_take_over_never_leaves_an_unclaimed_execution() {
    let handler = Handler::new(|call| async move {
        let status = if call.number == 1 { 504 } else { 201 };
        Ok(crate::handler::respond(
            status,
            format!("payment {}", call.number),
        ))
    });
    let plain = Bench::new(handler).await;
    let vanishing = Arc::new(Vanishing {
        inner: plain.counting.clone(),
        vanished: AtomicBool::new(false),
    });
    let policy = Policy {
        on_unknown: OnUnknown::Reexecute,
        ..Policy::default()
    };
    let bench = plain.over(vanishing.clone(), policy).await;
    assert_eq!(bench.send(pay("k")).await.became(), "unknown");
    bench.send(pay("k")).await.is_executed("payment 2");
    assert!(vanishing.vanished.load(Ordering::SeqCst));
    assert_eq!(bench.phase("k").await, Some(Phase::Completed));
    bench.send(pay("k")).await.is_replayed("payment 2");
    assert_eq!(bench.handler.calls(), 2);
}
