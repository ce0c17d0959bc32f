//! A file that changed never becomes a whole request.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use http_body_util::BodyExt;

use super::{BodyError, FileBody, PART_BYTES};

const LONG_AGO: SystemTime = SystemTime::UNIX_EPOCH;

/// A file of two parts and a bit.
fn bytes() -> Vec<u8> {
    (0..=250).cycle().take(PART_BYTES * 2 + 7).collect()
}

async fn made(path: &Path, bytes: &[u8]) -> FileBody {
    fs::write(path, bytes).expect("a temporary file can be written");
    FileBody::open(path).await.expect("it can be read")
}

/// What an attempt sends, and whether it ended as a whole.
async fn sent(body: &FileBody) -> (Vec<u8>, Result<(), BodyError>) {
    let mut reader = match body.read().await {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Err(error)),
    };
    let mut bytes = Vec::new();
    while let Some(frame) = reader.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(&frame.into_data().expect("data alone")),
            Err(error) => return (bytes, Err(error)),
        }
    }
    (bytes, Ok(()))
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Writes other bytes and lets the file look as old as before.
fn overwrite_unnoticed(path: &Path, bytes: &[u8]) {
    let before = fs::metadata(path).and_then(|file| file.modified());
    fs::write(path, bytes).expect("a temporary file can be written");
    set_time(path, before.expect("files have times here"));
}

fn set_time(path: &Path, time: SystemTime) {
    let file = fs::File::options().append(true).open(path);
    let set = file.and_then(|file| file.set_modified(time));
    set.expect("times can be set");
}

#[tokio::test]
async fn a_file_is_read_again_for_each_attempt_with_the_same_bytes() {
    let folder = folder();
    for length in [0, 1, PART_BYTES, PART_BYTES + 1, PART_BYTES * 2 + 7] {
        let body = made(&folder.path().join("body"), &bytes()[..length]).await;
        for _ in 0..2 {
            let (sent, end) = sent(&body).await;
            assert!(end.is_ok(), "{end:?}");
            assert_eq!(sent, bytes()[..length], "{length}");
        }
        assert_eq!(body.length(), length as u64);
    }
}

#[tokio::test]
async fn a_file_with_another_length_or_time_is_refused_before_a_byte_is_sent() {
    let folder = folder();
    let path = folder.path().join("body");
    let body = made(&path, &bytes()).await;
    let mut other = bytes();
    other.push(0);
    overwrite_unnoticed(&path, &other);
    let (bytes_sent, end) = sent(&body).await;
    assert!(matches!(end, Err(BodyError::Changed { .. })), "{end:?}");
    assert!(bytes_sent.is_empty());

    let body = made(&path, &bytes()).await;
    let mut other = bytes();
    other[PART_BYTES * 2] ^= 1;
    fs::write(&path, &other).expect("a temporary file can be written");
    set_time(&path, LONG_AGO);
    let (bytes_sent, end) = sent(&body).await;
    assert!(matches!(end, Err(BodyError::Changed { .. })), "{end:?}");
    assert!(bytes_sent.is_empty());
}

/// Same length, same time, other bytes: only the digest can tell, and it does before the last bytes are out.
#[tokio::test]
async fn a_file_that_changed_unnoticed_never_goes_out_whole() {
    let folder = folder();
    let path = folder.path().join("body");
    for at in [0, PART_BYTES, PART_BYTES * 2 + 6] {
        let body = made(&path, &bytes()).await;
        let mut other = bytes();
        other[at] ^= 1;
        overwrite_unnoticed(&path, &other);
        let (bytes_sent, end) = sent(&body).await;
        assert!(matches!(end, Err(BodyError::Changed { .. })), "{end:?}");
        assert!(
            bytes_sent.len() < bytes().len(),
            "the last part is held back"
        );
    }
}

#[tokio::test]
async fn a_file_that_was_only_touched_is_the_same_body() {
    let folder = folder();
    let path = folder.path().join("body");
    let body = made(&path, &bytes()).await;
    set_time(&path, LONG_AGO);
    let (bytes_sent, end) = sent(&body).await;
    assert!(end.is_ok(), "{end:?}");
    assert_eq!(bytes_sent, bytes());
}

#[tokio::test]
async fn a_recorded_file_is_compared_before_a_byte_is_sent() {
    let folder = folder();
    let path = folder.path().join("body");
    let body = made(&path, &bytes()).await;
    let recorded = FileBody::recorded(&path, body.length(), *body.digest());
    assert_eq!(recorded, body);
    assert!(sent(&recorded).await.1.is_ok());

    let mut other = bytes();
    other[0] ^= 1;
    overwrite_unnoticed(&path, &other);
    let (bytes_sent, end) = sent(&recorded).await;
    assert!(matches!(end, Err(BodyError::Changed { .. })), "{end:?}");
    assert!(bytes_sent.is_empty());
}

#[tokio::test]
async fn a_file_that_is_gone_is_unreadable_and_nothing_is_sent() {
    let folder = folder();
    let path = folder.path().join("body");
    let body = made(&path, &bytes()).await;
    fs::remove_file(&path).expect("it was there");
    let (bytes_sent, end) = sent(&body).await;
    assert!(matches!(end, Err(BodyError::Unreadable { .. })), "{end:?}");
    assert!(bytes_sent.is_empty());
}
