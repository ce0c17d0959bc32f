//! What lies between a store and its Redis: a name that can come to mean another server, and a wire that breaks when it
//! is told to.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use oncegate_stores::{RedisAddress, RedisStore};

/// Takes connections at one address and passes them on to another, until it is dropped.
pub(super) struct Relay {
    address: SocketAddr,
    wire: Arc<Wire>,
}

struct Wire {
    target: Mutex<SocketAddr>,
    loses_next_answer: AtomicBool,
    ended: AtomicBool,
}

impl Relay {
    pub(super) fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let wire = Arc::new(Wire {
            target: Mutex::new(target),
            loses_next_answer: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        });
        let passing = wire.clone();
        thread::spawn(move || passing.accept(&listener));
        Self { address, wire }
    }

    /// New connections go there; those that are open stay where they are.
    pub(super) fn turn_to(&self, target: SocketAddr) {
        *self.wire.target.lock().unwrap() = target;
    }

    /// The next request reaches the server, and in place of its answer the connection ends.
    pub(super) fn lose_next_answer(&self) {
        self.wire.loses_next_answer.store(true, Ordering::Release);
    }

    /// Whether it still waits for an answer to lose.
    pub(super) fn has_lost_it(&self) -> bool {
        !self.wire.loses_next_answer.load(Ordering::Acquire)
    }

    pub(super) async fn open(&self) -> RedisStore {
        self.open_with("").await
    }

    pub(super) async fn open_with(&self, parameters: &str) -> RedisStore {
        let url = format!("redis://{}{parameters}", self.address);
        let address: RedisAddress = url.parse().unwrap();
        RedisStore::open(&address).await.unwrap()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.wire.ended.store(true, Ordering::Release);
        // Wakes the one that accepts.
        drop(TcpStream::connect(self.address));
    }
}

impl Wire {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            if self.ended.load(Ordering::Acquire) {
                return;
            }
            // A server that is not there is a connection that ends at once.
            let (Ok(client), Ok(server)) =
                (client, TcpStream::connect(*self.target.lock().unwrap()))
            else {
                continue;
            };
            let requests = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || pass(requests.0, requests.1, || true));
            let wire = self.clone();
            thread::spawn(move || {
                pass(server, client, || {
                    !wire.loses_next_answer.swap(false, Ordering::AcqRel)
                });
            });
        }
    }
}

/// Passes bytes on until one side ends, or `passes` says that they are lost.
fn pass(mut from: TcpStream, mut to: TcpStream, passes: impl Fn() -> bool) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(count) = from.read(&mut bytes) {
        if count == 0 || !passes() || to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    for end in [from, to] {
        // It may have ended already.
        let _ended = end.shutdown(Shutdown::Both);
    }
}
