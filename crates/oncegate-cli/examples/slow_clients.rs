//! What thousands of idle and slow clients cost the others: memory of the proxy, and the times of ordinary requests
//! with the crowd and without it.
//!
//! `cargo build --release -p oncegate-cli --bin oncegate --example slow_clients`, then
//! `target/release/examples/slow_clients target/release/oncegate [IDLE] [SLOW]`
#![expect(clippy::print_stdout, reason = "a measurement is for people to read")]
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that fails has nothing to say"
)]

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const REQUESTS: usize = 2_000;
const AT_ONCE: usize = 16;
const LARGE_BYTES: usize = 1024 * 1024;
const SMALL: &str = "HTTP/1.1 201 Created\r\nContent-Length: 59\r\n\r\n\
                     {\"id\":\"pay_0123456789abcdef\",\"amount\":100,\"currency\":\"EUR\"}";

#[tokio::main]
async fn main() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    let arguments: Vec<String> = std::env::args().collect();
    let number = |at: usize, or: usize| arguments.get(at).map_or(or, |it| it.parse().unwrap());
    let (idle, slow) = (number(2, 10_000), number(3, 1_000));
    let (_proxy, pid, address) = start(&arguments[1], origin().await).await;

    measure(address, "warm-up").await;
    println!("{}", report("alone", pid, measure(address, "alone").await));
    let before = resident_kib(pid);
    let mut crowd = Vec::with_capacity(idle);
    for _ in 0..idle {
        let mut stream = TcpStream::connect(address).await.unwrap();
        exchange(&mut stream, GET_SMALL).await;
        crowd.push(stream);
    }
    let with_idle = resident_kib(pid);
    let each = (with_idle.saturating_sub(before)) * 1024 / idle.max(1) as u64;
    println!("{idle} idle clients: {with_idle} KiB, {each} bytes each");
    let mut slow_ones = JoinSet::new();
    for number in 0..slow {
        let stream = TcpStream::connect(address).await.unwrap();
        if number.is_multiple_of(2) {
            slow_ones.spawn(drip(stream));
        } else {
            slow_ones.spawn(sip(stream));
        }
    }
    sleep(Duration::from_secs(3)).await;
    println!("{slow} slow clients more: {} KiB", resident_kib(pid));
    println!(
        "{}",
        report("with the crowd", pid, measure(address, "crowd").await)
    );
    drop(crowd);
    slow_ones.shutdown().await;
}

/// A head, byte by byte.
async fn drip(mut stream: TcpStream) {
    let head = format!(
        "GET /small HTTP/1.1\r\nHost: h\r\nX: {}",
        "x".repeat(10_000)
    );
    for byte in head.bytes() {
        if stream.write_all(&[byte]).await.is_err() {
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// A large answer, a KiB at a time.
async fn sip(mut stream: TcpStream) {
    let request = "GET /large HTTP/1.1\r\nHost: h\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut sip = [0; 1024];
    while stream.read(&mut sip).await.is_ok_and(|length| length > 0) {
        sleep(Duration::from_secs(1)).await;
    }
}

/// Keyed requests, each with a key of its own; how long each took.
async fn measure(address: SocketAddr, run: &'static str) -> Vec<Duration> {
    let mut clients = JoinSet::new();
    for client in 0..AT_ONCE {
        clients.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut times = Vec::new();
            for number in 0..REQUESTS / AT_ONCE {
                let request = format!(
                    "POST /payments HTTP/1.1\r\nHost: h\r\nIdempotency-Key: {run}-{client}-{number}\r\n\
                     Content-Length: 14\r\n\r\n{{\"amount\":100}}"
                );
                let begun = Instant::now();
                exchange(&mut stream, &request).await;
                times.push(begun.elapsed());
            }
            times
        });
    }
    let mut times: Vec<Duration> = clients.join_all().await.into_iter().flatten().collect();
    times.sort_unstable();
    times
}

async fn exchange(stream: &mut TcpStream, request: &str) {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\"EUR\"}") {
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "an answer");
    }
}

fn report(run: &str, pid: u32, times: Vec<Duration>) -> String {
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    format!(
        "{run}: p50 {:?}, p99 {:?}, {} requests, proxy {} KiB",
        at(50),
        at(99),
        times.len(),
        resident_kib(pid)
    )
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn start(binary: &str, origin: SocketAddr) -> (Child, u32, SocketAddr) {
    let mut command = Command::new(binary);
    command.args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "off",
        "--store",
        "memory:",
    ]);
    command.args(["--upstream", &format!("http://{origin}")]);
    for setting in PATIENT {
        command.args(["--set", setting]);
    }
    let mut child = command
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = loop {
        let line = lines.next_line().await.unwrap().expect("the proxy starts");
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        if let Some(listening) = event["listening"].as_str() {
            break listening.strip_prefix("http://").unwrap().parse().unwrap();
        }
    };
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let pid = child.id().unwrap();
    (child, pid, address)
}

/// Answers each head by what its path says; bodies are as long as `measure` makes them.
async fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

async fn serve(mut stream: TcpStream) {
    let large = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE_BYTES}\r\n\r\n");
    let large = large + &"x".repeat(LARGE_BYTES);
    let mut unread = Vec::new();
    while stream
        .read_buf(&mut unread)
        .await
        .is_ok_and(|length| length > 0)
    {
        let text = String::from_utf8_lossy(&unread);
        let whole = text.ends_with("}") || (text.starts_with("GET ") && text.ends_with("\r\n\r\n"));
        if !whole {
            continue;
        }
        let answer = if text.starts_with("GET /large ") {
            &large
        } else {
            SMALL
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        unread.clear();
    }
}

const GET_SMALL: &str = "GET /small HTTP/1.1\r\nHost: h\r\n\r\n";
/// Nobody is to be sent away while the crowd gathers.
const PATIENT: [&str; 6] = [
    "connections_max=20000",
    "first_byte_timeout=1h",
    "header_timeout=1h",
    "idle_timeout=1h",
    "write_timeout=1h",
    "store_timeout=20s",
];
