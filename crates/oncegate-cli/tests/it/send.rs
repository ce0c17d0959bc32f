//! `oncegate send` against a real proxy and an origin that counts: run again, killed, interrupted, resumed.

use serde_json::Value;
use tokio::process::Child;

use crate::harness::{Act, BINARY, Ended, Gate, Proxy, Stage, poll_until, program, run, within};

/// The arguments of a payment to this proxy, with a journal in the stage's folder.
fn payment(stage: &Stage, proxy: &Proxy, more: &[&str]) -> Vec<String> {
    let journal = stage.folder().join("journal").display().to_string();
    let url = format!("http://{}/payments", proxy.listen);
    let body = r#"{"amount":5000}"#;
    let own = ["send", &url, "--journal", &journal, "-d", body];
    own.iter()
        .chain(more)
        .map(|&word| word.to_owned())
        .collect()
}

async fn send(stage: &Stage, proxy: &Proxy, more: &[&str]) -> Ended {
    let mut command = program(BINARY);
    command.args(payment(stage, proxy, more));
    run(command).await
}

fn spawn(stage: &Stage, proxy: &Proxy, more: &[&str]) -> Child {
    let mut command = program(BINARY);
    command.args(payment(stage, proxy, more));
    command.spawn().unwrap()
}

/// `oncegate send` with the journal alone.
async fn ask(stage: &Stage, flags: &[&str]) -> Ended {
    let mut command = program(BINARY);
    command
        .arg("send")
        .arg("--journal")
        .arg(stage.folder().join("journal"));
    command.args(flags);
    run(command).await
}

async fn listed(stage: &Stage) -> Vec<Value> {
    let listed = ask(stage, &["--list", "--json"]).await;
    assert_eq!(listed.code, Some(0), "{listed:?}");
    serde_json::from_str(&listed.stdout).unwrap()
}

#[tokio::test]
async fn a_command_that_is_run_again_pays_once_and_prints_the_same() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let invoice = ["--operation", "invoice-42"];
    let first = send(&stage, &proxy, &invoice).await;
    let again = send(&stage, &proxy, &invoice).await;
    for ended in [&first, &again] {
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.stderr, "", "pipes are quiet");
        assert_eq!(ended.stdout.as_bytes(), stage.origin.book()[0].answer);
    }
    // A name does not stand for two requests, and has one key.
    let other = send(&stage, &proxy, &[&invoice[..], &["-X", "PUT"]].concat()).await;
    other.must_fail(64, &["nothing was sent", "stands for another request"]);
    let other = send(
        &stage,
        &proxy,
        &[&invoice[..], &["--key", "another"]].concat(),
    )
    .await;
    other.must_fail(64, &["nothing was sent", "has another key already"]);
    assert_eq!(stage.origin.book().len(), 1);
    let body = &stage.origin.book()[0].request;
    assert_eq!(body.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn the_exit_code_tells_no_from_unknown() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    stage.origin.plan_next(Act::status("402 Payment Required"));
    let no = send(&stage, &proxy, &["--operation", "poor"]).await;
    no.must_fail(1, &["it did not happen", "402"]);
    assert_eq!(no.stdout, "said", "the answer is the operation's own");
    stage.origin.plan_next(Act::Cut);
    let unknown = send(
        &stage,
        &proxy,
        &["--operation", "cut", "--retries", "0", "--json"],
    )
    .await;
    unknown.must_fail(75, &["it may have happened"]);
    let told: Value = serde_json::from_str(&unknown.stdout).unwrap();
    assert_eq!(
        (&told["outcome"], &told["next"]),
        (&"unknown".into(), &"same-key".into())
    );
    // It is asked for again under its key, and never under another.
    let again = send(&stage, &proxy, &["--operation", "cut", "--retries", "0"]).await;
    again.must_fail(75, &["it may have happened"]);
    assert_eq!(stage.origin.executions(told["key"].as_str().unwrap()), 1);
    let states: Vec<_> = listed(&stage).await;
    assert_eq!(states[0]["operation"], "cut");
    assert_eq!(
        (&states[0]["state"], &states[1]["state"]),
        (&"open".into(), &"no".into())
    );
    assert_eq!(states[0]["key"], told["key"]);
    // An operator finds out, and the next run hears of it.
    let keys = proxy.keys(&["list", "--state", "unknown", "--json"]).await;
    let keys: Value = serde_json::from_str(&keys.stdout).unwrap();
    let id = keys[0]["id"].as_str().unwrap();
    let resolved = proxy
        .keys(&["resolve", id, "--status", "201", "--body", "paid"])
        .await;
    assert_eq!(resolved.code, Some(0), "{resolved:?}");
    let heard = ask(&stage, &["--resume"]).await;
    assert_eq!(heard.code, Some(0), "{heard:?}");
    assert!(
        heard.stdout.starts_with("cut: it happened (201 Created)"),
        "{heard:?}"
    );
    assert_eq!(stage.origin.book().len(), 2);
}

#[tokio::test]
async fn a_send_that_is_killed_is_finished_by_resume_under_the_same_key() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let gate = Gate::default();
    stage.origin.plan_next(Act::CreateBehind(gate.clone()));
    let mut sending = spawn(&stage, &proxy, &["-H", "Authorization: Bearer sesame"]);
    stage.origin.executed_in_all(1).await;
    // While it lives its operation is its own.
    let entries = listed(&stage).await;
    assert_eq!(entries[0]["state"], "in use");
    let idle = ask(&stage, &["--resume", "--json"]).await;
    assert_eq!((idle.code, idle.stdout.trim()), (Some(0), "[]"));
    within("a killed process", sending.kill()).await.unwrap();
    gate.open();
    let resumed = poll_until("the answer", || async {
        let resumed = ask(&stage, &["--resume", "--json"]).await;
        (resumed.code == Some(0)).then_some(resumed)
    })
    .await;
    let told: Value = serde_json::from_str(&resumed.stdout).unwrap();
    assert_eq!(
        (&told[0]["outcome"], &told[0]["key"]),
        (&"yes".into(), &entries[0]["key"])
    );
    let body = told[0]["body"].as_str().unwrap();
    assert_eq!(body.as_bytes(), stage.origin.book()[0].answer);
    assert_eq!(stage.origin.book().len(), 1);
}

#[tokio::test]
async fn an_interrupted_send_says_that_it_may_have_happened_and_goes_on_when_run_again() {
    for signal in ["INT", "TERM"] {
        let stage = Stage::new().await;
        let proxy = stage.proxy().start().await;
        let gate = Gate::default();
        stage.origin.plan_next(Act::CreateBehind(gate.clone()));
        let invoice = ["--operation", "invoice-42"];
        let sending = spawn(&stage, &proxy, &invoice);
        stage.origin.executed_in_all(1).await;
        let id = sending.id().unwrap().to_string();
        let mut kill = program("sh");
        kill.args(["-c", "kill -s \"$2\" \"$1\"", "sh", &id, signal]);
        assert_eq!(run(kill).await.code, Some(0));
        let output = within("the end", sending.wait_with_output()).await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(75), "{said}");
        assert!(
            said.contains("it may have happened") && said.contains("the same command"),
            "{said}"
        );
        gate.open();
        let again = send(
            &stage,
            &proxy,
            &[&invoice[..], &["--retries", "9"]].concat(),
        )
        .await;
        assert_eq!(again.code, Some(0), "{again:?}");
        assert_eq!(again.stdout.as_bytes(), stage.origin.book()[0].answer);
        assert_eq!(stage.origin.book().len(), 1);
    }
}

#[tokio::test]
async fn headers_come_from_files_and_no_secret_is_printed() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let file = stage.write("headers", "Authorization: Bearer sesame\n\nX-Note: a: b\n");
    let from_file = format!("@{}", file.display());
    stage.origin.plan_next(Act::Cut);
    let ended = send(&stage, &proxy, &["-H", &from_file, "--retries", "0"]).await;
    let request = &stage.origin.book()[0].request;
    assert_eq!(request.header("authorization"), Some("Bearer sesame"));
    assert_eq!(request.header("x-note"), Some("a: b"));
    let listed = ask(&stage, &["--list"]).await;
    let wrong = send(&stage, &proxy, &["-H", "sesame"]).await;
    wrong.must_fail(64, &["a header line is NAME: VALUE"]);
    let key = send(&stage, &proxy, &["-H", "Idempotency-Key: sesame"]).await;
    key.must_fail(64, &["a key is given by --key"]);
    for ended in [ended, listed, wrong, key] {
        assert!(!format!("{ended:?}").contains("sesame"), "{ended:?}");
        assert!(!ended.stdout.contains("5000"), "{ended:?}");
    }
}

/// A large body stays where it is; what is sent later is what was to be sent, or nothing.
#[tokio::test]
async fn a_large_file_that_changed_is_not_sent_again() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let text = "x".repeat(2 * 1024 * 1024);
    let file = stage.write("large", &text);
    let body = format!("@{}", file.display());
    let journal = stage.folder().join("journal").display().to_string();
    let url = format!("http://{}/payments", proxy.listen);
    stage.origin.plan_next(Act::Cut);
    let mut command = program(BINARY);
    command.args([
        "send",
        &url,
        "--journal",
        &journal,
        "-d",
        &body,
        "--retries",
        "0",
    ]);
    run(command).await.must_fail(75, &["it may have happened"]);
    assert_eq!(stage.origin.book()[0].request.body.len(), text.len());
    stage.write("large", &text.replace('x', "y"));
    let resumed = ask(&stage, &["--resume"]).await;
    resumed.must_fail(75, &["not known: 1"]);
    assert!(
        resumed
            .stdout
            .contains("the body is not what it was before"),
        "{resumed:?}"
    );
    assert_eq!(stage.origin.book().len(), 1);
}

/// 69 would say that nothing was sent, and the script would pay in another way.
#[tokio::test]
async fn an_answer_that_cannot_be_written_to_its_file_changes_no_exit_code() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let file = stage.folder().join("no/answer").display().to_string();
    let ended = send(&stage, &proxy, &["-o", &file]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stdout.as_bytes(), stage.origin.book()[0].answer);
    assert!(ended.stderr.contains("cannot write"), "{ended:?}");
}

#[tokio::test]
async fn a_journal_that_cannot_be_used_means_that_nothing_is_sent() {
    let stage = Stage::new().await;
    let url = format!("http://{}/payments", stage.origin.address());
    let foreign = stage.write("letter", &"a letter to my aunt ".repeat(100));
    let nowhere = stage.folder().join("no/journal");
    for (journal, said) in [(foreign, "is no journal"), (nowhere, "does not exist")] {
        let mut command = program(BINARY);
        command.args(["send", &url, "--journal"]).arg(journal);
        run(command)
            .await
            .must_fail(69, &["nothing was sent", said]);
    }
    assert!(stage.origin.book().is_empty());
}

#[tokio::test]
async fn the_users_own_journal_is_for_the_user_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let stage = Stage::new().await;
    let url = format!("http://{}/payments", stage.origin.address());
    let mut command = program(BINARY);
    command
        .args(["send", &url, "-o"])
        .arg(stage.folder().join("answer"));
    command.env("XDG_STATE_HOME", stage.folder().join("state"));
    let ended = run(command).await;
    assert_eq!((ended.code, &*ended.stdout), (Some(0), ""), "{ended:?}");
    let answer = std::fs::read(stage.folder().join("answer")).unwrap();
    assert_eq!(answer, stage.origin.book()[0].answer);
    let folder = stage.folder().join("state/oncegate");
    for (path, mode) in [
        (folder.clone(), 0o700),
        (folder.join("send.journal"), 0o600),
    ] {
        let found = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode);
    }
}
