//! A client process: this test binary again, as a child that pays what it is told to and says each step on its
//! standard output. What it said must be true, whatever became of it after that.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use http::HeaderValue;
use oncegate_client::journal::{
    Concluded, Journal, JournalError, JournaledClient, NotSent, OperationName,
};
use oncegate_client::transport::{Attempt, BoxFuture};
use oncegate_client::{
    Answer, Client, Failure, HttpTransport, Operation, Outcome, RetryBudget, RetryPolicy, Transport,
};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::harness::{program, within};

/// What a client is told to do.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Orders {
    pub(super) journal: PathBuf,
    pub(super) to: SocketAddr,
    pub(super) operations: Vec<u32>,
    pub(super) keys: Keys,
    /// Whether it first finishes what others left open.
    pub(super) resume: bool,
}

/// When a client makes a key.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) enum Keys {
    /// Once for each operation, as it should.
    PerOperation,
    /// Inside of the loop that tries again: what everybody gets wrong.
    PerAttempt,
}

/// What a client says.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) enum Said {
    /// It is about to execute this.
    Trying(u32),
    /// Somebody else is at it.
    InUse(u32),
    /// This is how it ended.
    Ended(Report),
}

/// How an operation ended, as the client has it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Report {
    pub(super) operation: u32,
    pub(super) outcome: Heard,
    pub(super) key: String,
    pub(super) status: Option<u16>,
    /// A digest of the body, unless that is lost.
    pub(super) answer: Option<u64>,
    pub(super) replayed: bool,
    /// 0: out of the journal.
    pub(super) attempts: u32,
    pub(super) resumed: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) enum Heard {
    Yes,
    No,
    Unknown,
}

/// The child's part. In an ordinary run there is nothing to do for it.
#[tokio::test]
async fn a_client_pays_what_it_is_told_to_until_it_is_killed() {
    let Ok(orders) = std::env::var(ORDERS) else {
        return;
    };
    let orders: Orders = serde_json::from_str(&orders).unwrap();
    let client = client(&orders).await;
    let left_open = if orders.resume {
        client.resume().await.unwrap()
    } else {
        Vec::new()
    };
    for resumed in left_open {
        let name = resumed.entry.unwrap().name.unwrap();
        let number = name.as_str().trim_start_matches("op-").parse().unwrap();
        say(&ended(number, true, resumed.concluded.unwrap()));
    }
    stream::iter(&orders.operations)
        .for_each_concurrent(AT_ONCE, |number| pay(&client, &orders, *number))
        .await;
}

async fn pay(client: &JournaledClient, orders: &Orders, number: u32) {
    say(&Said::Trying(number));
    let name = OperationName::new(&format!("op-{number}")).unwrap();
    match client
        .execute_named(&name, &operation(orders, number))
        .await
    {
        Ok(concluded) => say(&ended(number, false, concluded)),
        Err(NotSent::InUse { .. }) => say(&Said::InUse(number)),
        Err(error) => panic!("op-{number}: {error:?}"),
    }
}

/// The same each time but for its key, which the journal has to put right.
fn operation(orders: &Orders, number: u32) -> Operation {
    Operation::post(&format!("http://{}/payments", orders.to))
        .unwrap()
        .key(&new_key(number))
        .unwrap()
        .header("content-type", "application/json")
        .unwrap()
        .body(body(number))
        .build()
}

/// What is sent for an operation, byte for byte.
pub(super) fn body(number: u32) -> String {
    format!("{{\"operation\":{number}, \"amount\":{}}}", 100 + number)
}

/// A key that the origin can tell the operation by.
fn new_key(number: u32) -> String {
    let random = Operation::post("http://127.0.0.1/").unwrap().build();
    format!("{number}.{}", random.key().as_str())
}

/// The operation of such a key.
pub(super) fn number_of(key: &str) -> Option<u32> {
    key.split_once('.')?.0.parse().ok()
}

pub(super) fn digest(bytes: &[u8]) -> u64 {
    // Without a random start: it is the same in all processes of this binary.
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

async fn client(orders: &Orders) -> JournaledClient {
    let mut policy = RetryPolicy::default();
    policy.attempts_max = 3;
    policy.backoff_base = Duration::from_millis(5);
    policy.backoff_max = Duration::from_millis(40);
    let mut budget = RetryBudget::default();
    budget.per_operation = 10.0;
    budget.saved_max = 1_000.0;
    let http = HttpTransport::new(&policy).unwrap();
    let transport: Arc<dyn Transport> = match orders.keys {
        Keys::PerOperation => Arc::new(http),
        Keys::PerAttempt => Arc::new(NewKeys(http)),
    };
    let client = Client::builder()
        .policy(policy)
        .budget(budget)
        .transport(transport);
    let client = client.build().unwrap();
    let journal = loop {
        match Journal::open(&orders.journal) {
            Ok(journal) => break journal,
            Err(JournalError::Busy { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error:?}"),
        }
    };
    client.journaled(journal)
}

/// The mistake: another key for each attempt.
#[derive(Debug)]
struct NewKeys(HttpTransport);

impl Transport for NewKeys {
    fn send(&self, mut attempt: Attempt) -> BoxFuture<'_, Result<Answer, Failure>> {
        let old = attempt.headers["idempotency-key"].to_str().unwrap();
        let key = new_key(number_of(old).unwrap());
        let key = HeaderValue::try_from(key).unwrap();
        attempt.headers.insert("idempotency-key", key);
        self.0.send(attempt)
    }
}

fn ended(operation: u32, resumed: bool, concluded: Concluded) -> Said {
    assert!(concluded.unrecorded.is_none(), "{concluded:?}");
    let outcome = concluded.outcome;
    let key = outcome.key().as_str().to_owned();
    let attempts = outcome.attempts();
    let (outcome, answer, replayed, lost) = match outcome {
        Outcome::Yes(yes) => (Heard::Yes, yes.answer, yes.replayed, yes.lost),
        Outcome::No(no) => (Heard::No, no.last.answer(), false, false),
        Outcome::Unknown(unknown) => (Heard::Unknown, unknown.last.answer(), false, false),
    };
    Said::Ended(Report {
        operation,
        outcome,
        key,
        status: answer.as_ref().map(|answer| answer.status.as_u16()),
        answer: answer.filter(|_| !lost).map(|answer| digest(&answer.body)),
        replayed,
        attempts,
        resumed,
    })
}

/// In one write, which no kill can halve.
fn say(said: &Said) {
    let line = format!("\n#{}\n", serde_json::to_string(said).unwrap());
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).unwrap();
    out.flush().unwrap();
}

/// A client process, as the test has it.
pub(super) struct Payer {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Payer {
    /// Starts one, which complains into `log`.
    pub(super) fn spawn(orders: &Orders, log: &Path) -> Self {
        let mut command = program(std::env::current_exe().unwrap());
        command
            .args(["--exact", "--nocapture"])
            .arg("client::payer::a_client_pays_what_it_is_told_to_until_it_is_killed")
            .env(ORDERS, serde_json::to_string(orders).unwrap())
            .stderr(File::options().append(true).create(true).open(log).unwrap());
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, said }
    }

    /// The next thing that it says; None at its end.
    pub(super) async fn hear(&mut self) -> Option<Said> {
        while let Some(line) = self.said.next_line().await.unwrap() {
            if let Some(said) = line.strip_prefix('#') {
                return Some(serde_json::from_str(said).unwrap());
            }
        }
        None
    }

    /// SIGKILL. What it said before that can still be heard.
    pub(super) async fn kill(&mut self) {
        within("a killed client", self.child.kill()).await.unwrap();
    }

    pub(super) async fn ended(mut self) -> ExitStatus {
        within("the end of a client", self.child.wait())
            .await
            .unwrap()
    }
}

/// How the child is told.
const ORDERS: &str = "ONCEGATE_TEST_CLIENT_ORDERS";
/// Operations that one process executes at a time.
const AT_ONCE: usize = 8;
