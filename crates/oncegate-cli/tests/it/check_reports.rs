//! How `oncegate check` tells what it finds: to a person at a terminal, to a pipe, and in files.

use std::fs;

use serde_json::Value;

use crate::harness::{Stage, oncegate, program, run};

#[tokio::test]
async fn a_pipe_gets_words_alone_and_files_get_their_documents() {
    let stage = Stage::new().await;
    let [page, junit, scripts] = ["page.html", "junit.xml", "scripts"].map(|name| {
        let path = stage.folder().join(name);
        path.to_str().unwrap().to_owned()
    });
    let checked = oncegate(&[
        "check",
        &url(&stage),
        "-d",
        r#"{"amount":5000}"#,
        "--html",
        &page,
        "--junit",
        &junit,
        "--scripts",
        &scripts,
    ])
    .await;
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert!(checked.stdout.contains("Grade F."), "{checked:?}");
    assert!(!checked.stdout.contains(['\x1b', '\r']), "{checked:?}");
    assert!(fs::read_to_string(page).unwrap().contains("It loses money"));
    assert!(fs::read_to_string(junit).unwrap().contains("<failure"));
    let script = fs::read_to_string(format!("{scripts}/replay-runs-once.sh")).unwrap();
    assert!(script.starts_with("#!/usr/bin/env bash\n"), "{script}");
}

#[tokio::test]
async fn a_document_on_standard_output_stands_there_alone() {
    let stage = Stage::new().await;
    let url = url(&stage);
    let body = r#"{"amount":5000}"#;
    let checked = oncegate(&["check", &url, "-d", body, "--json", "-"]).await;
    assert_eq!(checked.code, Some(1), "{checked:?}");
    let document: Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!(document["reports"][0]["score"]["grade"], "F");
    assert!(checked.stderr.contains("Grade F."), "{checked:?}");
    oncegate(&["check", &url, "--json", "-", "--junit", "-"])
        .await
        .must_fail(64, &["standard output takes one document"]);
}

#[tokio::test]
async fn a_terminal_gets_colours_unless_it_wants_none() {
    let stage = Stage::new().await;
    for (no_color, coloured) in [("", true), ("1", false)] {
        let mut command = program("python3");
        command
            .args(["-c", "import pty, sys; pty.spawn(sys.argv[1:])"])
            .args([env!("CARGO_BIN_EXE_oncegate"), "check", &url(&stage)])
            .args(["-d", r#"{"amount":5000}"#])
            .env("TERM", "xterm")
            .env("NO_COLOR", no_color);
        let seen = run(command).await.stdout;
        assert!(seen.contains("It loses money."), "{seen}");
        assert_eq!(seen.contains("\x1b[1m"), coloured, "{seen}");
        assert!(seen.contains("\r\x1b[K  1 of"), "what is tried now: {seen}");
    }
}

fn url(stage: &Stage) -> String {
    format!("http://{}/payments", stage.origin.address())
}
