//! The origin: an API that executes whatever reaches it whole, keeps a book of its own of that, and then does what
//! the test says.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use super::wire::{Message, Wire};
use super::within;

/// What follows an execution.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// 201 and a body that no other execution has.
    Create,
    /// The same, but slow.
    CreateAfter(Duration),
    /// The same, once the gate is open.
    CreateBehind(Gate),
    /// These bytes as they are; then the connection is closed.
    Bytes(Vec<u8>),
    /// The same, once the gate is open.
    BytesBehind(Gate, Vec<u8>),
    /// The connection is closed without a word.
    Cut,
}

/// Holds executions until the test opens it.
#[derive(Clone, Debug)]
pub(crate) struct Gate(watch::Sender<bool>);

/// One entry in the book.
#[derive(Clone, Debug)]
pub(crate) struct Execution {
    /// From 1.
    pub(crate) number: usize,
    pub(crate) key: Option<String>,
    pub(crate) request: Message,
    /// The body of the answer that [`Act::Create`] gives.
    pub(crate) answer: Vec<u8>,
}

/// An origin that serves until it is dropped.
pub(crate) struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    book: watch::Sender<Vec<Execution>>,
    planned: Mutex<HashMap<String, VecDeque<Act>>>,
    next: Mutex<VecDeque<Act>>,
    by_key: fn(&str) -> Act,
}

impl Act {
    /// A whole answer without an execution number in it.
    pub(crate) fn status(line: &str) -> Self {
        Self::Bytes(said(line))
    }

    /// The same, once the gate is open.
    pub(crate) fn status_behind(gate: &Gate, line: &str) -> Self {
        Self::BytesBehind(gate.clone(), said(line))
    }

    pub(crate) fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Gate {
    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }

    async fn opened(&self) {
        // The sender is in `self`: it cannot be gone.
        self.0.subscribe().wait_for(|open| *open).await.unwrap();
    }
}

impl Origin {
    pub(crate) async fn start(by_key: fn(&str) -> Act) -> Self {
        Self::start_on("127.0.0.1:0".parse().unwrap(), by_key).await
    }

    pub(crate) async fn start_on(address: SocketAddr, by_key: fn(&str) -> Act) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            book: watch::Sender::new(Vec::new()),
            planned: Mutex::default(),
            next: Mutex::default(),
            by_key,
        });
        let serving = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            // The connections end with this task.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                connections.spawn(async move { shared.serve(Wire::new(stream)).await });
            }
        });
        Self {
            address,
            shared,
            accepting,
        }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What follows the next executions of `key`; after that, what follows those of any.
    pub(crate) fn plan(&self, key: &str, acts: impl IntoIterator<Item = Act>) {
        let mut planned = self.shared.planned.lock();
        planned.entry(key.to_owned()).or_default().extend(acts);
    }

    /// What follows the next execution, whatever its key.
    pub(crate) fn plan_next(&self, act: Act) {
        self.shared.next.lock().push_back(act);
    }

    /// How often this key was executed.
    pub(crate) fn executions(&self, key: &str) -> usize {
        self.book()
            .iter()
            .filter(|execution| execution.key.as_deref() == Some(key))
            .count()
    }

    /// Everything that was executed, with a key or without.
    pub(crate) fn book(&self) -> Vec<Execution> {
        self.shared.book.borrow().clone()
    }

    /// Resolves once so many executions stand in the book: the answer to the last is still to come.
    pub(crate) async fn executed_in_all(&self, count: usize) {
        let mut book = self.shared.book.subscribe();
        let there = book.wait_for(|book| book.len() >= count);
        drop(within("an execution", there).await.unwrap());
    }

    /// Resolves once `key` was executed: its answer is still to come.
    pub(crate) async fn executed(&self, key: &str) {
        let mut book = self.shared.book.subscribe();
        let there = book.wait_for(|book| {
            book.iter()
                .any(|execution| execution.key.as_deref() == Some(key))
        });
        drop(within("an execution", there).await.unwrap());
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    async fn serve(&self, mut wire: Wire) -> io::Result<()> {
        while let Some(request) = wire.read_request().await? {
            if request.header("upgrade") == Some("x-echo") {
                return echo(wire).await;
            }
            let safe = request.start.starts_with("GET ");
            let execution = self.enter(request);
            let act = self.act(execution.key.as_deref());
            match act {
                Act::Create => {}
                Act::CreateAfter(pause) => sleep(pause).await,
                Act::CreateBehind(gate) => gate.opened().await,
                Act::Bytes(bytes) => return wire.write(bytes).await,
                Act::BytesBehind(gate, bytes) => {
                    gate.opened().await;
                    return wire.write(bytes).await;
                }
                Act::Cut => return Ok(()),
            }
            wire.write(created(&execution, safe)).await?;
        }
        Ok(())
    }

    /// Here money moves.
    fn enter(&self, request: Message) -> Execution {
        let mut entered = None;
        self.book.send_modify(|book| {
            let number = book.len() + 1;
            let key = request
                .header("idempotency-key")
                .map(|key| key.trim_matches('"').to_owned());
            // Lengths differ, so that a kill finds answers in every state of being written.
            let padding = "x".repeat(number % 7 * 1_500);
            let answer = format!("{{\"execution\":{number},\"padding\":\"{padding}\"}}").into();
            let execution = Execution {
                number,
                key,
                request,
                answer,
            };
            book.push(execution.clone());
            entered = Some(execution);
        });
        entered.unwrap()
    }

    fn act(&self, key: Option<&str>) -> Act {
        if let Some(act) = self.next.lock().pop_front() {
            return act;
        }
        let key = key.unwrap_or_default();
        let planned = self
            .planned
            .lock()
            .get_mut(key)
            .and_then(VecDeque::pop_front);
        planned.unwrap_or_else(|| (self.by_key)(key))
    }
}

fn said(line: &str) -> Vec<u8> {
    let head = "Content-Type: text/plain\r\nContent-Length: 4\r\nConnection: close";
    format!("HTTP/1.1 {line}\r\n{head}\r\n\r\nsaid").into_bytes()
}

fn created(execution: &Execution, safe: bool) -> Vec<u8> {
    let Execution { number, answer, .. } = execution;
    let head = format!(
        "HTTP/1.1 {}\r\nContent-Type: application/json\r\nLocation: /payments/{number}\r\n\
         ETag: \"{number}\"\r\nX-Execution: {number}\r\nSet-Cookie: visit={number}\r\n\
         Content-Length: {}\r\n\r\n",
        if safe { "200 OK" } else { "201 Created" },
        answer.len()
    );
    [head.as_bytes(), answer].concat()
}

async fn echo(mut wire: Wire) -> io::Result<()> {
    wire.write(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x-echo\r\n\r\n",
    )
    .await?;
    let (mut from, mut to): (_, _) = TcpStream::split(&mut wire.stream);
    tokio::io::copy(&mut from, &mut to).await.map(drop)
}
