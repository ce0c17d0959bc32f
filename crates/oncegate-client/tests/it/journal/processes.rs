//! `kill -9` and several processes, for real: this test binary runs itself again as children that share a journal,
//! kills them, and looks at what the origin was asked for.
//!
//! A child says on its standard output where it is: before it tries a payment (`T`), as its attempt goes out (`S`), as
//! the answer has come (`A`), and once it has heard that it was paid (`P`). What it said must be true whatever happened
//! after that.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::ops::Range;
use std::process::{Child, ChildStdout, Command, Stdio};

use oncegate_client::journal::{Concluded, Journal, NotSent, Stands};
use oncegate_client::transport::{Attempt, BoxFuture};
use oncegate_client::{
    Answer, Client, Failure, HttpTransport, Operation, Outcome, RetryPolicy, Transport,
};

use super::harness::{Place, client, entries, name};
use super::origin::Origin;

/// How the child is told what to do.
const PATH: &str = "ONCEGATE_TEST_CHILD_PATH";
const ORIGIN: &str = "ONCEGATE_TEST_CHILD_ORIGIN";
/// The letter after which it stands still, until it is killed.
const HANG_AT: &str = "ONCEGATE_TEST_CHILD_HANG_AT";
/// Which invoices it pays.
const FROM: &str = "ONCEGATE_TEST_CHILD_FROM";
const TO: &str = "ONCEGATE_TEST_CHILD_TO";

/// The child's part. In an ordinary run there is nothing to do for it.
#[tokio::test]
async fn a_child_pays_invoices_until_it_is_killed() {
    let Some(path) = std::env::var_os(PATH) else {
        return;
    };
    let origin = std::env::var(ORIGIN).unwrap();
    let number = |name| std::env::var(name).unwrap().parse::<u32>().unwrap();
    let client = client(Journal::open(path).unwrap(), Telling::new());
    client.resume().await.unwrap();
    for number in number(FROM)..number(TO) {
        tell('T', &number.to_string()).await;
        let invoice = name(&format!("invoice-{number}"));
        let paid = loop {
            match client.execute_named(&invoice, &pay(&origin, number)).await {
                Ok(concluded) => break concluded,
                // Another child is at it; then it is done in a moment.
                Err(NotSent::InUse { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error:?}"),
            }
        };
        assert_paid(&paid);
        tell('P', &number.to_string()).await;
    }
}

fn pay(origin: &str, number: u32) -> Operation {
    let url = format!("http://{origin}/payments");
    Operation::post(&url)
        .unwrap()
        .body(format!("invoice {number}"))
        .build()
}

#[track_caller]
fn assert_paid(concluded: &Concluded) {
    assert!(
        matches!(concluded.outcome, Outcome::Yes(_)),
        "{concluded:?}"
    );
    assert!(concluded.unrecorded.is_none(), "{concluded:?}");
}

/// Says it, and stands still if it was told to.
async fn tell(letter: char, what: &str) {
    say(&format!("\n#{letter} {what}\n"));
    if std::env::var(HANG_AT).is_ok_and(|hang| hang == letter.to_string()) {
        std::future::pending::<()>().await;
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).unwrap();
    out.flush().unwrap();
}

/// Real HTTP that says where it is.
#[derive(Debug)]
struct Telling(HttpTransport);

impl Telling {
    fn new() -> Self {
        Self(HttpTransport::new(&RetryPolicy::default()).unwrap())
    }
}

impl Transport for Telling {
    fn send(&self, attempt: Attempt) -> BoxFuture<'_, Result<Answer, Failure>> {
        Box::pin(async move {
            tell('S', "").await;
            let answer = self.0.send(attempt).await;
            tell('A', "").await;
            answer
        })
    }
}

/// A child and what it says.
struct Payer {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Payer {
    fn spawn(place: &Place, origin: &Origin, invoices: Range<u32>, hang_at: Option<char>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "--nocapture"])
            .arg("journal::processes::a_child_pays_invoices_until_it_is_killed")
            .env(PATH, place.path())
            .env(ORIGIN, origin.address.to_string())
            .env(FROM, invoices.start.to_string())
            .env(TO, invoices.end.to_string())
            .stdout(Stdio::piped());
        if let Some(letter) = hang_at {
            command.env(HANG_AT, letter.to_string());
        }
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, said }
    }

    /// The next thing that it says; None at its end.
    fn hear(&mut self) -> Option<(char, String)> {
        self.said.by_ref().map_while(Result::ok).find_map(|line| {
            let said = line.strip_prefix('#')?;
            Some((said.chars().next()?, said[1..].trim().to_owned()))
        })
    }

    /// Listens until it says this.
    fn hear_until(&mut self, letter: char) {
        while self
            .hear()
            .unwrap_or_else(|| panic!("{letter} was not said"))
            .0
            != letter
        {}
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn end(mut self) {
        while self.hear().is_some() {}
        assert!(self.child.wait().unwrap().success());
    }
}

fn resuming(place: &Place) -> oncegate_client::journal::JournaledClient {
    let client = Client::new().unwrap();
    client.journaled(Journal::open(place.path()).unwrap())
}

/// One key for each invoice, and as many invoices as were tried.
fn assert_once(origin: &Origin, tried: usize) {
    let asked = origin.asked();
    let bodies: HashSet<_> = asked.iter().map(|asked| &asked.body).collect();
    assert_eq!(
        bodies.len(),
        asked.len(),
        "an invoice went out under two keys: {asked:?}"
    );
    assert_eq!(asked.len(), tried, "{asked:?}");
}

#[tokio::test]
async fn a_process_that_is_killed_at_any_step_is_taken_up_by_the_next() {
    for step in ['T', 'S', 'A', 'P'] {
        let place = Place::new();
        let origin = Origin::start();
        let mut payer = Payer::spawn(&place, &origin, 0..1, Some(step));
        payer.hear_until(step);
        payer.kill();
        let client = resuming(&place);
        let resumed = client.resume().await.unwrap();
        let open = usize::from(matches!(step, 'S' | 'A'));
        assert_eq!(resumed.len(), open, "{step}: {resumed:?}");
        resumed
            .iter()
            .for_each(|resumed| assert_paid(resumed.concluded.as_ref().unwrap()));
        // Whoever did not hear of it asks again, and is answered from the journal if it happened.
        let paid = client
            .execute_named(&name("invoice-0"), &pay(&origin.address.to_string(), 0))
            .await;
        let paid = paid.unwrap();
        assert_paid(&paid);
        assert_eq!(paid.outcome.attempts() == 0, step != 'T', "{step}");
        assert_once(&origin, 1);
        let requests = origin.asked()[0].requests;
        assert_eq!(requests, if step == 'A' { 2 } else { 1 }, "{step}");
    }
}

/// Wherever the kill comes: in a commit, before the send, in the middle of an answer.
#[tokio::test]
async fn processes_that_are_killed_at_random_pay_every_invoice_once() {
    let seed = fastrand::u64(..);
    println!("SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let place = Place::new();
    let origin = Origin::start();
    let mut paid = HashSet::new();
    let mut from = 0;
    for _round in 0..KILLS {
        let mut payer = Payer::spawn(&place, &origin, from..u32::MAX, None);
        for _ in 0..random.usize(1..100) {
            let (letter, number) = payer.hear().expect("it goes on and on");
            match letter {
                // The next one begins with the last that was tried.
                'T' => from = number.parse().unwrap(),
                'P' => drop(paid.insert(number)),
                _ => {}
            }
        }
        payer.kill();
    }
    let client = resuming(&place);
    for resumed in client.resume().await.unwrap() {
        assert_paid(&resumed.concluded.unwrap());
    }
    let entries = entries(client.journal()).await;
    let yes: HashSet<_> = entries
        .iter()
        .map(|entry| {
            assert_eq!(entry.stands, Stands::Yes);
            entry.name.clone().unwrap().to_string()
        })
        .collect();
    for number in &paid {
        assert!(
            yes.contains(&format!("invoice-{number}")),
            "{number} is lost"
        );
    }
    assert!(paid.len() > KILLS, "the children got nowhere");
    // What was tried last may have been killed before it was written: then it was not sent either.
    assert_once(&origin, yes.len());
    println!(
        "{} invoices, {} requests",
        yes.len(),
        origin
            .asked()
            .iter()
            .map(|asked| asked.requests)
            .sum::<usize>()
    );
}

#[tokio::test]
async fn two_processes_on_one_journal_do_not_both_send() {
    let place = Place::new();
    let origin = Origin::start();
    let payers = [(); 3].map(|()| Payer::spawn(&place, &origin, 0..60, None));
    for payer in payers {
        payer.end();
    }
    assert_once(&origin, 60);
    for asked in origin.asked() {
        assert_eq!(asked.requests, 1, "{asked:?}");
    }
}

#[tokio::test]
async fn what_a_living_process_is_sending_is_left_to_it_until_it_dies() {
    let place = Place::new();
    let origin = Origin::start();
    let mut payer = Payer::spawn(&place, &origin, 0..1, Some('A'));
    payer.hear_until('A');
    let client = resuming(&place);
    let operation = pay(&origin.address.to_string(), 0);
    let refused = client.execute_named(&name("invoice-0"), &operation).await;
    let Err(NotSent::InUse { key }) = refused else {
        panic!("{refused:?}")
    };
    assert!(client.resume().await.unwrap().is_empty());
    let stands = entries(client.journal()).await[0].stands;
    assert_eq!(stands, Stands::Open { in_use: true });
    payer.kill();
    let paid = client
        .execute_named(&name("invoice-0"), &operation)
        .await
        .unwrap();
    assert_paid(&paid);
    assert_eq!(paid.outcome.key(), &key);
    assert_once(&origin, 1);
    // Nothing is left beside the journal of who is dead.
    let holders = place
        .files()
        .into_iter()
        .filter(|file| file.contains("holder"));
    assert_eq!(holders.count(), 1);
}

/// Children that are killed.
const KILLS: usize = 25;
