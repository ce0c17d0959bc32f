//! `check.toml`: the example of the docs works, and whatever is wrong is said with its line.

use std::path::Path;

use super::{Api, Ended};
use crate::harness::{BINARY, Stage, program, run};

/// The first block of that language in `docs/checking.md`.
pub(super) fn example(language: &str) -> String {
    let paper = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/checking.md");
    let paper = std::fs::read_to_string(paper).unwrap();
    let (_, block) = paper.split_once(&format!("```{language}\n")).unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

/// Checks by a file, as the owner of its tokens.
pub(super) async fn check(file: &Path, arguments: &[&str]) -> Ended {
    let mut command = program(BINARY);
    command
        .args(["check", "--config"])
        .arg(file)
        .args(arguments);
    command.env("TOKEN", "first").env("OTHER_TOKEN", "second");
    run(command).await
}

#[tokio::test]
async fn the_example_of_the_docs_works() {
    let stage = Stage::new().await;
    let api = Api::start().await;
    let file = stage.write("check.toml", &example("toml"));
    let server = format!("http://{}", api.address);
    let arguments = [&server, "--only", "replay-same-status,in-flight-answer"];
    let checked = check(&file, &arguments).await;
    checked.must_fail(1, &["1 contract"]);
    for sent in [
        "POST /payments",
        "POST /payments?slow=600",
        "POST /payments/refunds",
    ] {
        assert!(
            api.asked().contains(&sent.to_owned()),
            "{sent}: {:?}",
            api.asked()
        );
    }
    let only = check(
        &file,
        &[
            &server,
            "--only",
            "replay-same-status",
            "--operation",
            "refund",
        ],
    )
    .await;
    assert_eq!(only.code, Some(0), "{only:?}");
    let another = check(&file, &[&server, "--operation", "refnud"]).await;
    another.must_fail(64, &["did you mean `refund`?"]);
}

#[tokio::test]
async fn credentials_come_from_the_environment() {
    let stage = Stage::new().await;
    let api = Api::start().await;
    let text = format!(
        "server = \"http://{}\"\nheaders = [\"Authorization: ${{TOKEN}}\"]\n[[operation]]\nrequest = \"POST /payments\"\nbody_file = \"payment.json\"\n",
        api.address
    );
    stage.write("payment.json", r#"{"amount":12}"#);
    let file = stage.write("check.toml", &text);
    check(&file, &["--only", "replay-runs-once"])
        .await
        .must_fail(1, &["1 money"]);
    assert!(
        api.owners().iter().all(|owner| owner == "first"),
        "{:?}",
        api.owners()
    );

    let other = stage.write("other.toml", &text.replace("TOKEN", "TOKNE"));
    let asked = api.asked().len();
    let refused = check(&other, &[]).await;
    refused.must_fail(64, &["other.toml:2", "no variable `TOKNE`"]);
    assert_eq!(api.asked().len(), asked);
}

#[tokio::test]
async fn what_is_wrong_is_said_with_its_line() {
    let stage = Stage::new().await;
    let head = "server = \"http://127.0.0.1:1\"\n";
    let operation = "[[operation]]\nrequest = \"POST /payments\"\n";
    for (text, said) in [
        (
            "sever = \"x\"\n",
            &[
                "check.toml:1",
                "unknown field `sever`",
                "did you mean `server`?",
            ][..],
        ),
        (
            &format!("{head}{operation}bodi = \"x\"\n"),
            &["check.toml:4", "did you mean `body`?"],
        ),
        (
            &format!("{head}{operation}[operation.form]\nslwo = {{}}\n"),
            &["check.toml:5", "did you mean `slow`?"],
        ),
        (
            &format!("{head}{operation}[operation.form.slow]\nrequest = \"payments\"\n"),
            &["check.toml:5", "is no request: METHOD /PATH"],
        ),
        (
            &format!("{head}[[operation]]\nbody = \"x\"\n"),
            &["check.toml:2", "missing field `request`"],
        ),
        (
            &format!("{head}{operation}key = \"always\"\n"),
            &["check.toml:4", "unknown variant `always`"],
        ),
        (
            &format!("{head}{operation}body_file = \"nope\"\n"),
            &["check.toml:4", "nope"],
        ),
        (
            &format!("{head}{operation}effects_count = \"$.a\"\n"),
            &["check.toml:4", "no `effects`"],
        ),
        (
            &format!("{head}effects = \"GET /\"\neffects_count = \"a\"\n{operation}"),
            &["check.toml:3", "is no path to a count"],
        ),
        (
            &format!("{head}headers = [\"Authorization\"]\n{operation}"),
            &["check.toml:2", "no header line"],
        ),
        (
            &format!("profile = \"strip\"\n{head}{operation}"),
            &["check.toml:1", "no such profile", "oncegate"],
        ),
        (
            "server = \"http://127.0.0.1:1/v1\"\n[[operation]]\nrequest = \"POST /\"\n",
            &["check.toml:1", "paths stand in requests"],
        ),
        (operation, &["check.toml:1", "nobody says where the API is"]),
        (head, &["check.toml:1", "no operation"]),
        ("server = ", &["check.toml:1"]),
    ] {
        let file = stage.write("check.toml", text);
        check(&file, &[]).await.must_fail(64, said);
    }
    let missing = check(Path::new("/nowhere/check.toml"), &[]).await;
    missing.must_fail(64, &["/nowhere/check.toml"]);
}
