//! A wire between a client and the proxy that is cut where the test says.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Where a connection is cut. The request goes through whole in each case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cut {
    /// The answer is made, and not a byte of it arrives.
    BeforeAnswer,
    /// So many bytes before its end, but its head arrives.
    BeforeEnd(usize),
}

/// Accepts for the proxy, and cuts the first connections as planned; later ones are left alone.
pub(crate) struct Relay {
    address: SocketAddr,
    plan: Arc<Mutex<VecDeque<Cut>>>,
    accepting: JoinHandle<()>,
}

impl Relay {
    pub(crate) async fn before(proxy: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let plan = Arc::new(Mutex::new(VecDeque::new()));
        let cuts = Arc::clone(&plan);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let cut = cuts.lock().pop_front();
                // A wire that breaks is what this is about.
                drop(tokio::spawn(relay(client, proxy, cut)));
            }
        });
        Self {
            address,
            plan,
            accepting,
        }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the next connections.
    pub(crate) fn cut(&self, cuts: impl IntoIterator<Item = Cut>) {
        self.plan.lock().extend(cuts);
    }

    /// How many of the cuts are still to be made.
    pub(crate) fn left(&self) -> usize {
        self.plan.lock().len()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn relay(mut client: TcpStream, proxy: SocketAddr, cut: Option<Cut>) -> io::Result<()> {
    let mut server = TcpStream::connect(proxy).await?;
    let Some(cut) = cut else {
        copy_bidirectional(&mut client, &mut server).await?;
        return Ok(());
    };
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let answer = async {
        let mut answer = Vec::new();
        // The answer is complete in this buffer before any of it may go on, so that the cut is exact.
        while !is_whole(&answer) {
            if from_server.read_buf(&mut answer).await? == 0 {
                break;
            }
        }
        match cut {
            Cut::BeforeAnswer => Ok(()),
            Cut::BeforeEnd(bytes) => to_client.write_all(&answer[..answer.len() - bytes]).await,
        }
    };
    tokio::select! {
        cut = answer => cut,
        // Both sides are closed when this ends; a client that is still silent is waiting.
        copied = tokio::io::copy(&mut from_client, &mut to_server) => copied.map(drop),
    }
}

/// Whether a message with a `Content-Length` came to its end.
pub(crate) fn is_whole(message: &[u8]) -> bool {
    let Some(head) = message.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return false;
    };
    let text = String::from_utf8_lossy(&message[..head]).to_ascii_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|value| value.trim().parse::<usize>().ok());
    length.is_some_and(|length| message.len() >= head + 4 + length)
}
