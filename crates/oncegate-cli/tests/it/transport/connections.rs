//! Which connection a request takes, and when it may be sent once more.

use std::time::Duration;

use http::Response;
use http_body_util::BodyExt;
use oncegate_cli::proxy::{Forward, ForwardBody, ForwardSettings, PoolSettings};
use oncegate_tower::Failure;
use tokio::io::AsyncWriteExt;

use super::support::{Origin, Wire, failure, keyed, post, response, send, text, within};

const YOUNG: Duration = Duration::from_secs(60);
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// One exchange on a fresh connection, which is idle afterwards.
async fn idle_connection(origin: &Origin, forward: &Forward) -> Wire {
    let answer = send(forward, post("/first", "abc"));
    let mut wire = origin.accept().await;
    serve_one(&mut wire, "/first").await;
    assert_eq!(text(answer).await, "ok");
    wire
}

async fn serve_one(wire: &mut Wire, path: &str) {
    let head = wire.read_head().await;
    assert!(head.starts_with(&format!("POST {path} ")), "{head}");
    assert_eq!(wire.read_exact(3).await, b"abc");
    wire.write(OK).await;
}

#[tokio::test]
async fn a_connection_is_used_again_when_its_answer_was_read() {
    let origin = Origin::bind().await;
    let forward = origin.forward();
    let mut wire = idle_connection(&origin, &forward).await;
    for request in [post("/keyed", "abc"), keyed(YOUNG)] {
        let answer = send(&forward, request);
        serve_one(&mut wire, "/keyed").await;
        assert_eq!(text(answer).await, "ok");
    }
}

#[tokio::test]
async fn a_keyed_request_takes_no_connection_that_was_idle_for_longer_than_it_allows() {
    let origin = Origin::bind().await;
    let forward = origin.forward();
    let mut old = idle_connection(&origin, &forward).await;
    let answer = send(&forward, keyed(Duration::ZERO));
    let mut fresh = origin.accept().await;
    serve_one(&mut fresh, "/keyed").await;
    assert_eq!(text(answer).await, "ok");

    // The younger of the two is taken first; the older is still good for an unkeyed request.
    let first = send(&forward, post("/fresh", "abc"));
    serve_one(&mut fresh, "/fresh").await;
    let first = response(first).await;
    let second = send(&forward, post("/old", "abc"));
    serve_one(&mut old, "/old").await;
    assert_eq!(text(second).await, "ok");
    drop(first);
}

#[tokio::test]
async fn a_connection_that_the_upstream_closed_while_idle_is_not_taken() {
    let origin = Origin::bind().await;
    let forward = origin.forward();
    drop(idle_connection(&origin, &forward).await);
    // Another round trip: the event loop has seen the end of the first connection after it.
    drop(idle_wire(&origin).await);
    let answer = send(&forward, keyed(YOUNG));
    serve_one(&mut origin.accept().await, "/keyed").await;
    assert_eq!(text(answer).await, "ok");
}

/// The race itself, played deterministically. A runtime of one thread polls the test before its tasks when one
/// turn of the event loop wakes both. So the request is in hyper's queue before hyper sees the connection's end,
/// and hyper sees the end before it takes the request: it hands it back. The first connection is only half closed,
/// so that the test can prove that no byte of the request came on it.
#[tokio::test]
async fn a_request_that_hyper_hands_back_is_sent_on_a_fresh_connection() {
    let origin = Origin::bind().await;
    let forward = origin.forward();
    for request in [keyed(YOUNG), post("/keyed", "abc")] {
        let mut first = idle_connection(&origin, &forward).await;
        let mut other = idle_wire(&origin).await;
        within(first.0.shutdown()).await.unwrap();
        assert_eq!(other.1.0.try_write(b"x").unwrap(), 1);
        other.0.read_exact(1).await;

        let mut service = forward.clone();
        let mut answer = tower_service::Service::call(&mut service, request);
        assert!(futures_util::poll!(&mut answer).is_pending());
        let answer = tokio::spawn(async move {
            let Ok(response) = answer.await;
            response
        });
        let mut second = origin.accept().await;
        serve_one(&mut second, "/keyed").await;
        assert_eq!(text(answer).await, "ok");
        assert_eq!(
            first.read_to_end().await.unwrap(),
            "",
            "a byte was sent twice"
        );
        drop(second);
        drop(idle_wire(&origin).await);
    }
}

/// The same race lost: the bytes crossed the upstream's close. Nothing is sent again.
#[tokio::test]
async fn a_request_that_crosses_the_close_is_broken_and_not_sent_again() {
    let origin = Origin::bind().await;
    let forward = origin.forward();
    let mut wire = idle_connection(&origin, &forward).await;
    let answer = send(&forward, keyed(YOUNG));
    wire.read_head().await;
    drop(wire);
    assert_eq!(failure(answer).await, Some(Failure::Broken));
    // Were it sent again, the next connection would carry it.
    let next = send(&forward, post("/next", "abc"));
    serve_one(&mut origin.accept().await, "/next").await;
    assert_eq!(text(next).await, "ok");
}

/// The race on many threads, again and again, whoever wins: the request is answered on another connection and then
/// came on that one alone, or it is broken. It never hangs. (The story is told in `http2.rs`.)
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_request_that_meets_the_close_is_either_sent_once_or_broken() {
    for round in 0..ROUNDS {
        let origin = Origin::bind().await;
        let forward = origin.forward();
        let mut first = idle_connection(&origin, &forward).await;
        let answer = send(&forward, keyed(YOUNG));
        within(first.0.shutdown()).await.unwrap();
        let serve = async {
            serve_one(&mut origin.accept().await, "/keyed").await;
            std::future::pending::<()>().await;
        };
        let answer = tokio::select! {
            answer = response(answer) => answer,
            () = serve => unreachable!("waits for ever"),
        };
        let reached = !first.read_to_end().await.unwrap_or_default().is_empty();
        let is_broken = answer.extensions().get() == Some(&Failure::Broken);
        assert!(
            is_broken || (answer.status().is_success() && !reached),
            "round {round}"
        );
    }
}

#[tokio::test]
async fn a_connection_whose_answer_was_dropped_early_is_closed() {
    let origin = Origin::bind().await;
    let forward = origin.forward();
    let answer = send(&forward, post("/", "abc"));
    let mut wire = origin.accept().await;
    wire.read_head().await;
    wire.read_exact(3).await;
    wire.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
        .await;
    let mut response = response(answer).await;
    within(response.body_mut().frame()).await.unwrap().unwrap();
    drop(response);
    assert_eq!(wire.read_to_end().await.unwrap(), "");
}

#[tokio::test]
async fn an_answer_nobody_has_read_to_the_end_keeps_its_connection_out_of_the_pool() {
    let origin = Origin::bind().await;
    let forward = origin.forward();
    let answer = send(&forward, post("/", "abc"));
    let mut wire = origin.accept().await;
    wire.read_head().await;
    wire.read_exact(3).await;
    wire.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfull")
        .await;
    let unread: Response<ForwardBody> = response(answer).await;
    let next = send(&forward, post("/next", "abc"));
    serve_one(&mut origin.accept().await, "/next").await;
    assert_eq!(text(next).await, "ok");
    drop(unread);
}

/// hyper would send HTTP/1.0 on such a connection from then on, and leave out a body of unknown length.
#[tokio::test]
async fn a_connection_that_answered_http_1_0_is_not_used_again() {
    let origin = Origin::bind().await;
    let forward = origin.forward();
    let answer = send(&forward, post("/", "abc"));
    let mut wire = origin.accept().await;
    wire.read_head().await;
    wire.write("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok")
        .await;
    assert_eq!(text(answer).await, "ok");
    wire.read_to_end().await.unwrap();
}

#[tokio::test]
async fn bytes_that_follow_an_answer_end_the_connection() {
    let origin = Origin::bind().await;
    let forward = origin.forward();
    let answer = send(&forward, post("/", "abc"));
    let mut wire = origin.accept().await;
    wire.read_head().await;
    wire.read_exact(3).await;
    wire.write(format!("{OK}{OK}")).await;
    assert_eq!(text(answer).await, "ok");
    let next = send(&forward, keyed(YOUNG));
    serve_one(&mut origin.accept().await, "/keyed").await;
    assert_eq!(text(next).await, "ok");
}

#[tokio::test]
async fn no_more_connections_than_allowed_are_kept_idle_and_the_oldest_goes_first() {
    let origin = Origin::bind().await;
    let pool = PoolSettings {
        idle_connections_max: 1,
        ..PoolSettings::default()
    };
    let forward = origin.forward_with(ForwardSettings {
        pool,
        ..ForwardSettings::default()
    });
    let mut oldest = idle_connection(&origin, &forward).await;
    let answer = send(&forward, keyed(Duration::ZERO));
    let mut youngest = origin.accept().await;
    serve_one(&mut youngest, "/keyed").await;
    assert_eq!(text(answer).await, "ok");
    assert_eq!(oldest.read_to_end().await.unwrap(), "");
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_closed_after_idle_timeout() {
    let origin = Origin::bind().await;
    let idle_timeout = Duration::from_millis(20);
    let pool = PoolSettings {
        idle_timeout,
        ..PoolSettings::default()
    };
    let forward = origin.forward_with(ForwardSettings {
        pool,
        ..ForwardSettings::default()
    });
    let mut wire = idle_connection(&origin, &forward).await;
    assert_eq!(wire.read_to_end().await.unwrap(), "");
}

/// Two ends of a connection that is not the proxy's.
async fn idle_wire(origin: &Origin) -> (Wire, Wire) {
    let client = Wire::connect(origin.address()).await;
    let server = origin.accept().await;
    (client, server)
}

const ROUNDS: u32 = 500;
