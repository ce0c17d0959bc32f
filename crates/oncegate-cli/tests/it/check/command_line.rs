//! The command line: curl's habits, which cases are run, exit codes, and whom it refuses to test.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::{Api, PAYMENT, check};
use crate::harness::{BINARY, Stage, oncegate, program, run, within};

/// The README's example, against the demo's API: it has no keys, and that costs money. Behind the proxy it has.
#[tokio::test]
async fn the_checks_that_the_demo_offers_fail_without_oncegate_and_pass_with_it() {
    let _stage = Stage::new().await;
    let mut command = program(BINARY);
    command.args(["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let mut demo = command.spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let mut offered = async || {
        loop {
            let line = lines.next_line().await.unwrap().expect("the demo stays up");
            if let Some(arguments) = line.trim().strip_prefix("oncegate check ") {
                return arguments.to_owned();
            }
        }
    };
    for (code, said) in [(1, "fail"), (0, "pass")] {
        let arguments = within("what the demo offers", offered()).await;
        let mut command = program("sh");
        command.args(["-c", &format!("{BINARY} check {arguments}")]);
        let checked = run(command).await;
        assert_eq!(checked.code, Some(code), "{checked:?}");
        let verdict = |line: &&str| line.contains(said) && line.contains("replay-runs-once");
        assert!(
            checked.stdout.lines().any(|line| verdict(&line)),
            "{checked:?}"
        );
    }
}

#[tokio::test]
async fn a_body_comes_from_a_file_or_from_standard_input() {
    let stage = Stage::new().await;
    let api = Api::start().await;
    let url = format!("http://{}/payments", api.address);
    let file = stage.write("payment.json", r#"{"amount":71}"#);
    let from_file = format!("@{}", file.display());
    oncegate(&[
        "check",
        &url,
        "-d",
        &from_file,
        "--only",
        "replay-same-status",
    ])
    .await;
    for dash in ["-", "@-"] {
        let mut command = program(BINARY);
        command.args(["check", &url, "-d", dash, "--only", "replay-same-status"]);
        command.stdin(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(br#"{"amount":72}"#).await.unwrap();
        drop(stdin);
        assert_eq!(child.wait().await.unwrap().code(), Some(0));
    }
    let payments = api.payments();
    let of = |amount: u64| {
        payments
            .iter()
            .filter(|payment| payment["amount"] == amount)
            .count()
    };
    assert!(of(71) > 0, "{payments:?}");
    assert_eq!(of(72), 2 * of(71), "twice as many checks");
}

#[tokio::test]
async fn method_header_lines_and_forms_are_sent_as_given() {
    let api = Api::start().await;
    let slow = r#"slow=POST /payments/slow?slow=400 {"amount":9}"#;
    let arguments = [
        "-H",
        "Authorization: me",
        "--form",
        slow,
        "--only",
        "in-flight-runs-once",
    ];
    check(api.address, &arguments)
        .await
        .must_fail(1, &["1 money"]);
    let asked = api.asked();
    let sent = |line: &str| asked.iter().any(|asked| asked == line);
    assert!(
        sent("POST /payments") && sent("POST /payments/slow?slow=400"),
        "{asked:?}"
    );
    assert!(api.payments().iter().any(|payment| payment["amount"] == 9));

    let url = format!("http://{}/payments", api.address);
    let put = oncegate(&["check", &url, "-X", "PUT", "-d", PAYMENT]).await;
    put.must_fail(64, &["was answered 404"]);
    assert!(api.asked().contains(&"PUT /payments".to_owned()));
}

#[tokio::test]
async fn placeholders_are_new_in_each_operation_and_the_same_in_its_retries() {
    let api = Api::start().await;
    let url = format!("http://{}/payments?order={{{{uuid}}}}", api.address);
    let checked = oncegate(&[
        "check",
        &url,
        "-d",
        r#"{"amount":{{n}}}"#,
        "--only",
        "replay-same-status",
    ])
    .await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let asked = api.asked();
    let mut different = asked.clone();
    different.sort();
    different.dedup();
    let again = asked.len() - different.len();
    assert!(again > 0, "retries are the same: {asked:?}");
    assert!(different.len() > again, "others are new: {asked:?}");
    assert!(asked.iter().all(|line| !line.contains('{')), "{asked:?}");
}

#[tokio::test]
async fn the_exit_code_follows_the_severity_that_was_asked_for() {
    let api = Api::start().await;
    for (only, fail_on, code) in [
        ("replay-marked", "advice", 1),
        ("replay-marked", "contract", 0),
        ("replay-same-body", "contract", 1),
        ("replay-same-body", "money", 0),
        ("replay-runs-once", "money", 1),
    ] {
        // One case that passes, so that something was told.
        let only = format!("{only},replay-same-status");
        let checked = check(
            api.address,
            &[
                "--profile",
                "oncegate",
                "--only",
                &only,
                "--fail-on",
                fail_on,
            ],
        )
        .await;
        assert_eq!(checked.code, Some(code), "{only} {fail_on}: {checked:?}");
    }
}

/// Who relies on the exit code must not take "cannot tell" for a pass.
#[tokio::test]
async fn it_is_no_success_if_nothing_could_be_told() {
    let api = Api::start().await;
    let checked = check(api.address, &["--only", "in-flight-runs-once"]).await;
    checked.must_fail(69, &["nothing could be told"]);
}

#[tokio::test]
async fn a_server_that_nobody_is_at_is_unavailable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    check(address, &[])
        .await
        .must_fail(69, &["cannot be reached"]);
}

/// Nothing is sent: the address is one that no machine has.
#[tokio::test]
async fn a_server_elsewhere_is_refused_unless_it_is_yours() {
    let url = "http://192.0.2.1/payments";
    let refused = oncegate(&["check", url, "-d", PAYMENT]).await;
    refused.must_fail(64, &["192.0.2.1 is not on this machine", "--i-own-this"]);
    let insecure = oncegate(&["check", url, "--insecure", "--i-own-this"]).await;
    insecure.must_fail(64, &["cannot be used with"]);
}

#[tokio::test]
async fn what_is_wrong_on_the_command_line_is_said_before_anything_is_sent() {
    let api = Api::start().await;
    for (arguments, said) in [
        (
            &["--only", "replay-run-once"][..],
            "did you mean `replay-runs-once`?",
        ),
        (&["--form", "slwo=POST /payments"], "did you mean `slow`?"),
        (&["--form", "slow=payments"], "is no request: METHOD /PATH"),
        (&["-H", "Authorization"], "is no header line"),
        (&["-H", "Content-Length: 3"], "is set by the check itself"),
        (
            &["--effects", "POST /payments"],
            "is no request that counts",
        ),
        (
            &["--effects", "GET /", "--effects-count", "total"],
            "is no path to a count",
        ),
        (&["--profile", "strip"], "possible values"),
        (&["--timeout", "10"], "a duration needs a unit"),
        (&["--fail-on", "everything"], "money, contract and advice"),
        (&["--skip", "nothing"], "there is no case"),
        (&["--key-required", "--key-optional"], "cannot be used with"),
        (&["--config", "check.toml"], "cannot be used with"),
    ] {
        check(api.address, arguments).await.must_fail(64, &[said]);
    }
    assert_eq!(api.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn the_list_of_cases_needs_no_api() {
    let listed = oncegate(&["check", "--list"]).await;
    assert_eq!(listed.code, Some(0), "{listed:?}");
    for case in oncegate_check::cases::all() {
        assert!(listed.stdout.contains(case.id), "{}", case.id);
        assert!(listed.stdout.contains(case.title), "{}", case.id);
    }
    let one = oncegate(&["check", "--list", "--only", "in-flight-answer"]).await;
    assert_eq!(one.stdout.lines().count(), 2, "{}", one.stdout);
    assert!(one.stdout.contains("needs the form slow"), "{}", one.stdout);
}

/// A list that others fill, too, is no counter; a number that the owner names is.
#[tokio::test]
async fn effects_are_counted_where_the_owner_says() {
    let api = Api::start().await;
    let arguments = ["--effects", "GET /payments", "--effects-count", "$.length"];
    let checked = check(
        api.address,
        &[&arguments[..], &["--only", "replay-runs-once"]].concat(),
    )
    .await;
    checked.must_fail(1, &["1 money"]);
    assert!(
        checked.stdout.contains("GET /payments"),
        "{}",
        checked.stdout
    );
}

/// It runs each time, and nothing shows it. Others of its promises hold: that must not look like a pass to a CI server.
#[tokio::test]
async fn an_api_passes_only_if_it_could_be_told_whether_a_retry_runs_again() {
    const ANSWER: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\n{\"ok\":true}";
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/payments", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut lines = BufReader::new(&mut stream).lines();
            while lines
                .next_line()
                .await
                .unwrap_or_default()
                .is_some_and(|line| !line.is_empty())
            {}
            // Whoever has gone misses nothing.
            drop(stream.write_all(ANSWER).await);
        }
    });
    let only = "replay-runs-once,replay-same-status";
    let checked = oncegate(&["check", &url, "--only", only]).await;
    server.abort();
    assert!(checked.stdout.contains("pass"), "{checked:?}");
    assert_eq!(checked.code, Some(69), "{checked:?}");
    assert!(
        checked.stderr.contains("whether a retry runs again"),
        "{checked:?}"
    );
}
