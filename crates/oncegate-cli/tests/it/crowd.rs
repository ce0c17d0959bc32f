//! A crowd of idle and slow clients: the others are served, and each of the crowd costs little.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpStream;

use crate::harness::{Answer, Proxy, Stage, Wire, get, pay, within};

/// More than the 1,024 descriptors that most systems start a process with: the proxy has to raise its limit.
const IDLE: usize = 1_000;
const SLOW: usize = 200;
/// What a client may cost, in a build without optimisation. Measured: half of this.
const BYTES_PER_CLIENT_MAX: u64 = 40 * 1024;

#[tokio::test]
async fn a_crowd_of_idle_and_slow_clients_costs_little_and_holds_nobody_up() {
    let stage = Stage::new().await;
    // With the limit that this process was started with.
    let proxy = stage
        .proxy()
        .set("first_byte_timeout=1h")
        .set("header_timeout=1h")
        .set("idle_timeout=1h")
        .set("body_idle_timeout=1h")
        .start()
        .await;
    raise_own_limit();
    proxy.send(&pay("before")).await.must_be_executed();
    let before = proxy.resident_bytes();
    let mut idle = Vec::with_capacity(IDLE);
    for _ in 0..IDLE {
        let mut wire = Wire::connect(proxy.listen).await.unwrap();
        wire.write(get("/payments/1").bytes()).await.unwrap();
        let answer = Answer(within("an answer", wire.read_answer()).await.unwrap());
        assert_eq!(answer.code(), 200);
        idle.push(wire);
    }
    let mut slow = Vec::with_capacity(SLOW);
    for number in 0..SLOW {
        slow.push(beginning(&proxy, number).await);
    }
    for number in 0..100 {
        let key = format!("among-{number}");
        let first = proxy.send(&pay(&key)).await;
        first.must_be_executed();
        proxy.send(&pay(&key)).await.must_replay(&first);
    }
    let each = proxy.resident_bytes().saturating_sub(before) / (IDLE + SLOW) as u64;
    assert!(each < BYTES_PER_CLIENT_MAX, "{each} bytes for each client");
    // All of the crowd are still there, and are served when they go on.
    for wire in idle.iter_mut().step_by(100) {
        wire.write(get("/payments/1").bytes()).await.unwrap();
        let answer = Answer(within("an answer", wire.read_answer()).await.unwrap());
        assert_eq!(answer.code(), 200);
    }
    let executions = stage
        .origin
        .book()
        .iter()
        .filter(|it| it.key.is_some())
        .count();
    assert_eq!(executions, 101);
}

/// A client that stays in the middle of its head, or of its body.
async fn beginning(proxy: &Proxy, number: usize) -> TcpStream {
    let mut wire = Wire::connect(proxy.listen).await.unwrap();
    let request = pay(&format!("slow-{number}")).head("Content-Length: 1000\r\n");
    let sent = if number.is_multiple_of(2) {
        request[..40].to_owned()
    } else {
        request + "{\"am"
    };
    wire.write(sent).await.unwrap();
    wire.stream
}

pub(crate) fn raise_own_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}
