//! What reaches the upstream, and what comes back.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Full};
use oncegate_cli::proxy::{ForwardSettings, ServerSettings};

use super::support::{
    Origin, Proxy, collect, fed_body, forward, post, response, send, text, within,
};

#[tokio::test]
async fn path_and_query_reach_the_upstream_byte_for_byte_under_the_base_path() {
    let origin = Origin::bind().await;
    let url = format!("http://{}/base/", origin.address());
    let forward = forward(&url, ForwardSettings::default());
    let answer = send(&forward, post("/a//b/../%2f%2F?x=%20&&y?", "abc"));
    let mut wire = origin.accept().await;
    let head = wire.read_head().await;
    assert!(
        head.starts_with("POST /base/a//b/../%2f%2F?x=%20&&y? HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\nhost: shop.example\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-length: 3\r\n"), "{head}");
    wire.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(response(answer).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn an_absolute_target_outweighs_the_host_header() {
    let origin = Origin::bind().await;
    let answer = send(&origin.forward(), post("http://true.example:81/a", "abc"));
    let mut wire = origin.accept().await;
    let head = wire.read_head().await;
    assert!(head.starts_with("POST /a HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nhost: true.example:81\r\n"), "{head}");
    wire.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    response(answer).await;
}

/// hyper's client would send a GET of unknown length without its body.
#[tokio::test]
async fn a_get_with_a_body_of_unknown_length_keeps_it() {
    let origin = Origin::bind().await;
    let (frames, body) = fed_body();
    let answer = send(&origin.forward(), Request::get("/").body(body).unwrap());
    frames
        .send(Ok(Frame::data(Bytes::from_static(b"abc"))))
        .unwrap();
    drop(frames);
    let mut wire = origin.accept().await;
    assert!(
        wire.read_head()
            .await
            .contains("transfer-encoding: chunked")
    );
    assert_eq!(wire.read_until("0\r\n\r\n").await, "3\r\nabc\r\n0\r\n\r\n");
    wire.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    response(answer).await;
}

#[tokio::test]
async fn announced_trailers_pass_both_ways() {
    let origin = Origin::bind().await;
    let (frames, body) = fed_body();
    let request = Request::post("/")
        .header("trailer", "x-sum")
        .header("te", "trailers");
    let answer = send(&origin.forward(), request.body(body).unwrap());
    frames
        .send(Ok(Frame::data(Bytes::from_static(b"abc"))))
        .unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "7".parse().unwrap());
    frames.send(Ok(Frame::trailers(trailers))).unwrap();
    let mut wire = origin.accept().await;
    let head = wire.read_head().await;
    assert!(
        head.contains("\r\nte: trailers\r\nconnection: TE\r\n") || head.contains("te: trailers")
    );
    assert_eq!(
        wire.read_until("\r\n\r\n").await,
        "3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n"
    );
    wire.write("HTTP/1.1 200 OK\r\ntrailer: x-back\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    wire.write("2\r\nok\r\n0\r\nx-back: 8\r\n\r\n").await;
    let response = response(answer).await;
    assert_eq!(response.headers()["trailer"], "x-back");
    let body = collect(response).await.unwrap();
    assert_eq!(body.trailers().unwrap()["x-back"], "8");
    assert_eq!(body.to_bytes(), "ok");
}

#[tokio::test]
async fn announced_trailers_pass_even_if_the_length_of_the_body_is_known() {
    let origin = Origin::bind().await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "7".parse().unwrap());
    let body = Full::new(Bytes::from_static(b"abc"));
    let body = body.with_trailers(std::future::ready(Some(Ok(trailers))));
    assert_eq!(body.size_hint().exact(), Some(3));
    let request = Request::post("/")
        .header("trailer", "x-sum")
        .body(body)
        .unwrap();
    let answer = send(&origin.forward(), request);
    let mut wire = origin.accept().await;
    wire.read_head().await;
    assert_eq!(
        wire.read_until("\r\n\r\n").await,
        "3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n"
    );
    wire.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    response(answer).await;
}

#[tokio::test]
async fn hop_by_hop_headers_of_an_answer_go_no_further() {
    let origin = Origin::bind().await;
    let answer = send(&origin.forward(), post("/", "abc"));
    let mut wire = origin.accept().await;
    wire.read_head().await;
    wire.write(
        "HTTP/1.1 200 OK\r\nconnection: x-mine\r\nx-mine: 1\r\nkeep-alive: timeout=5\r\n\
         transfer-encoding: chunked\r\ncontent-length: 99\r\nx-stays: 1\r\n\r\n0\r\n\r\n",
    )
    .await;
    let response = response(answer).await;
    let names: Vec<&str> = response
        .headers()
        .keys()
        .map(http::HeaderName::as_str)
        .collect();
    assert_eq!(names, ["x-stays"]);
}

#[tokio::test]
async fn the_length_of_an_answer_to_head_is_kept_and_no_body_awaited() {
    let origin = Origin::bind().await;
    let request = Request::head("/").body(Full::<Bytes>::default()).unwrap();
    let answer = send(&origin.forward(), request);
    let mut wire = origin.accept().await;
    wire.read_head().await;
    wire.write("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n")
        .await;
    let response = response(answer).await;
    assert_eq!(response.headers()["content-length"], "99");
    assert!(response.body().is_end_stream());
}

/// Through both hops: two lengths, of which the second is smuggled in front of chunks.
#[tokio::test]
async fn a_length_beside_chunks_is_not_passed_on() {
    let origin = Origin::bind().await;
    let proxy = Proxy::start(&origin, ServerSettings::default()).await;
    let mut client = proxy.connect().await;
    client
        .write(
            "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n\
             3\r\nabc\r\n0\r\n\r\n",
        )
        .await;
    let mut wire = origin.accept().await;
    let head = wire.read_head().await;
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    assert!(!head.contains("content-length"), "{head}");
    assert_eq!(wire.read_until("0\r\n\r\n").await, "3\r\nabc\r\n0\r\n\r\n");
    wire.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert!(client.read_head().await.starts_with("HTTP/1.1 204 "));
}

#[tokio::test]
async fn an_unkeyed_exchange_streams_both_ways() {
    let origin = Origin::bind().await;
    let (frames, body) = fed_body();
    let answer = send(&origin.forward(), Request::post("/").body(body).unwrap());
    let mut wire = origin.accept().await;
    wire.read_head().await;
    wire.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    let mut response = response(answer).await;
    for _ in 0..3 {
        frames
            .send(Ok(Frame::data(Bytes::from_static(b"ping"))))
            .unwrap();
        assert_eq!(wire.read_exact(9).await, b"4\r\nping\r\n");
        wire.write("4\r\npong\r\n").await;
        let frame = within(response.body_mut().frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "pong");
    }
}

#[tokio::test]
async fn a_reason_phrase_and_a_body_without_length_pass() {
    let origin = Origin::bind().await;
    let answer = send(&origin.forward(), post("/", "abc"));
    let mut wire = origin.accept().await;
    wire.read_head().await;
    wire.read_exact(3).await;
    wire.write("HTTP/1.1 299 Just Fine\r\n\r\nbody").await;
    drop(wire);
    assert_eq!(text(answer).await, "body");
}
