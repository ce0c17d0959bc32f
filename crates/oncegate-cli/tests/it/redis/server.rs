//! A `redis-server` on a free loopback port: stopped, continued, killed, started anew, and listened to.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::time::timeout;

use crate::harness::{Setup, poll_until, program, run, within};

/// A server that keeps nothing on disk, unless it is told to.
pub(crate) struct Redis {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
    settings: Vec<String>,
}

impl Redis {
    pub(crate) async fn start(folder: &Path) -> Self {
        Self::with(folder, &["--appendonly", "no"]).await
    }

    /// One that writes to its disk before it answers, with these settings besides.
    pub(crate) async fn durable(folder: &Path, settings: &[&str]) -> Self {
        let durable = ["--appendonly", "yes", "--appendfsync", "always"];
        Self::with(folder, &[&durable, settings].concat()).await
    }

    async fn with(folder: &Path, settings: &[&str]) -> Self {
        let settings: Vec<String> = settings.iter().map(|&word| word.to_owned()).collect();
        // The port may be taken between here and there; then the server ends at once, and another one is tried.
        for _attempt in 0..ATTEMPTS {
            let address = Self::free_address();
            if let Some(child) = spawn(folder, address, &settings).await {
                let folder = folder.to_path_buf();
                return Self {
                    child,
                    address,
                    folder,
                    settings,
                };
            }
        }
        panic!("no redis-server could be started");
    }

    pub(crate) fn free_address() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.local_addr().unwrap()
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// A proxy on this store.
    pub(super) fn under(&self, setup: Setup) -> Setup {
        setup.flag("--store", &self.url())
    }

    /// `STOP`: it takes connections and bytes, and answers nothing. `CONT`: it goes on.
    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let mut command = program("sh");
        command.args(["-c", "kill -s \"$2\" \"$1\"", "sh", &id, name]);
        assert_eq!(run(command).await.code, Some(0));
    }

    pub(crate) async fn kill(&mut self) {
        within("a killed Redis", self.child.kill()).await.unwrap();
    }

    /// On the same port, with what is on its disk, or nothing.
    pub(crate) async fn start_again(&mut self) {
        let started = spawn(&self.folder, self.address, &self.settings).await;
        self.child = started.expect("the Redis did not come back");
    }

    /// What operators see of every command from now on.
    pub(super) async fn listen(&self) -> Ear {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(b"MONITOR\r\n").await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        let first = within("MONITOR", lines.next_line()).await.unwrap();
        assert_eq!(first.as_deref(), Some("+OK"));
        Ear {
            lines,
            speaks: TcpStream::connect(self.address).await.unwrap(),
            marks: 0,
        }
    }

    /// One command of an operator's.
    pub(super) async fn says(&self, command: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let words = format!("{command}\r\nQUIT\r\n");
        stream.write_all(words.as_bytes()).await.unwrap();
        let mut said = String::new();
        let read = within(command, stream.read_to_string(&mut said)).await;
        read.unwrap();
        said
    }

    /// Asks until it says this.
    pub(crate) async fn must_say(&self, command: &str, expected: &str) {
        poll_until(expected, || async {
            self.says(command).await.contains(expected).then_some(())
        })
        .await;
    }
}

/// Hears every command, in the order in which the server takes them.
pub(super) struct Ear {
    lines: Lines<BufReader<TcpStream>>,
    speaks: TcpStream,
    marks: usize,
}

impl Ear {
    /// What came in since the last time, as the server took it: what scripts do within themselves is left out.
    pub(super) async fn heard(&mut self) -> Vec<String> {
        self.marks += 1;
        let mark = format!("mark-{}", self.marks);
        let words = format!("ECHO {mark}\r\n");
        self.speaks.write_all(words.as_bytes()).await.unwrap();
        let mut heard = Vec::new();
        loop {
            let line = within("MONITOR", self.lines.next_line()).await.unwrap();
            let line = line.expect("the Redis is there");
            if line.contains(&mark) {
                return heard;
            }
            if !line.contains(" lua] ") {
                heard.push(line);
            }
        }
    }

    /// How many round trips there were for records. Nothing else went over the wire but what the purger asks from time
    /// to time.
    pub(super) async fn round_trips(&mut self) -> usize {
        let heard = self.heard().await;
        let (of_records, others): (Vec<_>, Vec<_>) =
            heard.iter().partition(|line| line.contains("\"oncegate:{"));
        for line in others {
            let is_the_purgers = line.contains("\"TIME\"") || line.contains("\"oncegate:salt\"");
            assert!(is_the_purgers, "{line}");
        }
        of_records.len()
    }
}

async fn spawn(folder: &Path, address: SocketAddr, settings: &[String]) -> Option<Child> {
    let mut command = program("redis-server");
    command
        .args(["--bind", "127.0.0.1", "--save", ""])
        .args(settings)
        .args(["--port", &address.port().to_string()])
        .args(["--logfile", "redis.log"])
        .current_dir(folder);
    let child = command
        .spawn()
        .expect("redis-server is installed: run `make setup`");
    let child = parking_lot::Mutex::new(child);
    let answered = poll_until("a Redis that starts", || async {
        if pings(address).await {
            return Some(true);
        }
        let ended = child.lock().try_wait().unwrap().is_some();
        ended.then_some(false)
    });
    answered.await.then_some(child.into_inner())
}

async fn pings(address: SocketAddr) -> bool {
    let asking = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"PING\r\n").await?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(&answer == b"+PONG")
    };
    matches!(timeout(PING_TIMEOUT, asking).await, Ok(Ok(true)))
}

const ATTEMPTS: usize = 5;
const PING_TIMEOUT: Duration = Duration::from_secs(1);
