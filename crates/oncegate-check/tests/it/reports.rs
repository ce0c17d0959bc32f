//! What reports show, and what they do not: secrets, and whatever an API answers to be seen by nobody.

use std::io::Write;
use std::process::{Command, Stdio};

use oncegate_check::case::{Case, Severity};
use oncegate_check::dialect::ONCEGATE;
use oncegate_check::operation::{Form, Operation};
use oncegate_check::report::html::html;
use oncegate_check::report::json::json;
use oncegate_check::report::junit::junit;
use oncegate_check::report::script::script;
use oncegate_check::report::text::{line, text};
use oncegate_check::report::{Imprint, Report};
use oncegate_check::wire::Peer;
use oncegate_check::{Limits, cases, run};
use serde_json::Value;

use crate::recorder::Recorder;

const IMPRINT: Imprint<'_> = Imprint {
    tool: "oncegate 0.0.0",
    at: "2026-11-24T12:00:00Z",
};

/// All forms of one report, with their names.
fn forms(report: &Report) -> Vec<(&'static str, String)> {
    let reports = std::slice::from_ref(report);
    let scripts = report
        .findings
        .iter()
        .filter_map(|finding| script(report, finding));
    vec![
        ("text", text(report, 100)),
        ("json", json(reports, IMPRINT)),
        ("junit", junit(reports)),
        ("html", html(reports, IMPRINT)),
        ("scripts", scripts.collect()),
    ]
}

/// What comes of the cases of a retry where each answer is another one, and is made from what was sent.
async fn report(answer: &'static str) -> Report {
    let recorder = Recorder::start(answer).await;
    let (peer, target) = Peer::of(&recorder.url("/payments")).unwrap();
    let form = Form {
        method: "POST".to_owned(),
        target,
        fields: vec![
            ("Authorization".to_owned(), SECRETS[0].into()),
            ("Cookie".to_owned(), SECRETS[1].into()),
            ("X-Api-Key".to_owned(), SECRETS[2].into()),
            ("X-Tenant".to_owned(), SECRETS[3].into()),
            ("Content-Type".to_owned(), b"application/json".to_vec()),
        ],
        body: br#"{"amount":5000}"#.to_vec(),
    };
    let mut operation = Operation::new(peer, form);
    operation.second = Some(vec![("X-Tenant".to_owned(), SECRETS[4].into())]);
    let cases: Vec<&'static Case> = ["replay-runs-once", "replay-same-body", "replay-marked"]
        .iter()
        .filter_map(|id| cases::named(id))
        .collect();
    run(&operation, &ONCEGATE, &cases, &Limits::default(), |_| {})
        .await
        .unwrap()
}

const SECRETS: [&str; 5] = [
    "Bearer sk_live_51HxTheSecret",
    "theme=dark; session=c29tZS1zZXNzaW9u",
    "key-0123456789",
    "tenant-of-the-first",
    "tenant-of-the-second",
];

/// Parts of the secrets that must be nowhere.
const NOWHERE: [&str; 5] = [
    "sk_live_51HxTheSecret",
    "c29tZS1zZXNzaW9u",
    "key-0123456789",
    "tenant-of-the-first",
    "set-by-the-server",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_report_shows_a_secret_even_if_the_api_echoes_it() {
    let report = report(
        "HTTP/1.1 201 Created\r\nSet-Cookie: sid=set-by-the-server\r\nX-Echo: sk_live_51HxTheSecret\r\n\
         Content-Type: application/json\r\n\r\n{\"id\":\"{n}\",\"you\":\"sk_live_51HxTheSecret c29tZS1zZXNzaW9u key-0123456789\"}",
    )
    .await;
    let exchanges = report.findings[0].exchanges.iter();
    let heard: Vec<u8> = exchanges
        .filter_map(|exchange| exchange.response())
        .flat_map(|response| response.body.clone())
        .collect();
    assert!(
        String::from_utf8_lossy(&heard).contains(NOWHERE[0]),
        "the API echoes"
    );
    for (name, document) in forms(&report) {
        for secret in NOWHERE {
            assert!(!document.contains(secret), "{name} shows {secret}");
        }
    }
    let scripts = &forms(&report)[4].1;
    for variable in [
        "$AUTHORIZATION\"",
        "$COOKIE\"",
        "$X_API_KEY\"",
        "$X_TENANT\"",
    ] {
        assert!(scripts.contains(variable), "{variable}: {scripts}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_api_answers_does_nothing_to_a_reader() {
    let report = report(HOSTILE).await;
    assert!(report.findings.iter().any(|finding| {
        finding
            .exchanges
            .iter()
            .filter_map(|exchange| exchange.response())
            .any(|response| response.body.contains(&0x1b))
    }));
    for (name, document) in forms(&report) {
        let bytes = document.as_bytes();
        let stray = |byte: &u8| byte.is_ascii_control() && !matches!(byte, b'\n' | 0x1b);
        assert!(!bytes.iter().any(stray), "{name} has control bytes");
        assert!(!document.contains("\x1b[2J"), "{name} clears a screen");
        assert!(!document.contains('\u{202e}'), "{name} turns letters round");
    }
    let page = html(&[report], IMPRINT).to_lowercase();
    for tag in ["<img", "<script", "<svg", "<iframe", "href=\"javascript:"] {
        assert!(!page.contains(tag), "the page has {tag}");
    }
    assert_eq!(page.matches("<style").count(), 1);
    assert_eq!(
        page.matches("</pre>").count(),
        page.matches("<pre>").count()
    );
}

const HOSTILE: &str = "HTTP/1.1 201 Created\r\nX-Note: \"><img src=x onerror=alert(1)>\r\n\
    Location: javascript:alert({n})\r\nContent-Type: application/json\r\n\r\n\
    {\"id\":\"{n}\",\"note\":\"</pre></style></script><script>alert(1)</script><img src=//a.test/x onerror=alert(1)><svg/onload=alert(1)><iframe>\x1b[2J\x07\u{202e}{{7*7}} ]]> &amp; $(id) `id`\"}";

#[tokio::test(flavor = "multi_thread")]
async fn junit_is_read_as_failures_and_skipped() {
    let mut report = report(HOSTILE).await;
    report.findings[1].verdict = oncegate_check::report::Verdict::CannotTell;
    let read = "import sys, xml.etree.ElementTree as e\n\
        for case in e.parse(sys.stdin).getroot().iter('testcase'):\n    \
        print(case.get('classname'), case.get('name'), *[(child.tag, bool(child.get('message'))) for child in case])";
    let mut python = Command::new("python3")
        .args(["-c", read])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = python.stdin.take().unwrap();
    input.write_all(junit(&[report]).as_bytes()).unwrap();
    drop(input);
    let output = python.wait_with_output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "oncegate.money replay-runs-once ('failure', True)\n\
         oncegate.contract replay-same-body ('skipped', True)\n\
         oncegate.advice replay-marked ('failure', True)\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_member_of_the_json_document_is_described() {
    let report = report(HOSTILE).await;
    let document: Value = serde_json::from_str(&json(&[report], IMPRINT)).unwrap();
    assert_eq!(document["format"], 1);
    assert_eq!(document["reports"][0]["score"]["grade"], "F");
    assert_eq!(document["reports"][0]["findings"][0]["verdict"], "fail");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/checks.md");
    let page = std::fs::read_to_string(path).unwrap();
    let mut names = Vec::new();
    members(&document, &mut names);
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        assert!(
            page.contains(&format!("`{name}`")),
            "docs/checks.md: {name}"
        );
    }
}

fn members(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                names.push(name.clone());
                members(value, names);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|value| members(value, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_keep_to_the_width_and_money_comes_first() {
    let report = report(HOSTILE).await;
    for width in [40, 80, 100] {
        for finding in &report.findings {
            let plain = without_colours(&line(&report.operation, finding, width));
            for line in plain.lines() {
                assert!(line.chars().count() <= width.max(55), "{width}: {line}");
            }
        }
    }
    let told = without_colours(&text(&report, 100));
    let at = |words: &str| {
        told.find(words)
            .unwrap_or_else(|| panic!("{words}: {told}"))
    };
    assert!(at("\nmoney: replay-runs-once") < at("\ncontract: replay-same-body"));
    assert!(at("\ncontract: replay-same-body") < at("\nadvice: replay-marked"));
    assert!(told.contains("Grade F. It loses money."));
    assert!(told.contains("The script of replay-runs-once shows it, too."));
    let urgent = report.by_urgency();
    assert_eq!(urgent[0].case.severity, Severity::Money);
}

fn without_colours(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| {
        plain + part.split_once('m').map_or("", |(_, rest)| rest)
    })
}
