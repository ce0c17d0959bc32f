//! A wire between a client and the proxy that breaks again and again, by seed: before the request, in it, after it,
//! before the answer, in it. One exchange at a time, so that each cut is where it is said to be.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use oncegate::testing::SplitMix64;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::is_whole;
use crate::harness::tls::Acceptor;

/// Where an exchange is cut.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Cut {
    /// Nothing of it reaches the proxy.
    BeforeRequest,
    /// A part of it does.
    InRequest,
    /// All of it does, and nobody waits for the answer.
    AfterRequest,
    /// The answer is made, and not a byte of it arrives.
    BeforeAnswer,
    /// A part of it does, at times not even its head.
    InAnswer,
}

/// Accepts for a proxy that may be killed and started elsewhere.
pub(super) struct Cuts {
    acceptor: Acceptor,
    shared: Arc<Shared>,
}

struct Shared {
    proxy: Mutex<SocketAddr>,
    random: Mutex<SplitMix64>,
    per_mille: Mutex<u32>,
    made: Mutex<BTreeMap<Cut, usize>>,
}

/// A cut, where in the bytes, and whether with a reset instead of an end.
struct Fate {
    cut: Cut,
    at: u64,
    reset: bool,
}

impl Cuts {
    pub(super) async fn before(proxy: SocketAddr, seed: u64) -> Self {
        let shared = Arc::new(Shared {
            proxy: Mutex::new(proxy),
            random: Mutex::new(SplitMix64::new(seed)),
            per_mille: Mutex::new(CUT_PER_MILLE),
            made: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        let acceptor = Acceptor::start(move |client| {
            let shared = Arc::clone(&serving);
            async move { shared.serve(client).await }
        })
        .await;
        Self { acceptor, shared }
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.acceptor.address
    }

    /// The proxy is here now.
    pub(super) fn lead_to(&self, proxy: SocketAddr) {
        *self.shared.proxy.lock() = proxy;
    }

    /// No more cuts.
    pub(super) fn heal(&self) {
        *self.shared.per_mille.lock() = 0;
    }

    /// How often each cut was made.
    pub(super) fn made(&self) -> BTreeMap<Cut, usize> {
        self.shared.made.lock().clone()
    }
}

impl Shared {
    async fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let address = *self.proxy.lock();
        // A proxy that is dead at the moment is one more way to lose a connection.
        let mut server = TcpStream::connect(address).await?;
        server.set_nodelay(true)?;
        while let Some(request) = read_whole(&mut client).await? {
            let Some(fate) = self.fate() else {
                server.write_all(&request).await?;
                let answer = must_read_whole(&mut server).await?;
                client.write_all(&answer).await?;
                continue;
            };
            let done = make(&fate, &mut client, &mut server, &request).await;
            if done.is_ok() {
                *self.made.lock().entry(fate.cut).or_default() += 1;
            }
            if fate.reset {
                client.set_zero_linger()?;
            }
            return done;
        }
        Ok(())
    }

    fn fate(&self) -> Option<Fate> {
        let mut random = self.random.lock();
        random.chance(*self.per_mille.lock()).then(|| Fate {
            cut: CUTS[random.index(CUTS.len())],
            at: random.next_u64(),
            reset: random.chance(500),
        })
    }
}

/// Lets through what comes before the cut. Both connections are closed after that.
async fn make(
    fate: &Fate,
    client: &mut TcpStream,
    server: &mut TcpStream,
    request: &[u8],
) -> io::Result<()> {
    match fate.cut {
        Cut::BeforeRequest => Ok(()),
        Cut::InRequest => server.write_all(part(request, fate.at)).await,
        Cut::AfterRequest => server.write_all(request).await,
        Cut::BeforeAnswer => {
            server.write_all(request).await?;
            must_read_whole(server).await.map(drop)
        }
        Cut::InAnswer => {
            server.write_all(request).await?;
            let answer = must_read_whole(server).await?;
            client.write_all(part(&answer, fate.at)).await
        }
    }
}

/// From one byte to all but one.
fn part(message: &[u8], at: u64) -> &[u8] {
    let cuts = message.len() as u64 - 1;
    let end = usize::try_from(1 + at % cuts).unwrap();
    &message[..end]
}

/// A message, or nothing if the other side closed instead.
async fn read_whole(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut message = Vec::new();
    while !is_whole(&message) {
        if stream.read_buf(&mut message).await? == 0 {
            return if message.is_empty() {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
    }
    Ok(Some(message))
}

async fn must_read_whole(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let message = read_whole(stream).await?;
    message.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

pub(super) const CUTS: [Cut; 5] = [
    Cut::BeforeRequest,
    Cut::InRequest,
    Cut::AfterRequest,
    Cut::BeforeAnswer,
    Cut::InAnswer,
];
const CUT_PER_MILLE: u32 = 350;
