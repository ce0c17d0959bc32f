//! A Redis that does not ask who writes: a relay before a real one takes the question out of the script.
//!
//! The proxies are the real ones, and believe that their store is, too. A changed script is another one to Redis, so
//! each proxy sends it anew each time, and the relay meets it each time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Accepts for a Redis.
pub(super) struct Unfenced {
    address: SocketAddr,
    forged: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Unfenced {
    pub(super) async fn before(redis: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let forged = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&forged);
        let accepting = tokio::spawn(async move {
            // The connections end with this task.
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(relay(client, redis, Arc::clone(&count)));
            }
        });
        Self {
            address,
            forged,
            accepting,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// How often the question was taken out.
    pub(super) fn forged(&self) -> usize {
        self.forged.load(Ordering::Relaxed)
    }
}

impl Drop for Unfenced {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn relay(client: TcpStream, redis: SocketAddr, forged: Arc<AtomicUsize>) -> io::Result<()> {
    let (from_client, mut to_client) = client.into_split();
    let (mut from_redis, to_redis) = TcpStream::connect(redis).await?.into_split();
    // Both sides are closed when one of them is.
    tokio::select! {
        ended = forge(from_client, to_redis, &forged) => ended,
        ended = copy(&mut from_redis, &mut to_client) => ended.map(drop),
    }
}

async fn forge(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    forged: &AtomicUsize,
) -> io::Result<()> {
    let mut held = Vec::new();
    while from.read_buf(&mut held).await? > 0 {
        while let Some(at) = held.windows(ASKS.len()).position(|part| part == ASKS) {
            // As long as before, so that no length has to be told anew.
            held[at..at + ASKS.len()].fill(b' ');
            held[at..at + ASKS_NOT.len()].copy_from_slice(ASKS_NOT);
            forged.fetch_add(1, Ordering::Relaxed);
        }
        // What may be the first half of the question stays here until the rest of it comes.
        let kept = (0..ASKS.len())
            .rev()
            .find(|&length| held.ends_with(&ASKS[..length]))
            .unwrap_or(0);
        let rest = held.split_off(held.len() - kept);
        to.write_all(&held).await?;
        held = rest;
    }
    Ok(())
}

/// As it stands in the script of an update.
const ASKS: &[u8] =
    b"if record.owner ~= owner or (names_revision and record.revision ~= tonumber(ARGV[4])) then";
const ASKS_NOT: &[u8] = b"if false then";
