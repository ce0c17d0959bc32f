//! The key: what is one, what is none, and what is refused.

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body::Frame;
use oncegate::Policy;
use oncegate::key::{KeyFormat, KeyRules, KeySyntax};
use oncegate::policy::KeyUse;
use oncegate_tower::Body;

use crate::handler::{Handler, frames};
use crate::harness::{Bench, pay, unkeyed, with_header};

/// M-01: a quoted key and a bare one are the same key, unescaped, and parameters are no part of it.
#[tokio::test(start_paused = true)]
async fn the_string_inside_the_quotes_is_the_key() {
    let bench = Bench::new(Handler::paying()).await;
    bench.send(pay("order-17")).await.is_executed("payment 1");
    for same in [r#""order-17""#, r#""order-17";v=1"#, r#"  "order-17" "#] {
        bench.send(pay(same)).await.is_replayed("payment 1");
    }
    bench.send(pay(r#""a\"b""#)).await.is_executed("payment 2");
    bench.send(pay(r#""a\\b""#)).await.is_executed("payment 3");
    bench
        .send(pay(r#""order-17 ""#))
        .await
        .is_executed("payment 4");
    bench
        .send(pay(r#""ORDER-17""#))
        .await
        .is_executed("payment 5");
}

/// M-01: parameters reach the handler, and the key comes back in the form in which it was sent.
#[tokio::test(start_paused = true)]
async fn the_key_is_forwarded_and_echoed_as_it_was_sent() {
    let bench = Bench::new(Handler::paying()).await;
    let sent = r#""order-17";v=1"#;
    let first = bench.send(pay(sent)).await;
    assert_eq!(bench.handler.last().header("idempotency-key"), Some(sent));
    assert_eq!(first.header("idempotency-key"), Some(sent));

    let replay = bench.send(pay("order-17")).await;
    replay.is_replayed("payment 1");
    assert_eq!(replay.header("idempotency-key"), Some("order-17"));
}

/// M-02: whatever is malformed is refused, runs nothing, asks the store nothing and is not echoed.
#[tokio::test(start_paused = true)]
async fn a_malformed_key_is_refused_and_never_taken_for_absent() {
    let bench = Bench::new(Handler::paying()).await;
    let malformed: [&[u8]; 14] = [
        b"",
        b"   ",
        b"\"\"",
        b"\"abc",
        b"abc\"",
        b"\"abc\" x",
        b"\"abc\", \"def\"",
        b"abc, def",
        b"abc def",
        b"abc;v=1",
        b"ab\\c",
        b"caf\xe9",
        b"\"caf\xc3\xa9\"",
        b"\"a\tb\"",
    ];
    for value in malformed {
        let mut request = unkeyed();
        let value = HeaderValue::from_bytes(value).unwrap();
        request
            .headers_mut()
            .insert("idempotency-key", value.clone());
        let answer = bench.send(request).await;
        answer.is_refused(400, "key-invalid");
        assert_eq!(answer.became(), "refused", "{value:?}");
        assert_eq!(answer.header("idempotency-key"), None, "{value:?}");
    }
    assert_eq!(bench.handler.calls(), 0);
    assert_eq!(bench.counting.round_trips(), 0);
}

/// M-03: two key lines are refused, even if they agree, and even if joining them would parse.
#[tokio::test(start_paused = true)]
async fn more_than_one_key_line_is_refused() {
    let policy = Policy {
        key_header: vec![
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("x-idempotency-key"),
        ],
        ..Policy::default()
    };
    let bench = Bench::under(policy, Handler::paying()).await;
    let twice = [
        ("idempotency-key", "order-17"),
        ("idempotency-key", "order-18"),
        ("x-idempotency-key", "order-17"),
    ];
    for (name, value) in twice {
        let answer = bench.send(with_header(pay("order-17"), name, value)).await;
        answer.is_refused(400, "key-invalid");
        assert_eq!(answer.header("idempotency-key"), None);
    }
    // Each half of a string that a proxy split at its comma.
    let split = with_header(pay(r#""a"#), "idempotency-key", r#"b""#);
    bench.send(split).await.is_refused(400, "key-invalid");
    assert_eq!(bench.handler.calls(), 0);
}

/// M-03: one line under an alias is a key, and is echoed under that name.
#[tokio::test(start_paused = true)]
async fn an_alias_carries_the_same_key() {
    let policy = Policy {
        key_header: vec![
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("x-idempotency-key"),
        ],
        ..Policy::default()
    };
    let bench = Bench::under(policy, Handler::paying()).await;
    bench.send(pay("order-17")).await.is_executed("payment 1");
    let aliased = with_header(unkeyed(), "X-Idempotency-Key", "order-17");
    let replay = bench.send(aliased).await;
    replay.is_replayed("payment 1");
    assert_eq!(replay.header("x-idempotency-key"), Some("order-17"));
    assert_eq!(replay.header("idempotency-key"), None);
}

/// M-04: under `strict` a bare key is refused; a quoted one is not.
#[tokio::test(start_paused = true)]
async fn strict_syntax_refuses_a_bare_key() {
    let policy = Policy {
        key_rules: KeyRules {
            syntax: KeySyntax::Strict,
            ..KeyRules::default()
        },
        ..Policy::default()
    };
    let bench = Bench::under(policy, Handler::paying()).await;
    let bare = bench.send(pay("order-17")).await;
    bare.is_refused(400, "key-invalid");
    let quoted = bench.send(pay(r#""order-17""#)).await;
    quoted.is_executed("payment 1");
}

/// M-05: length is counted unescaped and judged before the store is asked.
#[tokio::test(start_paused = true)]
async fn a_key_that_is_too_long_costs_no_look_up() {
    let bench = Bench::new(Handler::paying()).await;
    let long = "k".repeat(256);
    bench.send(pay(&long)).await.is_refused(400, "key-invalid");
    assert_eq!(bench.counting.round_trips(), 0);

    bench.send(pay(&long[..255])).await.is_executed("payment 1");
    let escaped = format!("\"{}\"", r#"\""#.repeat(255));
    bench.send(pay(&escaped)).await.is_executed("payment 2");
}

/// M-05: a key of the wrong format is refused before the store is asked.
#[tokio::test(start_paused = true)]
async fn a_key_of_the_wrong_format_costs_no_look_up() {
    let policy = Policy {
        key_rules: KeyRules {
            format: KeyFormat::Uuid4,
            ..KeyRules::default()
        },
        ..Policy::default()
    };
    let bench = Bench::under(policy, Handler::paying()).await;
    bench
        .send(pay("order-17"))
        .await
        .is_refused(400, "key-invalid");
    assert_eq!(bench.counting.round_trips(), 0);
    let uuid = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
    bench.send(pay(uuid)).await.is_executed("payment 1");
}

/// M-09: a key in the trailers is no key.
#[tokio::test(start_paused = true)]
async fn a_trailer_never_carries_the_key() {
    let trailing = || {
        let mut trailers = HeaderMap::new();
        trailers.insert("idempotency-key", HeaderValue::from_static("order-17"));
        let body = frames(vec![
            Ok(Frame::data("{}".into())),
            Ok(Frame::trailers(trailers)),
        ]);
        Request::post("/payments").body(body).unwrap()
    };
    let bench = Bench::new(Handler::paying()).await;
    for number in 1..=2 {
        let answer = bench.send(trailing()).await;
        assert_eq!(answer.text(), format!("payment {number}"));
        assert_eq!(answer.header("idempotency-status"), None);
    }
    assert_eq!(bench.counting.round_trips(), 0);

    let policy = Policy {
        key: KeyUse::Required,
        ..Policy::default()
    };
    let strict = bench.beside(policy).await;
    strict.send(trailing()).await.is_refused(400, "key-missing");
}

/// M-09: trailers of a keyed request reach the handler; what only we may say does not.
#[tokio::test(start_paused = true)]
async fn trailers_of_a_keyed_request_reach_the_handler() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", HeaderValue::from_static("9"));
    let body = frames(vec![
        Ok(Frame::data("{}".into())),
        Ok(Frame::trailers(trailers.clone())),
    ]);
    let request: Request<Body> = pay("order-17").map(|_| body);
    let bench = Bench::new(Handler::paying()).await;
    bench.send(request).await.is_executed("payment 1");
    assert_eq!(bench.handler.last().trailers, Some(trailers));
}
