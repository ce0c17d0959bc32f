//! The real binary on loopback, an origin before which it stands, and clients that can break off at any byte.
//!
//! Nothing here shares code with what it judges: processes, sockets and HTTP are the test's own. Every wait is for an
//! event, and has a guard that turns a hang into a failure.

mod answer;
mod client;
mod http2;
mod node;
mod origin;
mod program;
mod proxy;
mod python;
mod relay;
mod stripe_sdk;
pub(crate) mod tls;
mod wire;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{sleep, timeout};

pub(crate) use answer::Answer;
pub(crate) use client::{Request, get, pay, post, send, try_send};
pub(crate) use http2::Http2;
pub(crate) use origin::{Act, Execution, Gate, Origin};
pub(crate) use program::{BINARY, Ended, oncegate, program, run};
pub(crate) use proxy::{Proxy, Setup};
pub(crate) use python::Python;
pub(crate) use relay::{Cut, Relay, is_whole};
pub(crate) use stripe_sdk::{Called, Library};
pub(crate) use wire::Wire;

/// What a test with servers needs: a seat, a folder and an origin.
pub(crate) struct Stage {
    pub(crate) origin: Origin,
    folder: TempDir,
    _seat: SemaphorePermit<'static>,
}

impl Stage {
    /// An origin that creates whatever is asked for.
    pub(crate) async fn new() -> Self {
        Self::with(|_| Act::Create).await
    }

    /// An origin that does with a key what `by_key` says.
    pub(crate) async fn with(by_key: fn(&str) -> Act) -> Self {
        let seat = SEATS.acquire().await.unwrap();
        Self {
            origin: Origin::start(by_key).await,
            folder: tempfile::tempdir().unwrap(),
            _seat: seat,
        }
    }

    /// A proxy before the origin, with a store file in the stage's folder.
    pub(crate) fn proxy(&self) -> Setup {
        self.proxy_before(&format!("http://{}", self.origin.address()))
    }

    pub(crate) fn proxy_before(&self, upstream: &str) -> Setup {
        Setup::new(self.folder(), upstream)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn store_file(&self) -> PathBuf {
        self.folder().join("oncegate.db")
    }

    /// A file in the stage's folder.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// Turns a hang into a failure; nothing is expected to take this long.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(GUARD, future)
        .await
        .unwrap_or_else(|_| panic!("{what}: hangs"))
}

/// Asks again and again until the answer is what is waited for: for what another process tells only when it is asked.
pub(crate) async fn poll_until<T, F>(what: &str, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    within(what, async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            sleep(POLL).await;
        }
    })
    .await
}

/// Tests with servers that run at a time: there may be no more than two cores.
static SEATS: Semaphore = Semaphore::const_new(2);
const GUARD: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);
