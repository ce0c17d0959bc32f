//! Answers too large to keep, and streams: passed on while they come, but never ended before they are recorded.

use std::sync::Arc;

use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::{BodyExt, StreamBody};
use oncegate::record::Phase;
use oncegate::testing::{Fault, StoreMethod};
use oncegate::{Policy, StoreErrorKind};
use oncegate_tower::{Body, BoxError};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::handler::{Feed, Handler, respond};
use crate::harness::{Answer, Bench, pay, seconds, settle};

/// Answers of more than ten bytes are not kept.
fn at_most_ten() -> Policy {
    Policy {
        response_bytes_max: 10,
        ..Policy::default()
    }
}

/// A handler whose first call answers with an event stream that the test feeds.
fn event_stream(status: u16) -> (Handler, Feed) {
    let (feed, body) = Feed::new();
    let body = Arc::new(Mutex::new(Some(body)));
    let handler = Handler::answering(move |_| {
        let mut response = respond(status, "");
        *response.body_mut() = body.lock().take().expect("executed once");
        let stream = HeaderValue::from_static("text/event-stream; charset=utf-8");
        response.headers_mut().insert("content-type", stream);
        let location = HeaderValue::from_static("/payments/1");
        response.headers_mut().insert("location", location);
        response
    });
    (handler, feed)
}

async fn text(body: &mut Body) -> String {
    let frame = body.frame().await.unwrap().unwrap();
    String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
}

/// The next frame of `body`, in a task of its own, to see whether it comes.
fn next(mut body: Body) -> JoinHandle<Option<Result<http_body::Frame<bytes::Bytes>, BoxError>>> {
    tokio::spawn(async move { body.frame().await })
}

/// M-40: an answer that is too large is passed on whole, and its retry is told that it ran, never executed again.
#[tokio::test(start_paused = true)]
async fn an_answer_too_large_to_keep_is_passed_on_whole_and_never_executed_again() {
    let bench = Bench::under(at_most_ten(), Handler::paying()).await;
    bench.send(pay("fits")).await.is_executed("payment 1");
    bench.send(pay("fits")).await.is_replayed("payment 1");

    let handler = Handler::answering(|call| {
        let mut response = crate::handler::paid(call.number);
        *response.body_mut() = Body::whole("eleven byte");
        response
    });
    let bench = Bench::under(at_most_ten(), handler).await;
    let first = bench.send(pay("k")).await;
    first.is_executed("eleven byte");
    assert_eq!((first.status(), first.parameter("kept")), (201, Some("?0")));
    assert_eq!(first.header("location"), Some("/payments/1"));

    for _ in 0..2 {
        let retry = bench.send(pay("k")).await;
        retry.is_refused(410, "response-not-kept");
        assert_eq!(
            (retry.became(), retry.parameter("kept")),
            ("refused", Some("?0"))
        );
        assert_eq!(retry.header("location"), Some("/payments/1"));
        let document = retry.json();
        assert_eq!(document["executed"], "yes");
        assert_eq!(document["original_status"], 201);
        assert_eq!(document["location"], "/payments/1");
    }
    assert_eq!(bench.handler.calls(), 1);
}

/// M-40: an event stream is passed on as it comes: its head at once, each event when it happens; it is in flight
/// until its end, and then completed without body.
#[tokio::test(start_paused = true)]
async fn an_event_stream_is_passed_on_as_it_comes() {
    let (handler, feed) = event_stream(200);
    let bench = Bench::new(handler).await;
    let response = bench.head(pay("k")).await.unwrap();
    let status = response.headers()["idempotency-status"].to_str().unwrap();
    assert!(
        status.starts_with("executed;") && status.ends_with(";kept=?0"),
        "{status}"
    );
    let mut body = response.into_body();
    for event in ["data: one\n\n", "data: two\n\n"] {
        feed.data(event);
        assert_eq!(text(&mut body).await, event);
        assert_eq!(bench.phase("k").await, Some(Phase::InFlight));
    }
    bench.send(pay("k")).await.is_refused(409, "in-flight");
    feed.ended();
    assert!(body.frame().await.is_none());
    bench
        .send(pay("k"))
        .await
        .is_refused(410, "response-not-kept");
}

/// M-40: the end of a stream waits for its record. Forced by a store that holds the completion back.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_stream_waits_for_its_record() {
    let (handler, feed) = event_stream(200);
    let bench = Bench::new(handler).await;
    let mut body = bench.head(pay("k")).await.unwrap().into_body();
    feed.data("data: one\n\n");
    text(&mut body).await;
    bench.faulty.plan(StoreMethod::Update, 1, Fault::HangBefore);
    feed.ended();
    let end = next(body);
    bench.pass_time(seconds(4)).await;
    assert_eq!(bench.faulty.hung(), 1);
    assert!(!end.is_finished());
    bench.faulty.release_hung();
    assert!(end.await.unwrap().is_none());
}

/// M-40: so do its trailers.
#[tokio::test(start_paused = true)]
async fn the_trailers_of_a_stream_wait_for_its_record() {
    let (handler, feed) = event_stream(200);
    let bench = Bench::new(handler).await;
    let body = bench.head(pay("k")).await.unwrap().into_body();
    bench.faulty.plan(StoreMethod::Update, 1, Fault::HangBefore);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", HeaderValue::from_static("9"));
    feed.trailers(trailers.clone());
    feed.ended();
    let end = next(body);
    settle().await;
    assert!(!end.is_finished());
    bench.faulty.release_hung();
    let frame = end.await.unwrap().unwrap().unwrap();
    assert_eq!(frame.into_trailers().unwrap(), trailers);
}

/// M-40: where the length was announced the last bytes wait, because they are the end.
#[tokio::test(start_paused = true)]
async fn the_last_bytes_of_an_announced_length_wait_for_the_record() {
    let handler = Handler::answering(|_| respond(201, "eleven byte"));
    let bench = Bench::under(at_most_ten(), handler).await;
    bench.faulty.plan(StoreMethod::Update, 1, Fault::HangBefore);
    let body = bench.head(pay("k")).await.unwrap().into_body();
    assert_eq!(http_body::Body::size_hint(&body).exact(), Some(11));
    let last = next(body);
    settle().await;
    assert!(!last.is_finished());
    bench.faulty.release_hung();
    let frame = last.await.unwrap().unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "eleven byte");
}

/// M-40: a stream that breaks is left unfinished, and the key unknown.
#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_is_left_unfinished_and_unknown() {
    let (handler, feed) = event_stream(200);
    let bench = Bench::new(handler).await;
    feed.data("data: one\n\n");
    feed.broken();
    let first = bench.send(pay("k")).await;
    assert_eq!((first.text(), first.finished), ("data: one\n\n", false));
    assert_eq!(bench.phase("k").await, Some(Phase::Unknown));
    bench
        .send(pay("k"))
        .await
        .is_refused(409, "outcome-unknown");
}

/// M-40: a stream whose record cannot be written is left unfinished; the writing goes on behind.
#[tokio::test(start_paused = true)]
async fn a_stream_that_cannot_be_recorded_is_left_unfinished() {
    let (handler, feed) = event_stream(200);
    let bench = Bench::new(handler).await;
    let response = bench.head(pay("k")).await.unwrap();
    bench.faulty.set_down(true);
    feed.data("data: one\n\n");
    feed.ended();
    let answer = Answer::read(response).await;
    assert_eq!((answer.text(), answer.finished), ("data: one\n\n", false));
    bench.faulty.set_down(false);
    bench.pass_time(seconds(2)).await;
    bench
        .send(pay("k"))
        .await
        .is_refused(410, "response-not-kept");

    let (handler, feed) = event_stream(200);
    let bench = Bench::new(handler).await;
    let corrupt = Fault::FailBefore(StoreErrorKind::Corrupt);
    bench.faulty.plan(StoreMethod::Update, 1, corrupt);
    feed.ended();
    assert!(!bench.send(pay("k")).await.finished);
}

/// M-40: a stream is renewed for as long as it runs, within `upstream_timeout`; after that it is broken off.
#[tokio::test(start_paused = true)]
async fn a_stream_is_renewed_and_bounded_in_time() {
    let (handler, feed) = event_stream(200);
    let bench = Bench::new(handler).await;
    let response = bench.head(pay("k")).await.unwrap();
    bench
        .pass_time(bench.policy.upstream_timeout - seconds(10))
        .await;
    assert_eq!(bench.phase("k").await, Some(Phase::InFlight));
    bench.pass_time(seconds(11)).await;
    assert_eq!(bench.phase("k").await, Some(Phase::Unknown));
    assert!(feed.is_unread());
    assert!(!Answer::read(response).await.finished);
}

/// M-40: a caller that stands still for too long loses its answer; the execution goes on to its end.
#[tokio::test(start_paused = true)]
async fn a_caller_that_stalls_does_not_hold_the_execution_up() {
    let (handler, feed) = event_stream(200);
    let bench = Bench::new(handler).await;
    let response = bench.head(pay("k")).await.unwrap();
    for number in 0..20 {
        feed.data(format!("data: {number}\n\n"));
    }
    feed.ended();
    settle().await;
    assert_eq!(bench.phase("k").await, Some(Phase::InFlight));
    bench.pass_time(seconds(31)).await;
    assert_eq!(bench.phase("k").await, Some(Phase::Completed));
    assert!(!Answer::read(response).await.finished);
    bench
        .send(pay("k"))
        .await
        .is_refused(410, "response-not-kept");
}

/// M-28: a stream has a class like any answer: one that frees the key says so at its head.
#[tokio::test(start_paused = true)]
async fn a_stream_has_a_class_like_any_answer() {
    for (status, became, phase) in [
        (503, "released", None),
        (504, "unknown", Some(Phase::Unknown)),
        (404, "executed", Some(Phase::Completed)),
    ] {
        let (handler, feed) = event_stream(status);
        let bench = Bench::new(handler).await;
        feed.data("data: one\n\n");
        feed.ended();
        let answer = bench.send(pay("k")).await;
        assert_eq!((answer.became(), answer.finished), (became, true));
        assert_eq!(bench.phase("k").await, phase, "{status}");
    }
}

/// M-40: an answer of which nobody said how long it is is held up to the bound, then passed on, whole and in order.
#[tokio::test(start_paused = true)]
async fn an_answer_that_outgrows_the_bound_is_passed_on_in_order() {
    let (feed, body) = Feed::new();
    let body = Arc::new(Mutex::new(Some(body)));
    let taken = move |_: &_| Response::new(body.lock().take().expect("executed once"));
    let bench = Bench::under(at_most_ten(), Handler::answering(taken)).await;
    let first = bench.start(pay("k"));
    for piece in ["0123", "4567", "89"] {
        feed.data(piece);
        settle().await;
        assert!(!first.is_finished());
    }
    feed.data("ab");
    feed.data("cd");
    feed.ended();
    let answer = first.await.unwrap();
    answer.is_executed("0123456789abcd");
    assert_eq!(answer.parameter("kept"), Some("?0"));
}

/// M-40: a caller that reads slowly but steadily gets a large answer whole, however long it takes: its time is not the
/// execution's. The answer was broken off at `upstream_timeout` although the handler had long ended.
#[tokio::test(start_paused = true)]
async fn a_caller_that_reads_slowly_but_steadily_gets_a_large_answer_whole() {
    let policy = Policy {
        upstream_timeout: seconds(60),
        ..at_most_ten()
    };
    let handler = Handler::answering(|_| {
        // Each piece takes the handler a moment, as reading from anywhere does.
        let pieces = futures_util::stream::iter(0..24).then(|_| async {
            tokio::task::yield_now().await;
            Ok::<_, BoxError>(http_body::Frame::data("eleven byte".into()))
        });
        Response::new(Body::foreign(StreamBody::new(pieces)))
    });
    let bench = Bench::under(policy, handler).await;
    let mut body = bench.head(pay("k")).await.unwrap().into_body();
    for _ in 0..24 {
        bench.pass_time(seconds(10)).await;
        assert_eq!(text(&mut body).await, "eleven byte");
    }
    assert!(body.frame().await.is_none());
    let retry = bench.send(pay("k")).await;
    retry.is_refused(410, "response-not-kept");
    assert_eq!(bench.handler.calls(), 1);
}

/// M-14: an answer without a body is whole with its head, whatever its content type: it waits for the record. An empty
/// "event stream" was passed on at once, and was lost if the process ended before it was recorded.
#[tokio::test(start_paused = true)]
async fn an_event_stream_without_a_body_waits_for_its_record() {
    for (status, length) in [(204, None), (304, None), (200, Some("0"))] {
        let handler = Handler::answering(move |_| {
            let mut answer = respond(status, "");
            // No size is known of this body but what the header says.
            *answer.body_mut() = crate::handler::frames(Vec::new());
            let headers = [
                ("content-type", Some("text/event-stream")),
                ("content-length", length),
            ];
            for (name, value) in headers {
                let value = value.map(HeaderValue::from_static);
                value.map(|value| answer.headers_mut().insert(name, value));
            }
            answer
        });
        let bench = Bench::new(handler).await;
        bench.faulty.plan(StoreMethod::Update, 1, Fault::HangBefore);
        let first = bench.start(pay("k"));
        bench.pass_time(seconds(4)).await;
        assert_eq!(bench.faulty.hung(), 1);
        assert!(!first.is_finished(), "{status}");
        bench.faulty.release_hung();
        first.await.unwrap().is_executed("");
        let replay = bench.send(pay("k")).await;
        replay.is_replayed("");
        assert_eq!(replay.status(), status);
    }
}
