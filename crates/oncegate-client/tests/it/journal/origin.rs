//! An API with idempotency keys, as small as can be: it runs a key once, and keeps a book of its own of who asked.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What was asked for under one key.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) body: String,
    pub(super) requests: usize,
    /// The most that were there at once.
    pub(super) at_once: usize,
    now: usize,
}

/// An origin on a free port, for as long as the process lives.
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    book: Arc<Mutex<HashMap<String, Asked>>>,
}

impl Origin {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let book = Arc::<Mutex<HashMap<String, Asked>>>::default();
        let kept = Arc::clone(&book);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let book = Arc::clone(&kept);
                // A client that is killed ends its connection in any way.
                std::thread::spawn(move || drop(serve(&stream, &book)));
            }
        });
        Self { address, book }
    }

    /// All that was asked for.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.book.lock().unwrap().values().cloned().collect()
    }
}

fn serve(stream: &TcpStream, book: &Mutex<HashMap<String, Asked>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream);
    loop {
        let (mut key, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_ascii_lowercase();
            match line.split_once(": ") {
                Some(("idempotency-key", value)) => value.clone_into(&mut key),
                Some(("content-length", value)) => length = value.parse().unwrap(),
                _ if line.is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        lines.read_exact(&mut body)?;
        let first = enter(book, &key, String::from_utf8(body).unwrap());
        let status = if first { "executed" } else { "replayed" };
        let head = format!(
            "HTTP/1.1 201 Created\r\nIdempotency-Status: {status}\r\nContent-Length: 4\r\n\r\npaid"
        );
        let answered = (&mut &*stream).write_all(head.as_bytes());
        book.lock().unwrap().get_mut(&key).unwrap().now -= 1;
        answered?;
    }
}

/// Here money moves, if it is the first time.
fn enter(book: &Mutex<HashMap<String, Asked>>, key: &str, body: String) -> bool {
    let mut book = book.lock().unwrap();
    let asked = book.entry(key.to_owned()).or_insert_with(|| Asked {
        body: body.clone(),
        requests: 0,
        at_once: 0,
        now: 0,
    });
    assert_eq!(asked.body, body, "one key for two requests");
    asked.requests += 1;
    asked.now += 1;
    asked.at_once = asked.at_once.max(asked.now);
    asked.requests == 1
}
