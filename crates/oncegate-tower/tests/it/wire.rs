//! A real connection each: what a hang-up does, and what stands on the wire.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use oncegate::Policy;
use oncegate::record::Phase;
use oncegate::testing::{Fault, StoreMethod};
use oncegate_tower::Body;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::timeout;
use tower_service::Service;

use crate::handler::{Feed, Handler, frames, paid};
use crate::harness::{Bench, PAYMENT, pay};

/// Turns a hang into a failure; nothing is expected to take this long.
const GUARD: Duration = Duration::from_secs(20);

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(GUARD, future).await.expect("hangs")
}

/// One connection of a server around the bench's service, in HTTP/1 or HTTP/2.
struct Server {
    address: SocketAddr,
    connection: JoinHandle<()>,
    /// Told when the server drops the service's answer, finished or not.
    gone: Arc<Notify>,
}

struct TellWhenDropped(Arc<Notify>);

impl Drop for TellWhenDropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

async fn serve(bench: &Bench, http2: bool) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let gone = Arc::new(Notify::new());
    let (service, tell) = (bench.service.clone(), Arc::clone(&gone));
    let answer = service_fn(move |request: Request<Incoming>| {
        let mut service = service.clone();
        let tell = TellWhenDropped(Arc::clone(&tell));
        async move {
            let answer = Service::call(&mut service, request).await;
            drop(tell);
            answer
        }
    });
    let connection = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let io = TokioIo::new(stream);
        // How a connection ends is the caller's affair here.
        if http2 {
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            drop(server.serve_connection(io, answer).await);
        } else {
            let server = hyper::server::conn::http1::Builder::new();
            drop(server.serve_connection(io, answer).await);
        }
    });
    Server {
        address,
        connection,
        gone,
    }
}

fn head(length: usize) -> String {
    format!(
        "POST /payments HTTP/1.1\r\nhost: localhost\r\nidempotency-key: k\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// The bytes of the answer to a payment on a connection of its own, up to where the server is done with it.
async fn payment_on_the_wire(bench: &Bench) -> String {
    let server = serve(bench, false).await;
    let mut wire = TcpStream::connect(server.address).await.unwrap();
    let request = head(PAYMENT.len()) + PAYMENT;
    let closing = request.replacen("host:", "connection: close\r\nhost:", 1);
    wire.write_all(closing.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    within(wire.read_to_end(&mut bytes)).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

async fn until(bench: &Bench, phase: Phase) {
    within(async {
        while bench.phase("k").await != Some(phase) {
            yield_now().await;
        }
    })
    .await;
}

/// M-24: a caller that closes its HTTP/1 connection after its body cancels nothing; the outcome is kept.
#[tokio::test]
async fn an_http_1_close_after_the_body_cancels_nothing() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::new(handler).await;
    let server = serve(&bench, false).await;
    let mut wire = TcpStream::connect(server.address).await.unwrap();
    let request = head(PAYMENT.len()) + PAYMENT;
    wire.write_all(request.as_bytes()).await.unwrap();
    within(gate.entered()).await;
    drop(wire);
    within(server.gone.notified()).await;
    within(server.connection).await.unwrap();
    gate.open();
    until(&bench, Phase::Completed).await;
    bench.send(pay("k")).await.is_replayed("payment 1");
    assert_eq!(bench.handler.calls(), 1);
}

/// M-24: a caller that resets its HTTP/2 stream after its body cancels nothing; the outcome is kept.
#[tokio::test]
async fn an_http_2_reset_after_the_body_cancels_nothing() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::new(handler).await;
    let server = serve(&bench, true).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let client = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = client.await.unwrap();
    let client = tokio::spawn(connection);
    let request = Request::post("http://localhost/payments")
        .header("idempotency-key", "k")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(PAYMENT)))
        .unwrap();
    let answer = tokio::spawn(sender.send_request(request));
    within(gate.entered()).await;
    answer.abort();
    within(server.gone.notified()).await;
    gate.open();
    until(&bench, Phase::Completed).await;
    assert_eq!(bench.handler.calls(), 1);
    let mut through_http_2 = pay("k");
    *through_http_2.uri_mut() = "http://localhost/payments".parse().unwrap();
    bench.send(through_http_2).await.is_replayed("payment 1");
    client.abort();
}

/// M-24: a caller that closes in mid-upload leaves no trace.
#[tokio::test]
async fn an_http_1_close_in_mid_upload_leaves_no_trace() {
    let bench = Bench::new(Handler::paying()).await;
    let server = serve(&bench, false).await;
    let mut wire = TcpStream::connect(server.address).await.unwrap();
    let half = head(PAYMENT.len()) + &PAYMENT[..10];
    wire.write_all(half.as_bytes()).await.unwrap();
    drop(wire);
    within(server.connection).await.unwrap();
    assert_eq!(bench.handler.calls(), 0);
    assert_eq!(bench.phase("k").await, None);
    assert_eq!(bench.counting.take_round_trips(), 1, "the look above");
}

/// M-13: the length of a replay stands on the wire as its body has it; 204 has none.
#[tokio::test]
async fn a_replay_on_the_wire_has_the_length_of_its_body() {
    let bench = Bench::new(Handler::paying()).await;
    payment_on_the_wire(&bench).await;
    let replay = payment_on_the_wire(&bench).await;
    assert!(replay.starts_with("HTTP/1.1 201 Created\r\n"), "{replay}");
    assert!(replay.contains("idempotent-replayed: true\r\n"));
    assert!(replay.contains("content-length: 9\r\n"));
    assert!(replay.ends_with("\r\n\r\npayment 1"));

    let bench = Bench::new(Handler::with_status(204)).await;
    for _ in 0..2 {
        let answer = payment_on_the_wire(&bench).await;
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
        assert!(!answer.contains("content-length"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"));
    }
}

/// How the wire learns where a long answer ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Length {
    /// By the last chunk.
    Chunked,
    /// The body knows its length.
    OfTheBody,
    /// A header says it, and the body does not know.
    InTheHeader,
}

/// M-40: an answer that cannot be recorded is never ended cleanly on the wire: there is no last chunk, or a part of
/// the announced length is missing. All but the last piece arrives before that.
#[tokio::test]
async fn an_answer_that_cannot_be_recorded_is_left_unfinished_on_the_wire() {
    for length in [Length::Chunked, Length::OfTheBody, Length::InTheHeader] {
        let (feed, body) = Feed::new();
        let body = Arc::new(parking_lot::Mutex::new(Some(body)));
        let handler = Handler::answering(move |_| {
            let body = body.lock().take().unwrap();
            let mut response = Response::new(match length {
                Length::OfTheBody => Body::foreign(Announced(body, 4_000)),
                Length::Chunked | Length::InTheHeader => body,
            });
            if length == Length::InTheHeader {
                let length = HeaderValue::from_static("4000");
                response.headers_mut().insert("content-length", length);
            }
            response
        });
        let policy = Policy {
            response_bytes_max: 100,
            ..Policy::default()
        };
        let bench = Bench::under(policy, handler).await;
        let corrupt = Fault::FailBefore(oncegate::StoreErrorKind::Corrupt);
        bench.faulty.plan(StoreMethod::Update, 1, corrupt);

        let server = serve(&bench, false).await;
        let mut wire = TcpStream::connect(server.address).await.unwrap();
        let request = head(PAYMENT.len()) + PAYMENT;
        wire.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        for pieces in 1..=3 {
            feed.data("#".repeat(1_000));
            while text.matches('#').count() < pieces * 1_000 {
                text.push_str(&within(read_some(&mut wire)).await);
            }
        }
        assert!(text.contains("kept=?0"), "{length:?} {text}");
        feed.data("#".repeat(1_000));
        feed.ended();
        let mut rest = Vec::new();
        // A reset is as good as a close here.
        drop(within(wire.read_to_end(&mut rest)).await);
        text.push_str(std::str::from_utf8(&rest).unwrap());
        let whole = text.ends_with("\r\n0\r\n\r\n");
        assert!(!whole, "{length:?} ended cleanly");
        if length != Length::Chunked {
            assert_eq!(text.matches('#').count(), 3_000, "{length:?}");
        }
    }
}

async fn read_some(wire: &mut TcpStream) -> String {
    let mut buffer = [0; 4_096];
    let read = wire.read(&mut buffer).await.unwrap();
    assert_ne!(read, 0, "the server closed");
    String::from_utf8(buffer[..read].to_vec()).unwrap()
}

/// A body that says how long it is, as one of a server does that has a `Content-Length`.
struct Announced(Body, u64);

impl http_body::Body for Announced {
    type Data = Bytes;
    type Error = oncegate_tower::BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = std::pin::Pin::new(&mut self.0).poll_frame(cx);
        if let std::task::Poll::Ready(Some(Ok(frame))) = &polled {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            self.1 -= length;
        }
        polled
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.1)
    }
}

/// M-11: trailers stand behind a replay on the wire as they stood behind the first answer.
#[tokio::test]
async fn a_replay_on_the_wire_has_its_trailers() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", HeaderValue::from_static("9"));
    let handler = Handler::answering(move |_| {
        let trailers = Ok(Frame::trailers(trailers.clone()));
        let mut response = paid(1);
        *response.body_mut() = frames(vec![Ok(Frame::data("body".into())), trailers]);
        let announced = HeaderValue::from_static("x-checksum");
        response.headers_mut().insert("trailer", announced);
        response
    });
    let bench = Bench::new(handler).await;
    let server = serve(&bench, true).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let client = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = client.await.unwrap();
    let client = tokio::spawn(connection);
    for became in ["executed", "replayed"] {
        let request = Request::post("http://localhost/payments")
            .header("idempotency-key", "k")
            .body(Full::new(Bytes::from(PAYMENT)))
            .unwrap();
        let answer = within(sender.send_request(request)).await.unwrap();
        let status = answer.headers()["idempotency-status"].to_str().unwrap();
        assert!(status.starts_with(became), "{status}");
        let collected = http_body_util::BodyExt::collect(answer.into_body());
        let collected = within(collected).await.unwrap();
        assert_eq!(collected.trailers().unwrap()["x-checksum"], "9");
        assert_eq!(collected.to_bytes(), "body");
    }
    client.abort();
}
