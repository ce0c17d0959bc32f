//! `oncegate openapi` as it is called: files, exit codes, and what is said about them.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use crate::harness::{BINARY, Ended, oncegate, program};

const SPEC: &str = "\
openapi: 3.1.0 # of ours
info: {title: Payments, version: '1'}
servers:
  - url: https://api.example.com/v1
paths:
  /payments/{id}/capture:
    post:
      parameters:
        - {name: id, in: path, required: true, schema: {type: string}}
      responses:
        '201':
          description: captured
        '409':
          description: captured already
  /notes:
    put:
      responses: {'200': {description: kept}}
    get:
      responses: {'200': {description: all}}
";
const CONFIG: &str = "\
[defaults]
retention = \"48h\"

[[route]]
match = \"POST /v1/payments/{payment}/capture\"
key = \"required\"
key_format = \"uuid7\"
unknown_statuses = [500, 502, 504]
";

struct Desk {
    folder: TempDir,
    spec: PathBuf,
    config: PathBuf,
}

impl Desk {
    fn new(spec: &str, config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        Self {
            spec: path("spec.yaml", spec),
            config: path("oncegate.toml", config),
            folder,
        }
    }

    async fn annotate(&self, more: &[&str]) -> Ended {
        let mut arguments = vec![
            "openapi",
            "annotate",
            text(&self.spec),
            "--config",
            text(&self.config),
        ];
        arguments.extend(more);
        oncegate(&arguments).await
    }

    fn spec(&self) -> String {
        std::fs::read_to_string(&self.spec).unwrap()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[track_caller]
fn ended(ended: &Ended, code: i32) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
}

#[tokio::test]
async fn a_description_is_annotated_in_place_and_checked_in_ci() {
    let desk = Desk::new(SPEC, CONFIG);
    let drifted = desk.annotate(&["--check"]).await;
    drifted.must_fail(1, &["spec.yaml:", "have drifted"]);
    assert_eq!(desk.spec(), SPEC, "--check writes nothing");

    ended(&desk.annotate(&[]).await, 0);
    let once = desk.spec();
    assert!(
        once.contains("#/components/parameters/oncegate.key"),
        "{once}"
    );
    for status in ["400", "401", "410", "413", "422", "502", "503", "504"] {
        assert!(
            once.contains(&format!("        '{status}':\n")),
            "{status}: {once}"
        );
    }
    assert!(once.contains("kept for 2 days"), "{once}");
    let check = desk.annotate(&["--check"]).await;
    ended(&check, 0);
    ended(&desk.annotate(&[]).await, 0);
    assert_eq!(desk.spec(), once, "twice is once");

    std::fs::write(&desk.config, CONFIG.replace("48h", "24h")).unwrap();
    let diff = desk.annotate(&["--check", "--diff"]).await;
    ended(&diff, 1);
    assert!(
        diff.stdout.contains("\n-") && diff.stdout.contains("kept for 24 hours"),
        "{}",
        diff.stdout
    );
    assert_eq!(desk.spec(), once);

    ended(&desk.annotate(&["--remove"]).await, 0);
    assert_eq!(desk.spec(), SPEC, "what is left is what the author wrote");
    let names = std::fs::read_dir(desk.folder.path()).unwrap().count();
    assert_eq!(names, 2, "nothing is left beside it");
}

#[tokio::test]
async fn what_was_annotated_is_discovered_as_a_configuration_that_annotates_alike() {
    let desk = Desk::new(SPEC, CONFIG);
    ended(&desk.annotate(&["--routes-only"]).await, 0);
    let annotated = desk.spec();
    let found = desk.folder.path().join("found.toml");
    let upstream = [
        "--upstream",
        "http://127.0.0.1:3000",
        "--output",
        text(&found),
    ];
    let discover = [&["openapi", "discover", text(&desk.spec)], &upstream[..]].concat();
    ended(&oncegate(&discover).await, 0);
    let written = std::fs::read_to_string(&found).unwrap();
    assert!(
        written.contains("match = \"POST /v1/payments/{id}/capture\"\nkey = \"required\"\n"),
        "{written}"
    );
    ended(
        &oncegate(&["config", "check", "--config", text(&found)]).await,
        0,
    );
    let again = [
        "openapi",
        "annotate",
        text(&desk.spec),
        "--config",
        text(&found),
        "--routes-only",
        "--check",
    ];
    ended(&oncegate(&again).await, 0);
    assert_eq!(desk.spec(), annotated);
}

#[tokio::test]
async fn what_vendors_document_is_discovered_and_what_cannot_be_a_route_is_said() {
    let spec = "\
openapi: 3.0.3
paths:
  /a/{from}...{to}:
    post: {parameters: [{name: paypal-request-id, in: header, required: true, schema: {type: string, maxLength: 38}}]}
  /b:
    get: {parameters: [{name: Idempotency-Key, in: header}]}
    put: {parameters: [{name: X-Idempotency-Key, in: header, schema: {type: string, format: uuid}}]}
  /c//d:
    post: {parameters: [{name: Idempotency-Key, in: header}]}
";
    let desk = Desk::new(spec, "");
    let found = oncegate(&[
        "openapi",
        "discover",
        text(&desk.spec),
        "--upstream",
        "http://h:1",
    ])
    .await;
    ended(&found, 0);
    let routes = found
        .stdout
        .split_once("upstream = \"http://h:1\"\n")
        .unwrap()
        .1;
    assert_eq!(
        routes,
        "
[[route]]
# One segment holds several parameters: any segment is matched here.
match = \"POST /a/{fromto}\"
key = \"required\"
key_header = [\"paypal-request-id\"]
key_length_max = 38

# GET /b is left out: this method is safe, and takes no keys.

[[route]]
match = \"PUT /b\"
key = \"optional\"
key_header = [\"X-Idempotency-Key\"]
key_format = \"uuid\"

# POST /c//d is left out: paths are matched without empty, `.` and `..` segments.
"
    );
}

#[tokio::test]
async fn routes_and_operations_that_do_not_meet_are_told_with_their_places() {
    let config = format!("{CONFIG}\n[[route]]\nmatch = \"POST /payments/{{id}}/capture\"\n");
    let desk = Desk::new(SPEC, &config);
    let told = desk.annotate(&["--output", "-"]).await;
    ended(&told, 0);
    assert!(
        told.stderr.contains(
            "oncegate.toml:11: the route `POST /payments/{id}/capture` matches no operation"
        ),
        "{told:?}"
    );
    assert!(
        told.stderr
            .contains("1 operations that change something match no route"),
        "{told:?}"
    );
    assert_eq!(desk.spec(), SPEC, "the result went elsewhere");
}

#[tokio::test]
async fn bad_input_is_refused_with_its_place_and_the_file_stays() {
    let table = [
        (
            "openapi: 3.1.0\npaths: {\n",
            "spec.yaml:2: this is not YAML",
        ),
        (
            "swagger: '2.0'\npaths: {}\n",
            "spec.yaml:1: this is Swagger 2",
        ),
        (
            "openapi: 3.1.0\ninfo: {}\n",
            "spec.yaml:1: it has no `paths`",
        ),
        (
            "openapi: 3.1.0\npaths: {}\npaths: {}\n",
            "spec.yaml:3: `paths` is there twice",
        ),
    ];
    for (spec, says) in table {
        let desk = Desk::new(spec, CONFIG);
        desk.annotate(&[]).await.must_fail(64, &[says]);
        assert_eq!(desk.spec(), spec);
    }
    let desk = Desk::new(SPEC, "retentoin = \"1h\"\n");
    desk.annotate(&[]).await.must_fail(64, &["oncegate.toml:1"]);
    assert_eq!(desk.spec(), SPEC);
    let missing = oncegate(&["openapi", "annotate", "/nowhere/spec.yaml"]).await;
    missing.must_fail(64, &["cannot read /nowhere/spec.yaml"]);
}

#[tokio::test]
async fn an_overlay_leaves_the_description_alone_and_is_not_made_of_an_annotated_one() {
    let desk = Desk::new(SPEC, CONFIG);
    let overlay = desk.folder.path().join("overlay.yaml");
    ended(
        &desk
            .annotate(&["--overlay", "--output", text(&overlay)])
            .await,
        0,
    );
    let written = std::fs::read_to_string(&overlay).unwrap();
    assert!(written.starts_with("overlay: '1.0.0'\n"), "{written}");
    assert!(
        written.contains("target: '$.paths[''/payments/{id}/capture''].post'"),
        "{written}"
    );
    assert_eq!(desk.spec(), SPEC);
    ended(&desk.annotate(&[]).await, 0);
    desk.annotate(&["--overlay"])
        .await
        .must_fail(64, &["annotated already", "--remove"]);
}

#[tokio::test]
async fn standard_input_goes_to_standard_output() {
    let desk = Desk::new(SPEC, CONFIG);
    let mut command = program(BINARY);
    command.args(["openapi", "annotate", "-", "--config", text(&desk.config)]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(SPEC.as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success());
    ended(&desk.annotate(&[]).await, 0);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), desk.spec());
}

/// Each dialect's refusals are documented in its own media type, with its own documents.
#[tokio::test]
async fn a_profile_is_documented_in_its_own_words() {
    for (profile, header, media_type, word) in [
        (
            "oncegate",
            "Idempotency-Key",
            "application/problem+json",
            "next: same-key",
        ),
        (
            "stripe",
            "Idempotency-Key",
            "application/json",
            "type: idempotency_error",
        ),
        (
            "adyen",
            "Idempotency-Key",
            "application/json",
            "errorType: validation",
        ),
        (
            "paypal",
            "PayPal-Request-Id",
            "application/json",
            "issue: PREVIOUS_REQUEST_IN_PROGRESS",
        ),
    ] {
        let desk = Desk::new(SPEC, "");
        ended(&desk.annotate(&["--profile", profile]).await, 0);
        let spec = desk.spec();
        for part in [
            format!("name: {header}\n"),
            format!("        {media_type}:\n"),
            word.to_owned(),
        ] {
            assert!(spec.contains(&part), "{profile}: {part} is not in {spec}");
        }
        ended(&desk.annotate(&["--remove"]).await, 0);
        assert_eq!(desk.spec(), SPEC);
    }
}
