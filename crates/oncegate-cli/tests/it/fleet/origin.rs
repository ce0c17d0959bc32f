//! The origin: executes whatever reaches it whole, and logs it with its key, fence and time, and how it ended.
//!
//! What it answers follows from the key's number: most are created at once; some are slow, slower than a lease, fail
//! and may be tried again, are declined for good, time out, or break off without a word.

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

use super::logs::{Ended, Execution, How, Micros};
use crate::harness::Wire;

/// An origin that serves until it is dropped.
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    books: Arc<Books>,
    accepting: JoinHandle<()>,
}

struct Books {
    began: Instant,
    log: Mutex<Vec<Execution>>,
    /// How often each key ran.
    runs: Mutex<HashMap<String, usize>>,
}

/// What follows an execution.
enum Act {
    Answer(u16),
    Cut,
}

impl Origin {
    /// Times are counted from `began`.
    pub(super) async fn start(began: Instant) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let books = Arc::new(Books {
            began,
            log: Mutex::default(),
            runs: Mutex::default(),
        });
        let serving = Arc::clone(&books);
        let accepting = tokio::spawn(async move {
            // The connections end with this task.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let books = Arc::clone(&serving);
                connections.spawn(async move { books.serve(Wire::new(stream)).await });
                while connections.try_join_next().is_some() {}
            }
        });
        Self {
            address,
            books,
            accepting,
        }
    }

    pub(super) fn log(&self) -> Vec<Execution> {
        self.books.log.lock().clone()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Books {
    async fn serve(&self, mut wire: Wire) -> io::Result<()> {
        while let Some(request) = wire.read_request().await? {
            let header = |name| request.header(name).unwrap_or_default();
            let key = header("idempotency-key").trim_matches('"').to_owned();
            let (pause, act) = self.act(&key);
            let line = self.enter(Execution {
                attempt: header("x-attempt").parse().unwrap(),
                // None is 0: it rises above nothing.
                fence: header("idempotency-fence").parse().unwrap_or(0),
                request: String::from_utf8_lossy(&request.body).into_owned(),
                arrived_at: self.now(),
                ended: None,
                key,
            });
            tokio::select! {
                () = sleep(pause) => {}
                () = is_gone(&wire.stream) => {
                    self.end(line, How::Deserted);
                    return Ok(());
                }
            }
            let Act::Answer(status) = act else {
                self.end(line, How::Cut);
                return Ok(());
            };
            let body = body(line);
            let answer = answer(status, &body);
            self.end(line, How::Answered { status, body });
            wire.write(answer).await?;
        }
        Ok(())
    }

    /// What the next execution of a key comes to, and how long it takes.
    fn act(&self, key: &str) -> (Duration, Act) {
        let number: u64 = key.trim_start_matches("key-").parse().unwrap();
        let mut runs = self.runs.lock();
        let run = runs.entry(key.to_owned()).or_default();
        *run += 1;
        let first = *run == 1;
        let (millis, act) = match number % 20 {
            0 => (3_200, Act::Answer(201)),
            1 | 2 => (300 + number % 400, Act::Answer(201)),
            3 if first => (10, Act::Answer(503)),
            4 if first => (900, Act::Answer(503)),
            5 if first => (30, Act::Cut),
            6 if first => (5, Act::Answer(504)),
            7 => (20, Act::Answer(402)),
            _ => (number * 7 % 40, Act::Answer(201)),
        };
        (Duration::from_millis(millis), act)
    }

    /// Here money moves.
    fn enter(&self, execution: Execution) -> usize {
        let mut log = self.log.lock();
        log.push(execution);
        log.len() - 1
    }

    fn end(&self, line: usize, how: How) {
        let at = self.now();
        self.log.lock()[line].ended = Some(Ended { at, how });
    }

    fn now(&self) -> Micros {
        micros(self.began)
    }
}

/// The time of the run.
pub(super) fn micros(began: Instant) -> Micros {
    Micros::try_from(began.elapsed().as_micros()).unwrap()
}

/// Resolves once the other side has closed, or died.
async fn is_gone(stream: &TcpStream) {
    match stream.peek(&mut [0]).await {
        Ok(0) | Err(_) => {}
        Ok(_more) => pending().await,
    }
}

/// No other execution has it. Lengths differ, so that a kill finds answers in every state of being written.
fn body(line: usize) -> String {
    let padding = "x".repeat(line % 7 * 1_500);
    format!("{{\"execution\":{line},\"padding\":\"{padding}\"}}")
}

fn answer(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} So\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
