//! What is said about a request, by what became of its connection (HTTP/1.1).

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body::Frame;
use oncegate_cli::proxy::{ForwardBodyError, ForwardSettings, PoolSettings};
use oncegate_tower::Failure;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::support::{
    Origin, collect, failure, fed_body, forward, keyed, post, response, send, text,
};

const SHORT: Duration = Duration::from_millis(50);
const YOUNG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_refused_connection_is_not_sent() {
    let forward = Origin::bind().await.forward();
    assert_eq!(
        failure(send(&forward, keyed(YOUNG))).await,
        Some(Failure::NotSent)
    );
    assert_eq!(
        failure(send(&forward, post("/", "abc"))).await,
        Some(Failure::NotSent)
    );
}

/// A listener whose queue is full does not answer: the kernel drops what knocks.
#[tokio::test]
async fn a_connection_that_is_not_there_in_time_is_not_sent() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(connected) = timeout(SHORT, TcpStream::connect(address)).await {
        queued.push(connected.unwrap());
        assert!(queued.len() < 16, "the queue has no end");
    }
    let pool = PoolSettings {
        connect_timeout: SHORT,
        ..PoolSettings::default()
    };
    let settings = ForwardSettings {
        pool,
        ..ForwardSettings::default()
    };
    for scheme in ["http", "h2c"] {
        let forward = forward(&format!("{scheme}://{address}"), settings.clone());
        assert_eq!(
            failure(send(&forward, keyed(YOUNG))).await,
            Some(Failure::NotSent)
        );
    }
}

/// The bytes lie in the origin's kernel: that they were never read is nothing we can know.
#[tokio::test]
async fn closing_without_reading_what_had_arrived_is_broken() {
    let origin = Origin::bind().await;
    let answer = send(&origin.forward(), keyed(YOUNG));
    let wire = origin.accept().await;
    wire.0.readable().await.unwrap();
    drop(wire);
    assert_eq!(failure(answer).await, Some(Failure::Broken));
}

#[tokio::test]
async fn closing_after_the_request_was_read_is_broken() {
    let origin = Origin::bind().await;
    let answer = send(&origin.forward(), keyed(YOUNG));
    let mut wire = origin.accept().await;
    let head = wire.read_head().await;
    assert!(head.starts_with("POST /keyed HTTP/1.1\r\n"), "{head}");
    assert_eq!(wire.read_exact(3).await, b"abc");
    drop(wire);
    assert_eq!(failure(answer).await, Some(Failure::Broken));
}

#[tokio::test]
async fn a_reset_after_the_request_was_read_is_broken() {
    let origin = Origin::bind().await;
    let answer = send(&origin.forward(), keyed(YOUNG));
    let mut wire = origin.accept().await;
    wire.read_head().await;
    wire.reset();
    assert_eq!(failure(answer).await, Some(Failure::Broken));
}

#[tokio::test]
async fn closing_in_mid_request_is_broken() {
    let origin = Origin::bind().await;
    let (frames, body) = fed_body();
    let answer = send(&origin.forward(), Request::post("/").body(body).unwrap());
    let mut wire = origin.accept().await;
    wire.read_head().await;
    drop(wire);
    drop(frames.send(Ok(Frame::data(Bytes::from_static(b"never read")))));
    assert_eq!(failure(answer).await, Some(Failure::Broken));
}

#[tokio::test]
async fn a_client_that_breaks_off_in_mid_request_is_broken_for_the_upstream() {
    let origin = Origin::bind().await;
    let (frames, body) = fed_body();
    let answer = send(&origin.forward(), Request::post("/").body(body).unwrap());
    let mut wire = origin.accept().await;
    wire.read_head().await;
    frames.send(Err("client went away".into())).unwrap();
    assert_eq!(failure(answer).await, Some(Failure::Broken));
    assert!(
        !wire.read_to_end().await.unwrap().ends_with("0\r\n\r\n"),
        "looks whole"
    );
}

#[tokio::test]
async fn garbage_half_a_head_and_an_invalid_length_are_broken() {
    for bytes in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-le",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        let origin = Origin::bind().await;
        let answer = send(&origin.forward(), keyed(YOUNG));
        let mut wire = origin.accept().await;
        wire.read_head().await;
        wire.read_exact(3).await;
        wire.write(bytes).await;
        drop(wire);
        assert_eq!(failure(answer).await, Some(Failure::Broken), "{bytes}");
    }
}

#[tokio::test]
async fn a_switch_of_protocols_that_nobody_asked_for_is_broken() {
    let origin = Origin::bind().await;
    let answer = send(&origin.forward(), keyed(YOUNG));
    let mut wire = origin.accept().await;
    wire.read_head().await;
    wire.write("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n")
        .await;
    assert_eq!(failure(answer).await, Some(Failure::Broken));
}

#[tokio::test]
async fn no_head_in_time_is_timed_out_and_ends_the_connection() {
    let origin = Origin::bind().await;
    let pool = PoolSettings {
        head_timeout: SHORT,
        ..PoolSettings::default()
    };
    let forward = origin.forward_with(ForwardSettings {
        pool,
        ..ForwardSettings::default()
    });
    let answer = send(&forward, keyed(YOUNG));
    let mut wire = origin.accept().await;
    wire.read_head().await;
    let response = response(answer).await;
    assert_eq!(response.extensions().get(), Some(&Failure::TimedOut));
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    wire.read_to_end().await.unwrap();
}

#[tokio::test]
async fn informational_answers_are_not_the_answer() {
    let origin = Origin::bind().await;
    let answer = send(&origin.forward(), keyed(YOUNG));
    let mut wire = origin.accept().await;
    wire.read_head().await;
    wire.write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
        .await;
    wire.write("HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok")
        .await;
    let response = response(answer).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    assert!(!response.headers().contains_key("link"));
    assert_eq!(collect(response).await.unwrap().to_bytes(), "ok");
}

#[tokio::test]
async fn an_answer_before_the_request_is_complete_is_an_answer() {
    let origin = Origin::bind().await;
    let (_frames, body) = fed_body();
    let answer = send(&origin.forward(), Request::post("/").body(body).unwrap());
    let mut wire = origin.accept().await;
    wire.read_head().await;
    wire.write("HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno")
        .await;
    let response = response(answer).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(collect(response).await.unwrap().to_bytes(), "no");
}

/// M-31, for every way in which HTTP/1 says how long a body is.
#[tokio::test]
async fn a_body_that_is_cut_short_is_an_error_and_stays_one() {
    for bytes in [
        "content-length: 10\r\n\r\nabc",
        "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "transfer-encoding: chunked\r\n\r\n5\r\nabc",
        "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-trailer: 1\r\n",
    ] {
        let origin = Origin::bind().await;
        let answer = send(&origin.forward(), keyed(YOUNG));
        let mut wire = origin.accept().await;
        wire.read_head().await;
        wire.read_exact(3).await;
        wire.write(format!("HTTP/1.1 200 OK\r\n{bytes}")).await;
        drop(wire);
        let error = collect(response(answer).await).await.unwrap_err();
        assert!(
            matches!(error, ForwardBodyError::Broken(_)),
            "{bytes}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_body_without_length_is_complete_at_a_clean_end() {
    let origin = Origin::bind().await;
    let answer = send(&origin.forward(), keyed(YOUNG));
    let mut wire = origin.accept().await;
    wire.read_head().await;
    wire.read_exact(3).await;
    wire.write("HTTP/1.1 200 OK\r\n\r\nall of it").await;
    drop(wire);
    assert_eq!(text(answer).await, "all of it");
}

#[tokio::test]
async fn a_body_without_length_is_an_error_at_a_reset() {
    let origin = Origin::bind().await;
    let answer = send(&origin.forward(), keyed(YOUNG));
    let mut wire = origin.accept().await;
    wire.read_head().await;
    wire.read_exact(3).await;
    wire.write("HTTP/1.1 200 OK\r\n\r\nhalf of it").await;
    let response = response(answer).await;
    wire.reset();
    collect(response).await.unwrap_err();
}
