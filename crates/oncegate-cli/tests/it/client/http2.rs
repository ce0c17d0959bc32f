//! The client over HTTP/2: many operations on one connection, which breaks under all of them at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use oncegate::testing::SplitMix64;
use oncegate_client::journal::{Concluded, Journal, JournaledClient, OperationName};
use oncegate_client::{Client, HttpTransport, Operation, Outcome, RetryBudget, RetryPolicy, Yes};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::TcpStream;

use super::ordeal::seed;
use crate::harness::tls::Acceptor;
use crate::harness::{Stage, within};

/// M-10, M-14, M-44: the connection breaks after so many bytes of answers, ten times, wherever in whichever stream
/// that is; every operation is executed once, and has the answer of that execution.
#[tokio::test]
async fn a_broken_http2_connection_executes_none_of_its_operations_twice() {
    let seed = seed();
    println!("SEED={seed}");
    let stage = Stage::new().await;
    let proxy = stage.proxy().set("in_flight=wait").start().await;
    let wire = Wire::before(proxy.listen, seed).await;
    let client = client(&stage);
    let url = format!("http://{}/payments", wire.acceptor.address);
    let paying = (0..OPERATIONS).map(|number| pay(&client, &url, number));
    let paid: Vec<Yes> = within("the payments", join_all(paying)).await;

    let book = stage.origin.book();
    assert_eq!(book.len(), OPERATIONS, "each was executed once");
    let by_key: HashMap<_, _> = book
        .iter()
        .map(|it| (it.key.clone().unwrap(), it))
        .collect();
    for yes in &paid {
        let answer = &by_key[yes.key.as_str()].answer;
        assert_eq!(
            &yes.answer.as_ref().unwrap().body[..],
            &answer[..],
            "{yes:?}"
        );
    }
    let replayed = paid.iter().filter(|yes| yes.replayed).count();
    let cuts = wire.cuts.load(Ordering::Relaxed);
    println!("{cuts} connections cut, {replayed} answers replayed");
    assert!(
        cuts == CUTS && replayed > 0,
        "{cuts} cuts, {replayed} replayed"
    );
    assert_eq!(wire.not_http2.load(Ordering::Relaxed), 0);
}

/// Pays until it is told that it is paid, which the journal makes safe.
async fn pay(client: &JournaledClient, url: &str, number: usize) -> Yes {
    let name = OperationName::new(&format!("op-{number}")).unwrap();
    loop {
        let payment = Operation::post(url).unwrap().body(format!("op {number}"));
        let concluded = client.execute_named(&name, &payment.build()).await.unwrap();
        match concluded {
            Concluded {
                outcome: Outcome::Yes(yes),
                unrecorded: None,
                ..
            } if !yes.lost => return yes,
            Concluded {
                outcome: Outcome::Unknown(_),
                ..
            } => {}
            other => panic!("{other:?}"),
        }
    }
}

fn client(stage: &Stage) -> JournaledClient {
    let mut policy = RetryPolicy::default();
    policy.attempts_max = 20;
    policy.backoff_base = Duration::from_millis(5);
    policy.backoff_max = Duration::from_millis(40);
    let mut budget = RetryBudget::default();
    budget.per_operation = 20.0;
    budget.saved_max = 10_000.0;
    let http = reqwest::Client::builder().http2_prior_knowledge();
    let transport = HttpTransport::of(http, &policy).unwrap();
    let client = Client::builder()
        .policy(policy)
        .budget(budget)
        .transport(Arc::new(transport));
    let journal = Journal::open(stage.folder().join("payments.journal")).unwrap();
    client.build().unwrap().journaled(journal)
}

/// Passes bytes on, and cuts the first connections by seed.
struct Wire {
    acceptor: Acceptor,
    cuts: Arc<AtomicUsize>,
    not_http2: Arc<AtomicUsize>,
}

impl Wire {
    async fn before(proxy: std::net::SocketAddr, seed: u64) -> Self {
        let random = Arc::new(Mutex::new(SplitMix64::new(seed)));
        let cuts = Arc::<AtomicUsize>::default();
        let not_http2 = Arc::<AtomicUsize>::default();
        let (counted, strangers) = (Arc::clone(&cuts), Arc::clone(&not_http2));
        let acceptor = Acceptor::start(move |mut client| {
            let (random, counted) = (Arc::clone(&random), Arc::clone(&counted));
            let strangers = Arc::clone(&strangers);
            async move {
                let mut server = TcpStream::connect(proxy).await?;
                let mut preface = [0; PREFACE.len()];
                client.read_exact(&mut preface).await?;
                strangers.fetch_add(usize::from(&preface != PREFACE), Ordering::Relaxed);
                server.write_all(&preface).await?;
                let (mut from_client, mut to_client) = client.split();
                let (from_server, mut to_server) = server.split();
                let last = counted.load(Ordering::Relaxed) >= CUTS;
                let bytes = if last {
                    u64::MAX
                } else {
                    random.lock().below(BYTES_MAX)
                };
                let mut some = from_server.take(bytes);
                tokio::select! {
                    copied = copy(&mut some, &mut to_client) => drop(copied?),
                    copied = copy(&mut from_client, &mut to_server) => drop(copied?),
                }
                if !last && some.limit() == 0 {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            }
        })
        .await;
        Self {
            acceptor,
            cuts,
            not_http2,
        }
    }
}

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const OPERATIONS: usize = 100;
const CUTS: usize = 10;
const BYTES_MAX: u64 = 60_000;
