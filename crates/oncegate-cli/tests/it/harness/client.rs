//! Requests as bytes, and a client that sends them once, over a connection of their own.

use std::io;
use std::net::SocketAddr;

use super::answer::Answer;
use super::wire::Wire;
use super::within;

/// A request to be sent any number of times.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// `POST /payments` under this key.
pub(crate) fn pay(key: &str) -> Request {
    post("/payments", r#"{"amount":100}"#).header("Idempotency-Key", key)
}

/// A POST of JSON without a key.
pub(crate) fn post(path: &str, body: impl Into<Vec<u8>>) -> Request {
    let request = Request {
        method: "POST",
        body: body.into(),
        ..get(path)
    };
    request.header("Content-Type", "application/json")
}

pub(crate) fn get(path: &str) -> Request {
    Request {
        method: "GET",
        path: path.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
    }
}

impl Request {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    /// Another content type than JSON.
    pub(crate) fn content_type(mut self, value: &str) -> Self {
        self.headers.retain(|(name, _)| name != "Content-Type");
        self.header("Content-Type", value)
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The head as far as the empty line, with `lengths` for the lines that say where the body ends.
    pub(crate) fn head(&self, lengths: &str) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        if !self.headers.iter().any(|(name, _)| name == "Host") {
            head.push_str("Host: shop.example\r\n");
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head + lengths + "\r\n"
    }

    /// The whole of it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let length = format!("Content-Length: {}\r\n", self.body.len());
        let head = self.head(if self.method == "GET" { "" } else { &length });
        [head.as_bytes(), &self.body].concat()
    }
}

/// Sends `request` and reads the whole answer.
pub(crate) async fn send(to: SocketAddr, request: &Request) -> Answer {
    let answer = within("an exchange", try_send(to, request)).await;
    answer.unwrap_or_else(|error| panic!("no whole answer to {request:?}: {error}"))
}

/// The same where the connection may break.
pub(crate) async fn try_send(to: SocketAddr, request: &Request) -> io::Result<Answer> {
    let mut wire = Wire::connect(to).await?;
    wire.write(request.bytes()).await?;
    Ok(Answer(wire.read_answer().await?))
}
