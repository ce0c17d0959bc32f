//! A server that does to each connection what a test says: reads, writes, closes, resets, or says nothing more.
//! Its bytes are the test's, so that nothing tidies up what goes over the wire.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What is done to a connection, one deed after the other. At their end it is closed.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// Reads one whole request.
    Read,
    /// Reads the head of a request, and its body no further.
    ReadHead,
    /// Writes these bytes.
    Write(&'static str),
    /// Ends the connection with a reset.
    Reset,
    /// Says nothing more, and holds the connection open.
    Hang,
}

/// A server that follows a script, a list of deeds for each connection in the order in which they come.
pub(crate) struct Origin {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
    _task: JoinSet<()>,
}

impl Origin {
    pub(crate) async fn play(connections: impl IntoIterator<Item = Vec<Deed>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("a bound socket");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let script: VecDeque<_> = connections.into_iter().collect();
        let mut task = JoinSet::new();
        task.spawn(serve(listener, script, Arc::clone(&requests)));
        Self {
            address,
            requests,
            _task: task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/payments", self.address)
    }

    /// What was read, request by request; of those that did not come whole, as much as came.
    pub(crate) fn requests(&self) -> Vec<String> {
        let requests = self.requests.lock().expect("not poisoned");
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        requests.iter().map(text).collect()
    }
}

/// The value of a header of a request.
pub(crate) fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = request.split("\r\n");
    lines.find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

async fn serve(
    listener: TcpListener,
    mut script: VecDeque<Vec<Deed>>,
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
) {
    let mut connections = JoinSet::new();
    while let Some(deeds) = script.pop_front() {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        connections.spawn(converse(stream, deeds, Arc::clone(&requests)));
    }
    // Nobody else is let in, and those who are in go on.
    drop(listener);
    connections.join_all().await;
}

async fn converse(mut stream: TcpStream, deeds: Vec<Deed>, requests: Arc<Mutex<Vec<Vec<u8>>>>) {
    for deed in deeds {
        match deed {
            Deed::Read => {
                let request = read(&mut stream, true).await;
                requests.lock().expect("not poisoned").push(request);
            }
            Deed::ReadHead => {
                let request = read(&mut stream, false).await;
                requests.lock().expect("not poisoned").push(request);
            }
            // A client that has gone is what some tests are about.
            Deed::Write(bytes) => drop(stream.write_all(bytes.as_bytes()).await),
            Deed::Reset => stream.set_zero_linger().expect("an open socket"),
            Deed::Hang => std::future::pending().await,
        }
    }
}

async fn read(stream: &mut TcpStream, whole: bool) -> Vec<u8> {
    let mut request = Vec::new();
    let mut part = [0; 4096];
    loop {
        let (head, body) = match find(&request, b"\r\n\r\n") {
            Some(at) => (Some(at + 4), request.len() - at - 4),
            None => (None, 0),
        };
        if let Some(head) = head {
            let text = String::from_utf8_lossy(&request[..head]);
            let length = header(&text, "content-length")
                .map_or(0, |length| length.parse().expect("a client that can count"));
            if !whole || body >= length {
                return request;
            }
        }
        match stream.read(&mut part).await {
            Ok(read) if read > 0 => request.extend_from_slice(&part[..read]),
            Ok(_) | Err(_) => return request,
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
