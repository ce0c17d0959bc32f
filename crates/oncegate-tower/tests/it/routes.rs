//! Which requests take keys, and which pass.

use std::sync::Arc;

use http::{Method, Request, request};
use http_body_util::BodyExt;
use oncegate::Policy;
use oncegate::policy::KeyUse;
use oncegate_tower::{Body, Policies};
use tower_layer::Layer;

use crate::handler::{Feed, Handler};
use crate::harness::{Bench, pay, unkeyed, with_header};

fn required() -> Policy {
    Policy {
        key: KeyUse::Required,
        ..Policy::default()
    }
}

fn with_method(mut request: Request<Body>, method: &str) -> Request<Body> {
    *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
    request
}

fn at(mut request: Request<Body>, uri: &str) -> Request<Body> {
    *request.uri_mut() = uri.parse().unwrap();
    request
}

/// M-06: a request without the key that its route requires is refused, and runs nothing.
#[tokio::test(start_paused = true)]
async fn a_required_key_that_is_missing_is_refused() {
    let bench = Bench::under(required(), Handler::paying()).await;
    let answer = bench.send(unkeyed()).await;
    answer.is_refused(400, "key-missing");
    assert_eq!(answer.became(), "refused");
    assert_eq!(bench.handler.calls(), 0);
    bench.send(pay("k")).await.is_executed("payment 1");
}

/// M-07: a request without an optional key passes as it is, and the store is not asked.
#[tokio::test(start_paused = true)]
async fn an_optional_key_that_is_missing_costs_nothing() {
    let bench = Bench::new(Handler::paying()).await;
    let request = with_header(unkeyed(), "accept-encoding", "gzip");
    let answer = bench.send(request).await;
    assert_eq!(answer.text(), "payment 1");
    assert_eq!(answer.header("idempotency-status"), None);
    assert_eq!(bench.counting.round_trips(), 0);
    let seen = bench.handler.last();
    assert_eq!(seen.header("accept-encoding"), Some("gzip"));
    assert_eq!(seen.header("idempotency-fence"), None);
}

/// M-07: methods compare without regard to case, on both sides.
#[tokio::test(start_paused = true)]
async fn methods_compare_case_insensitively() {
    let policy = Policy {
        methods: vec![Method::from_bytes(b"post").unwrap()],
        ..required()
    };
    let bench = Bench::under(policy, Handler::paying()).await;
    bench.send(pay("upper")).await.is_executed("payment 1");
    let mixed = with_method(pay("mixed"), "Post");
    bench.send(mixed).await.is_executed("payment 2");
    // A safe method in another case is safe still.
    let safe = bench.send(with_method(unkeyed(), "get")).await;
    assert_eq!(safe.text(), "payment 3");
}

/// M-07: on a route that requires keys a path that can be read in two ways is refused.
#[tokio::test(start_paused = true)]
async fn a_path_that_changes_is_refused_where_a_key_is_required() {
    let bench = Bench::under(required(), Handler::paying()).await;
    for path in [
        "/a/../payments",
        "/%70ayments",
        "//payments",
        "/payments%2F1",
        "/payments;v=1",
    ] {
        let answer = bench.send(at(pay("k"), path)).await;
        answer.is_refused(400, "path-ambiguous");
        assert_eq!(answer.header("idempotency-key"), Some("k"), "{path}");
    }
    assert_eq!(bench.handler.calls(), 0);
    assert_eq!(bench.counting.round_trips(), 0);

    // Where it is optional, the raw path is fingerprint, and nothing else.
    let optional = bench.beside(Policy::default()).await;
    let odd = optional.send(at(pay("k"), "//payments")).await;
    odd.is_executed("payment 1");
}

/// M-08: safe methods and CONNECT pass, whatever they carry, and the store is not asked.
#[tokio::test(start_paused = true)]
async fn safe_methods_pass_with_zero_store_operations() {
    let bench = Bench::under(required(), Handler::paying()).await;
    for (number, method) in ["GET", "HEAD", "OPTIONS", "TRACE"].into_iter().enumerate() {
        let answer = bench.send(with_method(pay("k"), method)).await;
        assert_eq!(answer.text(), format!("payment {}", number + 1));
        assert_eq!(answer.header("idempotency-status"), None);
    }
    let connect = at(with_method(pay("k"), "CONNECT"), "example.com:443");
    assert_eq!(bench.send(connect).await.text(), "payment 5");
    assert_eq!(bench.counting.round_trips(), 0);
}

/// M-08: what passes streams both ways: the handler answers before the request has ended, and the caller reads
/// before the answer has ended.
#[tokio::test(start_paused = true)]
async fn what_passes_streams_both_ways() {
    let handler =
        Handler::streaming(
            |_, request, _| async move { Ok(http::Response::new(request.into_body())) },
        );
    let bench = Bench::new(handler).await;
    let (feed, body) = Feed::new();
    let echo = Request::get("/echo").body(body).unwrap();
    let mut answer = bench.head(echo).await.unwrap().into_body();
    feed.data("first");
    let frame = answer.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "first");
    feed.ended();
    assert!(answer.frame().await.is_none());
}

/// M-08: only GET with `Upgrade` is an upgrade; on other methods the header is dropped and the key judged.
#[tokio::test(start_paused = true)]
async fn an_upgrade_is_an_upgrade_on_get_alone() {
    let bench = Bench::new(Handler::paying()).await;
    let upgrading = |request| {
        let request = with_header(request, "connection", "upgrade, http2-settings");
        let request = with_header(request, "upgrade", "h2c");
        with_header(request, "http2-settings", "AAMAAABkAAQAAP__")
    };
    bench.send(upgrading(with_method(pay("k"), "GET"))).await;
    assert_eq!(bench.handler.last().header("upgrade"), Some("h2c"));
    assert_eq!(bench.counting.round_trips(), 0);

    bench
        .send(upgrading(pay("k")))
        .await
        .is_executed("payment 2");
    for name in ["upgrade", "http2-settings"] {
        assert_eq!(bench.handler.last().header(name), None, "{name}");
    }
    bench.send(upgrading(unkeyed())).await;
    assert_eq!(bench.handler.last().header("upgrade"), None);
}

/// M-08: PUT and DELETE take keys where they are listed; elsewhere the caller learns that its key meant nothing.
#[tokio::test(start_paused = true)]
async fn put_and_delete_take_keys_only_where_they_are_listed() {
    let bench = Bench::new(Handler::paying()).await;
    for (number, method) in ["PUT", "DELETE"].into_iter().enumerate() {
        let answer = bench.send(with_method(pay("k"), method)).await;
        assert_eq!(answer.text(), format!("payment {}", number + 1));
        assert_eq!(answer.became(), "ignored");
        assert_eq!(answer.header("idempotency-key"), Some("k"));
    }
    let unkeyed = bench.send(with_method(unkeyed(), "PUT")).await;
    assert_eq!(unkeyed.header("idempotency-status"), None);
    assert_eq!(bench.counting.round_trips(), 0);

    let policy = Policy {
        methods: vec![Method::PUT],
        ..Policy::default()
    };
    let opted_in = bench.beside(policy).await;
    let put = || with_method(pay("k"), "PUT");
    opted_in.send(put()).await.is_executed("payment 4");
    opted_in.send(put()).await.is_replayed("payment 4");
}

/// M-08: gRPC is ignored for now, even where a key is required.
#[tokio::test(start_paused = true)]
async fn grpc_is_ignored() {
    let bench = Bench::under(required(), Handler::paying()).await;
    for content_type in [
        "application/grpc",
        "application/grpc+proto",
        "Application/GRPC-Web",
    ] {
        let mut request = pay("k");
        let value = content_type.parse().unwrap();
        request.headers_mut().insert("content-type", value);
        assert_eq!(bench.send(request).await.became(), "ignored");
    }
    assert_eq!(bench.handler.calls(), 3);
    assert_eq!(bench.counting.round_trips(), 0);
}

/// M-08: where keys are ignored a key changes nothing, well-formed or not.
#[tokio::test(start_paused = true)]
async fn a_route_that_ignores_keys_runs_every_request() {
    let policy = Policy {
        key: KeyUse::Ignored,
        ..Policy::default()
    };
    let bench = Bench::under(policy, Handler::paying()).await;
    for key in ["k", "k", "\"broken"] {
        assert_eq!(bench.send(pay(key)).await.became(), "ignored");
    }
    assert_eq!(bench.handler.calls(), 3);
    assert_eq!(bench.counting.round_trips(), 0);
}

#[derive(Debug)]
struct OnlyPayments(Arc<Policy>);

impl Policies for OnlyPayments {
    fn find(&self, request: &request::Parts) -> Option<Arc<Policy>> {
        let path = oncegate_tower::path::normal_path(request.uri.path()).path;
        (path == "/payments").then(|| Arc::clone(&self.0))
    }
}

/// M-07: a layer with several policies asks for each request, and lets pass what has none.
#[tokio::test(start_paused = true)]
async fn each_request_has_the_policy_of_its_route() {
    let mut bench = Bench::new(Handler::paying()).await;
    let policies = Arc::new(OnlyPayments(Arc::new(required())));
    bench.service = bench
        .oncegate
        .layer_with(policies)
        .layer(bench.handler.clone());
    bench.send(unkeyed()).await.is_refused(400, "key-missing");
    let dodging = at(pay("k"), "/x/%2e%2e/payments");
    bench.send(dodging).await.is_refused(400, "path-ambiguous");
    let elsewhere = bench.send(at(pay("k"), "/other")).await;
    assert_eq!(elsewhere.header("idempotency-status"), None);
    assert_eq!(bench.handler.calls(), 1);
}

/// M-43: the layer serves the page that each problem links to, as Markdown and as HTML.
#[tokio::test(start_paused = true)]
async fn every_problem_links_to_a_page_that_the_layer_serves() {
    let bench = Bench::under(required(), Handler::with_status(404)).await;
    let refusal = bench.send(unkeyed()).await;
    let link = refusal.json()["type"].as_str().unwrap().to_owned();

    let get = |accept| {
        let request = Request::get(&link).header("accept", accept);
        request.body(Body::empty()).unwrap()
    };
    let markdown = bench.send(get("*/*")).await;
    assert_eq!(markdown.status(), 200);
    assert!(markdown.text().starts_with("# This operation requires"));
    let html = bench.send(get("text/html")).await;
    assert!(
        html.header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    assert!(html.text().contains("<h1>This operation requires"));

    let missing = at(get("*/*"), &format!("{link}-not"));
    assert_eq!(bench.send(missing).await.status(), 404);
    assert_eq!(bench.handler.calls(), 1);
}
