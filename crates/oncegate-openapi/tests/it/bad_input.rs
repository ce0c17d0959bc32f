//! What cannot be read or added to: a fault that names the place and what to do.

use crate::support::contract;
use oncegate_openapi::Description;

/// Line, message and help.
fn fault(text: &str) -> (usize, String, String) {
    let annotated = Description::parse(text.to_owned()).and_then(|description| {
        description
            .annotated(contract)
            .map(|it| (it.text, it.remarks))
    });
    let fault = match annotated {
        Err(fault) => fault,
        Ok((after, remarks)) => remarks
            .into_iter()
            .next()
            .unwrap_or_else(|| panic!("no fault:\n{after}")),
    };
    (fault.line(text), fault.message, fault.help)
}

#[test]
fn what_is_wrong_is_named_with_its_line_and_what_to_do() {
    let table = [
        ("", 1, "there is nothing in it", ""),
        ("openapi: 3.1.0\npaths: {\n", 2, "this is not YAML", ""),
        ("openapi: 3.1.0\n  paths: {}\n", 2, "this is not YAML", ""),
        (
            "{\"openapi\": \"3.1.0\",\n \"paths\": {,}}",
            2,
            "this is not JSON",
            "",
        ),
        (
            "openapi: 3.1.0\npaths: {}\npaths: {}\n",
            3,
            "`paths` is there twice",
            "the first one is in line 2",
        ),
        (
            "{\"openapi\": \"3.1.0\", \"paths\": {},\n\"paths\": {}}",
            2,
            "`paths` is there twice",
            "line 1",
        ),
        (
            "swagger: '2.0'\npaths: {}\n",
            1,
            "this is Swagger 2",
            "convert it",
        ),
        (
            "info: {}\n",
            1,
            "this is no OpenAPI description",
            "openapi: 3.1.0",
        ),
        (
            "x: 1\nopenapi: 4.0.0\n",
            2,
            "OpenAPI `4.0.0` is not known",
            "3.0, 3.1",
        ),
        (
            "openapi: 3.1.0\ninfo: {}\n",
            1,
            "it has no `paths`",
            "nothing to annotate",
        ),
        (
            "openapi: 3.1.0\n\npaths:\n",
            3,
            "`paths` is no object",
            "write paths",
        ),
        (
            "openapi: 3.1.0\npaths: {}\n---\nopenapi: 3.1.0\n",
            3,
            "a second document",
            "one description",
        ),
        (
            "openapi: 3.1.0\npaths:\n  /a: {$ref: '#/x'}\n",
            3,
            "`/a` are behind a reference",
            "write them here",
        ),
        (
            "openapi: 3.1.0\npaths:\n  /a:\n    post:\n      parameters:\n        - $ref: '#/components/parameters/no'\n",
            6,
            "`#/components/parameters/no` is not there",
            "mend",
        ),
        (
            "openapi: 3.1.0\npaths:\n  /a:\n    post:\n      responses:\n        '409':\n          $ref: '#/components/responses/a'\ncomponents:\n  responses:\n    a: {$ref: '#/components/responses/b'}\n    b: {$ref: '#/components/responses/a'}\n",
            7,
            "leads back to itself",
            "the thing itself",
        ),
        (
            "openapi: 3.1.0\npaths:\n  /a:\n    post:\n      responses:\n        '409': {$ref: 'b.yaml#/x'}\n",
            6,
            "in another file",
            "bundle",
        ),
        (
            "openapi: 3.1.0\npaths:\n  /a:\n    post: &post\n      responses: {}\n  /b:\n    post: *post\n",
            5,
            "this has an anchor",
            "--overlay",
        ),
        (
            "openapi: 3.1.0\nx: &r {'200': {description: ok}}\npaths:\n  /b:\n    post:\n      responses: *r\n",
            6,
            "this is an alias",
            "--overlay",
        ),
        (
            "openapi: 3.1.0\nx: &r {description: ok}\npaths:\n  /b:\n    post:\n      <<: *r\n",
            6,
            "merges another one in",
            "--overlay",
        ),
        (
            "openapi: 3.1.0\npaths:\n  /b:\n    post:\n      parameters: none\n",
            5,
            "`parameters` is not a list",
            "--overlay",
        ),
        (
            "openapi: 3.1.0\npaths:\n  ? [a]\n  : b\n",
            3,
            "a name is not a text",
            "texts",
        ),
    ];
    for (text, line, message, help) in table {
        let found = fault(text);
        assert_eq!(found.0, line, "{text}\n{found:?}");
        assert!(found.1.contains(message), "{text}\n{found:?}");
        assert!(found.2.contains(help), "{text}\n{found:?}");
    }
}

/// Places are told in the text that was given, not in the one without ours.
#[test]
fn places_are_those_of_the_file() {
    let text =
        "openapi: 3.1.0\npaths:\n  /a:\n    post:\n      responses: {}\n  /b:\n    $ref: '#/x'\n";
    let after = Description::parse(text.to_owned())
        .unwrap()
        .annotated(contract)
        .unwrap();
    assert_eq!(after.remarks[0].line(text), 7);
    let again = Description::parse(after.text.clone())
        .unwrap()
        .annotated(contract)
        .unwrap();
    let line = again.remarks[0].line(&after.text);
    assert_eq!(after.text.lines().nth(line - 1), Some("    $ref: '#/x'"));
}
