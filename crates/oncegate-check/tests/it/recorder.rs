//! An origin that answers everything alike, and remembers every byte that it was sent.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// A running recorder.
#[derive(Debug)]
pub(crate) struct Recorder {
    address: SocketAddr,
    tape: Arc<Tape>,
    server: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Tape {
    requests: Mutex<Vec<Vec<u8>>>,
    answers: AtomicUsize,
    recorded: Notify,
}

impl Recorder {
    /// `{n}` in the answer is another number each time.
    pub(crate) async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let tape = Arc::new(Tape::default());
        let shared = Arc::clone(&tape);
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&shared), answer));
            }
        });
        Self {
            address,
            tape,
            server,
        }
    }

    pub(crate) fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    /// So many requests, once they are there, and forgets them.
    pub(crate) async fn requests(&self, count: usize) -> Vec<Vec<u8>> {
        let all = async {
            loop {
                let recorded = self.tape.recorded.notified();
                if self.tape.requests.lock().len() >= count {
                    return std::mem::take(&mut *self.tape.requests.lock());
                }
                recorded.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), all)
            .await
            .expect("all requests arrive")
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A request is over when it is whole, or when its caller left.
async fn serve(mut stream: TcpStream, tape: Arc<Tape>, answer: &'static str) {
    let mut request = Vec::new();
    while !is_whole(&request) {
        match stream.read_buf(&mut request).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    if is_whole(&request) {
        let number = tape.answers.fetch_add(1, Ordering::Relaxed).to_string();
        let answer = answer.replace("{n}", &format!("number-{number}"));
        // A caller may have left; what it sent counts all the same.
        drop(stream.write_all(answer.as_bytes()).await);
        drop(stream.shutdown().await);
    }
    tape.requests.lock().push(request);
    tape.recorded.notify_one();
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    if text.contains("transfer-encoding: chunked") {
        return text.ends_with("\r\n\r\n") && text[end + 4..].contains("0\r\n");
    }
    let length = text
        .split("content-length: ")
        .nth(1)
        .and_then(|rest| rest.lines().next()?.parse::<usize>().ok());
    request.len() >= end + 4 + length.unwrap_or_default()
}
