//! HTTP/2: what becomes two messages, or another one, when it is written down as HTTP/1.
//!
//! Frames are written by hand: a client library would refuse to send them.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::recorder::Recorder;
use crate::harness::{Proxy, Stage, within};

type Fields = &'static [(&'static str, &'static str)];

/// The fields of a request without a body that is as it should be.
const PLAIN: Fields = &[
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "h"),
    (":path", "/x"),
];

/// What is added to [`PLAIN`], or stands in place of a pseudo-header in it.
const REFUSED: &[(&str, Fields)] = &[
    ("chunks", &[("transfer-encoding", "chunked")]),
    ("Connection", &[("connection", "close")]),
    (
        "Connection that names the key",
        &[("connection", "idempotency-key")],
    ),
    ("Keep-Alive", &[("keep-alive", "timeout=5")]),
    ("Proxy-Connection", &[("proxy-connection", "close")]),
    ("Upgrade", &[("upgrade", "h2c")]),
    ("TE that is not trailers", &[("te", "gzip")]),
    (
        "a length that is longer than the body",
        &[("content-length", "40")],
    ),
    (
        "a length that is shorter than the body",
        &[("content-length", "1")],
    ),
    (
        "two lengths",
        &[("content-length", "3"), ("content-length", "4")],
    ),
    ("a signed length", &[("content-length", "+3")]),
    ("a list of lengths", &[("content-length", "3, 3")]),
    (
        "a line end in a value",
        &[("x", "a\r\ntransfer-encoding: chunked")],
    ),
    ("a bare LF in a value", &[("x", "a\nb: c")]),
    ("a bare CR in a value", &[("x", "a\rb: c")]),
    ("a NUL in a value", &[("x", "a\0b")]),
    ("a line end in a name", &[("x: a\r\ny", "b")]),
    (
        "a colon in a name",
        &[("transfer-encoding:chunked\r\nx", "b")],
    ),
    ("a space in a name", &[("transfer-encoding ", "chunked")]),
    ("a name in capitals", &[("Transfer-Encoding", "chunked")]),
    ("an empty name", &[("", "a")]),
    (
        "a line end in the path",
        &[(":path", "/x HTTP/1.1\r\nHost: h\r\n\r\nGET /smuggled")],
    ),
    ("a space in the path", &[(":path", "/x HTTP/1.1")]),
    ("a tab in the path", &[(":path", "/x\ty")]),
    ("a NUL in the path", &[(":path", "/x\0")]),
    ("an empty path", &[(":path", "")]),
    ("a path without a slash", &[(":path", "x")]),
    (
        "a path that is a URL",
        &[(":path", "http://other.example/x")],
    ),
    ("a path that is a host", &[(":path", "@other.example/x")]),
    ("a star for another method than OPTIONS", &[(":path", "*")]),
    ("two paths", &[(":path", "/x"), (":path", "/y")]),
    (
        "a line end in the method",
        &[(":method", "POST /smuggled HTTP/1.1\r\nHost: h\r\n\r\nGET")],
    ),
    ("a space in the method", &[(":method", "POST /smuggled")]),
    ("an empty method", &[(":method", "")]),
    ("two methods", &[(":method", "POST"), (":method", "GET")]),
    (
        "a path in the scheme",
        &[(":scheme", "http://other.example/?")],
    ),
    (
        "a line end in the authority",
        &[(":authority", "h\r\nx: y")],
    ),
    ("a path in the authority", &[(":authority", "h/y")]),
    ("a user in the authority", &[(":authority", "user@h")]),
    (
        "two authorities",
        &[(":authority", "h"), (":authority", "g")],
    ),
    ("a pseudo-header that nobody knows", &[(":x", "a")]),
    ("a status", &[(":status", "200")]),
    ("two Hosts", &[("host", "h"), ("host", "g")]),
];

/// M-30: whatever HTTP/2 can say and HTTP/1 cannot, it is no request, with a key or without.
#[tokio::test]
async fn an_http2_request_that_http1_cannot_say_in_one_way_is_refused() {
    let (stage, recorder) = (Stage::new().await, Recorder::start().await);
    let url = format!("http://{}", recorder.address);
    let proxy = stage.proxy_before(&url).start().await;
    let mut wrong = Vec::new();
    for (number, (name, changed)) in REFUSED.iter().enumerate() {
        for keyed in [false, true] {
            let key = format!("shape-{number}");
            let key = keyed.then_some(("idempotency-key", key.as_str()));
            exchange(&proxy, &fields(changed, key)).await;
            let seen = recorder.take(&proxy).await;
            if !seen.is_empty() {
                wrong.push(format!("{name}, keyed: {keyed}: {seen:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What the shapes above are changed from is a request: they fail for what was changed.
#[tokio::test]
async fn a_plain_http2_request_written_by_hand_arrives() {
    let (stage, recorder) = (Stage::new().await, Recorder::start().await);
    let url = format!("http://{}", recorder.address);
    let proxy = stage.proxy_before(&url).start().await;
    for (number, length) in [&[][..], &[("content-length", "3")]]
        .into_iter()
        .enumerate()
    {
        let key = format!("plain-{number}");
        exchange(&proxy, &fields(length, Some(("idempotency-key", &key)))).await;
        let seen = recorder.take(&proxy).await;
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert!(seen[0].head.starts_with("POST /x HTTP/1.1\r\n"), "{seen:?}");
        assert_eq!(seen[0].body, b"abc");
    }
}

/// RFC 9113, 8.3.1: `:authority` is the host, whatever `Host` says.
#[tokio::test]
async fn the_authority_outweighs_host_in_http2() {
    let (stage, recorder) = (Stage::new().await, Recorder::start().await);
    let url = format!("http://{}", recorder.address);
    let proxy = stage.proxy_before(&url).start().await;
    exchange(&proxy, &fields(&[("host", "other.example")], None)).await;
    let seen = recorder.take(&proxy).await;
    assert_eq!(seen.len(), 1);
    let head = seen[0].head.to_ascii_lowercase();
    assert_eq!(head.matches("\r\nhost: ").count(), 1, "{head}");
    assert!(head.contains("\r\nhost: h\r\n"), "{head}");
}

/// [`PLAIN`] with what is changed, and a key perhaps.
fn fields<'a>(
    changed: &[(&'a str, &'a str)],
    key: Option<(&'a str, &'a str)>,
) -> Vec<(&'a str, &'a str)> {
    let kept = |name: &str| changed.iter().all(|(other, _)| *other != name);
    let mut fields: Vec<_> = PLAIN
        .iter()
        .copied()
        .filter(|(name, _)| kept(name))
        .collect();
    // Pseudo-headers come first.
    let pseudo = |field: &&(&str, &str)| field.0.starts_with(':');
    fields.extend(changed.iter().filter(pseudo));
    fields.extend(changed.iter().filter(|field| !pseudo(field)));
    fields.extend(key);
    fields
}

/// Sends one request with the body `abc` on a connection of its own, and waits for whatever ends it.
async fn exchange(proxy: &Proxy, fields: &[(&str, &str)]) {
    let mut stream = TcpStream::connect(proxy.listen).await.unwrap();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    put_frame(&mut bytes, SETTINGS, 0, 0, &[]);
    let mut block = Vec::new();
    for (name, value) in fields {
        // Literal, never indexed, without Huffman.
        block.push(0x10);
        put_string(&mut block, name);
        put_string(&mut block, value);
    }
    put_frame(&mut bytes, HEADERS, END_HEADERS, 1, &block);
    put_frame(&mut bytes, DATA, END_STREAM, 1, b"abc");
    let _refused_early = stream.write_all(&bytes).await;
    within("an end of the stream", async {
        let mut head = [0; 9];
        while stream.read_exact(&mut head).await.is_ok() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            let read = stream.read_exact(&mut payload).await;
            let of_stream = head[8] == 1;
            let ends = match head[3] {
                DATA | HEADERS => of_stream && head[4] & END_STREAM != 0,
                RST_STREAM => of_stream,
                GOAWAY => true,
                _ => false,
            };
            if ends || read.is_err() {
                return;
            }
        }
    })
    .await;
}

fn put_frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    bytes.extend_from_slice(&length[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

/// A string of HPACK; none here needs more than one byte for its length.
fn put_string(block: &mut Vec<u8>, text: &str) {
    let length = u8::try_from(text.len()).unwrap();
    assert!(length < 127, "{text}");
    block.push(length);
    block.extend_from_slice(text.as_bytes());
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
