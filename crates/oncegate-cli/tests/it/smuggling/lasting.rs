//! What outlives a request: a client's connection, and the upstream's that all clients share. Nothing that was said on
//! one request, or by one client, stands on the next.

use tokio::net::TcpSocket;

use super::recorder::{Recorder, Whole};
use crate::harness::{Answer, Proxy, Stage, Wire, within};

/// The address is written once for a connection: each request must still carry its own client's, and only that.
#[tokio::test]
async fn no_client_s_address_stands_for_another_s() {
    let (stage, recorder) = (Stage::new().await, Recorder::start().await);
    let url = format!("http://{}", recorder.address);
    let proxy = stage.proxy_before(&url).set("forwarded=replace");
    let proxy = proxy.start().await;
    let clients = ["127.0.0.1", "127.0.0.2"];
    let mut wires = Vec::new();
    for client in clients {
        wires.push(connect_from(client, &proxy).await);
    }
    let forged =
        "X-Forwarded-For: 192.0.2.1\r\nX-FORWARDED-FOR: 192.0.2.2\r\nForwarded: for=192.0.2.3\r\n";
    for (number, lines) in [forged, ""].into_iter().enumerate() {
        for (client, wire) in clients.iter().zip(&mut wires) {
            let key = format!("{number}-{client}");
            send(wire, &key, lines).await.must_be_executed();
            let seen = recorder.take(&proxy).await;
            assert_eq!(seen[0].lines("x-forwarded-for"), [*client]);
            assert_eq!(
                seen[0].lines("forwarded"),
                [format!("for={client};host=h;proto=http")]
            );
        }
    }
}

/// However often and in whatever case a client writes what only we say, the origin reads ours once; and the next
/// request on the connection has a fence of its own.
#[tokio::test]
async fn a_fence_is_ours_whatever_a_client_writes() {
    let (stage, recorder) = (Stage::new().await, Recorder::start().await);
    let url = format!("http://{}", recorder.address);
    let proxy = stage.proxy_before(&url).start().await;
    let mut wire = connect_from("127.0.0.1", &proxy).await;
    let forged = "IDEMPOTENCY-FENCE: 9\r\nidempotency-fence: 8\r\nIdempotency-Outcome: final\r\n\
                  iDempotency-fencE: 7\r\nIdempotent-Replayed: true\r\nConnection: Idempotency-Fence, X-Mine\r\n";
    let mut fences = Vec::new();
    for (key, lines) in [("one", forged), ("two", "")] {
        send(&mut wire, key, lines).await.must_be_executed();
        let seen = recorder.take(&proxy).await;
        fences.push(fence(&seen[0]));
        for name in ["idempotency-outcome", "idempotent-replayed", "connection"] {
            assert_eq!(seen[0].lines(name), [""; 0], "{name}");
        }
    }
    assert!(fences[0] > 9 && fences[0] < fences[1], "{fences:?}");
}

fn fence(seen: &Whole) -> u64 {
    let lines = seen.lines("idempotency-fence");
    assert_eq!(lines.len(), 1, "{seen:?}");
    lines[0].parse().unwrap()
}

async fn connect_from(client: &str, proxy: &Proxy) -> Wire {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{client}:0").parse().unwrap()).unwrap();
    let stream = within("a connection", socket.connect(proxy.listen)).await;
    Wire::new(stream.unwrap())
}

async fn send(wire: &mut Wire, key: &str, lines: &str) -> Answer {
    let request = format!(
        "POST /x HTTP/1.1\r\nHost: h\r\nIdempotency-Key: {key}\r\n{lines}Content-Length: 3\r\n\r\nabc"
    );
    wire.write(request).await.unwrap();
    Answer(within("an answer", wire.read_answer()).await.unwrap())
}
