//! Answers that two parsers could read in two ways: no request ever gets what was smuggled in behind another's answer.
//!
//! One client's connection, so that requests follow each other: after each odd answer comes an ordinary request. It
//! must be answered by the origin's answer to *it*, whatever lay on the wire before.

use std::time::Duration;

use oncegate_cli::proxy::{ForwardSettings, PoolSettings, ServerSettings};
use oncegate_tower::Failure;

use super::support::{Origin, Proxy, collect, failure, post, response, send, text};

const GHOST: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nghost";

/// Heads, and what of each is an answer: its body, or none.
const ODD: &[(&str, &str, Option<&str>)] = &[
    (
        "a length beside chunks",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Some("abc"),
    ),
    (
        "chunks beside a length",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Some("abc"),
    ),
    (
        "differing lengths",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 40\r\n\r\nabc",
        None,
    ),
    (
        "a list of differing lengths",
        "HTTP/1.1 200 OK\r\ncontent-length: 3, 40\r\n\r\nabc",
        None,
    ),
    (
        "a signed length",
        "HTTP/1.1 200 OK\r\ncontent-length: +3\r\n\r\nabc",
        None,
    ),
    (
        "a length beyond all numbers",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nabc",
        None,
    ),
    (
        "equal lengths",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\nabc",
        Some("abc"),
    ),
    (
        "a NUL in a value",
        "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 3\r\n\r\nabc",
        None,
    ),
    (
        "a bare CR in a value",
        "HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 3\r\n\r\nabc",
        None,
    ),
    (
        "a folded line",
        "HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 3\r\n\r\nabc",
        None,
    ),
    (
        "a space before a colon",
        "HTTP/1.1 200 OK\r\ncontent-length : 3\r\n\r\nabc",
        None,
    ),
    (
        "a chunk without its end",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        None,
    ),
    (
        "204 with a body",
        "HTTP/1.1 204 No Content\r\ncontent-length: 3\r\n\r\nabc",
        Some(""),
    ),
    (
        "304 with a body",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 3\r\n\r\nabc",
        Some(""),
    ),
];

#[tokio::test]
async fn an_answer_that_is_framed_oddly_is_no_answer_or_the_only_one_on_its_connection() {
    for (name, odd, body) in ODD {
        let origin = Origin::bind().await;
        let forward = origin.forward();
        let answer = send(&forward, post("/odd", "abc"));
        let mut wire = origin.accept().await;
        wire.read_head().await;
        wire.read_exact(3).await;
        // Of an answer that is framed twice nothing has to lie behind it.
        let ghost = if name.contains("beside") { "" } else { GHOST };
        wire.write(format!("{odd}{ghost}")).await;
        let response = response(answer).await;
        let failed = response.extensions().get::<Failure>().is_some();
        let seen = match collect(response).await {
            Ok(whole) if !failed => Some(whole.to_bytes()),
            Ok(_) | Err(_) => None,
        };
        assert_eq!(seen.as_deref(), body.map(str::as_bytes), "{name}");
        // The connection is not used again: the next request comes on a new one.
        let next = send(&forward, post("/next", "abc"));
        let mut fresh = origin.accept().await;
        assert!(fresh.read_head().await.starts_with("POST /next "), "{name}");
        fresh
            .write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntrue")
            .await;
        assert_eq!(text(next).await, "true", "{name}");
    }
}

/// M-15: however many 1xx come, the answer is the one behind them; if none comes, time ends it.
#[tokio::test]
async fn a_flood_of_1xx_is_no_answer_and_ends_in_time() {
    let origin = Origin::bind().await;
    let flood = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(1_000);
    let forward = origin.forward();
    let answer = send(&forward, post("/", "abc"));
    let mut wire = origin.accept().await;
    wire.read_head().await;
    wire.read_exact(3).await;
    wire.write(&flood).await;
    wire.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        .await;
    assert_eq!(text(answer).await, "ok");

    let settings = ForwardSettings {
        pool: PoolSettings {
            head_timeout: Duration::from_millis(200),
            ..PoolSettings::default()
        },
        ..ForwardSettings::default()
    };
    let answer = send(&origin.forward_with(settings), post("/", "abc"));
    let mut wire = origin.accept().await;
    wire.read_head().await;
    let endless = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        while wire.0.write_all(flood.as_bytes()).await.is_ok() {}
    });
    assert_eq!(failure(answer).await, Some(Failure::TimedOut));
    endless.await.unwrap();
}

/// The same through both hops, for clients that share a connection.
#[tokio::test]
async fn a_ghost_behind_an_answer_is_never_the_answer_to_the_next_request() {
    let origin = Origin::bind().await;
    let proxy = Proxy::start(&origin, ServerSettings::default()).await;
    let mut client = proxy.connect().await;
    client.write("GET /odd HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let mut wire = origin.accept().await;
    wire.read_head().await;
    wire.write(format!("HTTP/1.1 204 No Content\r\n\r\n{GHOST}"))
        .await;
    assert!(client.read_head().await.starts_with("HTTP/1.1 204 "));
    client.write("GET /next HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let mut fresh = origin.accept().await;
    assert!(fresh.read_head().await.starts_with("GET /next "));
    fresh
        .write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntrue")
        .await;
    assert!(client.read_head().await.starts_with("HTTP/1.1 200 "));
    assert_eq!(client.read_exact(4).await, b"true");
}
