//! A commit whose fsync fails: what its callers were told holds, whatever is on the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{Journal, JournalError, JournaledClient, NotSent, OperationName, Stands};
use crate::transport::{Attempt, BoxFuture};
use crate::{Answer, Client, Failure, Operation, Outcome, Transport};

/// Counts attempts, and can lose the next commit while one is out.
#[derive(Debug, Default)]
struct Counting {
    sent: AtomicUsize,
    breaks: Option<Journal>,
    /// Answers that it does not happen.
    refuses: bool,
}

impl Transport for Counting {
    fn send(&self, _attempt: Attempt) -> BoxFuture<'_, Result<Answer, Failure>> {
        self.sent.fetch_add(1, Ordering::SeqCst);
        if let Some(journal) = &self.breaks {
            journal.lose_next_commit();
        }
        let status = if self.refuses {
            StatusCode::PAYMENT_REQUIRED
        } else {
            StatusCode::CREATED
        };
        let answer = Answer::new(status, HeaderMap::new(), Bytes::new());
        Box::pin(async { Ok(answer) })
    }
}

fn client(journal: &Journal, transport: &Arc<Counting>) -> JournaledClient {
    let transport: Arc<dyn Transport> = Arc::<Counting>::clone(transport);
    let client = Client::builder().transport(transport).build();
    client.expect("a client").journaled(journal.clone())
}

fn payment() -> Operation {
    let operation = Operation::post("http://127.0.0.1/payments");
    operation.expect("a URL").body("amount=1200").build()
}

/// The caller was told that nothing was sent, and may have paid in another way: if the row were there after all, the
/// next resume would pay a second time.
#[tokio::test]
async fn an_operation_whose_commit_was_lost_is_not_sent_then_or_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal");
    let journal = Journal::open(&path).expect("a journal");
    let transport = Arc::<Counting>::default();
    let client = client(&journal, &transport);
    journal.lose_next_commit();
    let refused = client.execute(&payment()).await;
    assert!(
        matches!(refused, Err(NotSent::Journal(JournalError::Failed { .. }))),
        "{refused:?}"
    );
    // Closed and opened by another process: the row is gone there, too.
    drop((client, journal));
    let journal = Journal::open(&path).expect("a journal");
    assert!(journal.list().await.expect("a list").is_empty());
    assert_eq!(transport.sent.load(Ordering::SeqCst), 0);
}

/// The same of a name that is tried again, because the first try did not happen.
#[tokio::test]
async fn a_second_try_whose_commit_was_lost_is_not_sent_then_or_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal");
    let journal = Journal::open(&path).expect("a journal");
    let name = OperationName::new("invoice-42").expect("a name");
    let refusing = Arc::new(Counting {
        refuses: true,
        ..Counting::default()
    });
    let first = client(&journal, &refusing);
    let first = first.execute_named(&name, &payment()).await;
    let first = first.expect("it was sent");
    assert!(matches!(first.outcome, Outcome::No(_)), "{first:?}");
    let transport = Arc::<Counting>::default();
    let second = client(&journal, &transport);
    journal.lose_next_commit();
    let refused = second.execute_named(&name, &payment()).await;
    assert!(
        matches!(refused, Err(NotSent::Journal(JournalError::Failed { .. }))),
        "{refused:?}"
    );
    let resumed = second.resume().await.expect("it can be read");
    assert!(resumed.is_empty(), "{resumed:?}");
    assert_eq!(transport.sent.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_outcome_whose_commit_was_lost_is_told_truly_and_the_journal_works_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(folder.path().join("journal")).expect("a journal");
    let transport = Arc::new(Counting {
        breaks: Some(journal.clone()),
        ..Counting::default()
    });
    let concluded = client(&journal, &transport).execute(&payment()).await;
    let concluded = concluded.expect("it was sent");
    assert!(matches!(concluded.outcome, Outcome::Yes(_)));
    assert!(concluded.unrecorded.is_some());
    let transport = Arc::<Counting>::default();
    let client = client(&journal, &transport);
    let next = client.execute(&payment()).await.expect("it was sent");
    assert!(next.unrecorded.is_none());
    let listed = journal.list().await.expect("a list");
    let yes = |listed: &super::Listed| matches!(listed, super::Listed::Sound(entry) if entry.stands == Stands::Yes);
    assert!(listed.last().is_some_and(yes), "{listed:?}");
}
