//! Rules of content: ids are opaque, and whatever is stored comes back byte for byte.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::{Harness, KEPT, applied, body_of, complete, fingerprint, id, new_record, owner};
use crate::fingerprint::{FINGERPRINT_BYTES, Fingerprint};
use crate::hash::{Digest, HashKeyId, RecordId};
use crate::key::KeyDigest;
use crate::record::{About, OwnerId};
use crate::response::StoredResponse;
use crate::store::{Change, Insert};

/// Zeros, ones, quotes, braces (Redis Cluster), line ends, and what is no UTF-8.
pub async fn record_ids_are_opaque_bytes(harness: Harness) {
    let bytes: [u8; 8] = [0x00, 0xff, b'\'', b'{', b'}', b'\n', b':', 0x80];
    let records: Vec<RecordId> = bytes
        .iter()
        .map(|b| RecordId::from_bytes([*b; 32]))
        .collect();
    assert_all_apart(&harness, &records).await;
}

/// No id is ever cut, padded or compared by a part of it.
pub async fn record_ids_that_share_all_but_one_byte_are_different_records(harness: Harness) {
    let ids = (0..32).flat_map(|at| {
        [0x01, 0x80].map(|byte| {
            let mut bytes = [0; 32];
            bytes[at] = byte;
            RecordId::from_bytes(bytes)
        })
    });
    let mut ids: Vec<RecordId> = ids.collect();
    ids.push(RecordId::from_bytes([0; 32]));
    assert_all_apart(&harness, &ids).await;
}

/// Owners are opaque bytes too, and compared whole.
pub async fn owners_that_share_all_but_one_byte_are_different_owners(harness: Harness) {
    for at in 0..16 {
        let number = u8::try_from(at).expect("there are sixteen");
        let mut bytes = [0; 16];
        let record = harness
            .in_flight(id(number), OwnerId::from_bytes(bytes))
            .await;
        bytes[at] = 0x80;
        let near = harness
            .insert(new_record(record.id, OwnerId::from_bytes(bytes)))
            .await;
        assert_eq!(
            near,
            Insert::Exists(record),
            "owners differ in byte {at} alone"
        );
    }
}

/// As large as answers are kept by default.
pub async fn a_body_of_eight_mebibytes_comes_back_byte_for_byte(harness: Harness) {
    // Not one byte again and again, which a store could pack away.
    let body: Vec<u8> = (0..LARGE)
        .map(|n: u32| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    assert_comes_back(&harness, &body).await;
}

/// 204, or a 200 without body.
pub async fn an_empty_body_comes_back_empty(harness: Harness) {
    assert_comes_back(&harness, b"").await;
}

/// Every byte there is, a line end of each kind, and no valid UTF-8.
pub async fn a_binary_body_comes_back_byte_for_byte(harness: Harness) {
    let mut body: Vec<u8> = (0..=u8::MAX).collect();
    body.extend_from_slice(b"\r\n\0\0\xff\xfe'\"\\");
    assert_comes_back(&harness, &body).await;
}

/// Headers, trailers and status are part of the outcome.
pub async fn an_outcome_comes_back_whole(harness: Harness) {
    let mut headers = HeaderMap::new();
    headers.append("x-twice", HeaderValue::from_static("one"));
    headers.append("x-twice", HeaderValue::from_static("two"));
    headers.append(
        "x-bytes",
        HeaderValue::from_bytes(b"\xe4\xf6").expect("obs-text is allowed"),
    );
    let mut trailers = HeaderMap::new();
    trailers.append(
        HeaderName::from_static("x-checksum"),
        HeaderValue::from_static("9"),
    );
    let origin = HeaderValue::from_static("https://shop.example");
    let kept = StoredResponse::kept(
        StatusCode::ACCEPTED,
        &headers,
        Some(&origin),
        b"body",
        &trailers,
    );
    let not_kept = StoredResponse::not_kept(StatusCode::CREATED, &headers);
    for (number, response) in [(1, kept), (2, not_kept)] {
        let record = harness.in_flight(id(number), owner(1)).await;
        let change = Change::Complete {
            response: response.clone(),
            retention: KEPT,
        };
        let completed = applied(harness.write(&record, change).await);
        let stands = harness.get(id(number)).await.expect("the record stands");
        assert_eq!(stands, completed);
        let crate::record::RecordState::Completed {
            response: stored, ..
        } = stands.state
        else {
            panic!("not completed");
        };
        assert_eq!(stored.as_bytes(), response.as_bytes());
    }
}

/// Bytes that this version cannot read are stored and given back all the same: decoding is not the store's.
pub async fn a_store_does_not_look_into_a_stored_response(harness: Harness) {
    let record = harness.in_flight(id(1), owner(1)).await;
    let response = StoredResponse::from_bytes(vec![0xff, 0x00, 0x7f]);
    let change = Change::Complete {
        response: response.clone(),
        retention: KEPT,
    };
    let completed = applied(harness.write(&record, change).await);
    let crate::record::RecordState::Completed {
        response: stored, ..
    } = &completed.state
    else {
        panic!("not completed: {completed:?}");
    };
    assert_eq!(stored, &response);
    harness.assert_stands(&completed).await;
}

/// With and without a canonical form, of a later version, and of zeros or ones alone.
pub async fn fingerprints_come_back_as_they_were(harness: Harness) {
    let digest = |byte| Digest::from_bytes([byte; 16]);
    let fingerprints = [
        fingerprint(7),
        Fingerprint::new(HashKeyId::from_u64(u64::MAX), digest(0), digest(0xff), None),
        Fingerprint::new(
            HashKeyId::from_u64(0),
            digest(0xff),
            digest(0),
            Some(digest(0)),
        ),
        Fingerprint::from_bytes([0xfe; FINGERPRINT_BYTES]),
        Fingerprint::from_bytes([0; FINGERPRINT_BYTES]),
    ];
    for (number, fingerprint) in (1..).zip(fingerprints) {
        let mut new = new_record(id(number), owner(number));
        new.fingerprint = fingerprint;
        harness.insert(new).await;
        let stands = harness.get(id(number)).await.expect("the record stands");
        assert_eq!(stands.fingerprint, fingerprint);
    }
}

/// What people are shown, quotes and all.
pub async fn what_people_are_shown_comes_back_as_it_was(harness: Harness) {
    let paths = [
        "/",
        "/it's/\"quoted\"/\\back",
        "/100%25/{id}",
        "/\u{e9}\u{4f60}\u{1f4b8}",
    ];
    for (number, path) in (1..).zip(paths) {
        let mut new = new_record(id(number), owner(number));
        new.about = About::new(
            KeyDigest::from_bytes([0xff, 0, 1, 2, 3, 4, 5, 0]),
            &Method::PATCH,
            path,
        );
        let about = new.about.clone();
        harness.insert(new).await;
        let stands = harness.get(id(number)).await.expect("the record stands");
        assert_eq!(stands.about, about);
    }
}

async fn assert_all_apart(harness: &Harness, ids: &[RecordId]) {
    for (number, id) in (0..).zip(ids) {
        let record = harness.in_flight(*id, owner(number)).await;
        harness.write(&record, complete(&[number])).await;
    }
    for (number, id) in (0..).zip(ids) {
        let stands = harness.get(*id).await.expect("the record stands");
        assert_eq!(stands.id, *id);
        assert_eq!(
            body_of(&stands),
            [number],
            "{id} has another record's outcome"
        );
    }
}

/// By every way on which a body is told.
async fn assert_comes_back(harness: &Harness, body: &[u8]) {
    let completed = harness.completed(id(1), owner(1), body).await;
    assert!(
        body_of(&completed) == body,
        "the answer to the completion changed the body"
    );
    let stands = harness.get(id(1)).await.expect("the record stands");
    assert!(
        body_of(&stands) == body,
        "the body was changed in the store"
    );
    let Insert::Exists(told) = harness.insert(new_record(id(1), owner(2))).await else {
        panic!("a completed key was claimed anew");
    };
    assert!(told == completed, "an insert was told another body");
}

const LARGE: u32 = 8 * 1024 * 1024;
