//! The scripts that reproduce a finding, run by a real shell with a real curl.

use std::process::Command;

use oncegate_check::case::{Case, Key, Send, Severity, Step, Variant};
use oncegate_check::dialect::ONCEGATE;
use oncegate_check::operation::{Form, Operation};
use oncegate_check::report::Report;
use oncegate_check::report::script::script;
use oncegate_check::wire::{Leave, Peer};
use oncegate_check::{Limits, cases, run};

use crate::origin::{Defect, Origin};
use crate::recorder::Recorder;

/// A case, the origin that is broken there, and how often its script prints what there and on one that does it right.
const SHOWN: &[(&str, Defect, &str, [usize; 2])] = &[
    (
        "replay-runs-once",
        Defect::NoKeys,
        "== executions: 2",
        [1, 0],
    ),
    (
        "replay-runs-once",
        Defect::NoKeys,
        "== executions: 1",
        [0, 1],
    ),
    (
        "replay-same-status",
        Defect::OtherStatus,
        "HTTP/1.1 201",
        [1, 2],
    ),
    (
        "burst-runs-once",
        Defect::CheckThenSet,
        "== executions: 3",
        [1, 0],
    ),
    (
        "burst-runs-once",
        Defect::CheckThenSet,
        "== executions: 1",
        [0, 1],
    ),
    (
        "in-flight-runs-once",
        Defect::CheckThenSet,
        "== executions: 2",
        [1, 0],
    ),
    (
        "in-flight-answer",
        Defect::VagueInFlight,
        "HTTP/1.1 409",
        [0, 1],
    ),
    (
        "other-body-answer",
        Defect::VagueMismatch,
        "HTTP/1.1 422",
        [0, 1],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_script_shows_the_defect_and_nothing_where_there_is_none() {
    let right = Origin::start(Defect::None).await;
    for (id, defect, words, times) in SHOWN {
        let origin = Origin::start(*defect).await;
        // Long enough for three to be under way at once, however late a shell starts them.
        let target = if *id == "burst-runs-once" {
            "/payments?slow=1500"
        } else {
            "/payments"
        };
        let case = cases::named(id).unwrap();
        let report = check(operation(&origin.url(target)), case).await;
        let script = script(&report, &report.findings[0]).unwrap();
        for (url, times) in [origin.url(""), right.url("")].iter().zip(times) {
            let seen = bash(&script, &[("AUTHORIZATION", "Bearer x"), ("URL", url)]);
            assert_eq!(
                seen.matches(words).count(),
                *times,
                "{id}: {words}\n{script}\n{seen}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_does_not_run_without_its_secrets() {
    let origin = Origin::start(Defect::NoKeys).await;
    let case = cases::named("replay-runs-once").unwrap();
    let report = check(operation(&origin.url("/payments")), case).await;
    let script = script(&report, &report.findings[0]).unwrap();
    assert!(!script.contains("of-the-test"), "{script}");
    let output = Command::new("bash")
        .args(["-c", &script])
        .env_remove("AUTHORIZATION")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(told.contains("AUTHORIZATION: export it"), "{told}");
}

/// Every spelling of a key, and every way to leave.
const SENT: &[Send] = &[
    Send::new("sent"),
    Send::new("sent").key(Key::Quoted),
    Send::new("sent").key(Key::WithParameter),
    Send::new("sent").key(Key::Another),
    Send::new("sent").key(Key::Absent),
    Send::new("sent").key(Key::Empty),
    Send::new("sent").key(Key::OnTwoLines),
    Send::new("sent").key(Key::List),
    Send::new("sent").key(Key::Unbalanced),
    Send::new("sent").key(Key::Control),
    Send::new("sent").key(Key::NotAscii),
    Send::new("sent").key(Key::TooLong(1)),
    Send::new("sent").key(Key::InTrailer),
    Send::new("sent").leave(Leave::InBody),
    Send::new("sent").leave(Leave::AfterRequest),
    Send::new("sent").leave(Leave::InAnswer),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_script_sends_what_the_check_sent() {
    let plain = br#"{"order":"{{uuid}}","number":{{n}},"note":"it's $5 `now`"}"#.to_vec();
    let binary = [
        b"\0\xff'%\\".to_vec(),
        vec![b' '; 5_000],
        b"$KEY\r\n".to_vec(),
    ]
    .concat();
    for send in SENT {
        compare(*send, plain.clone()).await;
    }
    compare(Send::new("sent"), binary).await;
}

async fn compare(send: Send, body: Vec<u8>) {
    let recorder =
        Recorder::start("HTTP/1.1 201 Created\r\nContent-Type: text/plain\r\n\r\n{n}").await;
    let mut operation = operation(&recorder.url("/payments?of=%7B{{uuid}}&a[]=1"));
    operation.forms.get_mut(&Variant::Plain).unwrap().body = body;
    let report = check(operation, of_one_request(send)).await;
    // Two to learn how it answers, three for a counter that is not there, two without a key.
    let by_check = recorder.requests(8).await.pop().unwrap();
    let finding = &report.findings[0];
    let script = script(&report, finding).unwrap();
    let keys = &finding.keys;
    bash(
        &script,
        &[
            ("KEY", &keys[0]),
            ("KEY_2", &keys[1]),
            ("AUTHORIZATION", "Bearer of-the-test"),
        ],
    );
    let by_script = recorder.requests(1).await.pop().unwrap();
    if script.contains("/dev/tcp") {
        assert_eq!(shown(&by_script), shown(&by_check), "{script}");
        return;
    }
    let (lines, body) = parts(&by_check);
    let (script_lines, script_body) = parts(&by_script);
    for line in lines.iter().filter(|line| *line != "Connection: close") {
        let count = |lines: &[String]| lines.iter().filter(|other| *other == line).count();
        assert_eq!(
            count(&script_lines),
            count(&lines),
            "{line}\n{script}\n{}",
            shown(&by_script)
        );
    }
    let keys = |lines: &[String]| {
        let named = lines
            .iter()
            .filter(|line| line.starts_with("Idempotency-Key"));
        named.count()
    };
    assert_eq!(keys(&script_lines), keys(&lines), "{script}");
    assert_eq!(script_body, body, "{script}");
}

/// The lines of the head and the body.
fn parts(request: &[u8]) -> (Vec<String>, Vec<u8>) {
    let mut windows = request.windows(4);
    let end = windows.position(|window| window == b"\r\n\r\n").unwrap();
    let lines = request[..end].split(|byte| *byte == b'\n');
    let lines = lines.map(|line| shown(line).replace("\\r", "").trim_end().to_owned());
    (lines.collect(), request[end + 4..].to_vec())
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn of_one_request(send: Send) -> &'static Case {
    Box::leak(Box::new(Case {
        id: "one-request",
        title: "One request is sent",
        rules: &[],
        severity: Severity::Money,
        needs: &[],
        steps: Box::leak(Box::new([Step::Send(send)])),
        expect: &[],
        why: "",
        fix: "",
    }))
}

fn operation(url: &str) -> Operation {
    let (peer, target) = Peer::of(&url.replace("{{uuid}}", "UUID")).unwrap();
    let plain = Form {
        method: "POST".to_owned(),
        target: target.replace("UUID", "{{uuid}}"),
        fields: vec![
            ("Content-Type".to_owned(), b"application/json".to_vec()),
            ("Authorization".to_owned(), b"Bearer of-the-test".to_vec()),
        ],
        body: br#"{"amount":5000}"#.to_vec(),
    };
    let slow = Form {
        target: "/payments?slow=1500".to_owned(),
        ..plain.clone()
    };
    let mut operation = Operation::new(peer, plain);
    operation.forms.insert(Variant::Slow, slow);
    operation
}

async fn check(operation: Operation, case: &'static Case) -> Report {
    let mut operation = operation;
    if !case.id.starts_with("in-flight") {
        operation.forms.remove(&Variant::Slow);
    }
    let limits = Limits {
        burst: 3,
        ..Limits::default()
    };
    run(&operation, &ONCEGATE, &[case], &limits, |_| {})
        .await
        .unwrap()
}

fn bash(script: &str, variables: &[(&str, &str)]) -> String {
    let output = Command::new("bash")
        .args(["-c", script])
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{told}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
