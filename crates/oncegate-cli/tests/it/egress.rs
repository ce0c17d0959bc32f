//! `oncegate egress` as a process, before `oncegate serve` and before servers that know no keys: callers without a
//! library, wires that are cut, and a kill in mid-operation. What ran is what the origin's own book says.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr};

use crate::harness::{
    Act, Answer, BINARY, Cut, Gate, Relay, Request, Stage, Wire, get, oncegate, poll_until, post,
    program, run, send, within,
};

/// An egress that runs; its upstream is called `pay`.
struct Forwarder {
    child: Child,
    address: SocketAddr,
    /// Held open: it has more to say, and would die of a broken pipe.
    log: Lines<BufReader<ChildStderr>>,
}

/// M-44, M-47: the first answer is lost, the second breaks off; the caller sees one answer.
#[tokio::test]
async fn a_request_without_a_key_gets_one_and_runs_once_though_the_wire_is_cut() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let relay = Relay::before(proxy.listen).await;
    let egress = Forwarder::start(&stage, relay.address(), &[]).await;
    relay.cut([Cut::BeforeAnswer, Cut::BeforeEnd(1)]);
    let answer = send(egress.address, &payment()).await;
    assert_eq!(relay.left(), 0, "every cut was made");
    assert_eq!(answer.code(), 201, "{answer:?}");
    assert_eq!(answer.header("oncegate-attempts"), Some("3"), "{answer:?}");
    let book = stage.origin.book();
    assert_eq!(book.len(), 1, "it ran once");
    assert_eq!(answer.body(), book[0].answer);
    let key = answer.header("idempotency-key").unwrap().trim_matches('"');
    assert_eq!(book[0].key.as_deref(), Some(key), "the key is returned");
}

/// The real curl, twice: the second answer comes from the journal, and nothing is sent for it.
#[tokio::test]
async fn a_named_operation_is_answered_again_and_not_sent_again() {
    let stage = Stage::new().await;
    let egress = Forwarder::start(&stage, stage.origin.address(), &[]).await;
    let first = curl(&egress, "invoice-42", "amount=1").await;
    let again = curl(&egress, "invoice-42", "amount=1").await;
    let book = stage.origin.book();
    assert_eq!(book.len(), 1, "it ran once");
    assert_eq!(first.as_bytes(), book[0].answer);
    assert_eq!(first, again);
    let named = named(&payment(), "invoice-42");
    let other = send(egress.address, &named).await;
    must_be(&other, 400, "key-invalid", "no", "fix-request");
    assert_eq!(stage.origin.book().len(), 1, "the other was not sent");
}

/// What one caller was answered is not given to another, by name or by key; and nothing is sent a second time for it.
#[tokio::test]
async fn a_recorded_answer_is_for_the_credentials_that_it_was_given_to() {
    let stage = Stage::new().await;
    let egress = Forwarder::start(&stage, stage.origin.address(), &[]).await;
    let by_name = named(&payment(), "invoice-42");
    let by_key = payment().header("Idempotency-Key", "\"mine\"");
    for (request, credential) in [
        (&by_name, "Authorization"),
        (&by_key, "Cookie"),
        (&named(&payment(), "invoice-43"), "X-Api-Key"),
    ] {
        let of = |who: &str| request.clone().header(credential, who);
        let ran = stage.origin.book().len() + 1;
        let first = send(egress.address, &of("one")).await;
        assert_eq!(first.code(), 201, "{credential}: {first:?}");
        let second = of("one").header(credential, "two");
        for other in [request, &of("two"), &second] {
            let refused = send(egress.address, other).await;
            must_be(&refused, 400, "key-invalid", "no", "fix-request");
        }
        let again = send(egress.address, &of("one")).await;
        assert_eq!(again.body(), first.body(), "{credential}");
        assert_eq!(stage.origin.book().len(), ran, "{credential}: it ran once");
    }
}

#[tokio::test]
async fn what_a_web_page_has_sent_is_refused() {
    let sent = [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ];
    let stage = Stage::new().await;
    let egress = Forwarder::start(&stage, stage.origin.address(), &[]).await;
    for (name, value) in sent {
        for request in [payment(), local(get("/pay/payments"))] {
            let answer = send(egress.address, &request.header(name, value)).await;
            assert_eq!(answer.code(), 403, "{name}: {value}: {answer:?}");
        }
    }
    assert_eq!(stage.origin.book().len(), 0, "nothing was sent");
    let own = payment().header("Sec-Fetch-Site", "none");
    assert_eq!(send(egress.address, &own).await.code(), 201);
}

/// A page whose name was pointed to this machine (DNS rebinding) is of its own origin; the name tells.
#[tokio::test]
async fn who_asks_by_a_name_that_is_not_this_machines_is_refused() {
    let stage = Stage::new().await;
    let egress = Forwarder::start(&stage, stage.origin.address(), &[]).await;
    let by = |host: &str| post("/pay/payments", "{}").header("Host", host);
    let port = egress.address.port();
    let names = [
        (format!("evil.example:{port}"), 403),
        ("localhost.evil.example".to_owned(), 403),
        (format!("localhost:{port}"), 201),
        (egress.address.to_string(), 201),
    ];
    for (host, code) in names {
        let before = stage.origin.book().len();
        let answer = send(egress.address, &by(&host)).await;
        assert_eq!(answer.code(), code, "{host}: {answer:?}");
        let sent = stage.origin.book().len() - before;
        assert_eq!(sent, usize::from(code == 201), "{host}");
    }
}

#[tokio::test]
async fn a_callers_own_key_is_kept_and_not_mixed_with_a_name() {
    let stage = Stage::new().await;
    let egress = Forwarder::start(&stage, stage.origin.address(), &[]).await;
    let own = payment().header("Idempotency-Key", "\"mine\"");
    assert_eq!(send(egress.address, &own).await.code(), 201);
    assert_eq!(stage.origin.executions("mine"), 1);
    let both = send(egress.address, &named(&own, "invoice-42")).await;
    must_be(&both, 400, "key-invalid", "no", "fix-request");
    assert_eq!(stage.origin.book().len(), 1, "nothing was sent for it");
}

/// The caller hangs up while the origin is at work. Its name, asked again, gets the outcome.
#[tokio::test]
async fn an_operation_outlives_its_caller() {
    let stage = Stage::new().await;
    let egress = Forwarder::start(&stage, stage.origin.address(), &[]).await;
    let gate = Gate::default();
    stage.origin.plan_next(Act::CreateBehind(gate.clone()));
    let request = named(&payment(), "invoice-42");
    let mut wire = Wire::connect(egress.address).await.unwrap();
    wire.write(request.bytes()).await.unwrap();
    stage.origin.executed_in_all(1).await;
    drop(wire);
    let meanwhile = send(egress.address, &request).await;
    must_be(&meanwhile, 409, "in-flight", "maybe", "same-key");
    gate.open();
    let answer = outcome(&egress, &request).await;
    assert_eq!(answer.body(), stage.origin.book()[0].answer);
    assert_eq!(stage.origin.book().len(), 1, "it ran once");
}

/// kill -9 while the origin is at work: the next process asks with the same key and bytes.
#[tokio::test]
async fn an_operation_outlives_the_process() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let gate = Gate::default();
    stage.origin.plan_next(Act::CreateBehind(gate.clone()));
    let mut egress = Forwarder::start(&stage, proxy.listen, &[]).await;
    let request = named(&payment(), "invoice-42");
    let mut wire = Wire::connect(egress.address).await.unwrap();
    wire.write(request.bytes()).await.unwrap();
    stage.origin.executed_in_all(1).await;
    within("a kill", egress.child.kill()).await.unwrap();
    gate.open();
    let mut egress = Forwarder::start(&stage, proxy.listen, &[]).await;
    // Nobody asked: it is finished at the start.
    egress.says("resumed").await;
    let answer = outcome(&egress, &request).await;
    assert_eq!(answer.header("oncegate-attempts"), Some("0"), "{answer:?}");
    assert_eq!(answer.body(), stage.origin.book()[0].answer);
    assert_eq!(stage.origin.book().len(), 1, "it ran once");
}

#[tokio::test]
async fn safe_methods_pass_without_a_key_and_unknown_names_go_nowhere() {
    let stage = Stage::new().await;
    let egress = Forwarder::start(&stage, stage.origin.address(), &[]).await;
    let answer = send(egress.address, &local(get("/pay/payments?limit=1"))).await;
    assert_eq!(answer.code(), 200, "{answer:?}");
    let book = stage.origin.book();
    assert_eq!(book[0].key, None);
    assert_eq!(book[0].request.start, "GET /payments?limit=1 HTTP/1.1");
    for nowhere in ["/mail/payments", "/payments", "/"] {
        let answer = send(egress.address, &local(post(nowhere, "{}"))).await;
        assert_eq!(answer.code(), 404, "{nowhere}: {answer:?}");
    }
    assert_eq!(stage.origin.book().len(), 1);
}

/// A server without keys that breaks off each time, and one that is not there.
#[tokio::test]
async fn what_nobody_knows_and_what_was_never_sent_are_told_apart() {
    let stage = Stage::with(|_| Act::Cut).await;
    let attempts = ["--attempts", "2"];
    let egress = Forwarder::start(&stage, stage.origin.address(), &attempts).await;
    let answer = send(egress.address, &payment()).await;
    must_be(
        &answer,
        502,
        "upstream-outcome-unknown",
        "maybe",
        "same-key",
    );
    assert_eq!(answer.header("oncegate-attempts"), Some("2"), "{answer:?}");
    let keys: Vec<_> = stage.origin.book().into_iter().map(|it| it.key).collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1], "one key for all attempts");
    let page = local(get(
        "/.well-known/idempotency/problems/upstream-outcome-unknown",
    ));
    assert_eq!(send(egress.address, &page).await.code(), 200);
    drop(egress);
    // The port is held and not listened on, so that nobody else takes it.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = socket.local_addr().unwrap();
    let egress = Forwarder::start_on(&stage, "other.journal", nobody, &attempts).await;
    let answer = send(egress.address, &payment()).await;
    must_be(&answer, 502, "upstream-unreachable", "no", "same-key");
}

#[tokio::test]
async fn what_it_holds_is_bounded() {
    let stage = Stage::new().await;
    let bounds = ["--operations-max", "1", "--body-bytes-max", "100"];
    let egress = Forwarder::start(&stage, stage.origin.address(), &bounds).await;
    let large = send(egress.address, &payment().body("x".repeat(101))).await;
    must_be(&large, 413, "request-too-large", "no", "fix-request");
    let gate = Gate::default();
    stage.origin.plan_next(Act::CreateBehind(gate.clone()));
    let mut wire = Wire::connect(egress.address).await.unwrap();
    wire.write(payment().bytes()).await.unwrap();
    stage.origin.executed_in_all(1).await;
    let second = send(egress.address, &payment()).await;
    must_be(&second, 503, "overloaded", "no", "same-key");
    gate.open();
    let first = within("an answer", wire.read_answer()).await.unwrap();
    assert_eq!(first.code(), 201);
    assert_eq!(
        stage.origin.book().len(),
        1,
        "the refused ones sent nothing"
    );
}

#[tokio::test]
async fn a_drain_lets_an_operation_finish_and_answers_its_caller() {
    let stage = Stage::new().await;
    let mut egress = Forwarder::start(&stage, stage.origin.address(), &[]).await;
    let gate = Gate::default();
    stage.origin.plan_next(Act::CreateBehind(gate.clone()));
    let mut wire = Wire::connect(egress.address).await.unwrap();
    wire.write(payment().bytes()).await.unwrap();
    stage.origin.executed_in_all(1).await;
    let id = egress.child.id().unwrap().to_string();
    let mut terminate = program("sh");
    terminate.args(["-c", "kill -s TERM \"$1\"", "sh", &id]);
    assert_eq!(run(terminate).await.code, Some(0));
    egress.says("draining").await;
    gate.open();
    let answer = within("an answer", wire.read_answer()).await.unwrap();
    assert_eq!(answer.code(), 201);
    egress.says("every operation came to its end").await;
    let ended = within("its end", egress.child.wait()).await.unwrap();
    assert_eq!(ended.code(), Some(0));
}

#[tokio::test]
async fn it_listens_where_nobody_else_can_reach_it_unless_told_otherwise() {
    let ended = oncegate(&[
        "egress",
        "--upstream",
        "pay=http://127.0.0.1:1",
        "--listen",
        "0.0.0.0:0",
    ])
    .await;
    ended.must_fail(64, &["0.0.0.0:0", "--listen-for-others"]);
}

impl Forwarder {
    async fn start(stage: &Stage, upstream: SocketAddr, flags: &[&str]) -> Self {
        Self::start_on(stage, "egress.journal", upstream, flags).await
    }

    async fn start_on(
        stage: &Stage,
        journal: impl AsRef<Path>,
        upstream: SocketAddr,
        flags: &[&str],
    ) -> Self {
        let journal: PathBuf = stage.folder().join(journal);
        let mut command = program(BINARY);
        command
            .args(["egress", "--listen", "127.0.0.1:0", "--upstream"])
            .arg(format!("pay=http://{upstream}"))
            .arg("--journal")
            .arg(journal)
            .args(flags)
            .stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let ready = line(&mut log, "oncegate egress is ready").await;
        let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
        let listening = ready["listening"].as_str().unwrap();
        let address = listening.strip_prefix("http://").unwrap().parse().unwrap();
        Self {
            child,
            address,
            log,
        }
    }

    /// Waits until its log says this.
    async fn says(&mut self, what: &str) {
        line(&mut self.log, what).await;
    }
}

async fn line(log: &mut Lines<BufReader<ChildStderr>>, what: &str) -> String {
    within(what, async {
        loop {
            let line = log.next_line().await.unwrap();
            let line = line.unwrap_or_else(|| panic!("it ended before it said {what:?}"));
            if line.contains(what) {
                return line;
            }
        }
    })
    .await
}

/// As callers on this machine ask.
fn local(request: Request) -> Request {
    request.header("Host", "localhost")
}

/// A payment without a key.
fn payment() -> Request {
    local(post("/pay/payments", r#"{"amount":100}"#))
}

fn named(request: &Request, name: &str) -> Request {
    request.clone().header("Idempotency-Operation", name)
}

/// Asks until the operation is no longer under way.
async fn outcome(egress: &Forwarder, request: &Request) -> Answer {
    poll_until("an outcome", || async {
        let answer = send(egress.address, request).await;
        (answer.code() == 201).then_some(answer)
    })
    .await
}

/// What curl prints.
async fn curl(egress: &Forwarder, name: &str, data: &str) -> String {
    let mut curl = program("curl");
    curl.args(["-sS", "--fail", "--noproxy", "*", "-d", data, "-H"])
        .arg(format!("Idempotency-Operation: {name}"))
        .arg(format!("http://{}/pay/payments", egress.address));
    let ended = run(curl).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout
}

#[track_caller]
fn must_be(answer: &Answer, code: u16, slug: &str, executed: &str, next: &str) {
    let problem = (answer.code(), answer.slug());
    assert_eq!(problem, (code, slug.to_owned()), "{answer:?}");
    let json = answer.json();
    assert_eq!(json["executed"], executed, "{answer:?}");
    assert_eq!(json["next"], next, "{answer:?}");
}
