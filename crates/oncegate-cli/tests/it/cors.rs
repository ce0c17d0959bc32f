//! Pages of other origins: whose scripts may read what.

use crate::harness::{Act, Answer, Request, Stage, get, pay};

const SHOP: &str = "https://shop.example";
const OTHER: &str = "https://other.example";

/// CORS headers were made for one page. To another they would be a lie, or show it what it may not see.
#[tokio::test]
async fn cors_headers_are_replayed_to_the_origin_that_they_were_made_for_and_to_no_other() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().set("cors_origins=").start().await;
    stage.origin.plan("own", [allowing(SHOP)]);
    let own = pay("own");
    let first = proxy.send(&from(&own, SHOP)).await;
    first.must_be_executed();
    assert_eq!(cors(&first), (Some(SHOP), Some("true"), Some("X-Mine")));
    for _ in 0..2 {
        let again = proxy.send(&from(&own, SHOP)).await;
        again.must_replay(&first);
        assert_eq!(cors(&again), cors(&first));
        assert_eq!(again.header("vary"), Some("Origin"));
        for request in [from(&own, OTHER), own.clone()] {
            let again = proxy.send(&request).await;
            again.must_replay(&first);
            assert_eq!(cors(&again), (None, None, None), "{again:?}");
            assert_eq!(again.header("vary"), Some("Origin"));
        }
    }
    assert_eq!(stage.origin.executions("own"), 1);
}

/// A script that may read the answer may read what became of its request; the upstream need not know of us.
#[tokio::test]
async fn what_became_of_a_request_is_exposed_where_the_upstream_allows_the_origin() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    stage.origin.plan("own", [allowing(SHOP)]);
    let own = from(&pay("own"), SHOP);
    let ours = "Idempotency-Status, Idempotent-Replayed";
    for answer in [proxy.send(&own).await, proxy.send(&own).await] {
        assert_eq!(exposed(&answer), ["X-Mine", ours], "{answer:?}");
    }
    for request in [from(&pay("own"), OTHER), from(&pay("closed"), SHOP)] {
        let answer = proxy.send(&request).await;
        assert!(exposed(&answer).is_empty(), "{answer:?}");
    }
}

#[tokio::test]
async fn cors_headers_for_everybody_are_replayed_to_everybody() {
    let stage = Stage::new().await;
    let proxy = stage.proxy().start().await;
    stage.origin.plan("all", [allowing("*")]);
    let all = pay("all");
    let first = proxy.send(&from(&all, SHOP)).await;
    first.must_be_executed();
    for request in [from(&all, SHOP), from(&all, OTHER), all.clone()] {
        let again = proxy.send(&request).await;
        again.must_replay(&first);
        assert_eq!(cors(&again), cors(&first));
    }
    assert_eq!(stage.origin.executions("all"), 1);
}

/// A script that cannot read a refusal sees a network error, and tries again with a new key.
#[tokio::test]
async fn scripts_of_the_configured_origins_can_read_our_refusals_and_no_others() {
    let stage = Stage::new().await;
    let origins = format!("cors_origins={SHOP}");
    let setup = stage.proxy().set(&origins);
    let proxy = setup.start().await;
    proxy.send(&from(&pay("k"), SHOP)).await.must_be_executed();
    let mismatch = pay("k").body("{}");
    let refusal = proxy.send(&from(&mismatch, SHOP)).await;
    refusal.must_be_problem(422, "mismatch", "no", "new-key");
    assert_eq!(refusal.header("access-control-allow-origin"), Some(SHOP));
    let exposed = refusal.header("access-control-expose-headers").unwrap();
    for name in ["Idempotency-Status", "Retry-After", "Link"] {
        assert!(exposed.contains(name), "{exposed}");
    }
    assert_eq!(refusal.header("vary"), Some("Origin"));
    for request in [from(&mismatch, OTHER), mismatch.clone()] {
        let refusal = proxy.send(&request).await;
        refusal.must_be_problem(422, "mismatch", "no", "new-key");
        assert_eq!(cors(&refusal), (None, None, None), "{refusal:?}");
        // A cache must not give this one to a script of the shop.
        assert_eq!(refusal.header("vary"), Some("Origin"));
    }
    assert_eq!(stage.origin.executions("k"), 1);
}

#[tokio::test]
async fn scripts_can_read_whether_a_vendors_refusal_is_worth_a_retry() {
    for (profile, credential, advice) in [
        ("stripe", "Authorization", "stripe-should-retry"),
        ("adyen", "X-API-Key", "transient-error"),
    ] {
        let stage = Stage::new().await;
        let setup = stage.proxy().flag("--profile", profile);
        let proxy = setup.set(&format!("cors_origins={SHOP}")).start().await;
        let request = pay("k").header(credential, "Bearer sk_test_1");
        let first = proxy.send(&from(&request, SHOP)).await;
        assert_eq!(first.code(), 201, "{profile}: {first:?}");
        let refusal = proxy.send(&from(&request.body("{}"), SHOP)).await;
        assert!(refusal.header(advice).is_some(), "{profile}: {refusal:?}");
        let exposed = exposed(&refusal);
        assert!(
            exposed.join(", ").contains(advice),
            "{profile}: {exposed:?}"
        );
    }
}

#[tokio::test]
async fn a_preflight_is_the_upstreams_to_answer() {
    let stage = Stage::new().await;
    let origins = format!("cors_origins={SHOP}");
    let required = stage.proxy().set(&origins).set("key=required");
    let proxy = required.start().await;
    stage.origin.plan_next(Act::bytes(format!(
        "HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: {OTHER}\r\n\
         Access-Control-Allow-Headers: idempotency-key\r\nAccess-Control-Max-Age: 600\r\n\
         Connection: close\r\n\r\n"
    )));
    let preflight = from(&get("/payments").method("OPTIONS"), OTHER)
        .header("Access-Control-Request-Method", "POST")
        .header("Access-Control-Request-Headers", "idempotency-key");
    let answer = proxy.send(&preflight).await;
    assert_eq!((answer.code(), answer.became()), (204, ""), "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), Some(OTHER));
    assert_eq!(answer.header("access-control-max-age"), Some("600"));
    let book = stage.origin.book();
    let [seen] = &book[..] else {
        panic!("one request: {book:?}")
    };
    assert_eq!(seen.request.start, "OPTIONS /payments HTTP/1.1");
    for (name, value) in [
        ("origin", OTHER),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "idempotency-key"),
    ] {
        assert_eq!(seen.request.header(name), Some(value));
    }
}

fn exposed(answer: &Answer) -> Vec<&str> {
    let headers = answer.0.headers.iter();
    headers
        .filter(|(name, _)| name == "access-control-expose-headers")
        .map(|(_, value)| value.as_str())
        .collect()
}

fn from(request: &Request, origin: &str) -> Request {
    request.clone().header("Origin", origin)
}

/// An execution whose answer scripts of `origin` may read.
fn allowing(origin: &str) -> Act {
    Act::bytes(format!(
        "HTTP/1.1 201 Created\r\nAccess-Control-Allow-Origin: {origin}\r\n\
         Access-Control-Allow-Credentials: true\r\nAccess-Control-Expose-Headers: X-Mine\r\n\
         Vary: Origin\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    ))
}

fn cors(answer: &Answer) -> (Option<&str>, Option<&str>, Option<&str>) {
    (
        answer.header("access-control-allow-origin"),
        answer.header("access-control-allow-credentials"),
        answer.header("access-control-expose-headers"),
    )
}
