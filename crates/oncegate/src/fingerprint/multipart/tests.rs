//! The rules of multipart comparison, as tables and as properties.

use proptest::prelude::*;

use super::*;

const CONTENT_TYPE: &str = "multipart/form-data; boundary=b";
const PART_A: &str = "Content-Disposition: form-data; name=\"a\"\r\n\r\n1";

fn pieces<'a>(content_type: &str, pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<Digest> {
    let mut multipart = Multipart::new(content_type.as_bytes(), blake3::Hasher::new())?;
    pieces.into_iter().for_each(|piece| multipart.update(piece));
    multipart.finish()
}

fn digest(body: &str) -> Option<Digest> {
    pieces(CONTENT_TYPE, [body.as_bytes()])
}

fn write(boundary: &str, parts: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        body.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        body.extend_from_slice(part.as_ref());
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    body
}

fn with_boundary(boundary: &str, parts: &[impl AsRef<[u8]>]) -> Option<Digest> {
    let content_type = format!("multipart/form-data; boundary=\"{boundary}\"");
    pieces(&content_type, [&*write(boundary, parts)])
}

#[test]
fn the_same_parts_behind_another_boundary_are_the_same() {
    let parts = [
        PART_A,
        "X-A: b\r\n\r\n",
        "\r\nno headers, two lines\r\nof body",
    ];
    let one = with_boundary("b", &parts);
    assert!(one.is_some());
    for boundary in [
        "c",
        "----WebKitFormBoundary7MA4YWxkTrZu0gW",
        "a b",
        "b:b",
        "'(?=/)+_,-.",
    ] {
        assert_eq!(with_boundary(boundary, &parts), one, "{boundary}");
    }
}

#[test]
fn what_looks_like_another_boundary_is_content() {
    let tricky = format!("\r\nx\r\n--c\r\n{PART_A}\r\n--c--\r\ny");
    let one = with_boundary("b", &[&tricky]);
    assert!(one.is_some());
    // Read with the boundary that it holds, the same content would be two parts.
    assert_ne!(one, with_boundary("c", &["\r\nx", PART_A]));
    assert_eq!(one, with_boundary("d", &[&tricky]));
}

#[test]
fn every_difference_in_the_parts_counts() {
    let different: [&[&str]; 14] = [
        &[PART_A],
        &[PART_A, PART_A],
        &[],
        &["\r\n"],
        &["\r\n", "\r\n"],
        &["\r\n1"],
        &["\r\n1\r\n"],
        &["\r\n\r\n1"],
        &["A: b\r\n\r\n"],
        &["A: b\r\nA: b\r\n\r\n"],
        &["A: B\r\n\r\n"],
        &["Ab:\r\n\r\n"],
        &["A: b\r\n\r\n", "\r\n1"],
        &["\r\n1", "A: b\r\n\r\n"],
    ];
    let digests: Vec<_> = different
        .iter()
        .map(|parts| with_boundary("b", parts))
        .collect();
    for (at, digest) in digests.iter().enumerate() {
        assert!(digest.is_some(), "{:?}", different[at]);
        assert!(
            !digests[..at].contains(digest),
            "{:?} reads as one before",
            different[at]
        );
    }
}

#[test]
fn spelling_that_means_nothing_does_not_count() {
    let one = digest("--b\r\nA: b\r\n\r\n1\r\n--b--\r\n");
    assert!(one.is_some());
    let table = [
        "--b\r\nA: b\r\n\r\n1\r\n--b--",
        "--b \t\r\nA: b\r\n\r\n1\r\n--b-- \r\n",
        "--b\r\na:b \r\n\r\n1\r\n--b--\r\n",
    ];
    for body in table {
        assert_eq!(digest(body), one, "{body:?}");
    }
}

#[test]
fn a_malformed_body_has_no_digest() {
    let table = [
        "",
        "x",
        "--b",
        "--b-",
        "--b\r\n",
        "--b\r\n\r\n1",
        "--b\r\n\r\n1\r\n--b",
        "--b--\r",
        "--b\r\n\r\n1\r\n--b\r\n", // the last delimiter is missing
        "--b\r\n\r\n1\r\n--b--x",  // rest after it
        "--b\r\n\r\n1\r\n--bc\r\n\r\n2\r\n--b--", // a longer boundary, or garbage
        "--b\r\n\r\n1\n--b--\r\n", // a bare line feed before the delimiter
        "--b\n\n1\r\n--b--\r\n",   // or after it
        "--b\r\n--b--\r\n",        // a part without its empty line
        "--b\r\nA: b\r\n--b--\r\n\r\n\r\n--b--\r\n",
        "--b\r\nA\r\n\r\n1\r\n--b--\r\n", // no colon
        "--b\r\n: a\r\n\r\n1\r\n--b--\r\n",
        "--b\r\nA : a\r\n\r\n1\r\n--b--\r\n",
        "--b\r\nA: a\r\n b\r\n\r\n1\r\n--b--\r\n", // a folded line
        "--b\r\nA: a\nB: b\r\n\r\n1\r\n--b--\r\n", // a bare line feed between headers
        "--b\r\nA: a\0\r\n\r\n1\r\n--b--\r\n",
        "--b\r\nA: a\rB: b\r\n\r\n1\r\n--b--\r\n",
    ];
    for body in table {
        assert_eq!(digest(body), None, "{body:?}");
    }
}

#[test]
fn what_stands_before_the_first_and_after_the_last_part_counts() {
    let around =
        |before: &str, after: &str| digest(&format!("{before}--b\r\n\r\n1\r\n--b--{after}"));
    let different = [
        around("", ""),
        around("\r\n", ""),
        around("x\r\n", ""),
        around("\r\n\r\n", ""),
        around("", "\r\n\r\n"),
        around("", "\r\nx"),
        around("", "\r\n--b\r\n\r\n2\r\n--b--"),
        around("\n--b\n\n0\r\n", ""), // a part to a parser that takes bare line feeds
        digest("x--b\r\n\r\n1\r\n--b--\r\n"),
    ];
    for (at, digest) in different.iter().enumerate() {
        assert!(digest.is_some(), "case {at}");
        assert!(!different[..at].contains(digest), "case {at}");
    }
}

#[test]
fn a_delimiter_that_could_be_a_header_is_malformed_among_headers() {
    let body = "--b:b\r\nA: a\r\n--b:b\r\n\r\n1\r\n--b:b--\r\n";
    let content_type = "multipart/form-data; boundary=b:b";
    assert_eq!(pieces(content_type, [body.as_bytes()]), None);
}

#[test]
fn the_headers_of_a_part_are_bounded_and_the_body_is_not() {
    let part = |header: usize, body: usize| {
        format!("A: {}\r\n\r\n{}", "h".repeat(header), "b".repeat(body))
    };
    let rest = "A: \r\n\r\n".len();
    assert!(with_boundary("b", &[part(PART_HEADERS_BYTES_MAX - rest, 1 << 21)]).is_some());
    assert!(with_boundary("b", &[part(PART_HEADERS_BYTES_MAX - rest + 1, 0)]).is_none());
}

#[test]
fn the_boundary_is_read_from_the_media_type() {
    let table: [(&str, Option<&str>); 19] = [
        ("multipart/form-data; boundary=b", Some("b")),
        ("multipart/form-data;BOUNDARY=b", Some("b")),
        (
            "multipart/form-data; charset=utf-8; boundary=\"b c\" ; x=y;",
            Some("b c"),
        ),
        (
            "multipart/form-data; x=\"; boundary=c\"; boundary=b",
            Some("b"),
        ),
        ("multipart/form-data; boundary=\"a\\b\"", Some("ab")),
        ("multipart/form-data; boundary=a/b:c=d ", Some("a/b:c=d")),
        ("multipart/form-data;; boundary=b;", Some("b")),
        ("multipart/form-data", None),
        ("multipart/form-data;", None),
        ("multipart/form-data; boundary", None),
        ("multipart/form-data; boundary=", None),
        ("multipart/form-data; boundary=\"\"", None),
        ("multipart/form-data; boundary=\"b", None),
        ("multipart/form-data; boundary=\"b\"c", None),
        ("multipart/form-data; boundary=\"b \"", None),
        ("multipart/form-data; boundary=b; boundary=b", None),
        ("multipart/form-data; boundary=b; x", None),
        ("multipart/form-data; boundary=b@c", None),
        ("multipart/form-data; boundary=\"b\r\"", None),
    ];
    for (content_type, expected) in table {
        let read = boundary(content_type.as_bytes());
        assert_eq!(
            read.as_deref(),
            expected.map(str::as_bytes),
            "{content_type}"
        );
    }
    let long = |bytes| format!("multipart/mixed; boundary={}", "b".repeat(bytes));
    assert!(boundary(long(70).as_bytes()).is_some());
    assert!(boundary(long(71).as_bytes()).is_none());
}

/// Bytes that are mostly the ones that delimiters are made of.
fn hostile(bytes_max: usize) -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop::sample::select(b"\r\n--bbc\rx".to_vec());
    prop::collection::vec(bytes, 0..bytes_max)
}

fn part() -> impl Strategy<Value = Vec<u8>> {
    ("(X-[A-Z]: [a-z]{0,4}\r\n){0,2}", hostile(30))
        .prop_map(|(headers, body)| [headers.as_bytes(), b"\r\n", &*body].concat())
}

/// Whether this boundary occurs nowhere in the parts, as a client has to make sure.
fn is_fit(boundary: &str, parts: &[Vec<u8>]) -> bool {
    let needle = format!("\r\n--{boundary}");
    parts.iter().all(|part| {
        !part
            .windows(needle.len())
            .any(|window| window == needle.as_bytes())
    })
}

fn cut<'a>(body: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
    cuts.extend([0, body.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|cut| &body[cut[0]..cut[1]]).collect()
}

proptest! {
    #[test]
    fn the_pieces_of_a_body_do_not_matter(
        body in hostile(80),
        parts in prop::collection::vec(part(), 0..4),
        is_whole in any::<bool>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let body = if is_whole { write("b", &parts) } else { body };
        let whole = pieces(CONTENT_TYPE, [&*body]);
        prop_assert_eq!(whole, pieces(CONTENT_TYPE, cut(&body, &cuts)));
        prop_assert_eq!(whole, pieces(CONTENT_TYPE, body.chunks(1)));
    }

    #[test]
    fn the_boundary_does_not_matter(parts in prop::collection::vec(part(), 0..4)) {
        let boundaries = ["b", "bb", "c", "bc-bc", "-", "the-usual-case"];
        let fit = boundaries.into_iter().filter(|boundary| is_fit(boundary, &parts));
        let digests: Vec<_> = fit.map(|boundary| with_boundary(boundary, &parts)).collect();
        prop_assert!(digests.iter().all(|digest| digest.is_some() && *digest == digests[0]));
    }

    #[test]
    fn a_changed_part_changes_the_digest(
        one in prop::collection::vec(part(), 1..4),
        two in part(),
        at in any::<prop::sample::Index>(),
    ) {
        let mut other = one.clone();
        let at = at.index(one.len());
        other[at] = two;
        let boundary = "the-usual-case";
        prop_assert_eq!(
            one == other,
            with_boundary(boundary, &one) == with_boundary(boundary, &other)
        );
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        body in prop::collection::vec(any::<u8>(), 0..60),
        content_type in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let content_type = [b"multipart/mixed; boundary=", &*content_type].concat();
        if let Some(mut multipart) = Multipart::new(&content_type, blake3::Hasher::new()) {
            multipart.update(&body);
            multipart.finish();
        }
    }
}
