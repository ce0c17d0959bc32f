//! An origin that keeps every byte, and takes no head that could be read in two ways.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::harness::{Proxy, get};

/// A request that came whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Whole {
    pub(super) head: String,
    /// As it was framed on the wire.
    pub(super) body: Vec<u8>,
}

/// The origin, until it is dropped.
pub(super) struct Recorder {
    pub(super) address: SocketAddr,
    taken: Arc<Mutex<Taken>>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Taken {
    whole: Vec<Whole>,
    /// Heads that could be read in two ways.
    faults: Vec<String>,
}

enum Framing {
    Length(usize),
    Chunked,
}

impl Recorder {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let taken = Arc::<Mutex<Taken>>::default();
        let taking = Arc::clone(&taken);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&taking)));
            }
        });
        Self {
            address,
            taken,
            accepting,
        }
    }

    /// What came whole since the last time. A request goes through `proxy` first: it comes last, and all that the
    /// proxy was to send before it is there.
    pub(super) async fn take(&self, proxy: &Proxy) -> Vec<Whole> {
        assert_eq!(proxy.send(&get("/barrier")).await.code(), 201);
        let mut taken = self.taken.lock();
        assert_eq!(taken.faults, [""; 0], "heads that can be read in two ways");
        let mut whole = std::mem::take(&mut taken.whole);
        let barrier = whole.pop().expect("the barrier arrived");
        assert!(barrier.head.starts_with("GET /barrier "), "{barrier:?}");
        whole
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut stream: TcpStream, taken: Arc<Mutex<Taken>>) {
    let mut unread = Vec::new();
    loop {
        while let Some((whole, length)) = whole(&unread, &taken) {
            unread.drain(..length);
            taken.lock().whole.push(whole);
            let answer = "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok";
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
        match stream.read_buf(&mut unread).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// The first request in there and how long it is, if it is there to its end.
fn whole(bytes: &[u8], taken: &Mutex<Taken>) -> Option<(Whole, usize)> {
    let end = find(bytes, b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let Some(framing) = framing(&head) else {
        taken.lock().faults.push(head);
        return None;
    };
    let rest = &bytes[end..];
    let length = match framing {
        Framing::Length(length) => (rest.len() >= length).then_some(length)?,
        Framing::Chunked => chunked_length(rest)?,
    };
    let body = rest[..length].to_vec();
    Some((Whole { head, body }, end + length))
}

/// None if there could be two opinions.
fn framing(head: &str) -> Option<Framing> {
    let lines: Vec<&str> = head.strip_suffix("\r\n\r\n")?.split("\r\n").collect();
    let plain = |byte: u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
    if !lines.iter().all(|line| line.bytes().all(plain)) {
        return None;
    }
    let mut framings = Vec::new();
    for line in &lines[1..] {
        let (name, value) = line.split_once(": ")?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        match name.to_ascii_lowercase().replace('_', "-").as_str() {
            "content-length" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                framings.push(Framing::Length(value.parse().ok()?));
            }
            "transfer-encoding" if value == "chunked" => framings.push(Framing::Chunked),
            "content-length" | "transfer-encoding" => return None,
            _ => {}
        }
    }
    if framings.len() > 1 {
        return None;
    }
    Some(framings.pop().unwrap_or(Framing::Length(0)))
}

/// How long the chunks are, with the empty line behind them.
fn chunked_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = find(&bytes[at..], b"\r\n")?;
        let text = std::str::from_utf8(&bytes[at..at + line]).ok()?;
        let size = usize::from_str_radix(text, 16).ok()?;
        at += line + 2;
        if size == 0 {
            // Nobody here sends trailers on.
            return bytes[at..].starts_with(b"\r\n").then_some(at + 2);
        }
        at += size + 2;
        if bytes.len() < at {
            return None;
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
