//! Requests that descriptions of APIs permit, and descriptions from which none can be had.

use std::collections::BTreeMap;

use oncegate_check::openapi::{Description, DocumentedOperation};
use oncegate_check::operation::{Form, Operation};
use oncegate_check::policy::KeyPolicy;
use oncegate_check::wire::Peer;
use serde_json::{Value, json};

fn operation(description: &Description, documented: &DocumentedOperation) -> Operation {
    let (peer, base) = Peer::of("http://127.0.0.1:3000/v1").unwrap();
    description
        .operation(documented, &peer, &base, &BTreeMap::new())
        .unwrap()
}

/// The body that is made for a schema, beside other schemas.
fn body(schema: Value, schemas: Value) -> Value {
    let description = json!({
        "openapi": "3.0.3",
        "paths": {"/a": {"post": {
            "parameters": [{"name": "Idempotency-Key", "in": "header"}],
            "requestBody": {"content": {"application/json": {"schema": schema}}},
        }}},
        "components": {"schemas": schemas},
    });
    let description = Description::parse("a.json", &description.to_string()).unwrap();
    let form = plain(&description, 0);
    serde_json::from_slice(&form.body).unwrap()
}

fn plain(description: &Description, number: usize) -> Form {
    let documented = &description.operations().unwrap()[number];
    operation(description, documented).plain().clone()
}

fn yaml(text: &str) -> Description {
    Description::parse("a.yaml", text).unwrap()
}

#[test]
fn a_body_has_what_is_required_and_nothing_else() {
    for (schema, expected) in [
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}}}),
            json!({}),
        ),
        (
            json!({"required": ["a", "id"], "properties": {
                "a": {"type": "boolean"}, "b": {"type": "string"}, "id": {"type": "string", "readOnly": true},
            }}),
            json!({"a": true}),
        ),
        (
            json!({"required": ["a"], "properties": {"a": {"required": ["b"], "properties": {"b": {"type": "null"}}}}}),
            json!({"a": {"b": null}}),
        ),
        (
            json!({"type": "object", "minProperties": 1, "additionalProperties": {"type": "integer"}}),
            json!({"check0": 1}),
        ),
    ] {
        assert_eq!(body(schema.clone(), json!({})), expected, "{schema}");
    }
}

#[test]
fn values_are_within_their_bounds() {
    for (schema, expected) in [
        (json!({"type": "integer"}), json!(1)),
        (json!({"type": "integer", "minimum": 100}), json!(100)),
        (
            json!({"type": "integer", "minimum": 5, "exclusiveMinimum": true}),
            json!(6),
        ),
        (json!({"type": "integer", "exclusiveMinimum": 5}), json!(6)),
        (json!({"type": "integer", "maximum": -3}), json!(-3)),
        (
            json!({"type": "integer", "minimum": 7, "multipleOf": 5}),
            json!(10),
        ),
        (json!({"type": "number", "maximum": 0.5}), json!(0.5)),
        (json!({"type": ["null", "integer"]}), json!(1)),
        (json!({"enum": ["EUR", "USD"]}), json!("EUR")),
        (json!({"const": 7}), json!(7)),
        (json!({"type": "string", "default": "x"}), json!("x")),
        (
            json!({"type": "string", "example": "y", "default": "x"}),
            json!("y"),
        ),
        (json!({"type": "string", "minLength": 8}), json!("checkxxx")),
        (json!({"type": "string", "maxLength": 3}), json!("che")),
        (
            json!({"type": "string", "format": "uuid"}),
            json!("{{uuid}}"),
        ),
        (
            json!({"type": "string", "format": "date"}),
            json!("2030-01-01"),
        ),
        (
            json!({"type": "string", "pattern": "^[A-Z]{3}$"}),
            json!("AAA"),
        ),
        (
            json!({"type": "array", "items": {"type": "integer"}}),
            json!([1]),
        ),
        (
            json!({"type": "array", "items": {"type": "integer"}, "minItems": 2}),
            json!([1, 1]),
        ),
    ] {
        assert_eq!(body(schema.clone(), json!({})), expected, "{schema}");
    }
}

#[test]
fn parts_and_choices_make_one_value() {
    let schemas = json!({
        "Money": {"type": "integer", "minimum": 50},
        "Base": {"required": ["a"], "properties": {"a": {"type": "integer"}}},
        "Card": {"required": ["number"], "properties": {"number": {"type": "string"}}},
    });
    let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    for (schema, expected) in [
        // How 3.0 puts a description beside a reference.
        (
            json!({"allOf": [reference("Money"), {"description": "what is owed"}]}),
            json!(50),
        ),
        (
            json!({"allOf": [reference("Base"), {"required": ["b"], "properties": {"b": {"type": "boolean"}}}]}),
            json!({"a": 1, "b": true}),
        ),
        (
            json!({"allOf": [reference("Base")], "required": ["c"], "properties": {"c": {"enum": ["d"]}}}),
            json!({"a": 1, "c": "d"}),
        ),
        (
            json!({"anyOf": [{"type": "null"}, reference("Money")]}),
            json!(50),
        ),
        (
            json!({"oneOf": [reference("Card")], "discriminator": {"propertyName": "kind"}}),
            json!({"number": "check", "kind": "Card"}),
        ),
        (
            json!({"oneOf": [reference("Card")], "discriminator": {"propertyName": "kind", "mapping": {
                "card": "#/components/schemas/Card",
            }}}),
            json!({"number": "check", "kind": "card"}),
        ),
    ] {
        assert_eq!(body(schema.clone(), schemas.clone()), expected, "{schema}");
    }
}

/// A tree of itself has leaves: where a schema leads back, what is optional is left out.
#[test]
fn a_schema_that_leads_back_to_itself_comes_to_an_end() {
    let node = json!({"$ref": "#/components/schemas/Node"});
    let schemas = |children: Value| {
        json!({"Node": {"required": ["name", "children"], "properties": {
            "name": {"type": "string"}, "children": children, "parent": node,
        }}})
    };
    let list = schemas(json!({"type": "array", "items": node}));
    assert_eq!(
        body(node.clone(), list),
        json!({"name": "check", "children": []})
    );
    let choice = schemas(json!({"oneOf": [node, {"type": "integer"}]}));
    assert_eq!(
        body(node.clone(), choice),
        json!({"name": "check", "children": 1})
    );
    let endless = schemas(node.clone());
    assert_eq!(
        body(node.clone(), endless),
        Value::Null,
        "no request could satisfy it"
    );
    let parts = json!({"Node": {"allOf": [node]}});
    assert_eq!(body(node, parts), Value::Null);
}

#[test]
fn requests_have_their_required_parameters_and_examples() {
    let description = yaml(
        r##"
openapi: 3.0.0
servers: [{ url: "https://api.example.com/v2" }]
paths:
  /accounts/{account}/payments:
    parameters:
      - { name: account, in: path, required: true, example: "a/1" }
      - { name: Idempotency-Key, in: header, schema: { type: string } }
    post:
      parameters:
        - $ref: '#/components/parameters/Key'
        - { name: mode, in: query, required: true, schema: { enum: [live mode] } }
        - { name: page, in: query, schema: { type: integer } }
        - { name: X-Version, in: header, required: true, schema: { default: 7 } }
      requestBody:
        $ref: '#/components/requestBodies/Payment'
    get:
      parameters: [{ $ref: '#/components/parameters/Key' }]
  /plain:
    post: { responses: { 200: { description: no key } } }
  /form:
    patch:
      parameters: [{ name: x-idempotency-key, in: header }]
      requestBody:
        content:
          application/x-www-form-urlencoded:
            schema: { required: [card], properties: { card: { required: [cvc], properties: { cvc: { example: "1 2" } } } } }
components:
  parameters:
    Key: { name: Idempotency-Key, in: header, required: true, schema: { type: string, maxLength: 40, format: uuid } }
  requestBodies:
    Payment:
      content:
        text/plain: {}
        application/vnd.payment+json:
          examples: { first: { $ref: '#/components/examples/Payment' }, second: { value: no } }
  examples:
    Payment: { value: { amount: 100, note: null } }
"##,
    );
    assert_eq!(description.server(), Some("https://api.example.com/v2"));
    let documented = description.operations().unwrap();
    let names: Vec<&str> = documented.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["POST /accounts/{account}/payments", "PATCH /form"]);
    let policy = &documented[0].policy;
    assert_eq!(policy.key, Some(KeyPolicy::Required));
    assert_eq!(policy.key_length_max, Some(40));
    assert_eq!(policy.key_format.as_deref(), Some("uuid"));
    assert_eq!(documented[1].policy.key, Some(KeyPolicy::Optional));
    assert_eq!(documented[1].policy.key_header, ["x-idempotency-key"]);
    let operation = operation(&description, &documented[0]);
    assert_eq!(operation.documented.as_ref(), Some(policy));

    let field = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    let payment = plain(&description, 0);
    assert_eq!(
        payment.target,
        "/v1/accounts/a%2F1/payments?mode=live%20mode"
    );
    assert_eq!(payment.body, br#"{"amount":100,"note":null}"#);
    let kind = field("Content-Type", "application/vnd.payment+json");
    assert_eq!(payment.fields, [field("X-Version", "7"), kind]);
    assert_eq!(plain(&description, 1).body, b"card[cvc]=1%202");
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let refused = |text: &str| {
        let description = Description::parse("a.yaml", text);
        let operations = description.and_then(|description| {
            let (peer, base) = Peer::of("http://127.0.0.1:1/").unwrap();
            let documented = description.operations()?;
            description.operation(&documented[0], &peer, &base, &BTreeMap::new())
        });
        operations.unwrap_err().to_string()
    };
    let post = "openapi: 3.1.0\npaths:\n  /a/{id}:\n    post:\n      parameters:\n      - ";
    let key = "{ name: Idempotency-Key, in: header }\n      - ";
    for (text, said) in [
        (
            format!("{post}$ref: '#/nowhere'"),
            "a.yaml:6: #/nowhere is not there",
        ),
        (
            format!("{post}$ref: 'b.yaml#/Key'"),
            "a.yaml:6: b.yaml#/Key is in another file",
        ),
        (
            format!("{post}$ref: '#/paths/~1a~1%7Bid%7D/post/parameters/0'"),
            "refers to itself",
        ),
        (
            format!("{post}{key}{{ name: id, in: path }}"),
            "a.yaml:3: POST /a/{id} needs a value for {id}",
        ),
        (
            "openapi: 3.1.0\nopenapi: 3.1.0\n".to_owned(),
            "a.yaml:2: this is not YAML",
        ),
        (
            "openapi: 2.0.0\n".to_owned(),
            "a.yaml:1: OpenAPI 2.0.0: 3 is needed",
        ),
    ] {
        let refused = refused(&text);
        assert!(refused.contains(said), "{said:?} is not in {refused:?}");
    }
}
