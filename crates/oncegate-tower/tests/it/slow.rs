//! A store whose every step takes longer than the work does from one moment to the next.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Response};
use http_body_util::BodyExt;
use oncegate::hash::RecordId;
use oncegate::policy::OnUnknown;
use oncegate::record::{Phase, Record};
use oncegate::store::{
    BoxFuture, Change, Expect, Insert, NewRecord, Purged, StoreInfo, StoreResult, Update,
};
use oncegate::testing::{CountingStore, StoreMethod};
use oncegate::{Policy, Store};
use parking_lot::Mutex;
use tokio::time::sleep;

use crate::handler::{Feed, Handler};
use crate::harness::{Bench, pay, seconds};

/// M-21: a stream whose frames come faster than the store answers is renewed all the same, and no more often than
/// every third of a lease. Each frame broke off the renewal under way: the lease lapsed, a retry took over, and the
/// store was asked anew for each frame.
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_faster_than_the_store_is_renewed() {
    let policy = Policy {
        lease: seconds(3),
        on_unknown: OnUnknown::Reexecute,
        ..Policy::default()
    };
    let (feed, body) = Feed::new();
    let body = Arc::new(Mutex::new(Some(body)));
    let handler = Handler::answering(move |_| {
        let mut response = Response::new(body.lock().take().expect("executed once"));
        let stream = HeaderValue::from_static("text/event-stream");
        response.headers_mut().insert("content-type", stream);
        response
    });
    let bench = Bench::under(policy.clone(), handler).await;
    let slow = Arc::new(SlowStore(bench.counting.clone()));
    let counting = Arc::new(CountingStore::new(slow));
    let here = bench.over(counting.clone(), policy.clone()).await;
    let there = bench.beside(policy).await;

    let first = tokio::spawn(async move { here.head(pay("k")).await });
    bench.pass_time(STEP * 2).await;
    let mut body = first.await.unwrap().unwrap().into_body();
    for number in 0..LEASES * 3 * 1_000 / MOMENT.as_millis() {
        feed.data("data: 1\n\n");
        body.frame().await.unwrap().unwrap();
        bench.pass_time(MOMENT).await;
        if number % 100 == 0 {
            there.send(pay("k")).await.is_refused(409, "in-flight");
        }
    }
    let renewals = counting.count(StoreMethod::Update);
    assert!((27..=31).contains(&renewals), "{renewals}");
    feed.ended();
    bench.pass_time(STEP * 2).await;
    assert!(body.frame().await.is_none());
    assert_eq!(bench.phase("k").await, Some(Phase::Completed));
    assert_eq!(bench.handler.calls(), 1);
}

/// Every step takes its time before it takes effect.
#[derive(Debug)]
struct SlowStore(Arc<dyn Store>);

impl SlowStore {
    fn slowly<'a, T: Send + 'a>(
        &'a self,
        step: impl FnOnce(&'a dyn Store) -> BoxFuture<'a, StoreResult<T>> + Send + 'a,
    ) -> BoxFuture<'a, StoreResult<T>> {
        Box::pin(async move {
            sleep(STEP).await;
            step(&*self.0).await
        })
    }
}

#[deny(clippy::missing_trait_methods)]
impl Store for SlowStore {
    fn insert(&self, new: NewRecord) -> BoxFuture<'_, StoreResult<Insert>> {
        self.slowly(|inner| inner.insert(new))
    }

    fn update(
        &self,
        id: RecordId,
        expect: Expect,
        change: Change,
    ) -> BoxFuture<'_, StoreResult<Update>> {
        self.slowly(move |inner| inner.update(id, expect, change))
    }

    fn get(&self, id: RecordId) -> BoxFuture<'_, StoreResult<Option<Record>>> {
        self.slowly(move |inner| inner.get(id))
    }

    fn purge(&self, limit: usize) -> BoxFuture<'_, StoreResult<Purged>> {
        self.slowly(move |inner| inner.purge(limit))
    }

    fn watch(&self, id: RecordId) -> BoxFuture<'static, ()> {
        self.0.watch(id)
    }

    fn ping(&self) -> BoxFuture<'_, StoreResult<()>> {
        self.slowly(|inner| inner.ping())
    }

    fn info(&self) -> BoxFuture<'_, StoreResult<StoreInfo>> {
        self.slowly(|inner| inner.info())
    }
}

/// How long a step of the store takes.
const STEP: Duration = Duration::from_millis(50);
/// From one frame to the next.
const MOMENT: Duration = Duration::from_millis(5);
const LEASES: u128 = 10;
