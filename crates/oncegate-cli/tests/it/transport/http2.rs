//! What is said about a request over HTTP/2, frame by frame.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use oncegate_cli::proxy::{Forward, ForwardBodyError, ForwardSettings, ServerSettings};
use oncegate_tower::Failure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::support::{
    Origin, Proxy, Wire, collect, failure, forward, keyed, post, response, send, text, within,
};

const YOUNG: Duration = Duration::from_secs(60);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;

const STREAM_MAX: u32 = (1 << 31) - 1;

/// `:status: 200` in HPACK's static table.
const STATUS_200: &[u8] = &[0x88];
/// `:method: GET`, `:scheme: http`, `:path: /`, `:authority: h`.
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 0x01, b'h'];

/// HTTP/2 in raw frames.
struct Frames(Wire);

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frames {
    async fn accept(origin: &Origin) -> Self {
        let mut wire = origin.accept().await;
        assert_eq!(
            wire.read_exact(24).await,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        );
        let mut frames = Self(wire);
        frames.write(SETTINGS, 0, 0, &[]).await;
        frames
    }

    async fn connect(proxy: &Proxy) -> Self {
        let mut wire = proxy.connect().await;
        wire.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        let mut frames = Self(wire);
        frames.write(SETTINGS, 0, 0, &[]).await;
        frames
    }

    async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.0.write(frame).await;
    }

    async fn write_code(&mut self, kind: u8, stream: u32, code: u32) {
        self.write(kind, 0, stream, &code.to_be_bytes()).await;
    }

    async fn go_away(&mut self, last_stream: u32, code: u32) {
        let payload = [last_stream.to_be_bytes(), code.to_be_bytes()].concat();
        self.write(GOAWAY, 0, 0, &payload).await;
    }

    /// The next frame, or nothing at the end of the connection.
    async fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        within(self.0.0.read_exact(&mut head)).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        within(self.0.0.read_exact(&mut payload)).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream,
            payload,
        })
    }

    /// The stream of the next whole request.
    async fn read_request(&mut self) -> u32 {
        loop {
            let frame = self.read().await.unwrap();
            let carries = frame.kind == HEADERS || frame.kind == DATA;
            if carries && frame.flags & END_STREAM != 0 {
                return frame.stream;
            }
        }
    }

    async fn answer(&mut self, stream: u32) {
        self.write(HEADERS, END_HEADERS, stream, STATUS_200).await;
        self.write(DATA, END_STREAM, stream, b"ok").await;
    }
}

/// A client's request goes through both sides; then the connection is idle, and is closed with a farewell. The
/// stream ends in a task of its own, which has to tell the connection's.
#[tokio::test]
async fn an_http2_client_without_requests_is_closed_after_idle_timeout() {
    let origin = Origin::bind().await;
    let idle_timeout = Duration::from_millis(20);
    let settings = ServerSettings {
        idle_timeout,
        ..ServerSettings::default()
    };
    let proxy = Proxy::start(&origin, settings).await;
    let mut client = Frames::connect(&proxy).await;
    client
        .write(HEADERS, END_HEADERS | END_STREAM, 1, GET)
        .await;
    let mut wire = origin.accept().await;
    let head = wire.read_head().await;
    assert!(head.starts_with("GET / HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nhost: h\r\n"), "{head}");
    assert!(head.contains("\r\nvia: 2 oncegate\r\n"), "{head}");
    wire.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    let mut kinds = Vec::new();
    while let Some(frame) = client.read().await {
        // The farewell begins with a ping, to let requests arrive that are on their way.
        if frame.kind == PING && frame.flags == 0 {
            client.write(PING, ACK, 0, &frame.payload).await;
        }
        kinds.push(frame.kind);
    }
    assert!(
        kinds.contains(&HEADERS) && kinds.contains(&GOAWAY),
        "{kinds:?}"
    );
}

fn h2c(origin: &Origin) -> Forward {
    forward(
        &format!("h2c://{}", origin.address()),
        ForwardSettings::default(),
    )
}

#[tokio::test]
async fn requests_share_one_connection() {
    let origin = Origin::bind().await;
    let forward = h2c(&origin);
    let answers = [
        send(&forward, post("/", "abc")),
        send(&forward, keyed(YOUNG)),
    ];
    let mut frames = Frames::accept(&origin).await;
    let streams = [frames.read_request().await, frames.read_request().await];
    for stream in streams {
        frames.answer(stream).await;
    }
    for answer in answers {
        assert_eq!(text(answer).await, "ok");
    }
    let third = send(&forward, keyed(YOUNG));
    let stream = frames.read_request().await;
    frames.answer(stream).await;
    assert_eq!(text(third).await, "ok");
}

#[tokio::test]
async fn a_refused_connection_is_not_sent() {
    let forward = h2c(&Origin::bind().await);
    assert_eq!(
        failure(send(&forward, keyed(YOUNG))).await,
        Some(Failure::NotSent)
    );
}

#[tokio::test]
async fn a_refused_stream_is_not_sent_and_any_other_reset_is_broken() {
    for (code, expected) in [
        (REFUSED_STREAM, Failure::NotSent),
        (NO_ERROR, Failure::Broken),
        (INTERNAL_ERROR, Failure::Broken),
        (CANCEL, Failure::Broken),
    ] {
        let origin = Origin::bind().await;
        let answer = send(&h2c(&origin), keyed(YOUNG));
        let mut frames = Frames::accept(&origin).await;
        let stream = frames.read_request().await;
        frames.write_code(RST_STREAM, stream, code).await;
        assert_eq!(failure(answer).await, Some(expected), "code {code}");
    }
}

#[tokio::test]
async fn a_goaway_below_the_stream_is_not_sent_and_one_at_or_above_it_proves_nothing() {
    for (last_stream, code, expected) in [
        (0, NO_ERROR, Failure::NotSent),
        (0, INTERNAL_ERROR, Failure::NotSent),
        (1, NO_ERROR, Failure::Broken),
        (1, INTERNAL_ERROR, Failure::Broken),
        (STREAM_MAX, NO_ERROR, Failure::Broken),
    ] {
        let origin = Origin::bind().await;
        let answer = send(&h2c(&origin), keyed(YOUNG));
        let mut frames = Frames::accept(&origin).await;
        assert_eq!(frames.read_request().await, 1);
        frames.go_away(last_stream, code).await;
        drop(frames);
        assert_eq!(
            failure(answer).await,
            Some(expected),
            "last {last_stream}, code {code}"
        );
    }
}

#[tokio::test]
async fn an_end_without_goaway_is_broken() {
    let origin = Origin::bind().await;
    let answer = send(&h2c(&origin), keyed(YOUNG));
    let mut frames = Frames::accept(&origin).await;
    frames.read_request().await;
    drop(frames);
    assert_eq!(failure(answer).await, Some(Failure::Broken));
}

#[tokio::test]
async fn an_upstream_that_speaks_something_else_is_broken() {
    let origin = Origin::bind().await;
    let answer = send(&h2c(&origin), keyed(YOUNG));
    let mut wire = origin.accept().await;
    wire.read_exact(24).await;
    wire.write("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    assert_eq!(failure(answer).await, Some(Failure::Broken));
}

#[tokio::test]
async fn after_a_goaway_the_next_request_dials_again() {
    let origin = Origin::bind().await;
    let forward = h2c(&origin);
    let first = send(&forward, keyed(YOUNG));
    let mut frames = Frames::accept(&origin).await;
    let stream = frames.read_request().await;
    frames.go_away(stream, NO_ERROR).await;
    frames.answer(stream).await;
    assert_eq!(text(first).await, "ok");
    let second = send(&forward, keyed(YOUNG));
    let mut frames = Frames::accept(&origin).await;
    let stream = frames.read_request().await;
    frames.answer(stream).await;
    assert_eq!(text(second).await, "ok");
}

#[tokio::test]
async fn a_keyed_request_dials_again_when_the_connection_was_idle_for_longer_than_it_allows() {
    let origin = Origin::bind().await;
    let forward = h2c(&origin);
    let first = send(&forward, keyed(YOUNG));
    let mut old = Frames::accept(&origin).await;
    let stream = old.read_request().await;
    old.answer(stream).await;
    assert_eq!(text(first).await, "ok");
    let second = send(&forward, keyed(Duration::ZERO));
    let mut fresh = Frames::accept(&origin).await;
    let stream = fresh.read_request().await;
    // Not idle now: even the most particular request may share it.
    let third = send(&forward, keyed(Duration::ZERO));
    let other = fresh.read_request().await;
    fresh.answer(stream).await;
    fresh.answer(other).await;
    assert_eq!(text(second).await, "ok");
    assert_eq!(text(third).await, "ok");
}

/// M-31. hyper ends a body cleanly when its stream is reset or disowned with NO_ERROR, complete or not.
#[tokio::test]
async fn a_body_that_ends_without_end_stream_is_an_error_whatever_the_code() {
    for code in [NO_ERROR, CANCEL, INTERNAL_ERROR, REFUSED_STREAM] {
        for by_goaway in [false, true] {
            let origin = Origin::bind().await;
            let answer = send(&h2c(&origin), keyed(YOUNG));
            let mut frames = Frames::accept(&origin).await;
            let stream = frames.read_request().await;
            frames.write(HEADERS, END_HEADERS, stream, STATUS_200).await;
            frames.write(DATA, 0, stream, b"half").await;
            let mut response = response(answer).await;
            let frame = within(response.body_mut().frame()).await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), Bytes::from_static(b"half"));
            if by_goaway {
                frames.go_away(0, code).await;
            } else {
                frames.write_code(RST_STREAM, stream, code).await;
            }
            let error = collect(response).await.unwrap_err();
            let truncated = matches!(error, ForwardBodyError::Truncated);
            assert_eq!(
                truncated,
                code == NO_ERROR,
                "code {code}, goaway {by_goaway}: {error:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_is_an_error() {
    let origin = Origin::bind().await;
    let answer = send(&h2c(&origin), keyed(YOUNG));
    let mut frames = Frames::accept(&origin).await;
    let stream = frames.read_request().await;
    frames.write(HEADERS, END_HEADERS, stream, STATUS_200).await;
    let response = response(answer).await;
    frames.go_away(stream, NO_ERROR).await;
    drop(frames);
    collect(response).await.unwrap_err();
}

/// A graceful GOAWAY and the end of the connection cross a request, on many threads, again and again. Two stories:
///
/// h2 keeps a GOAWAY as the connection's error and reports it to whoever asks next, also for a request that it
/// queued a moment ago and whose stream the GOAWAY allows. With hyper's dispatcher and h2's connection in two
/// tasks, a GOAWAY between two calls made "not sent" of a request that had reached the upstream (seen within 15,000
/// rounds); so both run in one task.
///
/// A request that enters hyper's queue while hyper drops the queue's other end is neither sent nor handed back
/// while anybody holds a sender: such a request hung until `head_timeout`, which is ten minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_that_reached_the_upstream_is_ever_called_not_sent() {
    for round in 0..ROUNDS {
        let origin = Origin::bind().await;
        let forward = h2c(&origin);
        let first = send(&forward, keyed(YOUNG));
        let mut frames = Frames::accept(&origin).await;
        let stream = frames.read_request().await;
        frames.answer(stream).await;
        assert_eq!(text(first).await, "ok");

        let answer = send(&forward, keyed(YOUNG));
        // Nagle holds the farewell back until the request's first packet acknowledges the answer: they cross.
        frames.0.0.set_nodelay(round % 2 == 0).unwrap();
        frames.go_away(STREAM_MAX, NO_ERROR).await;
        // No more from us, so that the request ends; but whatever the proxy has sent is still read.
        within(frames.0.0.shutdown()).await.unwrap();
        let mut reached = 0;
        while let Some(frame) = frames.read().await {
            reached += usize::from(frame.kind == HEADERS);
        }
        drop((frames, origin));
        let said = failure(answer).await;
        assert!(
            said != Some(Failure::NotSent) || reached == 0,
            "round {round}: {said:?}"
        );
    }
}

const ROUNDS: u32 = 400;
