//! A client that speaks cleartext HTTP/2 from the first byte, and can reset a stream once its body was sent.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::answer::Answer;
use super::wire::Message;
use super::within;

/// One connection.
pub(crate) struct Http2 {
    sender: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

/// A stream whose request is sent whole.
pub(crate) struct Sent {
    answer: ResponseFuture,
    body: SendStream<Bytes>,
}

impl Http2 {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        within("an HTTP/2 handshake", async {
            let stream = TcpStream::connect(address).await.unwrap();
            let (sender, connection) = h2::client::handshake(stream).await.unwrap();
            let connection = tokio::spawn(connection);
            Self { sender, connection }
        })
        .await
    }

    /// `POST /payments` under `key`, sent to its end.
    pub(crate) async fn pay(&self, key: &str, body: &'static str) -> Sent {
        let request = http::Request::post("http://shop.example/payments")
            .header("idempotency-key", key)
            .header("content-type", "application/json");
        let request = request.body(()).unwrap();
        let mut sender = within("a free stream", self.sender.clone().ready())
            .await
            .unwrap();
        let (answer, mut stream) = sender.send_request(request, false).unwrap();
        stream
            .send_data(Bytes::from_static(body.as_bytes()), true)
            .unwrap();
        Sent {
            answer,
            body: stream,
        }
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Sent {
    /// Gives the request up, as a client does that lost its patience.
    pub(crate) fn reset(mut self) {
        self.body.send_reset(Reason::CANCEL);
    }

    pub(crate) async fn answer(self) -> Answer {
        let answer = within("an HTTP/2 answer", self.answer).await.unwrap();
        let (parts, mut stream) = answer.into_parts();
        let mut body = Vec::new();
        while let Some(chunk) = within("an HTTP/2 body", stream.data()).await {
            let chunk = chunk.unwrap();
            stream.flow_control().release_capacity(chunk.len()).unwrap();
            body.extend(chunk);
        }
        let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
        let headers = parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)));
        Answer(Message {
            start: format!("HTTP/2 {}", parts.status.as_u16()),
            headers: headers.collect(),
            body,
        })
    }
}
