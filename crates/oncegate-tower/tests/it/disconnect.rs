//! Callers that go away: at every point at which they can.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use bytes::Bytes;
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use oncegate::Policy;
use oncegate::record::Phase;
use oncegate::testing::{Fault, StoreMethod};
use oncegate_tower::{Body, BoxError};
use tokio::task::yield_now;

use crate::handler::{Feed, Handler, paid};
use crate::harness::{Answer, Bench, PAYMENT, pay, settle};

/// Polls `future` so many times, other tasks in between, and then drops it.
async fn poll_times<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = Box::pin(future);
    for _ in 0..times {
        let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        yield_now().await;
    }
    None
}

/// A body that comes in pieces, with a pause before each and before its end, and says when it was read whole.
fn in_pieces(whole: &Arc<AtomicBool>) -> Body {
    let whole = Arc::clone(whole);
    let mut pieces: Vec<_> = PAYMENT.as_bytes().chunks(10).map(Bytes::from).collect();
    pieces.reverse();
    let mut paused = false;
    let frames = futures_util::stream::poll_fn(move |cx| {
        paused = !paused;
        if paused {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = pieces.pop();
        whole.store(piece.is_none(), Ordering::SeqCst);
        Poll::Ready(piece.map(|bytes| Ok::<_, BoxError>(Frame::data(bytes))))
    });
    Body::foreign(StreamBody::new(frames))
}

fn pay_in_pieces(whole: &Arc<AtomicBool>) -> Request<Body> {
    pay("k").map(|_| in_pieces(whole))
}

/// A handler with three pauses of its own.
fn pausing() -> Handler {
    Handler::new(|call| async move {
        for _ in 0..3 {
            yield_now().await;
        }
        Ok(paid(call.number))
    })
}

/// M-24: wherever a caller leaves: before its body is whole nothing happened, after that everything does, once.
/// Forced by dropping the response future after each number of polls, over a store that pauses too.
#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_cancels_nothing_once_its_body_is_complete() {
    let mut times = 0;
    loop {
        let bench = Bench::new(pausing()).await;
        bench.faulty.plan(StoreMethod::Insert, 1, Fault::Delay);
        bench.faulty.plan(StoreMethod::Update, 1, Fault::Delay);
        let whole = Arc::new(AtomicBool::new(false));
        // In a task, so that it and the execution take turns.
        let (caller, request) = (bench.clone(), pay_in_pieces(&whole));
        let polling = async move { poll_times(caller.send(request), times).await };
        let answered = tokio::spawn(polling).await.unwrap();
        let complete = whole.load(Ordering::SeqCst);
        settle().await;
        let phase = bench.phase("k").await;
        let expected = complete.then_some(Phase::Completed);
        assert_eq!(phase, expected, "left after {times} polls");
        assert_eq!(bench.handler.calls(), usize::from(complete));

        let retry = bench.send(pay("k")).await;
        assert_eq!(retry.text(), "payment 1");
        assert_eq!(bench.handler.calls(), 1, "left after {times} polls");
        if answered.is_some() {
            break;
        }
        times += 1;
    }
    assert!(times > 8, "only {times} points at which to leave");
}

/// M-24: the same for a body that is spooled. Its last await is the spool's own: a caller may leave there before
/// anything was claimed. Never does anything half happen.
#[tokio::test]
async fn a_caller_that_leaves_during_a_spooled_upload_leaves_all_or_nothing() {
    for times in 0..40 {
        let policy = Policy {
            buffer_bytes_max: 8,
            ..Policy::default()
        };
        let bench = Bench::under(policy, pausing()).await;
        let whole = Arc::new(AtomicBool::new(false));
        drop(poll_times(bench.send(pay_in_pieces(&whole)), times).await);
        // A spool writes on another thread, so the number of polls is not the same each time.
        while bench.oncegate.running() > 0 {
            yield_now().await;
        }
        let ran = bench.handler.calls() == 1;
        let expected = ran.then_some(Phase::Completed);
        assert_eq!(bench.phase("k").await, expected);
        assert_eq!(bench.send(pay("k")).await.text(), "payment 1");
        assert_eq!(bench.handler.calls(), 1);
    }
}

/// M-24: a caller that leaves while a long answer streams does not stop it: it is read to its end and recorded.
#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_a_stream_does_not_stop_it() {
    let (feed, body) = Feed::new();
    let body = parking_lot::Mutex::new(Some(body));
    let body = Arc::new(body);
    let handler = Handler::answering(move |_| {
        let mut response = http::Response::new(body.lock().take().unwrap());
        let stream = http::HeaderValue::from_static("text/event-stream");
        response.headers_mut().insert("content-type", stream);
        response
    });
    let bench = Bench::new(handler).await;
    let answer = bench.head(pay("k")).await.unwrap();
    feed.data("event: one\n\n");
    settle().await;
    drop(answer);
    feed.data("event: two\n\n");
    settle().await;
    assert!(!feed.is_unread());
    assert_eq!(bench.phase("k").await, Some(Phase::InFlight));
    feed.ended();
    settle().await;
    bench
        .send(pay("k"))
        .await
        .is_refused(410, "response-not-kept");
    assert_eq!(bench.handler.calls(), 1);
}

/// M-24: a caller that leaves while the outcome is being recorded does not stop that either.
#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_while_the_outcome_is_recorded_does_not_stop_that() {
    let bench = Bench::new(Handler::paying()).await;
    bench.faulty.plan(StoreMethod::Update, 1, Fault::HangBefore);
    let first = bench.start(pay("k"));
    settle().await;
    assert_eq!(bench.faulty.hung(), 1);
    first.abort();
    settle().await;
    bench.faulty.release_hung();
    settle().await;
    let replay: Answer = bench.send(pay("k")).await;
    replay.is_replayed("payment 1");
}
