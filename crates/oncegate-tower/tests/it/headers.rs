//! Headers: what is replayed, what goes to the upstream, what is ours alone, and CORS.

use http::{HeaderValue, Response};
use oncegate_tower::{Body, Settings};

use crate::handler::{Handler, respond};
use crate::harness::{Bench, Setup, pay, with_header};

fn with_headers(lines: &'static [(&'static str, &'static str)]) -> Handler {
    Handler::answering(move |_| answer_with(lines))
}

fn answer_with(lines: &[(&'static str, &'static str)]) -> Response<Body> {
    let mut answer = respond(201, "paid");
    for (name, value) in lines {
        let value = HeaderValue::from_static(value);
        answer.headers_mut().append(*name, value);
    }
    answer
}

const ALWAYS: [(&str, &str); 10] = [
    ("content-type", "text/plain"),
    ("content-language", "en"),
    ("content-encoding", "identity"),
    ("content-disposition", "inline"),
    ("location", "/payments/1"),
    ("etag", "\"v1\""),
    ("last-modified", "Mon, 02 Nov 2026 10:00:00 GMT"),
    ("link", "</payments>; rel=\"up\""),
    ("cache-control", "no-store"),
    ("vary", "Accept"),
];

const NEVER: [(&str, &str); 16] = [
    ("connection", "close, x-of-this-connection"),
    ("x-of-this-connection", "1"),
    ("keep-alive", "timeout=5"),
    ("set-cookie", "session=secret"),
    ("www-authenticate", "Bearer"),
    ("proxy-authenticate", "Basic"),
    ("proxy-status", "x"),
    ("authentication-info", "x"),
    ("date", "Mon, 02 Nov 2026 10:00:00 GMT"),
    ("age", "3"),
    ("server-timing", "db;dur=5"),
    ("ratelimit", "x"),
    ("ratelimit-policy", "x"),
    ("x-ratelimit-remaining", "9"),
    ("retry-after", "120"),
    ("trailer", "x-checksum"),
];

/// M-13: headers about the content are always replayed, even if `Connection` names them.
#[tokio::test(start_paused = true)]
async fn headers_about_the_content_are_always_replayed() {
    let bench = Bench::new(Handler::answering(|_| {
        let mut answer = answer_with(&ALWAYS);
        let named = HeaderValue::from_static("etag, content-type");
        answer.headers_mut().insert("connection", named);
        answer
    }))
    .await;
    bench.send(pay("k")).await;
    let replay = bench.send(pay("k")).await;
    replay.is_replayed("paid");
    for (name, value) in ALWAYS {
        assert_eq!(replay.header(name), Some(value), "{name}");
    }
}

/// M-13: what belongs to one connection, one moment or one session is seen once, and never replayed.
#[tokio::test(start_paused = true)]
async fn headers_of_one_moment_are_never_replayed() {
    let bench = Bench::new(with_headers(&NEVER)).await;
    let first = bench.send(pay("k")).await;
    first.is_executed("paid");
    assert_eq!(first.header("set-cookie"), Some("session=secret"));
    assert_eq!(first.header("retry-after"), Some("120"));
    let replay = bench.send(pay("k")).await;
    replay.is_replayed("paid");
    for (name, _) in NEVER {
        assert_eq!(replay.header(name), None, "{name}");
    }
}

/// M-13: all other end-to-end headers are replayed, each of their lines.
#[tokio::test(start_paused = true)]
async fn other_headers_are_replayed_line_by_line() {
    let bench = Bench::new(with_headers(&[
        ("x-receipt", "one"),
        ("x-receipt", "two"),
        ("request-id", "r-1"),
    ]))
    .await;
    bench.send(pay("k")).await;
    let replay = bench.send(pay("k")).await;
    let receipts: Vec<_> = replay.parts.headers.get_all("x-receipt").iter().collect();
    assert_eq!(receipts, ["one", "two"]);
    assert_eq!(replay.header("request-id"), Some("r-1"));
}

/// M-13: the length of a replay is computed from its body; the original's header is not repeated.
#[tokio::test(start_paused = true)]
async fn content_length_is_computed_anew() {
    let bench = Bench::new(with_headers(&[("content-length", "4")])).await;
    bench.send(pay("k")).await.is_executed("paid");
    let replay = bench.send(pay("k")).await;
    replay.is_replayed("paid");
    assert_eq!(replay.header("content-length"), None);
    assert_eq!(replay.announced, Some(4));
}

/// M-13: the upstream gets the key and a fence, and nothing by which a retry could not read the stored answer.
#[tokio::test(start_paused = true)]
async fn the_upstream_sees_the_key_and_the_fence_but_no_range_or_encoding() {
    let bench = Bench::new(Handler::paying()).await;
    let mut request = pay("k");
    for (name, value) in [
        ("accept-encoding", "br"),
        ("range", "bytes=0-1"),
        ("accept", "application/json"),
    ] {
        request = with_header(request, name, value);
    }
    let first = bench.send(request).await;
    let seen = bench.handler.last();
    assert_eq!(seen.header("idempotency-key"), Some("k"));
    assert_eq!(seen.header("accept"), Some("application/json"));
    for name in ["accept-encoding", "range", "transfer-encoding"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    let fence = seen.header("idempotency-fence").unwrap();
    assert_eq!(first.parameter("fence"), Some(&*format!("\"{fence}\"")));
}

/// M-13: the caller's `Connection` goes no further. It named headers that a proxy behind us then took away: the key,
/// the credential, the content type by which the request had been judged.
#[tokio::test(start_paused = true)]
async fn nothing_that_a_request_was_judged_by_can_be_named_away() {
    let bench = Bench::new(Handler::paying()).await;
    let named = "idempotency-key, authorization, idempotency-fence";
    let request = with_header(pay("k"), "authorization", "Bearer alice");
    let request = with_header(request, "connection", named);
    let request = with_header(request, "connection", "content-type");
    bench.send(request).await.is_executed("payment 1");
    let seen = bench.handler.last();
    assert_eq!(seen.header("connection"), None);
    assert_eq!(seen.header("idempotency-key"), Some("k"));
    assert_eq!(seen.header("authorization"), Some("Bearer alice"));
    for name in ["idempotency-fence", "content-type"] {
        assert!(seen.header(name).is_some(), "{name}");
    }
}

/// M-13: what only we may say is removed from every request, keyed or not, safe or not.
#[tokio::test(start_paused = true)]
async fn callers_cannot_speak_for_us() {
    let bench = Bench::new(Handler::paying()).await;
    let names = [
        "idempotency-fence",
        "idempotency-status",
        "idempotency-outcome",
        "idempotent-replayed",
    ];
    let forged = |mut request| {
        for name in names {
            request = with_header(request, name, "7");
        }
        request
    };
    let mut get = forged(pay("get"));
    *get.method_mut() = http::Method::GET;
    for request in [get, forged(crate::harness::unkeyed()), forged(pay("k"))] {
        bench.send(request).await;
        let seen = bench.handler.last();
        for name in &names[1..] {
            assert_eq!(seen.header(name), None, "{name}");
        }
        assert_ne!(seen.header("idempotency-fence"), Some("7"));
    }
}

const CORS: &[(&str, &str)] = &[
    ("access-control-allow-origin", "https://shop.example"),
    ("access-control-expose-headers", "x-receipt"),
    ("x-receipt", "r-1"),
];

/// M-13: CORS headers are replayed to the origin that they were made for, and to no other.
#[tokio::test(start_paused = true)]
async fn cors_headers_are_replayed_to_their_own_origin() {
    let bench = Bench::new(with_headers(CORS)).await;
    let from = |origin| with_header(pay("k"), "origin", origin);
    bench.send(from("https://shop.example")).await;
    let same = bench.send(from("https://shop.example")).await;
    assert_eq!(same.became(), "replayed");
    let allowed = same.header("access-control-allow-origin");
    assert_eq!(allowed, Some("https://shop.example"));

    for other in [from("https://evil.example"), pay("k")] {
        let replay = bench.send(other).await;
        replay.is_replayed("paid");
        assert_eq!(replay.header("access-control-allow-origin"), None);
        assert_eq!(replay.header("access-control-expose-headers"), None);
        assert_eq!(replay.header("x-receipt"), Some("r-1"));
    }
}

/// M-13: an `Origin` of absurd length does not make the stored answer unreadable. Its length was stored in two bytes,
/// and was cut off: each retry was refused for as long as the record lived.
#[tokio::test(start_paused = true)]
async fn an_origin_of_absurd_length_does_not_make_the_replay_unreadable() {
    let bench = Bench::new(with_headers(CORS)).await;
    let from = |length| with_header(pay("k"), "origin", &"x".repeat(length));
    bench.send(from(70_000)).await.is_executed("paid");
    for other in [from(70_000), from(4_464), pay("k")] {
        let replay = bench.send(other).await;
        replay.is_replayed("paid");
        assert_eq!(replay.header("x-receipt"), Some("r-1"));
    }
    let other = bench.send(from(4_464)).await;
    assert_eq!(other.header("access-control-allow-origin"), None);
}

/// M-13: a CORS answer for everybody is replayed to everybody.
#[tokio::test(start_paused = true)]
async fn cors_headers_for_everybody_are_replayed_to_everybody() {
    let bench = Bench::new(with_headers(&[("access-control-allow-origin", "*")])).await;
    bench.send(pay("k")).await;
    let other = with_header(pay("k"), "origin", "https://shop.example");
    let replay = bench.send(other).await;
    assert_eq!(replay.header("access-control-allow-origin"), Some("*"));
}

/// M-13: our refusals can be read by pages of the configured origins, and by no others.
#[tokio::test(start_paused = true)]
async fn refusals_carry_cors_headers_for_the_configured_origins() {
    let mut settings = Settings::default();
    settings.cors_origins = vec![HeaderValue::from_static("https://shop.example")];
    let setup = Setup {
        settings,
        ..Setup::default()
    };
    let bench = setup.bench(Handler::paying()).await;
    let refused = |origin| with_header(pay("\"broken"), "origin", origin);
    let shop = bench.send(refused("https://shop.example")).await;
    shop.is_refused(400, "key-invalid");
    let allowed = shop.header("access-control-allow-origin");
    assert_eq!(allowed, Some("https://shop.example"));
    let exposed = shop.header("access-control-expose-headers").unwrap();
    assert!(exposed.contains("Idempotency-Status") && exposed.contains("Retry-After"));
    assert_eq!(shop.header("vary"), Some("Origin"));

    let other = bench.send(refused("https://evil.example")).await;
    other.is_refused(400, "key-invalid");
    assert_eq!(other.header("access-control-allow-origin"), None);
}
