//! `oncegate send` with other people's servers, beside another one of the same name, and on a disk that is full.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::faults::{Faults, Operation, What, Where};
use crate::foreign::customers;
use crate::harness::{Act, BINARY, Cut, Gate, Python, Relay, Stage, program, run};

/// M-10, M-44: a stand-in for Stripe that keeps no keys, behind a proxy that does, over a wire that is cut after each
/// execution. In Stripe's words and in ours.
#[tokio::test]
async fn send_creates_one_customer_over_a_wire_that_is_cut() {
    let stage = Stage::new().await;
    let stripe = Python::ready().await.localstripe().await;
    let upstream = format!("http://{}", stripe.address());
    for dialect in ["stripe", "oncegate"] {
        let setup = stage.proxy_before(&upstream).flag("--profile", dialect);
        let proxy = setup.start().await;
        let relay = Relay::before(proxy.listen).await;
        let table: [(&str, &[Cut]); 3] = [
            ("lost", &[Cut::BeforeAnswer]),
            ("half", &[Cut::BeforeEnd(40)]),
            ("unlucky", &[Cut::BeforeAnswer, Cut::BeforeEnd(1)]),
        ];
        for (what, cuts) in table {
            let name = format!("{dialect}-{what}");
            relay.cut(cuts.iter().copied());
            let told = create_customer(&stage, relay.address(), dialect, &name).await;
            assert_eq!(relay.left(), 0, "{name}: every cut was made");
            assert_eq!(told["outcome"], "yes", "{told}");
            assert_eq!(told["replayed"], true, "{told}");
            assert_eq!(told["maybe_twice"], false, "{told}");
            let listed = customers(stripe.address(), &name).await;
            assert_eq!(listed.len(), 1, "{name}: {listed:?}");
            let created: Value = serde_json::from_str(told["body"].as_str().unwrap()).unwrap();
            assert_eq!(listed[0]["id"], created["id"], "{name}");
        }
        proxy.stop().await;
    }
}

/// The same stand-in without a proxy creates two. That cannot be helped, and it is said.
#[tokio::test]
async fn send_says_that_it_may_have_happened_twice_where_keys_are_not_kept() {
    let stage = Stage::new().await;
    let stripe = Python::ready().await.localstripe().await;
    let relay = Relay::before(stripe.address()).await;
    relay.cut([Cut::BeforeAnswer]);
    let told = create_customer(&stage, relay.address(), "stripe", "twice").await;
    assert_eq!(relay.left(), 0);
    assert_eq!(customers(stripe.address(), "twice").await.len(), 2);
    assert_eq!(told["outcome"], "yes", "{told}");
    assert_eq!(told["maybe_twice"], true, "{told}");
}

/// M-44: the second one sends nothing while the first is at it, and gets the same answer after that.
#[tokio::test]
async fn two_sends_of_one_name_at_once_execute_once() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let gate = Gate::default();
    stage.origin.plan_next(Act::CreateBehind(gate.clone()));
    let first = run(pay(&stage, proxy.listen, "op-1"));
    let second = async {
        stage.origin.executed_in_all(1).await;
        let second = run(pay(&stage, proxy.listen, "op-1")).await;
        gate.open();
        second
    };
    let (first, second) = tokio::join!(first, second);
    second.must_fail(75, &["is being sent by somebody else"]);
    assert_eq!(first.code, Some(0), "{first:?}");
    let third = run(pay(&stage, proxy.listen, "op-1")).await;
    assert_eq!(third.code, Some(0), "{third:?}");
    assert_eq!(third.stdout.as_bytes(), stage.origin.book()[0].answer);
    assert_eq!(first.stdout, third.stdout);
    assert_eq!(stage.origin.book().len(), 1);
}

/// M-44: while the sync hangs nothing is sent, and by the time that the origin has the request no byte of the journal
/// waits for the disk.
#[tokio::test]
async fn an_operation_is_synced_to_the_disk_before_it_is_sent() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let faults = Faults::new(stage.folder());
    let pay = |name| {
        let mut command = pay(&stage, proxy.listen, name);
        faults.under_command(&mut command);
        run(command)
    };
    // The journal is made by another one, so that the first sync is that of the operation.
    assert_eq!(pay("op-0").await.code, Some(0));
    faults.hang();
    let gate = Gate::default();
    stage.origin.plan_next(Act::CreateBehind(gate.clone()));
    let looking = async {
        faults.hangs().await;
        assert!(!faults.unsynced().is_empty(), "something hangs");
        assert_eq!(
            stage.origin.book().len(),
            1,
            "sent before it was on the disk"
        );
        faults.heal();
        stage.origin.executed_in_all(2).await;
        let unsynced = faults.unsynced();
        gate.open();
        assert!(
            unsynced.is_empty(),
            "{unsynced:?} would be lost with the power"
        );
    };
    let (sent, ()) = tokio::join!(pay("op-1"), looking);
    assert_eq!(sent.code, Some(0), "{sent:?}");
}

/// M-44: without room for the operation nothing is sent; without room for its outcome the outcome is told all the
/// same, and is found again later.
#[tokio::test]
async fn a_full_disk_under_the_journal_sends_nothing_and_loses_nothing() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let faults = Faults::new(stage.folder());
    let pay = || {
        let mut command = pay(&stage, proxy.listen, "op-1");
        faults.under_command(&mut command);
        run(command)
    };
    faults.strike(Operation::Write, Where::Store, What::Full);
    pay().await.must_fail(69, &["there is no room for"]);
    faults.heal();
    assert_eq!(list(&stage).await, json!([]));
    faults.strike(Operation::Write, Where::Store, What::Full);
    pay()
        .await
        .must_fail(69, &["nothing was sent", "there is no room for"]);
    faults.heal();
    assert!(stage.origin.book().is_empty());

    let gate = Gate::default();
    stage.origin.plan_next(Act::CreateBehind(gate.clone()));
    let filling = async {
        stage.origin.executed_in_all(1).await;
        faults.strike(Operation::Write, Where::Store, What::Full);
        gate.open();
    };
    let (first, ()) = tokio::join!(pay(), filling);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(faults.struck(Operation::Write) > 0);
    assert!(first.stderr.contains("could not be written"), "{first:?}");
    assert_eq!(first.stdout.as_bytes(), stage.origin.book()[0].answer);

    faults.heal();
    let again = pay().await;
    assert_eq!(
        (again.code, &again.stdout),
        (Some(0), &first.stdout),
        "{again:?}"
    );
    assert_eq!(stage.origin.book().len(), 1);
}

/// A payment at our own origin.
fn pay(stage: &Stage, to: SocketAddr, name: &str) -> Command {
    let mut command = send(stage);
    command.arg(format!("http://{to}/payments")).args([
        "--operation",
        name,
        "-d",
        "{\"amount\":100}",
    ]);
    command
}

/// What is in the journal.
async fn list(stage: &Stage) -> Value {
    let mut command = send(stage);
    command.args(["--list", "--json"]);
    let ended = run(command).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap()
}

/// A customer of this name, and what is told of it.
async fn create_customer(stage: &Stage, to: SocketAddr, dialect: &str, name: &str) -> Value {
    let mut command = send(stage);
    command
        .arg(format!("http://{to}/v1/customers"))
        .args(["--json", "--retries", "5", "--dialect", dialect])
        .args([
            "--operation",
            name,
            "-d",
            &format!("email={name}@example.test"),
        ])
        .args(["-H", "Content-Type: application/x-www-form-urlencoded"])
        // sk_test_12345 without a password.
        .args(["-H", "Authorization: Basic c2tfdGVzdF8xMjM0NTo="]);
    let ended = run(command).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap()
}

/// With a journal that the fault shim takes for a store.
fn send(stage: &Stage) -> Command {
    let folder = stage.folder().join("journal");
    std::fs::create_dir_all(&folder).unwrap();
    let mut command = program(BINARY);
    command
        .args(["send", "--journal"])
        .arg(folder.join("oncegate.db"));
    command
}
