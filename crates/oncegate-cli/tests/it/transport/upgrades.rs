//! Web sockets and CONNECT.

use std::time::Duration;

use oncegate_cli::proxy::{Drained, ForwardSettings, ServerSettings};
use tokio::io::AsyncWriteExt;

use super::support::{Origin, Proxy, Wire, within};

const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";

async fn switched(origin: &Origin, proxy: &Proxy) -> (Wire, Wire) {
    let mut client = proxy.connect().await;
    let request = "GET /ws HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    client.write(request).await;
    let mut wire = origin.accept().await;
    let head = wire.read_head().await;
    assert!(head.contains("upgrade: echo\r\n"), "{head}");
    assert!(head.contains("connection: Upgrade\r\n"), "{head}");
    wire.write(SWITCH).await;
    let head = client.read_head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("upgrade: echo\r\n"), "{head}");
    assert!(head.contains("connection: Upgrade\r\n"), "{head}");
    (client, wire)
}

async fn echo(client: &mut Wire, wire: &mut Wire) {
    client.write("ping").await;
    assert_eq!(wire.read_exact(4).await, b"ping");
    wire.write("pong").await;
    assert_eq!(client.read_exact(4).await, b"pong");
}

#[tokio::test]
async fn an_upgraded_connection_carries_bytes_both_ways_until_both_sides_end() {
    let origin = Origin::bind().await;
    let proxy = Proxy::start(&origin, ServerSettings::default()).await;
    let (mut client, mut wire) = switched(&origin, &proxy).await;
    echo(&mut client, &mut wire).await;
    within(client.0.shutdown()).await.unwrap();
    assert_eq!(wire.read_to_end().await.unwrap(), "");
    wire.write("bye").await;
    drop(wire);
    assert_eq!(client.read_to_end().await.unwrap(), "bye");
    assert_eq!(
        within(proxy.forward.tunnels().drain(Duration::from_secs(10))).await,
        0
    );
}

#[tokio::test]
async fn a_tunnel_does_not_hold_up_the_server_and_is_cut_by_its_own_drain() {
    let origin = Origin::bind().await;
    let proxy = Proxy::start(&origin, ServerSettings::default()).await;
    let (mut client, mut wire) = switched(&origin, &proxy).await;
    let forward = proxy.forward.clone();
    assert_eq!(within(proxy.stop()).await.unwrap(), Drained::Whole);
    echo(&mut client, &mut wire).await;
    assert_eq!(
        within(forward.tunnels().drain(Duration::from_millis(10))).await,
        1
    );
    assert_eq!(client.read_to_end().await.unwrap(), "");
}

#[tokio::test]
async fn an_upgrade_that_the_upstream_declines_is_an_answer_like_any_other() {
    let origin = Origin::bind().await;
    let proxy = Proxy::start(&origin, ServerSettings::default()).await;
    let mut client = proxy.connect().await;
    let request = "GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    client.write(request).await;
    let mut wire = origin.accept().await;
    wire.read_head().await;
    wire.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno")
        .await;
    assert!(client.read_head().await.starts_with("HTTP/1.1 200 "));
    assert_eq!(client.read_exact(2).await, b"no");
}

/// M-08; and h2c would give the client a way past all that judges requests.
#[tokio::test]
async fn an_upgrade_on_a_post_or_to_h2c_is_dropped_and_the_request_goes_on() {
    let origin = Origin::bind().await;
    let proxy = Proxy::start(&origin, ServerSettings::default()).await;
    for (method, protocol) in [("POST", "echo"), ("GET", "h2c")] {
        let mut client = proxy.connect().await;
        client
            .write(format!(
                "{method} / HTTP/1.1\r\nhost: h\r\nconnection: upgrade, http2-settings\r\n\
                 upgrade: {protocol}\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n"
            ))
            .await;
        let mut wire = origin.accept().await;
        let head = wire.read_head().await.to_ascii_lowercase();
        for gone in ["upgrade", "http2-settings", "connection"] {
            assert!(!head.contains(gone), "{gone} in {head}");
        }
        wire.write("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")
            .await;
        assert!(client.read_head().await.starts_with("HTTP/1.1 200 "));
    }
}

#[tokio::test]
async fn connect_opens_a_tunnel_when_the_upstream_agrees() {
    let origin = Origin::bind().await;
    let proxy = Proxy::start(&origin, ServerSettings::default()).await;
    let mut client = proxy.connect().await;
    client
        .write("CONNECT db.example:5432 HTTP/1.1\r\nhost: db.example:5432\r\n\r\n")
        .await;
    let mut wire = origin.accept().await;
    let head = wire.read_head().await;
    assert!(
        head.starts_with("CONNECT db.example:5432 HTTP/1.1\r\n"),
        "{head}"
    );
    wire.write("HTTP/1.1 200 OK\r\n\r\n").await;
    assert!(client.read_head().await.starts_with("HTTP/1.1 200 "));
    echo(&mut client, &mut wire).await;
}

/// Two ends that are both gone without a word would hold a place for ever.
#[tokio::test]
async fn a_tunnel_that_carries_nothing_is_ended_after_its_idle_timeout() {
    let origin = Origin::bind().await;
    let settings = ForwardSettings {
        tunnel_idle_timeout: Duration::from_millis(50),
        ..ForwardSettings::default()
    };
    let proxy = Proxy::start_with(origin.forward_with(settings), ServerSettings::default()).await;
    let (mut client, mut wire) = switched(&origin, &proxy).await;
    assert_eq!(client.read_to_end().await.unwrap(), "");
    assert_eq!(wire.read_to_end().await.unwrap(), "");
}
