//! Replays: the same answer, marked as one.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use http_body::Frame;
use oncegate_tower::Body;

use crate::handler::{Handler, frames, respond};
use crate::harness::{Bench, pay, seconds, with_body, with_header};

/// Sends the same request twice and compares.
async fn check(answer: impl Fn() -> Response<Body> + Send + Sync + 'static) {
    let answer = Arc::new(answer);
    let bench = Bench::new(Handler::answering(move |_| answer())).await;
    let first = bench.send(pay("k")).await;
    assert_eq!(first.became(), "executed");
    let replay = bench.send(pay("k")).await;
    assert_eq!(replay.became(), "replayed");
    assert_eq!(replay.parts.status, first.parts.status);
    assert_eq!(replay.body, first.body);
    assert_eq!(replay.trailers, first.trailers);
    for name in ["content-type", "location", "etag", "x-receipt"] {
        assert_eq!(replay.header(name), first.header(name), "{name}");
    }
    assert_eq!(bench.handler.calls(), 1);
}

/// M-11: a replay has the same status, headers and bytes, whatever the answer was.
#[tokio::test(start_paused = true)]
async fn a_replay_is_the_same_answer() {
    check(|| {
        let mut created = respond(201, r#"{"id":1}"#);
        for (name, value) in [
            ("content-type", "application/json"),
            ("location", "/payments/1"),
            ("etag", "\"v1\""),
            ("x-receipt", "r-1"),
        ] {
            let value = HeaderValue::from_static(value);
            created.headers_mut().insert(name, value);
        }
        created
    })
    .await;
    check(|| respond(204, "")).await;
    check(|| respond(200, "")).await;
    check(|| respond(422, "no such account")).await;
    check(|| {
        let mut other = respond(303, "");
        let location = HeaderValue::from_static("/payments/1");
        other.headers_mut().insert("location", location);
        other
    })
    .await;
}

/// M-11: bytes are bytes: all 256 of them, in several frames.
#[tokio::test(start_paused = true)]
async fn a_binary_answer_is_replayed_byte_for_byte() {
    let binary: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    check(move || {
        let chunks = binary.chunks(33_333);
        let data = |chunk: &[u8]| Ok(Frame::data(Bytes::copy_from_slice(chunk)));
        Response::new(frames(chunks.map(data).collect()))
    })
    .await;
}

/// M-11: frames without bytes between the others change nothing.
#[tokio::test(start_paused = true)]
async fn empty_frames_change_nothing() {
    check(|| {
        let texts = ["", "pay", "", "ment", ""];
        let data = |text: &'static str| Ok(Frame::data(Bytes::from(text)));
        Response::new(frames(texts.map(data).into()))
    })
    .await;
}

/// M-11: trailers are stored and replayed.
#[tokio::test(start_paused = true)]
async fn trailers_are_replayed() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", HeaderValue::from_static("9"));
    let sent = trailers.clone();
    let bench = Bench::new(Handler::answering(move |_| {
        let data = Ok(Frame::data("body".into()));
        Response::new(frames(vec![data, Ok(Frame::trailers(sent.clone()))]))
    }))
    .await;
    for became in ["executed", "replayed"] {
        let answer = bench.send(pay("k")).await;
        assert_eq!((answer.became(), answer.text()), (became, "body"));
        assert_eq!(answer.trailers.as_ref(), Some(&trailers));
    }
}

/// M-11: JSON that says the same in another order is the same request.
#[tokio::test(start_paused = true)]
async fn the_same_json_in_another_order_is_a_replay() {
    let bench = Bench::new(Handler::paying()).await;
    bench.send(pay("k")).await.is_executed("payment 1");
    let reordered = with_body(pay("k"), r#"{ "currency": "EUR", "amount": 100 }"#);
    bench.send(reordered).await.is_replayed("payment 1");
}

/// M-11: headers that are no part of the fingerprint may differ between attempts.
#[tokio::test(start_paused = true)]
async fn other_headers_may_differ_between_attempts() {
    let bench = Bench::new(Handler::paying()).await;
    bench.send(pay("k")).await.is_executed("payment 1");
    let traced = with_header(pay("k"), "traceparent", "00-1-2-00");
    bench.send(traced).await.is_replayed("payment 1");
}

/// M-12: replays are marked, with fence, age and what is left of their time; fresh answers are not.
#[tokio::test(start_paused = true)]
async fn replays_are_marked_and_fresh_answers_are_not() {
    let bench = Bench::new(Handler::paying()).await;
    let first = bench.send(pay("k")).await;
    first.is_executed("payment 1");
    let fence = first.parameter("fence").unwrap().to_owned();
    assert_eq!(first.parameter("ttl"), Some("86400"));
    assert_eq!(first.parameter("age"), None);

    bench.clock.advance(seconds(40));
    let replay = bench.send(pay("k")).await;
    replay.is_replayed("payment 1");
    assert_eq!(replay.parameter("fence"), Some(&*fence));
    assert_eq!(replay.parameter("age"), Some("40"));
    assert_eq!(replay.parameter("ttl"), Some("86360"));
}

/// M-12: the upstream cannot mark its own answer as a replay, or say what became of the request.
#[tokio::test(start_paused = true)]
async fn an_upstreams_own_marks_are_replaced_by_ours() {
    let bench = Bench::new(Handler::answering(|_| {
        let mut answer = respond(201, "paid");
        for (name, value) in [
            ("idempotent-replayed", "true"),
            ("idempotency-status", "executed;fence=\"7\""),
            ("idempotency-outcome", "final"),
            ("idempotency-fence", "7"),
            ("idempotency-key", "another"),
        ] {
            let value = HeaderValue::from_static(value);
            answer.headers_mut().insert(name, value);
        }
        answer
    }))
    .await;
    for _ in 0..2 {
        let answer = bench.send(pay("k")).await;
        assert_ne!(answer.parameter("fence"), Some("\"7\""));
        assert_eq!(answer.header("idempotency-outcome"), None);
        assert_eq!(answer.header("idempotency-fence"), None);
        assert_eq!(answer.header("idempotency-key"), Some("k"));
    }
    assert_eq!(bench.handler.calls(), 1);
}

/// M-15: an interim answer or a switch of protocols is no outcome, and is never kept.
#[tokio::test(start_paused = true)]
async fn informational_answers_are_never_kept() {
    for status in [100, 101, 103] {
        let bench = Bench::new(Handler::with_status(status)).await;
        let first = bench.send(pay("k")).await;
        first.is_refused(502, "upstream-outcome-unknown");
        assert_eq!(first.became(), "unknown");
        let retry = bench.send(pay("k")).await;
        retry.is_refused(409, "outcome-unknown");
        assert_eq!(bench.handler.calls(), 1);
    }
}
