//! What is added, where, and what is left alone.

use oncegate_openapi::Part;

use crate::support::{annotated, contract, contract_of, read};

fn lines_added(before: &str, after: &str) -> Vec<String> {
    let mut before = before.lines().peekable();
    let added = after
        .lines()
        .filter(|line| before.next_if_eq(line).is_none());
    let added: Vec<String> = added.map(str::to_owned).collect();
    assert_eq!(
        before.next(),
        None,
        "every line of the author's is there, in order:\n{after}"
    );
    added
}

#[test]
fn block_style_is_added_to_in_block_style() {
    let text = "\
# Payments
openapi: 3.1.0   # the version
info: {title: Payments, version: '1'}
paths:
    /payments:
        post:
            parameters:
            - name: dry
              in: query
            responses:
                \"200\":
                    description: >-
                        It was
                        made.
                # in the end
                \"409\":
                    description: Conflict
                    content:
                        application/json: {}

        get:
            responses: {}
# the end
";
    let after = annotated(text);
    let added = lines_added(text, &after);
    assert!(
        added.contains(
            &"            - $ref: '#/components/parameters/oncegate.key'".replace('\'', "\"")
        ),
        "{after}"
    );
    assert!(
        added.contains(&"                \"400\":".to_owned()),
        "{after}"
    );
    assert!(
        !added.contains(&"                \"409\":".to_owned()),
        "{after}"
    );
    let media_type = "                        application/problem+json:".to_owned();
    assert!(added.contains(&media_type), "{after}");
    assert!(after.ends_with("# the end\n"));
}

#[test]
fn json_is_added_to_in_the_form_that_it_has() {
    let lines = "{\n\t\"openapi\": \"3.0.3\",\n\t\"paths\": {\n\t\t\"/a\": {\n\t\t\t\"post\": {\n\t\t\t\t\"parameters\": [],\n\t\t\t\t\"responses\": {\n\t\t\t\t\t\"200\": {\"description\": \"ok\"}\n\t\t\t\t}\n\t\t\t}\n\t\t}\n\t}\n}\n";
    let after = annotated(lines);
    assert!(after.contains("\t\t\t\t\t\"400\": {\n\t\t\t\t\t\t\"$ref\": \"#/components/responses/oncegate.400\"\n\t\t\t\t\t}"), "{after}");
    assert!(
        after.contains("\"parameters\": [{\"$ref\": \"#/components/parameters/oncegate.key\"}],"),
        "{after}"
    );

    let minified =
        r#"{"openapi":"3.1.0","paths":{"/a":{"post":{"responses":{"200":{"description":"ok"}}}}}}"#;
    let after = annotated(minified);
    assert_eq!(after.lines().count(), 1);
    assert!(
        after.contains(r#"{"description":"ok","headers":{"Idempotency-Status":{"$ref""#),
        "{after}"
    );
}

#[test]
fn flow_style_in_yaml_stays_on_its_line() {
    let text =
        "openapi: 3.1.0\npaths: {/a: {post: {responses: {'200': {description: ok}}}}} # all\n";
    let after = annotated(text);
    assert!(
        after.lines().nth(1).unwrap().ends_with("}}} # all"),
        "{after}"
    );
}

#[test]
fn a_list_whose_items_begin_below_their_dashes_is_added_to() {
    let text = "openapi: 3.1.0\npaths:\n  /a:\n    post:\n      parameters:\n        -\n          name: a\n          in: query\n";
    let after = annotated(text);
    let expected = "          in: query\n        - $ref: '#/components/parameters/oncegate.key'\n";
    assert!(after.contains(expected), "{after}");
}

#[test]
fn line_ends_and_the_byte_order_mark_stay() {
    let text = "\u{feff}openapi: 3.1.0\r\npaths:\r\n  /a:\r\n    post:\r\n      responses:\r\n        '200':\r\n          description: ok";
    let after = annotated(text);
    assert!(after.starts_with('\u{feff}'));
    assert_eq!(after.matches('\n').count(), after.matches("\r\n").count());
    assert!(!after.ends_with('\n'), "it had no line end at its end");
}

#[test]
fn a_refusal_is_documented_where_its_status_would_be_looked_up() {
    let text = "\
openapi: 3.1.0
paths:
  /a:
    post:
      responses:
        '409': {$ref: '#/components/responses/Conflict'}
        4XX: {description: wrong, content: {application/problem+json: {schema: {type: object}}}}
        default: {description: else, content: {application/problem+json: {schema: {}, example: {}}}}
components:
  responses:
    Conflict: {description: Conflict}
";
    let after = annotated(text);
    let tree = Part::of_json(&after).unwrap();
    let responses = ["paths", "/a", "post", "responses"];
    let at = |path: &[&str]| {
        path.iter()
            .try_fold(&tree, |part, name| part.get(name))
            .cloned()
    };
    let under = |name: &str, more: &[&str]| at(&[&responses[..], &[name], more].concat());
    assert_eq!(under("400", &[]), None, "4XX is there");
    assert!(
        under(
            "4XX",
            &[
                "content",
                "application/problem+json",
                "examples",
                "key-missing"
            ]
        )
        .is_some()
    );
    assert_eq!(under("503", &[]), None, "default is there");
    assert_eq!(
        under(
            "default",
            &["content", "application/problem+json", "examples"]
        ),
        None,
        "an example is there"
    );
    let conflict = at(&[
        "components",
        "responses",
        "Conflict",
        "content",
        "application/problem+json",
        "examples",
    ]);
    let Some(Part::Members(examples)) = conflict else {
        panic!("{after}")
    };
    assert_eq!(examples.len(), 2, "in-flight and outcome-unknown");
}

#[test]
fn a_key_that_the_author_documents_stays_and_what_differs_is_told() {
    let text = "\
openapi: 3.1.0
paths:
  /a:
    parameters: [{name: idempotency-key, in: header, schema: {type: string}}]
    post: {responses: {'200': {description: ok}}}
";
    let description = read(text);
    let annotated = description.annotated(contract).unwrap();
    assert!(
        !annotated.text.contains("parameters/oncegate.key"),
        "{}",
        annotated.text
    );
    let remarks: Vec<_> = annotated
        .remarks
        .iter()
        .map(|it| (it.line(text), it.to_string()))
        .collect();
    let expected = "`POST /a` documents its key as optional, and it is required";
    assert_eq!(remarks, [(4, expected.to_owned())]);
}

/// The author's schema stays, and the refusals may not fit it: nobody but the author can tell.
#[test]
fn a_schema_of_the_author_for_the_same_media_type_stays_and_is_told() {
    let text = "\
openapi: 3.1.0
paths:
  /a:
    post:
      responses:
        '503':
          description: busy
          content:
            application/problem+json: {schema: {required: [mine]}}
";
    let after = read(text).annotated(contract).unwrap();
    assert!(
        after
            .text
            .contains("{schema: {required: [mine]}, \"examples\": "),
        "{}",
        after.text
    );
    let [told] = &after.remarks[..] else {
        panic!("{:?}", after.remarks)
    };
    assert_eq!(told.line(text), 9);
    assert!(
        told.message.contains("the author has a schema here"),
        "{told}"
    );
}

#[test]
fn another_contract_changes_ours_alone() {
    let text = "openapi: 3.0.0\npaths:\n  /a:\n    post:\n      responses:\n        '200':\n          description: ok\n";
    let first = annotated(text);
    let other = |_: &_| Some(contract_of("X-Key", false));
    let changed = read(&first).annotated(other).unwrap().text;
    assert_eq!(changed, read(text).annotated(other).unwrap().text);
    assert_ne!(changed, first);
    assert_eq!(
        read(&changed).annotated(|_| None).unwrap().text,
        text,
        "no contract, nothing of ours"
    );
}

#[test]
fn contracts_that_differ_have_parts_of_their_own() {
    let text = r#"{"openapi": "3.1.0", "paths": {"/a": {"post": {}}, "/b": {"post": {}}, "/c": {"post": {}}}}"#;
    let contract = |operation: &oncegate_openapi::Operation| {
        Some(contract_of("Idempotency-Key", operation.path == "/b"))
    };
    let after = read(text).annotated(contract).unwrap().text;
    for (name, count) in [
        ("parameters/oncegate.key\"", 2),
        ("parameters/oncegate.key-2\"", 1),
        ("responses/oncegate.409\"", 3),
    ] {
        assert_eq!(after.matches(name).count(), count, "{name} in {after}");
    }
    assert_eq!(
        read(&after).plain(),
        text,
        "operations that were empty stay"
    );
}

#[test]
fn what_stands_between_ours_is_kept_when_ours_goes() {
    let text = "openapi: 3.1.0\npaths:\n  /a:\n    post:\n      responses:\n        '200':\n          description: ok\n";
    let mine = "        # mine\n        '418': {description: teapot}\n";
    let after = annotated(text);
    let at = after.find("        '503':").unwrap();
    let edited = format!("{}{mine}{}", &after[..at], &after[at..]);
    assert_eq!(read(&edited).plain(), format!("{text}{mine}"));

    let json = r#"{"openapi": "3.1.0", "paths": {"/a": {"post": {"responses": {}}}}}"#;
    let after = annotated(json);
    let edited = after.replace(
        r#""503": {"$ref""#,
        r#""418": {"description": "teapot"}, "503": {"$ref""#,
    );
    assert_ne!(edited, after);
    assert_eq!(
        read(&edited).plain(),
        json.replace(
            r#""responses": {}"#,
            r#""responses": {"418": {"description": "teapot"}}"#
        )
    );
}

#[test]
fn an_overlay_has_all_of_it_and_the_description_stays() {
    let text = "openapi: 3.1.0\npaths:\n  /it's/{id}:\n    post:\n      responses: {}\n";
    for json in [false, true] {
        let overlay = read(text)
            .overlay(Some("spec.yaml"), json, contract)
            .unwrap()
            .text;
        let tree = Part::of_json(&overlay).unwrap();
        assert_eq!(tree.get("overlay"), Some(&Part::text("1.0.0")));
        let Some(Part::List(actions)) = tree.get("actions") else {
            panic!("{overlay}")
        };
        let targets: Vec<_> = actions
            .iter()
            .map(|it| it.get("target").and_then(Part::as_text).unwrap())
            .collect();
        assert_eq!(targets, [r"$.paths['/it\'s/{id}'].post", "$"]);
        assert!(
            actions[1]
                .get("update")
                .unwrap()
                .get("components")
                .is_some()
        );
    }
}

#[test]
fn what_is_documented_is_found_again() {
    let text = "\
openapi: 3.0.3
servers: [{url: https://api.example.com/v1}]
paths:
  /a/{id}:
    post: {}
  /b:
    put:
      parameters: [{name: paypal-request-id, in: header, required: true, schema: {type: string, maxLength: 38, format: uuid}}]
  /c: {post: {parameters: [{name: Idempotency-Key, in: query}]}}
";
    let only = |operation: &oncegate_openapi::Operation| {
        contract(operation).filter(|_| operation.path == "/a/{id}")
    };
    let after = read(text).annotated(only).unwrap().text;
    let found = read(&after).documented().unwrap();
    let brief: Vec<_> = found
        .iter()
        .map(|it| {
            (
                it.method.as_str(),
                it.target.as_str(),
                it.header.as_str(),
                it.required,
                it.length_max,
            )
        })
        .collect();
    assert_eq!(
        brief,
        [
            ("POST", "/v1/a/{id}", "Idempotency-Key", true, None),
            ("PUT", "/v1/b", "paypal-request-id", true, Some(38))
        ]
    );
    assert_eq!(
        found[0].settings,
        [("retention".to_owned(), Part::text("24h"))]
    );
    assert_eq!(found[1].format.as_deref(), Some("uuid"));
}
