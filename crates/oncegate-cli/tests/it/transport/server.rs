//! Limits on clients, and the drain.

use std::time::Duration;

use oncegate_cli::proxy::{Drained, ServerSettings};

use tokio::io::AsyncWriteExt;

use super::support::{Origin, Proxy, Wire, within};

const SHORT: Duration = Duration::from_millis(20);
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const GET: &str = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";

async fn serve_one(origin: &Origin) -> Wire {
    let mut wire = origin.accept().await;
    wire.read_head().await;
    wire.write(OK).await;
    wire
}

async fn read_ok(client: &mut Wire) {
    assert!(client.read_head().await.starts_with("HTTP/1.1 200 "));
    assert_eq!(client.read_exact(2).await, b"ok");
}

#[tokio::test]
async fn a_client_that_says_nothing_is_dropped_after_first_byte_timeout() {
    let origin = Origin::bind().await;
    let settings = ServerSettings {
        first_byte_timeout: SHORT,
        ..ServerSettings::default()
    };
    let proxy = Proxy::start(&origin, settings).await;
    assert_eq!(proxy.connect().await.read_to_end().await.unwrap(), "");
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_head_is_dropped_after_header_timeout() {
    let origin = Origin::bind().await;
    let settings = ServerSettings {
        header_timeout: SHORT,
        ..ServerSettings::default()
    };
    let proxy = Proxy::start(&origin, settings).await;
    for beginning in [
        "G",
        "GET / HTTP/1.1\r\nhost: h\r\nx-slow",
        "PRI * HTTP/2.0\r\n\r\nSM",
    ] {
        let mut client = proxy.connect().await;
        client.write(beginning).await;
        assert_eq!(
            client.read_to_end().await.unwrap_or_default(),
            "",
            "{beginning}"
        );
    }
}

#[tokio::test]
async fn the_header_timeout_holds_for_the_second_request_too() {
    let origin = Origin::bind().await;
    let settings = ServerSettings {
        header_timeout: SHORT,
        ..ServerSettings::default()
    };
    let proxy = Proxy::start(&origin, settings).await;
    let mut client = proxy.connect().await;
    client.write(GET).await;
    let _upstream = serve_one(&origin).await;
    read_ok(&mut client).await;
    client.write("GET / HT").await;
    assert_eq!(client.read_to_end().await.unwrap_or_default(), "");
}

#[tokio::test]
async fn a_connection_without_requests_is_closed_after_idle_timeout() {
    let origin = Origin::bind().await;
    let settings = ServerSettings {
        idle_timeout: SHORT,
        ..ServerSettings::default()
    };
    let proxy = Proxy::start(&origin, settings).await;
    let mut client = proxy.connect().await;
    client.write(GET).await;
    let _upstream = serve_one(&origin).await;
    read_ok(&mut client).await;
    assert_eq!(client.read_to_end().await.unwrap(), "");
}

/// All client timeouts are far shorter than this execution; none of them may strike.
#[tokio::test]
async fn no_timeout_runs_while_an_execution_does() {
    let origin = Origin::bind().await;
    let settings = ServerSettings {
        first_byte_timeout: SHORT,
        header_timeout: SHORT,
        idle_timeout: SHORT,
        body_idle_timeout: SHORT,
        write_timeout: SHORT,
        ..ServerSettings::default()
    };
    let proxy = Proxy::start(&origin, settings).await;
    let mut client = proxy.connect().await;
    client.write(GET).await;
    let mut wire = origin.accept().await;
    wire.read_head().await;
    // Another client's timeout, five times over, is the clock.
    for _ in 0..5 {
        assert_eq!(proxy.connect().await.read_to_end().await.unwrap(), "");
    }
    wire.write(OK).await;
    read_ok(&mut client).await;
}

#[tokio::test]
async fn a_client_that_stalls_in_mid_body_breaks_its_own_request() {
    let origin = Origin::bind().await;
    let settings = ServerSettings {
        body_idle_timeout: SHORT,
        ..ServerSettings::default()
    };
    let proxy = Proxy::start(&origin, settings).await;
    let mut client = proxy.connect().await;
    client
        .write("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nabc")
        .await;
    let mut wire = origin.accept().await;
    wire.read_head().await;
    assert_eq!(wire.read_to_end().await.unwrap(), "abc");
    assert!(client.read_head().await.starts_with("HTTP/1.1 502 "));
}

/// A client is listened to further only if its body was not read to its end; a body in chunks says so at its end alone.
/// Who is listened to can write on: much more than both kernels hold.
#[tokio::test]
async fn a_body_in_chunks_that_was_read_to_its_end_keeps_no_connection_open() {
    let origin = Origin::bind().await;
    let proxy = Proxy::start(&origin, ServerSettings::default()).await;
    for trailers in ["", "x-sum: 1\r\n"] {
        let mut client = proxy.connect().await;
        client
            .write("POST / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n")
            .await;
        client
            .write(format!(
                "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n{trailers}\r\n"
            ))
            .await;
        let mut upstream = origin.accept().await;
        upstream.read_until("\r\n0\r\n").await;
        upstream.write(OK).await;
        read_ok(&mut client).await;
        assert_eq!(client.read_to_end().await.unwrap(), "");
        let written = within(client.0.write_all(&vec![b'x'; 32 * 1024 * 1024])).await;
        written.expect_err("nobody has anything to say there any more");
    }
}

/// Twice what both kernels take of an answer, and nobody reads.
#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_dropped_after_write_timeout() {
    let origin = Origin::bind().await;
    let settings = ServerSettings {
        write_timeout: SHORT,
        ..ServerSettings::default()
    };
    let proxy = Proxy::start(&origin, settings).await;
    let mut client = proxy.connect().await;
    client.write(GET).await;
    let mut wire = origin.accept().await;
    wire.read_head().await;
    let endless = tokio::spawn(async move {
        let chunk = [b'x'; 64 * 1024];
        wire.0.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while wire.0.write_all(&chunk).await.is_ok() {}
    });
    // The upstream's connection ends with the client's.
    within(endless).await.unwrap();
}

#[tokio::test]
async fn a_head_that_is_too_large_is_431() {
    let origin = Origin::bind().await;
    let settings = ServerSettings {
        header_bytes_max: 8 * 1024,
        ..ServerSettings::default()
    };
    let proxy = Proxy::start(&origin, settings).await;
    let large = format!("GET / HTTP/1.1\r\nhost: h\r\nx: {}", "y".repeat(9 * 1024));
    let many = format!(
        "GET / HTTP/1.1\r\nhost: h\r\n{}\r\n",
        "x: y\r\n".repeat(101)
    );
    for head in [large, many] {
        let mut client = proxy.connect().await;
        client.write(head).await;
        assert!(client.read_head().await.starts_with("HTTP/1.1 431 "));
    }
}

/// hyper is told a limit only where it is not its own: all three must be kept to the header.
#[tokio::test]
async fn as_many_headers_as_are_allowed_pass_and_one_more_is_431() {
    for headers_max in [8, 100, 101] {
        let origin = Origin::bind().await;
        let settings = ServerSettings {
            headers_max,
            ..ServerSettings::default()
        };
        let proxy = Proxy::start(&origin, settings).await;
        let mut client = proxy.connect().await;
        let head = |others| {
            format!(
                "GET / HTTP/1.1\r\nhost: h\r\n{}\r\n",
                "x: y\r\n".repeat(others)
            )
        };
        client.write(head(headers_max - 1)).await;
        let mut wire = origin.accept().await;
        let passed = wire.read_head().await.matches("x: y\r\n").count();
        assert_eq!(passed, headers_max - 1);
        wire.write(OK).await;
        read_ok(&mut client).await;
        client.write(head(headers_max)).await;
        assert!(client.read_head().await.starts_with("HTTP/1.1 431 "));
    }
}

#[tokio::test]
async fn no_host_and_two_hosts_are_refused_before_anybody_judges_the_request() {
    let origin = Origin::bind().await;
    let proxy = Proxy::start(&origin, ServerSettings::default()).await;
    for hosts in ["", "host: a\r\nhost: b\r\n", "host: a\r\nhost: a\r\n"] {
        let mut client = proxy.connect().await;
        client
            .write(format!(
                "POST / HTTP/1.1\r\n{hosts}content-length: 0\r\n\r\n"
            ))
            .await;
        assert!(
            client.read_head().await.starts_with("HTTP/1.1 400 "),
            "{hosts}"
        );
    }
}

#[tokio::test]
async fn beyond_connections_max_nobody_is_served_until_a_place_is_free() {
    let origin = Origin::bind().await;
    let settings = ServerSettings {
        connections_max: 1,
        ..ServerSettings::default()
    };
    let proxy = Proxy::start(&origin, settings).await;
    let mut first = proxy.connect().await;
    first.write(GET).await;
    let mut upstream = origin.accept().await;
    upstream.read_head().await;
    // In the kernel's queue, with its request: were it accepted, it would be the next at the origin.
    let mut second = proxy.connect().await;
    second
        .write("GET /second HTTP/1.1\r\nhost: h\r\n\r\n")
        .await;
    upstream.write(OK).await;
    read_ok(&mut first).await;
    first.write("GET /again HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert!(upstream.read_head().await.starts_with("GET /again "));
    upstream.write(OK).await;
    read_ok(&mut first).await;
    drop(first);
    assert!(upstream.read_head().await.starts_with("GET /second "));
    upstream.write(OK).await;
    read_ok(&mut second).await;
}

#[tokio::test]
async fn the_drain_lets_a_body_in_flight_come_to_its_end() {
    let origin = Origin::bind().await;
    let proxy = Proxy::start(&origin, ServerSettings::default()).await;
    let (mut idle, mut silent) = (proxy.connect().await, proxy.connect().await);
    idle.write(GET).await;
    let mut upstream = serve_one(&origin).await;
    read_ok(&mut idle).await;
    let mut client = proxy.connect().await;
    client.write(GET).await;
    upstream.read_head().await;
    upstream
        .write("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc")
        .await;
    assert!(client.read_head().await.starts_with("HTTP/1.1 200 "));
    let address = proxy.address;
    let ended = proxy.stop();
    // Connections without a request end at once, and no new one comes.
    assert_eq!(idle.read_to_end().await.unwrap(), "");
    assert_eq!(silent.read_to_end().await.unwrap(), "");
    tokio::net::TcpStream::connect(address).await.unwrap_err();
    assert!(!ended.is_finished());
    upstream.write("def").await;
    assert_eq!(client.read_to_end().await.unwrap(), "abcdef");
    assert_eq!(within(ended).await.unwrap(), Drained::Whole);
}

#[tokio::test]
async fn a_drain_that_takes_too_long_cuts_and_says_so() {
    let origin = Origin::bind().await;
    let settings = ServerSettings {
        drain_timeout: SHORT,
        ..ServerSettings::default()
    };
    let proxy = Proxy::start(&origin, settings).await;
    let mut client = proxy.connect().await;
    client.write(GET).await;
    let mut wire = origin.accept().await;
    wire.read_head().await;
    let drained = within(proxy.stop()).await.unwrap();
    assert_eq!(drained, Drained::TimedOut { connections_cut: 1 });
    assert_eq!(client.read_to_end().await.unwrap_or_default(), "");
}

/// To an HTTP/1.0 client the end of the connection is the end of the body.
#[tokio::test]
async fn a_broken_body_does_not_look_whole_to_an_http_1_0_client() {
    let origin = Origin::bind().await;
    let proxy = Proxy::start(&origin, ServerSettings::default()).await;
    let mut client = proxy.connect().await;
    client.write("GET / HTTP/1.0\r\n\r\n").await;
    let mut wire = origin.accept().await;
    wire.read_head().await;
    wire.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        .await;
    let head = client.read_head().await;
    assert!(
        head.starts_with("HTTP/1.0 200 ") && !head.contains("content-length"),
        "{head}"
    );
    assert_eq!(client.read_exact(3).await, b"abc");
    drop(wire);
    client.read_to_end().await.unwrap_err();
}

#[tokio::test]
async fn the_peer_s_address_reaches_the_upstream() {
    let origin = Origin::bind().await;
    let proxy = Proxy::start(&origin, ServerSettings::default()).await;
    let mut client = proxy.connect().await;
    client.write(GET).await;
    let mut wire = origin.accept().await;
    let head = wire.read_head().await;
    for line in [
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-host: h",
        "via: 1.1 oncegate",
    ] {
        assert!(
            head.contains(&format!("\r\n{line}\r\n")),
            "{line} not in {head}"
        );
    }
    wire.write(OK).await;
    read_ok(&mut client).await;
}
