//! HTTP/1: heads and bodies that are framed in two ways, in none, or by bytes that parsers disagree on.

use tokio::io::AsyncWriteExt;

use super::recorder::{Recorder, Whole};
use crate::harness::{Answer, Proxy, Stage, Wire, within};

/// What becomes of a shape.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// It is answered by an error, or not at all; no whole request reaches the origin; the connection ends.
    Refused,
    /// It reaches the origin once, with this body as the origin reads it.
    Once(&'static str),
}
use Fate::{Once, Refused};

/// A shape: how it is called, its bytes, and its fate. `{K}` is where the key's line stands, or nothing.
type Shape = (&'static str, &'static str, Fate);

/// Two lengths, or a length and chunks.
const LENGTHS: &[Shape] = &[
    (
        "equal lengths on two lines",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        Once("abc"),
    ),
    (
        "differing lengths",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Content-Length: 3\r\nContent-Length: 40\r\n\r\nabc",
        Refused,
    ),
    (
        "differing lengths, the longer first",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Content-Length: 40\r\nContent-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "a list of lengths",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Content-Length: 3, 3\r\n\r\nabc",
        Refused,
    ),
    (
        "a length with a sign",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Content-Length: +3\r\n\r\nabc",
        Refused,
    ),
    (
        "a negative length",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Content-Length: -3\r\n\r\nabc",
        Refused,
    ),
    (
        "a length with a space inside",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Content-Length: 1 3\r\n\r\nabc",
        Refused,
    ),
    (
        "a hexadecimal length",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Content-Length: 0x3\r\n\r\nabc",
        Refused,
    ),
    (
        "a length beyond all numbers",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Content-Length: 99999999999999999999\r\n\r\nabc",
        Refused,
    ),
    (
        "the largest number as a length",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Content-Length: 18446744073709551615\r\n\r\nabc",
        Refused,
    ),
    (
        "a length that wraps to three",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Content-Length: 18446744073709551619\r\n\r\nabc",
        Refused,
    ),
    (
        "an empty length",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Content-Length: \r\n\r\nabc",
        Refused,
    ),
    (
        "a length with a space before its colon",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Content-Length : 3\r\n\r\nabc",
        Refused,
    ),
    // RFC 9112, 6.1: the chunks count, the length goes no further, and the connection ends.
    (
        "a length, then chunks",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
        Once(""),
    ),
    (
        "chunks, then a length",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
        Once(""),
    ),
    (
        "a length that is right beside chunks",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Content-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Once("abc"),
    ),
];

/// `Transfer-Encoding` in all its dresses.
const CODINGS: &[Shape] = &[
    (
        "chunked in capitals",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Once("abc"),
    ),
    (
        "chunked twice on two lines",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "chunked twice on one line",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: chunked, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "chunked, then identity",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: chunked, identity\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "identity, then chunked",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: identity, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "identity alone",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "two lines, the first of which means something else",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "gzip under chunked",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a coding that nobody knows",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: xchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a coding with an apostrophe",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: 'chunked'\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a coding with a parameter",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: chunked;q=1\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a coding with an empty item before it",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: ,chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "an empty coding",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding:\r\nContent-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "a tab before the coding",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding:\tchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Once("abc"),
    ),
    (
        "a vertical tab before the coding",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding:\x0bchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a coding on a folded line",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding:\r\n chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a space before the coding's colon",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding : chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a tab before the coding's colon",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding\t: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a space before the coding's name",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K} Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "an underscore in the coding's name",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer_Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
        Once("abc"),
    ),
    (
        "an underscore in the length's name",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Content_Length: 9\r\nContent-Length: 3\r\n\r\nabc",
        Once("abc"),
    ),
    (
        "chunks in HTTP/1.0",
        "POST /x HTTP/1.0\r\nHost: h\r\n{K}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "chunks in HTTP/1.0 with a length",
        "POST /x HTTP/1.0\r\nHost: h\r\n{K}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
        Refused,
    ),
];

/// Bytes that have no place in a head, and heads that are none.
const HEADS: &[Shape] = &[
    (
        "a folded line",
        "POST /x HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "a bare CR in a value",
        "POST /x HTTP/1.1\r\nHost: h\r\nX: a\rContent-Length: 40\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "a bare CR in a name",
        "POST /x HTTP/1.1\r\nHost: h\r\nX\rY: a\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "a bare CR behind the request line",
        "POST /x HTTP/1.1\rHost: h\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "a bare CR as the empty line",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Content-Length: 3\r\n\r\rabc",
        Refused,
    ),
    (
        "a NUL in a value",
        "POST /x HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "a NUL in a name",
        "POST /x HTTP/1.1\r\nHost: h\r\nX\0: a\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "a NUL in the path",
        "POST /x\0y HTTP/1.1\r\nHost: h\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "a line without a colon",
        "POST /x HTTP/1.1\r\nHost: h\r\nX\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "a line without a name",
        "POST /x HTTP/1.1\r\nHost: h\r\n: a\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "a space in a name",
        "POST /x HTTP/1.1\r\nHost: h\r\nX Y: a\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "a space before the first header",
        "POST /x HTTP/1.1\r\n Host: h\r\nHost: h\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    // A recipient may take it for the end of a line (RFC 9112, 2.2); what goes on has CRLF.
    (
        "a bare LF behind a value",
        "POST /x HTTP/1.1\r\nHost: h\r\nX: a\nY: b\r\n{K}Content-Length: 3\r\n\r\nabc",
        Once("abc"),
    ),
    (
        "a bare LF as the empty line",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Content-Length: 3\r\n\nabc",
        Once("abc"),
    ),
    (
        "a length behind a bare LF",
        "POST /x HTTP/1.1\r\nHost: h\r\nX: a\nContent-Length: 40\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "no Host",
        "POST /x HTTP/1.1\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "two Hosts",
        "POST /x HTTP/1.1\r\nHost: h\r\nHost: h\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "two Hosts that differ",
        "POST /x HTTP/1.1\r\nHost: h\r\nHost: g\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "a list of Hosts",
        "POST /x HTTP/1.1\r\nHost: h, g\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "a Host with a path",
        "POST /x HTTP/1.1\r\nHost: h/y?z\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "a Host with a user",
        "POST /x HTTP/1.1\r\nHost: user@h\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    ("HTTP/0.9", "GET /x\r\n", Refused),
    (
        "HTTP/0.9 by name",
        "GET /x HTTP/0.9\r\nHost: h\r\n\r\n",
        Refused,
    ),
    (
        "HTTP/1.2",
        "POST /x HTTP/1.2\r\nHost: h\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "HTTP/2.0 without its preface",
        "POST /x HTTP/2.0\r\nHost: h\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "a version in lower case",
        "POST /x http/1.1\r\nHost: h\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "two spaces before the path",
        "POST  /x HTTP/1.1\r\nHost: h\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "two spaces before the version",
        "POST /x  HTTP/1.1\r\nHost: h\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "a tab before the path",
        "POST\t/x HTTP/1.1\r\nHost: h\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "a space in the path",
        "POST /x y HTTP/1.1\r\nHost: h\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "a path without a slash",
        "POST x HTTP/1.1\r\nHost: h\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "a star for another method than OPTIONS",
        "POST * HTTP/1.1\r\nHost: h\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "a byte of no token in the method",
        "PO(ST /x HTTP/1.1\r\nHost: h\r\n{K}Content-Length: 3\r\n\r\nabc",
        Refused,
    ),
    (
        "an empty line before the request line",
        "\r\nPOST /x HTTP/1.1\r\nHost: h\r\n{K}Content-Length: 3\r\n\r\nabc",
        Once("abc"),
    ),
];

/// Chunks.
const CHUNKS: &[Shape] = &[
    (
        "plain chunks",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n02\r\nbc\r\n0\r\n\r\n",
        Once("abc"),
    ),
    (
        "an extension",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n",
        Once("abc"),
    ),
    (
        "an extension that holds a bare LF",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: chunked\r\n\r\n3;a\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "an extension that holds a bare CR",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: chunked\r\n\r\n3;a\rabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a size that ends in a bare LF",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a chunk that ends in a bare LF",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n",
        Refused,
    ),
    (
        "a chunk without its end",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a last chunk whose lines end in LF",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\n\n",
        Refused,
    ),
    (
        "a hexadecimal prefix",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a signed size",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a size with a space before it",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: chunked\r\n\r\n 3\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a size with an underscore",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: chunked\r\n\r\n0_3\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "no size",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: chunked\r\n\r\n\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "a size beyond all numbers",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n",
        Refused,
    ),
    (
        "no last chunk",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        Refused,
    ),
    (
        "no line behind the last chunk",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        Refused,
    ),
    (
        "a length among the trailers",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nContent-Length: 40\r\n\r\n",
        Once("abc"),
    ),
    (
        "a key among the trailers",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nIdempotency-Key: other\r\n\r\n",
        Once("abc"),
    ),
];

/// What comes behind the end of a request that is the last one.
const ENDS: &[Shape] = &[
    (
        "a request behind Connection: close",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Connection: close\r\nContent-Length: 3\r\n\r\nabcGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
        Once("abc"),
    ),
    (
        "a close that a later line takes back",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Connection: close\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabcGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
        Once("abc"),
    ),
    (
        "a request behind one of HTTP/1.0",
        "POST /x HTTP/1.0\r\nHost: h\r\n{K}Content-Length: 3\r\n\r\nabcGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
        Once("abc"),
    ),
    (
        "a request behind one that offers h2c",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Connection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 3\r\n\r\nabcGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
        Once("abc"),
    ),
    (
        "rubbish behind the request",
        "POST /x HTTP/1.1\r\nHost: h\r\n{K}Content-Length: 3\r\n\r\nabc\0\0\r\n\r\n",
        Once("abc"),
    ),
];

#[tokio::test]
async fn a_body_framed_by_two_lengths_is_refused_or_forwarded_in_one_framing() {
    judge(LENGTHS).await;
}

#[tokio::test]
async fn a_transfer_encoding_that_is_not_plain_chunked_is_refused() {
    judge(CODINGS).await;
}

#[tokio::test]
async fn a_head_that_parsers_read_differently_is_refused() {
    judge(HEADS).await;
}

#[tokio::test]
async fn chunks_are_read_by_the_letter_or_not_at_all() {
    judge(CHUNKS).await;
}

#[tokio::test]
async fn nothing_behind_the_last_request_is_a_request() {
    judge(ENDS).await;
}

/// RFC 9112, 3.2.2: an absolute target outweighs `Host`; the origin sees one host and no other.
#[tokio::test]
async fn an_absolute_target_outweighs_another_host() {
    let (stage, recorder) = (Stage::new().await, Recorder::start().await);
    let proxy = start(&stage, &recorder).await;
    let request = "POST http://real.example/x HTTP/1.1\r\nHost: other.example\r\n\
                   Idempotency-Key: absolute\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(exchange(&proxy, request).await.unwrap().code(), 201);
    let seen = recorder.take(&proxy).await;
    assert_eq!(seen.len(), 1);
    assert!(seen[0].head.starts_with("POST /x HTTP/1.1\r\n"), "{seen:?}");
    assert_eq!(seen[0].lines("host"), ["real.example"]);
}

/// M-07: `post` is another token than `POST`, and yet no way past the key.
#[tokio::test]
async fn a_method_in_lower_case_takes_keys_as_its_capitals_do() {
    let (stage, recorder) = (Stage::new().await, Recorder::start().await);
    let proxy = start(&stage, &recorder).await;
    let request =
        "post /x HTTP/1.1\r\nHost: h\r\nIdempotency-Key: lower\r\nContent-Length: 3\r\n\r\nabc";
    exchange(&proxy, request).await.unwrap().must_be_executed();
    assert_eq!(
        exchange(&proxy, request).await.unwrap().became(),
        "replayed"
    );
    assert_eq!(recorder.take(&proxy).await.len(), 1);
}

/// CGI, WSGI and their like make one variable of `Idempotency-Key` and `Idempotency_Key`. A header that an origin
/// could take for one that was judged, or that we set, does not reach it.
#[tokio::test]
async fn a_header_that_differs_by_an_underscore_from_one_that_counts_does_not_pass() {
    let (stage, recorder) = (Stage::new().await, Recorder::start().await);
    let proxy = start(&stage, &recorder).await;
    let request = "POST /x HTTP/1.1\r\nHost: h\r\nIdempotency-Key: k\r\nIdempotency_Key: other\r\n\
                   Idempotency_Fence: 9\r\nX_Forwarded_For: 192.0.2.1\r\nX-Mine: a\r\nX_Mine: b\r\n\
                   X_Alone: stays\r\nContent-Length: 3\r\n\r\nabc";
    exchange(&proxy, request).await.unwrap().must_be_executed();
    let seen = recorder.take(&proxy).await;
    let folded = seen[0].head.to_ascii_lowercase().replace('_', "-");
    for name in [
        "idempotency-key",
        "idempotency-fence",
        "x-forwarded-for",
        "x-mine",
    ] {
        assert_eq!(
            folded.matches(&format!("\r\n{name}: ")).count(),
            1,
            "{name}: {seen:?}"
        );
    }
    assert_eq!(seen[0].lines("x_alone"), ["stays"]);
    assert_eq!(seen[0].lines("x-mine"), ["a"]);
    assert_eq!(seen[0].lines("idempotency-key"), ["k"]);
}

/// Each shape with a key and without.
async fn judge(shapes: &[Shape]) {
    let (stage, recorder) = (Stage::new().await, Recorder::start().await);
    let proxy = start(&stage, &recorder).await;
    let mut wrong = Vec::new();
    for (number, (name, bytes, fate)) in shapes.iter().enumerate() {
        for keyed in [false, true] {
            let key = if keyed {
                format!("Idempotency-Key: shape-{number}\r\n")
            } else {
                String::new()
            };
            let request = bytes.replace("{K}", &key);
            let answer = converse(&proxy, &request, matches!(fate, Refused)).await;
            let seen = recorder.take(&proxy).await;
            let held = match fate {
                Refused => {
                    answer.as_ref().is_none_or(|answer| answer.code() >= 400) && seen.is_empty()
                }
                Once(body) => {
                    let code = answer.as_ref().map(Answer::code);
                    let content: Vec<_> = seen.iter().map(Whole::content).collect();
                    code == Some(201) && content == [body.as_bytes()]
                }
            };
            let what = format!("{name}, keyed: {keyed}: {answer:?}, {seen:?}");
            if !held {
                wrong.push(what);
                continue;
            }
            if keyed && matches!(fate, Once(_)) {
                // The record is that of what ran: the same bytes again are the same request.
                let again = exchange(&proxy, &request).await.unwrap();
                assert_eq!(again.became(), "replayed", "{what}");
                assert_eq!(recorder.take(&proxy).await, [], "{what}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A proxy before the recorder.
async fn start(stage: &Stage, recorder: &Recorder) -> Proxy {
    let url = format!("http://{}", recorder.address);
    stage.proxy_before(&url).start().await
}

/// Sends the bytes, and reads what comes back to the end of the connection: at most one answer.
async fn exchange(proxy: &Proxy, bytes: &str) -> Option<Answer> {
    converse(proxy, bytes, false).await
}

/// The same; the client's side may end with its bytes, so that what is no whole request does not wait for more.
async fn converse(proxy: &Proxy, bytes: &str, ends: bool) -> Option<Answer> {
    let mut wire = Wire::connect(proxy.listen).await.unwrap();
    // It may be refused before it is written to its end, and closed by then.
    let _refused_early = wire.write(bytes).await;
    if ends {
        let _closed_early = wire.stream.shutdown().await;
    }
    let answer = within("an answer or an end", wire.read_answer()).await.ok();
    let _closed_early = wire.stream.shutdown().await;
    // A reset is an end as well; a second answer is one that a smuggled request got.
    let rest = within("the end", wire.read_to_end())
        .await
        .unwrap_or_default();
    let rest = String::from_utf8_lossy(&rest);
    assert!(!rest.contains("HTTP/1.1 2"), "a second answer: {rest}");
    answer.map(Answer)
}

impl Whole {
    /// The values of the lines of this name.
    pub(super) fn lines(&self, name: &str) -> Vec<&str> {
        let lines = self
            .head
            .split("\r\n")
            .filter_map(|line| line.split_once(": "));
        lines
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    /// The body without its framing.
    fn content(&self) -> Vec<u8> {
        if self.lines("transfer-encoding").is_empty() {
            return self.body.clone();
        }
        let mut content = Vec::new();
        let mut rest = self.body.as_slice();
        while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
            let size = std::str::from_utf8(&rest[..end]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            content.extend_from_slice(&rest[end + 2..end + 2 + size]);
            if size == 0 {
                break;
            }
            rest = &rest[end + 2 + size + 2..];
        }
        content
    }
}
