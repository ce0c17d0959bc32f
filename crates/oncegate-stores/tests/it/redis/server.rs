//! A `redis-server` on a free loopback port, with a temporary folder of its own.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use oncegate_stores::{RedisAddress, RedisStore};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::Instant;

/// A server that is killed when the test is over.
pub(super) struct RedisServer {
    child: Child,
    address: SocketAddr,
    settings: Vec<String>,
    folder: TempDir,
}

impl RedisServer {
    /// With nothing kept on disk, and these settings besides.
    pub(super) fn start(settings: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), settings)
    }

    /// In a folder that already holds what it needs. `PORT` in the settings is its port.
    pub(super) fn start_in(folder: TempDir, settings: &[&str]) -> Self {
        let settings: Vec<String> = settings.iter().map(|&setting| setting.to_owned()).collect();
        // The port may be taken between here and there; then the server ends at once, and another one is tried.
        for _attempt in 0..ATTEMPTS {
            let address = free_address();
            let mut child = spawn(&folder, address, &settings);
            if answers(&mut child, address) {
                return Self {
                    child,
                    address,
                    settings,
                    folder,
                };
            }
        }
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        panic!("no redis-server could be started: {log}");
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) async fn open(&self) -> RedisStore {
        let address: RedisAddress = self.url().parse().unwrap();
        RedisStore::open(&address).await.unwrap()
    }

    /// As after a power cut, with the memory gone.
    pub(super) fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.folder, self.address, &self.settings);
        assert!(
            answers(&mut self.child, self.address),
            "the server did not come back"
        );
    }

    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// It takes connections and bytes, and answers nothing.
    pub(super) fn stop(&self) {
        self.signal(Signal::STOP);
    }

    pub(super) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// One field of what it says of itself.
    pub(super) fn tells(&self, section: &str, field: &str) -> String {
        let told = self.cli(&["info", section]);
        let value = told
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.unwrap_or_default().trim().to_owned()
    }

    /// What the server says to a command of an operator's.
    pub(super) fn cli(&self, words: &[&str]) -> String {
        let Output { status, stdout, .. } = Command::new("redis-cli")
            .args(["-p", &self.address.port().to_string()])
            .args(words)
            .output()
            .expect("redis-cli is installed: run `make setup`");
        assert!(status.success(), "redis-cli {words:?} failed");
        String::from_utf8(stdout).unwrap().trim().to_owned()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may be dead already, by the test's own hand.
        let _killed_or_dead = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// A connection of an operator's that stays, for a server that takes no new ones.
pub(super) struct Connection(TcpStream);

impl Connection {
    pub(super) fn to(server: &RedisServer) -> Self {
        let stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(START_TIMEOUT)).unwrap();
        Self(stream)
    }

    /// Answers the first line of what the server says, which is not to be an error.
    pub(super) fn say(&mut self, words: &str) -> String {
        self.0.write_all(format!("{words}\r\n").as_bytes()).unwrap();
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") {
            self.0.read_exact(&mut byte).unwrap();
            line.extend(byte);
        }
        let line = String::from_utf8(line).unwrap();
        assert!(!line.starts_with('-'), "{words}: {line}");
        line
    }
}

pub(super) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

fn spawn(folder: &TempDir, address: SocketAddr, settings: &[String]) -> Child {
    let log = File::create(folder.path().join("log")).unwrap();
    let port = address.port().to_string();
    // Should this program be killed, its servers go with it.
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "redis-server"])
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(["--port", &port])
        .args(
            settings
                .iter()
                .map(|setting| setting.replace("PORT", &port)),
        )
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stderr(log.try_clone().unwrap())
        .stdout(log)
        .spawn()
        .expect("redis-server is installed: run `make setup`")
}

/// Whether it takes requests before it ends, within the time that it may take.
fn answers(child: &mut Child, address: SocketAddr) -> bool {
    let began = Instant::now();
    while began.elapsed() < START_TIMEOUT {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if pings(address).unwrap_or(false) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

fn pings(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    Ok(&answer == b"+PONG")
}

const ATTEMPTS: usize = 5;
const START_TIMEOUT: Duration = Duration::from_secs(20);
