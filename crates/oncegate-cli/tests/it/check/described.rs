//! `--openapi`: the example of the docs works, and what cannot be had from a description is said.

use super::Api;
use super::config::example;
use crate::harness::{Stage, oncegate};

#[tokio::test]
async fn operations_come_from_the_example_of_the_docs() {
    let stage = Stage::new().await;
    let api = Api::start().await;
    let file = stage.write("openapi.yaml", &example("yaml"));
    let server = format!("http://{}", api.address);
    let arguments = ["check", "--openapi", file.to_str().unwrap(), &server];
    let only = ["--only", "replay-same-status"];

    let unknown = oncegate(&[&arguments[..], &only].concat()).await;
    unknown.must_fail(64, &["openapi.yaml:", "{payment}", "payment=.."]);
    assert_eq!(api.asked(), Vec::<String>::new());

    let parameter = ["--path", "payment=pay 1"];
    let checked = oncegate(&[&arguments[..], &only, &parameter].concat()).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let asked = api.asked();
    assert!(asked.contains(&"POST /payments".to_owned()), "{asked:?}");
    assert!(
        asked.contains(&"POST /payments/pay%201/refunds".to_owned()),
        "{asked:?}"
    );

    let one = ["--operation", "POST /payments"];
    let one = oncegate(&[&arguments[..], &only, &one].concat()).await;
    assert_eq!(
        one.code,
        Some(0),
        "what another operation lacks is of no concern: {one:?}"
    );
}

#[tokio::test]
async fn what_a_description_lacks_is_said() {
    let stage = Stage::new().await;
    for (name, text, said) in [
        (
            "broken.yaml",
            "openapi: 3.0.0\npaths:\n  - [\n",
            "broken.yaml:",
        ),
        ("broken.json", "{\n\"openapi\": 3,,\n}", "broken.json:2"),
        (
            "old.yaml",
            "swagger: '2.0'\n",
            "old.yaml:1: this is Swagger 2",
        ),
        ("other.yaml", "name: x\n", "this is no OpenAPI description"),
        (
            "none.yaml",
            "openapi: 3.0.0\nservers: [{url: 'http://127.0.0.1:1'}]\npaths: {}\n",
            "no operation has a header parameter",
        ),
        (
            "nowhere.yaml",
            "openapi: 3.0.0\npaths: {}\n",
            "names no server",
        ),
    ] {
        let file = stage.write(name, text);
        let checked = oncegate(&["check", "--openapi", file.to_str().unwrap()]).await;
        checked.must_fail(64, &[said]);
    }
}
