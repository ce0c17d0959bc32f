//! What a request costs, as the server itself notes every statement that it is sent.

use std::cell::Cell;

use super::pgbouncer::PgBouncer;
use super::server::PostgresServer;
use crate::harness::{Act, Gate, Proxy, Stage, get, pay, post};

/// A server that notes what it is asked to parse, to bind and to execute, before it answers.
struct Noted {
    server: PostgresServer,
    read: Cell<usize>,
}

impl Noted {
    fn start() -> Self {
        let settings = ["log_min_duration_statement=0", "log_line_prefix=@@"];
        Self {
            server: PostgresServer::start(&settings),
            read: Cell::new(0),
        }
    }

    /// What it was asked since the last time.
    fn asked(&self) -> Vec<String> {
        let log = self.server.log();
        let new = &log[self.read.replace(log.len())..];
        let notes = new.split("@@").filter(|note| note.contains("duration: "));
        notes.map(str::to_owned).collect()
    }

    /// How many round trips there were for records. The purger, who comes from time to time, goes by places.
    ///
    /// To parse a statement in a round trip of its own would be one more: where sessions are shared it is sent together
    /// with the rest.
    fn round_trips(&self) -> usize {
        let asked = self.asked();
        let of_records: Vec<_> = asked
            .iter()
            .filter(|note| note.contains(".record") && !note.contains("ctid"))
            .collect();
        let count = |step: &str| of_records.iter().filter(|note| note.contains(step)).count();
        assert_eq!(count("ms  parse s"), 0, "{of_records:?}");
        assert_eq!(count("ms  statement: "), 0, "{of_records:?}");
        count("ms  execute ")
    }
}

/// Sessions are begun, and what is prepared is prepared: with so many keys, on all of them.
async fn warm(proxy: &Proxy) {
    for number in 0..64 {
        let key = format!("warm-{number}");
        proxy.send(&pay(&key)).await.must_be_executed();
    }
}

async fn costs(stage: &Stage, noted: &Noted, url: &str) {
    let proxy = stage.proxy().flag("--store", url).start().await;
    warm(&proxy).await;
    assert!(noted.asked().len() >= 128, "the server notes nothing");

    let first = proxy.send(&pay("counted")).await;
    first.must_be_executed();
    assert_eq!(noted.round_trips(), 2);
    proxy.send(&pay("counted")).await.must_replay(&first);
    assert_eq!(noted.round_trips(), 1);

    let gate = Gate::default();
    stage.origin.plan("slow", [Act::CreateBehind(gate.clone())]);
    let request = pay("slow");
    let asking = proxy.send(&request);
    let meanwhile = async {
        stage.origin.executed("slow").await;
        assert_eq!(noted.round_trips(), 1);
        let duplicate = proxy.send(&pay("slow")).await;
        assert_eq!(
            (duplicate.code(), duplicate.slug().as_str()),
            (409, "in-flight")
        );
        assert_eq!(noted.round_trips(), 1);
        gate.open();
    };
    let (slow, ()) = tokio::join!(asking, meanwhile);
    slow.must_be_executed();
    assert_eq!(noted.round_trips(), 1);

    assert_eq!(proxy.send(&post("/payments", "{}")).await.code(), 201);
    assert_eq!(proxy.send(&get("/payments/1")).await.code(), 200);
    assert_eq!(noted.round_trips(), 0);
}

#[tokio::test]
async fn a_first_request_takes_two_round_trips_a_replay_one_a_duplicate_in_flight_one_and_no_key_none()
 {
    let stage = Stage::new().await;
    let noted = Noted::start();
    costs(&stage, &noted, &noted.server.url()).await;
}

#[tokio::test]
async fn behind_a_pgbouncer_requests_take_as_many_round_trips() {
    let stage = Stage::new().await;
    let noted = Noted::start();
    let bouncer = PgBouncer::before(&noted.server);
    costs(&stage, &noted, &bouncer.url()).await;
}

/// M-37: neither the key nor the credential is in what is sent to the server, or kept by it.
#[tokio::test]
async fn what_is_kept_tells_neither_key_nor_credential() {
    let stage = Stage::new().await;
    let noted = Noted::start();
    let url = noted.server.url();
    let proxy = stage.proxy().flag("--store", &url).start().await;
    let request = pay("order-4711").header("Authorization", "Bearer hunter2");
    proxy.send(&request).await.must_be_executed();
    assert_eq!(
        noted.server.sql("SELECT count(*) FROM oncegate.record"),
        "1"
    );
    let kept = noted.server.sql("SELECT * FROM oncegate.record");
    let log = noted.server.log();
    assert!(log.contains("parameters: $1 = "), "{log}");
    for told in ["order-4711", "hunter2"] {
        // Bytes are written in hexadecimal.
        let bytes: String = told.bytes().map(|byte| format!("{byte:02x}")).collect();
        for told in [told, &bytes] {
            assert!(!kept.contains(told), "{kept}");
            assert!(!log.contains(told), "{log}");
        }
    }
}
