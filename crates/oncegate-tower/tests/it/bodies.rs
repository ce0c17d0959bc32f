//! Request bodies: too large, broken off, and spooled to disk.

use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use oncegate::Policy;
use oncegate::policy::StoreDown;
use oncegate_tower::{Settings, Spool};

use crate::handler::{Feed, Gate, Handler, frames, paid};
use crate::harness::{Bench, Setup, pay, settle, with_body, with_header};

fn at_most(request_bytes_max: u64) -> Policy {
    Policy {
        request_bytes_max,
        ..Policy::default()
    }
}

/// Bodies over a KiB are spooled.
fn spooling() -> Policy {
    Policy {
        buffer_bytes_max: 1_024,
        ..Policy::default()
    }
}

/// Forty KiB, no two of them alike.
fn large() -> Vec<u8> {
    (0..10_240_u32).flat_map(u32::to_be_bytes).collect()
}

/// M-39: a body whose declared length is over the bound is refused before a byte of it is read.
#[tokio::test(start_paused = true)]
async fn a_body_that_declares_too_much_is_refused_unread() {
    let bench = Bench::under(at_most(64), Handler::paying()).await;
    // Nobody feeds it: reading it would hang.
    let (feed, body) = Feed::new();
    let request = with_header(pay("k"), "content-length", "65").map(|_| body);
    let answer = bench.send(request).await;
    answer.is_refused(413, "request-too-large");
    assert!(feed.is_unread());
    assert_eq!(
        (bench.handler.calls(), bench.counting.round_trips()),
        (0, 0)
    );
}

/// M-39: a body that turns out to be too large is refused as soon as it is, and claims nothing.
#[tokio::test(start_paused = true)]
async fn a_body_that_grows_too_large_is_refused_as_soon_as_it_is() {
    let bench = Bench::under(at_most(64), Handler::paying()).await;
    let (feed, body) = Feed::new();
    feed.data("x".repeat(60));
    let answer = bench.start(pay("k").map(|_| body));
    settle().await;
    assert!(!answer.is_finished());
    feed.data("x".repeat(5));
    answer.await.unwrap().is_refused(413, "request-too-large");
    assert!(feed.is_unread());
    assert_eq!(
        (bench.handler.calls(), bench.counting.round_trips()),
        (0, 0)
    );

    let just_fits = with_body(pay("k"), "x".repeat(64));
    bench.send(just_fits).await.is_executed("payment 1");
}

/// M-39: the scope is judged before the length, and the key before the scope.
#[tokio::test(start_paused = true)]
async fn key_then_scope_then_length_are_judged() {
    let bench = Bench::under(at_most(1), Handler::paying()).await;
    let wrong = |key: &str| {
        with_header(
            with_header(pay(key), "cookie", "a=b"),
            "content-length",
            "9",
        )
    };
    bench
        .send(wrong("\"broken"))
        .await
        .is_refused(400, "key-invalid");
    bench
        .send(wrong("k"))
        .await
        .is_refused(401, "scope-missing");
}

/// M-31: a body that breaks off is refused and leaves no trace: the whole request may come with the same key.
#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_leaves_no_trace() {
    let bench = Bench::new(Handler::paying()).await;
    let (feed, body) = Feed::new();
    feed.data("{\"amount\":");
    feed.broken();
    let answer = bench.send(pay("k").map(|_| body)).await;
    answer.is_refused(400, "request-incomplete");
    assert_eq!(answer.became(), "refused");
    assert_eq!(
        (bench.handler.calls(), bench.counting.round_trips()),
        (0, 0)
    );
    bench.send(pay("k")).await.is_executed("payment 1");
}

/// M-31: a body that ends before the length that it declared has broken off, however cleanly it ended.
#[tokio::test(start_paused = true)]
async fn a_body_shorter_than_it_declared_has_broken_off() {
    let bench = Bench::new(Handler::paying()).await;
    let request = with_header(pay("k"), "content-length", "400");
    bench
        .send(request)
        .await
        .is_refused(400, "request-incomplete");
    assert_eq!(
        (bench.handler.calls(), bench.counting.round_trips()),
        (0, 0)
    );
}

/// M-11: a spooled body is the same request as a buffered one, byte for byte at the handler, and trailers too.
#[tokio::test]
async fn a_spooled_body_is_the_same_request() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", HeaderValue::from_static("9"));
    let in_frames = || {
        let bytes = large();
        let mut pieces: Vec<_> = bytes
            .chunks(700)
            .map(|chunk| Ok(Frame::data(bytes::Bytes::copy_from_slice(chunk))))
            .collect();
        pieces.push(Ok(Frame::trailers(trailers.clone())));
        pay("k").map(|_| frames(pieces))
    };
    let spooled = Bench::under(spooling(), Handler::paying()).await;
    spooled.send(in_frames()).await.is_executed("payment 1");
    let seen = spooled.handler.last();
    assert_eq!(seen.body, large());
    assert_eq!(seen.trailers, Some(trailers.clone()));

    let buffered = spooled.beside(Policy::default()).await;
    buffered.send(in_frames()).await.is_replayed("payment 1");
    spooled.send(in_frames()).await.is_replayed("payment 1");
    let mut other = large();
    other[40_000] ^= 1;
    let other = with_body(pay("k"), other);
    spooled.send(other).await.is_refused(422, "mismatch");
}

/// M-11: the length of a spooled body is announced to the handler, and a spool leaves no file behind.
#[tokio::test]
async fn a_spooled_body_has_a_length_and_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    settings.spool = Spool::new(directory.path(), 1 << 20);
    let setup = Setup {
        policy: spooling(),
        settings,
        ..Setup::default()
    };
    let (handler, gate) = Handler::gated();
    let bench = setup.bench(handler).await;
    let first = bench.start(with_body(pay("k"), large()));
    gate.entered().await;
    let names = std::fs::read_dir(directory.path()).unwrap();
    assert_eq!(names.count(), 0, "spooled files have no name");
    gate.open();
    first.await.unwrap().is_executed("payment 1");
    let seen = bench.handler.last();
    assert_eq!(seen.header("content-length"), Some("40960"));
}

/// M-39: all spooled bodies together are bounded; the next is refused, executes nothing, and finds room later. Forced
/// by a handler that holds its request's body unread.
#[tokio::test]
async fn the_spool_is_bounded_and_gives_its_room_back() {
    let mut settings = Settings::default();
    settings.spool = Spool::new(std::env::temp_dir(), 50_000);
    let setup = Setup {
        policy: spooling(),
        settings,
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
    let first = bench.start(with_body(pay("first"), large()));
    gate.entered().await;
    let second = || with_body(pay("second"), large());
    bench.send(second()).await.is_refused(503, "overloaded");
    assert_eq!(bench.handler.calls(), 1);
    gate.open();
    first.await.unwrap().is_executed("payment 1");
    gate.open();
    bench.send(second()).await.is_executed("payment 2");
}

/// M-42: an expired key is refused before a large body is read: there is no reason to take it in.
#[tokio::test(start_paused = true)]
async fn an_expired_key_is_refused_before_a_large_body_is_read() {
    let bench = Bench::under(spooling(), Handler::paying()).await;
    bench.send(pay("k")).await.is_executed("payment 1");
    bench.clock.advance(bench.policy.retention);
    let (feed, body) = Feed::new();
    feed.data(large());
    let answer = bench.send(pay("k").map(|_| body)).await;
    answer.is_refused(410, "key-expired");
    assert!(feed.is_unread());
}

/// M-25: a large body is not taken in while the store is down, unless the policy would execute all the same.
#[tokio::test]
async fn a_large_body_is_not_taken_in_while_the_store_is_down() {
    let bench = Bench::under(spooling(), Handler::paying()).await;
    let executing = Policy {
        store_down: StoreDown::Execute,
        ..spooling()
    };
    let bypassing = bench.beside(executing).await;
    bench.faulty.set_down(true);
    let (feed, body) = Feed::new();
    feed.data(large());
    let answer = bench.send(pay("k").map(|_| body)).await;
    answer.is_refused(503, "store-unavailable");
    assert!(feed.is_unread());

    let answer = bypassing.send(with_body(pay("k"), large())).await;
    assert_eq!((answer.became(), answer.text()), ("bypassed", "payment 1"));
    assert_eq!(bench.handler.last().body, large());
}
