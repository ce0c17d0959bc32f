//! A thousand clients and a server that is down for ten seconds, on paused time: what they add to their operations is
//! within their budget in every window, and the page that says so is written from here.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncegate_client::transport::{Attempt, BoxFuture};
use oncegate_client::{
    Answer, Client, Failure, FailureKind, Operation, Outcome, RetryBudget, Transport,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

const CLIENTS: u32 = 1_000;
/// Every client begins an operation this often.
const EVERY: Duration = Duration::from_millis(400);
const LASTS: Duration = Duration::from_secs(12);
const DOWN: std::ops::Range<Duration> = Duration::from_secs(1)..Duration::from_secs(11);

/// One attempt: when, and which of its operation.
#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Duration,
    number: u32,
}

/// A server that nobody reaches for a while. Keeps what one client sent.
#[derive(Debug)]
struct Unreachable {
    since: Instant,
    sent: Mutex<Vec<Sent>>,
}

impl Transport for Unreachable {
    fn send(&self, attempt: Attempt) -> BoxFuture<'_, Result<Answer, Failure>> {
        let at = self.since.elapsed();
        let number = attempt.number;
        let mut sent = self.sent.lock().expect("not poisoned");
        sent.push(Sent { at, number });
        let answered = if DOWN.contains(&at) {
            Err(Failure::new(FailureKind::Connect, None::<std::io::Error>))
        } else {
            let status = http::StatusCode::CREATED;
            Ok(Answer::new(
                status,
                http::HeaderMap::new(),
                bytes::Bytes::new(),
            ))
        };
        Box::pin(async { answered })
    }
}

/// What came of an outage.
struct Told {
    /// What each budget's client sent.
    sent: Vec<Vec<Sent>>,
    operations: usize,
    failed: usize,
}

/// `shared`: the clients are callers of one, which has one budget.
async fn outage(budget: RetryBudget, shared: bool) -> Told {
    fastrand::seed(42);
    let since = Instant::now();
    let servers = if shared { 1 } else { CLIENTS };
    let servers: Vec<_> = (0..servers)
        .map(|_| {
            let sent = Mutex::new(Vec::new());
            Arc::new(Unreachable { since, sent })
        })
        .collect();
    let clients = servers.iter().map(|server| {
        let server: Arc<dyn Transport> = Arc::clone(server) as _;
        let builder = Client::builder().budget(budget).transport(server);
        builder.build().expect("a client")
    });
    let clients: Vec<Client> = clients.collect();
    let mut callers = JoinSet::new();
    for caller in 0..CLIENTS {
        let client = clients[caller as usize % clients.len()].clone();
        callers.spawn(call(client, since + EVERY * caller / CLIENTS));
    }
    let (mut operations, mut failed) = (0, 0);
    while let Some(ended) = callers.join_next().await {
        for happened in ended.expect("no caller panics") {
            operations += 1;
            failed += usize::from(!happened);
        }
    }
    let sent = |server: &Arc<Unreachable>| server.sent.lock().expect("not poisoned").clone();
    Told {
        sent: servers.iter().map(sent).collect(),
        operations,
        failed,
    }
}

/// Begins operations at their times, whatever becomes of those before them.
async fn call(client: Client, begin: Instant) -> Vec<bool> {
    let mut running = JoinSet::new();
    let mut at = begin;
    while at < begin + LASTS {
        sleep_until(at).await;
        let client = client.clone();
        running.spawn(async move {
            let operation = Operation::post("http://127.0.0.1/payments").expect("a URL");
            let outcome = client.execute(&operation.build()).await;
            assert!(!matches!(outcome, Outcome::Unknown(_)), "it never left");
            matches!(outcome, Outcome::Yes(_))
        });
        at += EVERY;
    }
    running.join_all().await
}

/// Between any two retries, a client made no more of them than it had saved, earned and been given.
fn assert_within(budget: RetryBudget, sent: &[Sent]) {
    // A retry is paid for when it is decided, which is up to the longest wait before it goes out.
    const WAIT: Duration = Duration::from_secs(2);
    let times = |of: fn(u32) -> bool| -> Vec<Duration> {
        let sent = sent.iter().filter(|sent| of(sent.number));
        sent.map(|sent| sent.at).collect()
    };
    let begun = times(|number| number == 1);
    // What operations and time have brought so far.
    let earned = |at: Duration| {
        let operations = u32::try_from(begun.partition_point(|begun| *begun <= at));
        let operations = f64::from(operations.expect("few"));
        budget.per_operation * operations + budget.per_second * at.as_secs_f64()
    };
    // The window to look at is the one that began when least was spent beyond what was earned.
    let mut least = f64::MAX;
    for (before, at) in (0u32..).zip(times(|number| number > 1)) {
        least = least.min(f64::from(before) - earned(at.saturating_sub(WAIT)));
        let spent = f64::from(before + 1) - earned(at) - least;
        assert!(spent <= budget.saved_max + 1e-6, "{spent} at {at:?}");
    }
}

fn row(what: &str, told: &Told) -> String {
    let down: Vec<Duration> = told
        .sent
        .iter()
        .flatten()
        .map(|sent| sent.at)
        .filter(|at| DOWN.contains(at))
        .collect();
    let mut seconds = [0; 12];
    for at in &down {
        seconds[usize::try_from(at.as_secs()).expect("few")] += 1;
    }
    let peak = seconds.iter().max().copied().unwrap_or_default();
    let begun = CLIENTS
        * u32::try_from((DOWN.end - DOWN.start).as_millis() / EVERY.as_millis()).expect("few");
    let share = down.len() as f64 / f64::from(begun);
    format!(
        "| {what} | {} | {share:.2} | {peak} | {} of {} |\n",
        down.len(),
        told.failed,
        told.operations
    )
}

/// `UPDATE_PAPERS=1 cargo test -p oncegate-client --test it an_outage` writes the table anew.
#[tokio::test(start_paused = true)]
async fn an_outage_is_not_amplified_beyond_the_budget() {
    let mut boundless = RetryBudget::default();
    boundless.saved_max = f64::from(u32::MAX);
    let budget = RetryBudget::default();
    let without = outage(boundless, false).await;
    let each = outage(budget, false).await;
    let one = outage(budget, true).await;
    for told in [&each, &one] {
        for sent in &told.sent {
            assert_within(budget, sent);
        }
    }
    let mut table = String::from(
        "| | attempts while it is down | for each operation | most in a second | operations that ended as no |\n|---|--:|--:|--:|--:|\n",
    );
    table += &row("1,000 clients, backoff and no budget", &without);
    table += &row("1,000 clients, a budget each (the default)", &each);
    table += &row("1,000 callers of one client, one budget", &one);
    hold(&table);
}

/// The page has this table.
fn hold(table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/clients.md");
    let page = std::fs::read_to_string(&path).expect("docs/clients.md");
    let (before, rest) = page.split_once(BEGIN).expect("where the table begins");
    let (_, after) = rest.split_once(END).expect("where the table ends");
    let renewed = format!("{before}{BEGIN}\n{table}{END}{after}");
    if std::env::var_os("UPDATE_PAPERS").is_some() {
        std::fs::write(&path, renewed).expect("docs/clients.md can be written");
    } else {
        assert!(
            page == renewed,
            "docs/clients.md is out of date: run this test with UPDATE_PAPERS=1"
        );
    }
}

const BEGIN: &str = "<!-- the table of an outage: tests/it/outage.rs writes it -->";
const END: &str = "<!-- end of the table -->";
