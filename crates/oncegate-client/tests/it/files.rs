//! Bodies from files, over real connections.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oncegate_client::course::Step;
use oncegate_client::{Advice, Client, FailureKind, FileBody, Last, Observer, Operation, Outcome};

use crate::origin::Deed::{Read, Write};
use crate::origin::{Origin, header};
use crate::wire::{failure, policy};

const BUSY: &str = "HTTP/1.1 503 Busy\r\nidempotency-status: refused\r\ncontent-length: 0\r\n\
    connection: close\r\n\r\n";
const PAID: &str = "HTTP/1.1 201 Created\r\ncontent-length: 4\r\n\r\npaid";

fn bytes() -> Vec<u8> {
    (b'a'..=b'z').cycle().take(300_000).collect()
}

/// Same length, same time, other bytes.
fn change_unnoticed(path: &Path) {
    let before = fs::metadata(path).and_then(|file| file.modified());
    let mut other = bytes();
    other[150_000] = b'!';
    fs::write(path, other).expect("a temporary file can be written");
    let file = fs::File::options().append(true).open(path);
    let set = file.and_then(|file| file.set_modified(before?));
    set.expect("times can be set");
}

async fn operation(origin: &Origin, path: &Path) -> Operation {
    let body = FileBody::open(path).await.expect("it can be read");
    let operation = Operation::post(&origin.url()).expect("a URL");
    operation.body_file(body).build()
}

#[tokio::test]
async fn a_file_goes_out_the_same_on_each_attempt_and_its_length_is_said() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("body");
    fs::write(&path, bytes()).expect("a temporary file can be written");
    let script = [vec![Read, Write(BUSY)], vec![Read, Write(PAID)]];
    let origin = Origin::play(script).await;
    let client = Client::builder()
        .policy(policy(3))
        .build()
        .expect("a client");
    let outcome = client.execute(&operation(&origin, &path).await).await;
    assert!(matches!(outcome, Outcome::Yes(_)), "{outcome:?}");

    let requests = origin.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0], requests[1]);
    assert_eq!(header(&requests[0], "content-length"), Some("300000"));
    assert!(requests[0].as_bytes().ends_with(&bytes()));
}

/// Changes the file once the first attempt has ended.
#[derive(Debug)]
struct Meddler(PathBuf);

impl Observer for Meddler {
    fn sending(&self, _operation: &Operation, _attempt: u32) {}

    fn judged(&self, _operation: &Operation, attempt: u32, _last: &Last, _step: Step) {
        if attempt == 1 {
            fs::write(&self.0, "shorter").expect("a temporary file can be written");
        }
    }
}

#[tokio::test]
async fn a_file_that_changed_between_attempts_is_refused_and_a_doubt_stays() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("body");
    // Whether the first attempt may have run.
    for (deeds, doubt) in [(vec![Read, Write(BUSY)], false), (vec![Read], true)] {
        fs::write(&path, bytes()).expect("a temporary file can be written");
        let origin = Origin::play([deeds, vec![Read, Write(PAID)]]).await;
        let operation = operation(&origin, &path).await;
        let client = Client::builder()
            .policy(policy(3))
            .observer(Arc::new(Meddler(path.clone())))
            .build()
            .expect("a client");
        let outcome = client.execute(&operation).await;
        assert_eq!(failure(&outcome), (FailureKind::BodyChanged, doubt));
        assert_eq!(origin.requests().len(), 1);
        let undone = outcome.into_result().expect_err("it is not known");
        let advice = if doubt { Advice::Reuse } else { Advice::Rotate };
        assert_eq!(undone.advice(), advice);
    }
}

#[tokio::test]
async fn a_file_that_is_gone_is_told_before_anything_is_sent() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("body");
    fs::write(&path, bytes()).expect("a temporary file can be written");
    let origin = Origin::play([vec![Read, Write(PAID)]]).await;
    let operation = operation(&origin, &path).await;
    fs::remove_file(&path).expect("it was there");
    let client = Client::builder()
        .policy(policy(3))
        .build()
        .expect("a client");
    let outcome = client.execute(&operation).await;
    assert_eq!(failure(&outcome), (FailureKind::Unsendable, false));
    assert!(origin.requests().is_empty());
}

/// Neither length nor time tell: the digest does, and the last bytes do not go out.
#[tokio::test]
async fn a_file_that_changed_unnoticed_is_left_unfinished_on_the_wire_and_unknown() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("body");
    fs::write(&path, bytes()).expect("a temporary file can be written");
    let origin = Origin::play([vec![Read]]).await;
    let operation = operation(&origin, &path).await;
    change_unnoticed(&path);
    let client = Client::builder()
        .policy(policy(3))
        .build()
        .expect("a client");
    let outcome = client.execute(&operation).await;
    assert_eq!(failure(&outcome), (FailureKind::BodyTorn, true));
    assert_eq!(outcome.attempts(), 1);
}
