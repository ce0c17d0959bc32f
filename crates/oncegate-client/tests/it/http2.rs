//! HTTP/2: what a reset and a GOAWAY prove.

use std::sync::Arc;

use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use http::{Request, Response};
use oncegate_client::{Client, FailureKind, HttpTransport, Operation, Outcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::wire::{failure, policy};

/// A server that does this with the requests in their order, on as many connections as come.
async fn serve(deeds: impl IntoIterator<Item = Deed>) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("a bound socket");
    let mut deeds: Vec<Deed> = deeds.into_iter().collect();
    deeds.reverse();
    let mut task = JoinSet::new();
    task.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            converse(stream, &mut deeds).await;
        }
    });
    (format!("http://{address}/payments"), task)
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Deed {
    Answer,
    Reset(Reason),
    /// A GOAWAY that puts the stream above the last one that was looked at.
    GoAwayBelow,
    /// A GOAWAY behind the request, and the end of the connection.
    GoAwayBehind,
}

async fn converse(stream: TcpStream, deeds: &mut Vec<Deed>) {
    if deeds.last() == Some(&Deed::GoAwayBelow) {
        deeds.pop();
        return go_away_below(stream).await;
    }
    let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
    while let Some(Ok((request, respond))) = connection.accept().await {
        let deed = deeds.pop().expect("a deed for each request");
        if deed == Deed::GoAwayBehind {
            connection.abrupt_shutdown(Reason::INTERNAL_ERROR);
        }
        act(deed, &request, respond);
    }
}

fn act(deed: Deed, _request: &Request<h2::RecvStream>, mut respond: SendResponse<Bytes>) {
    match deed {
        Deed::Answer => {
            let response = Response::builder().status(201).body(());
            let response = response.expect("a response");
            let mut body = respond
                .send_response(response, false)
                .expect("an open stream");
            let paid = Bytes::from_static(b"paid");
            body.send_data(paid, true).expect("an open stream");
        }
        Deed::Reset(reason) => respond.send_reset(reason),
        Deed::GoAwayBelow | Deed::GoAwayBehind => {}
    }
}

/// By hand: h2 itself never disowns a stream that it took in.
async fn go_away_below(mut stream: TcpStream) {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GO_AWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    const HEADERS: u8 = 1;
    stream.write_all(&SETTINGS).await.expect("a client");
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.expect("a client");
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.expect("a client");
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.expect("a client");
        if head[3] == HEADERS {
            break;
        }
    }
    stream.write_all(&GO_AWAY).await.expect("a client");
    // Until the client has read it and left.
    let mut rest = Vec::new();
    let _left = stream.read_to_end(&mut rest).await;
}

async fn run(attempts: u32, url: &str) -> Outcome {
    let policy = policy(attempts);
    let builder = reqwest::Client::builder().http2_prior_knowledge();
    let transport = HttpTransport::of(builder, &policy).expect("a transport");
    let client = Client::builder()
        .policy(policy)
        .transport(Arc::new(transport));
    let operation = Operation::post(url).expect("a URL").body("{}").build();
    client.build().expect("a client").execute(&operation).await
}

#[tokio::test]
async fn a_refused_stream_proves_that_nothing_ran_and_no_other_reset_does() {
    let rows = [
        (Reason::REFUSED_STREAM, FailureKind::HandedBack, false),
        (Reason::CANCEL, FailureKind::Broken, true),
        (Reason::INTERNAL_ERROR, FailureKind::Broken, true),
        (Reason::NO_ERROR, FailureKind::Broken, true),
    ];
    for (reason, kind, unknown) in rows {
        let (url, _server) = serve([Deed::Reset(reason)]).await;
        let outcome = run(1, &url).await;
        assert_eq!(failure(&outcome), (kind, unknown), "{reason:?}");
    }
    let (url, _server) = serve([Deed::Reset(Reason::REFUSED_STREAM), Deed::Answer]).await;
    let outcome = run(2, &url).await;
    let Outcome::Yes(yes) = outcome else {
        panic!("{outcome:?}")
    };
    // The first attempt never ran, so that this answer needs no sign of the key.
    assert!(!yes.maybe_twice);
    assert_eq!(yes.attempts, 2);
}

/// A GOAWAY that disowns our stream would be a proof, but not as the HTTP client tells it. Doubt is the safe reading.
#[tokio::test]
async fn a_goaway_is_in_doubt_and_the_next_attempt_takes_another_connection() {
    for deed in [Deed::GoAwayBelow, Deed::GoAwayBehind] {
        let (url, _server) = serve([deed]).await;
        let outcome = run(1, &url).await;
        assert_eq!(failure(&outcome), (FailureKind::Broken, true), "{deed:?}");

        let (url, _server) = serve([deed, Deed::Answer]).await;
        let outcome = run(2, &url).await;
        let Outcome::Yes(yes) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(yes.attempts, 2, "{deed:?}");
    }
}
