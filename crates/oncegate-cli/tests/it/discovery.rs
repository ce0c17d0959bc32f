//! The published contract of a proxy that runs: for machines, for people, and that it is what the proxy does (M-43).

use serde_json::{Value, json};

use crate::harness::{Answer, Proxy, Stage, Wire, get, post};

const PATH: &str = "/.well-known/idempotency";
const SHOP: &str = "https://shop.example";
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

const ROUTES: &str = r#"
[[route]]
match = "POST /files/{*rest}"
key = "ignored"
[[route]]
match = "POST,PUT /payments/{id}"
key_header = ["X-Pay-Key", "Idempotency-Key"]
in_flight = "wait"
wait_timeout = "3s"
[[route]]
match = "POST /payments"
key = "required"
key_syntax = "strict"
key_format = "uuid7"
retention = "36h"
mismatch_status = 409
tombstones = "0s"
"#;

async fn document(proxy: &Proxy) -> Value {
    let answer = proxy.send(&get(PATH)).await;
    assert_eq!(answer.code(), 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    answer.json()
}

fn must_fit_the_schema(document: &Value) {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/discovery.schema.json"
    );
    let schema = std::fs::read_to_string(path).expect("the schema is among the papers");
    let schema: Value = serde_json::from_str(&schema).expect("a schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("it is a JSON Schema");
    let errors: Vec<String> = validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

fn route<'d>(document: &'d Value, pattern: &str) -> &'d Value {
    let mut routes = document["routes"].as_array().expect("a list").iter();
    let route = routes.find(|route| route["match"] == pattern);
    route.unwrap_or_else(|| panic!("no {pattern} in {document:#}"))
}

#[tokio::test]
async fn the_document_says_what_is_configured_and_is_as_its_schema_says() {
    let stage = Stage::new().await;
    let file = stage.write("oncegate.toml", ROUTES);
    let setup = stage.proxy().flag("--config", file.to_str().unwrap());
    let proxy = setup.start().await;
    let document = document(&proxy).await;
    must_fit_the_schema(&document);
    assert_eq!(document["version"], 1);
    let routes = document["routes"].as_array().unwrap().iter();
    let patterns: Vec<_> = routes
        .map(|route| route["match"].as_str().unwrap())
        .collect();
    assert_eq!(
        patterns,
        [
            "POST /payments",
            "POST,PUT /payments/{id}",
            "POST /files/{*rest}",
            "POST,PATCH /",
            "POST,PATCH /{*rest}",
        ]
    );
    let payments = route(&document, "POST /payments");
    for (member, value) in [
        ("key", json!("required")),
        ("key_syntax", json!("strict")),
        ("key_format", json!("uuid7")),
        ("retention", json!("36h")),
        ("tombstones", json!("0s")),
        ("mismatch", json!({"status": 409})),
        ("in_flight", json!({"status": 409})),
    ] {
        assert_eq!(payments[member], value, "{member}");
    }
    let one = route(&document, "POST,PUT /payments/{id}");
    assert_eq!(one["key_header"], json!(["X-Pay-Key", "Idempotency-Key"]));
    assert_eq!(one["in_flight"], json!({"status": 409, "wait": "3s"}));
    let files = route(&document, "POST /files/{*rest}");
    assert_eq!(
        files,
        &json!({"match": "POST /files/{*rest}", "key": "ignored"})
    );
    assert!(stage.origin.book().is_empty(), "nothing was forwarded");
}

/// A contract that lags behind is a lie.
#[tokio::test]
async fn the_document_follows_a_reload_and_can_be_switched_off_by_one() {
    let stage = Stage::new().await;
    let file = stage.write("oncegate.toml", ROUTES);
    let setup = stage.proxy().flag("--config", file.to_str().unwrap());
    let proxy = setup.start().await;
    let before = proxy.send(&get(PATH)).await;
    let tag = before.header("etag").unwrap().to_owned();
    let known = get(PATH).header("If-None-Match", &tag);
    assert_eq!(proxy.send(&known).await.code(), 304);
    std::fs::write(&file, "[defaults]\nretention = '7d'\n").unwrap();
    assert!(proxy.reload().await, "{}", proxy.logged());
    assert_eq!(proxy.send(&known).await.code(), 200);
    let document = document(&proxy).await;
    must_fit_the_schema(&document);
    assert_eq!(
        route(&document, "POST,PATCH /{*rest}")["retention"],
        json!("7d")
    );
    std::fs::write(&file, "discovery = '/keys'\n").unwrap();
    assert!(proxy.reload().await, "{}", proxy.logged());
    assert_eq!(proxy.send(&get("/keys")).await.json()["version"], 1);
    assert!(stage.origin.book().is_empty());
    std::fs::write(&file, "discovery = 'off'\n").unwrap();
    assert!(proxy.reload().await, "{}", proxy.logged());
    proxy.send(&get(PATH)).await;
    assert_eq!(stage.origin.book().len(), 1, "it is the upstream's now");
}

#[tokio::test]
async fn browsers_get_a_page_and_machines_the_document() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    let page = proxy.send(&get(PATH).header("Accept", BROWSER)).await;
    assert_eq!(page.code(), 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(page.header("vary"), Some("Accept"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let text = page.text();
    assert!(!text.contains("<script"), "{text}");
    assert!(!text.contains("{server}"), "{text}");
    let curl = "curl -i -X POST 'http://shop.example/REST'";
    assert!(text.contains(&curl.replace('\'', "&#39;")), "{text}");
    let linked = "/.well-known/idempotency/problems/mismatch";
    assert!(text.contains(linked), "the pages of problems are linked");
    assert_eq!(proxy.send(&get(linked)).await.code(), 200);
    let document = proxy.send(&get(PATH)).await;
    assert_eq!(document.header("vary"), Some("Accept"));
    assert_ne!(document.header("etag"), page.header("etag"));
    let mut wire = Wire::connect(proxy.listen).await.unwrap();
    let head = format!("HEAD {PATH} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n");
    wire.write(head).await.unwrap();
    let head = String::from_utf8(wire.read_to_end().await.unwrap()).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "no body: {head}");
    let length = format!("content-length: {}\r\n", document.body().len());
    let tag = format!("etag: {}\r\n", document.header("etag").unwrap());
    assert!(head.contains(&length) && head.contains(&tag), "{head}");
    assert!(stage.origin.book().is_empty());
}

/// What a client says of the server's name, and what an operator calls a route, are text and nothing else.
#[tokio::test]
async fn nothing_in_the_page_is_markup_or_a_command_of_somebody_else() {
    let stage = Stage::new().await;
    let routes = "[[route]]\nmatch = \"POST /<b>'$(id)`id`\"\n";
    let file = stage.write("oncegate.toml", routes);
    let setup = stage.proxy().flag("--config", file.to_str().unwrap());
    let proxy = setup.start().await;
    let page = proxy
        .send(&get(PATH).header("Accept", BROWSER))
        .await
        .text();
    assert!(!page.contains("<b>'"), "{page}");
    let commands = page.matches("curl -i").count();
    assert_eq!(commands, 3, "{page}");
    assert!(
        page.contains("/%3Cb%3E%27%24%28id%29%60id%60&#39;"),
        "{page}"
    );
}

#[tokio::test]
async fn the_document_is_asked_for_and_nothing_else() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    for method in ["POST", "PUT", "DELETE"] {
        let answer = proxy
            .send(
                &post(PATH, "{}")
                    .method(method)
                    .header("Idempotency-Key", "k"),
            )
            .await;
        assert_eq!(answer.code(), 405, "{method}");
        assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
    }
    let options = proxy.send(&get(PATH).method("OPTIONS")).await;
    assert_eq!(options.code(), 204);
    assert_eq!(options.header("allow"), Some("GET, HEAD, OPTIONS"));
    assert!(stage.origin.book().is_empty());
}

#[tokio::test]
async fn scripts_of_the_configured_origins_can_read_the_document_and_no_others() {
    let stage = Stage::new().await;
    let setup = stage.proxy().set(&format!("cors_origins={SHOP}"));
    let proxy = setup.start().await;
    let allowed = |answer: &Answer| {
        answer
            .header("access-control-allow-origin")
            .map(str::to_owned)
    };
    let ours = proxy.send(&get(PATH).header("Origin", SHOP)).await;
    assert_eq!(allowed(&ours).as_deref(), Some(SHOP));
    let preflight = get(PATH).method("OPTIONS").header("Origin", SHOP);
    let preflight = proxy.send(&preflight).await;
    assert_eq!(allowed(&preflight).as_deref(), Some(SHOP));
    let methods = preflight.header("access-control-allow-methods");
    assert_eq!(methods, Some("GET, HEAD, OPTIONS"));
    let other = proxy
        .send(&get(PATH).header("Origin", "https://x.example"))
        .await;
    assert_eq!((other.code(), allowed(&other)), (200, None));
}

/// What is said of missing and malformed keys is what happens, under each profile.
#[tokio::test]
async fn the_refusals_of_the_document_are_those_of_the_proxy() {
    for profile in ["oncegate", "ietf", "stripe", "adyen", "paypal"] {
        let stage = Stage::new().await;
        let setup = stage.proxy().flag("--profile", profile);
        let proxy = setup.set("key=required").start().await;
        let document = document(&proxy).await;
        must_fit_the_schema(&document);
        // A profile may have other methods; the defaults are the last.
        let told = document["routes"].as_array().unwrap().last().unwrap();
        let answer = proxy.send(&post("/payments", "{}")).await;
        let link = answer.header("link").unwrap();
        let met = told["refusals"].as_array().unwrap().iter().any(|row| {
            let slug = row["problem"].as_str().unwrap();
            row["status"] == answer.code() && link.contains(&format!("/{slug}>"))
        });
        assert!(met, "{profile}: {answer:?}");
        assert_eq!(
            answer.header("content-type"),
            told["error_type"].as_str(),
            "{profile}"
        );
    }
}
