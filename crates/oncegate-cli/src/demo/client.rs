//! A client as plain as the demo needs: it sends a payment and reads the answer, or hangs up before it.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// A payment that is asked for.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// The operation's idempotency key, if the client sends one.
    pub(super) key: Option<&'static str>,
    /// In cents.
    pub(super) amount: u64,
}

/// What came back.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

/// Any error of an exchange.
pub(super) type ClientError = Box<dyn std::error::Error + Send + Sync>;

impl Order {
    pub(super) fn body(&self) -> String {
        format!("{{\"amount\":{}}}", self.amount)
    }
}

/// Sends `order` and reads the answer.
pub(super) async fn send(to: SocketAddr, order: &Order) -> Result<Answer, ClientError> {
    let stream = TcpStream::connect(to).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let mut request = Request::builder()
        .method(Method::POST)
        .uri("/payments")
        .header(header::HOST, to.to_string())
        .header(header::CONTENT_TYPE, "application/json");
    if let Some(key) = order.key {
        request = request.header("idempotency-key", key);
    }
    let answer = sender
        .send_request(request.body(Full::new(Bytes::from(order.body())))?)
        .await?;
    let (parts, body) = answer.into_parts();
    let body = String::from_utf8_lossy(&body.collect().await?.to_bytes()).into_owned();
    connection.abort();
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        body,
    })
}

/// Sends `order` whole, waits for `moment`, and hangs up without having read a byte.
pub(super) async fn send_and_hang_up(
    to: SocketAddr,
    order: &Order,
    moment: impl Future<Output = ()>,
) -> Result<(), ClientError> {
    let mut stream = TcpStream::connect(to).await?;
    let body = order.body();
    let key = order
        .key
        .map_or_else(String::new, |key| format!("Idempotency-Key: {key}\r\n"));
    let request = format!(
        "POST /payments HTTP/1.1\r\nHost: {to}\r\n{key}Content-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    moment.await;
    Ok(())
}
