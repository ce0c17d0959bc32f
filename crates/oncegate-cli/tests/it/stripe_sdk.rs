//! Stripe's own client libraries, Python and Node, before `--profile stripe`: what their users rely on with Stripe
//! they can rely on here.
//!
//! What counts is the customers that a stand-in for Stripe lists, which knows nothing of keys, and the origin's book.

use crate::foreign::customers;
use crate::harness::{Act, Called, Cut, Gate, Library, Proxy, Python, Relay, Stage, poll_until};

/// The stand-in keeps no keys, and the wire is cut: that the tests below find one customer is our doing.
#[tokio::test]
async fn without_a_proxy_the_libraries_own_retry_creates_a_second_customer() {
    let _stage = Stage::new().await;
    let stripe = Python::ready().await.localstripe().await;
    let relay = Relay::before(stripe.address()).await;
    for library in Library::all().await {
        let name = library.name();
        relay.cut([Cut::BeforeAnswer]);
        library.create(relay.address(), 2, &[(name, name)]).await[0].object();
        assert_eq!(relay.left(), 0, "{name}");
        assert_eq!(customers(stripe.address(), name).await.len(), 2, "{name}");
    }
}

/// M-10, M-11: and the same answer is marked.
#[tokio::test]
async fn equal_keys_give_stripes_libraries_equal_objects_and_one_customer() {
    let stage = Stage::new().await;
    let stripe = Python::ready().await.localstripe().await;
    let proxy = proxy(&stage, &format!("http://{}", stripe.address())).await;
    for library in Library::all().await {
        let name = library.name();
        let called = library
            .create(proxy.listen, 0, &[(name, name), (name, name), (name, name)])
            .await;
        for again in &called[1..] {
            assert_eq!(again.object(), called[0].object(), "{name}");
        }
        let marks: Vec<bool> = called.iter().map(|it| it.replayed).collect();
        assert_eq!(marks, [false, true, true], "{name}");
        let listed = customers(stripe.address(), name).await;
        assert_eq!(listed.len(), 1, "{name}: {listed:?}");
        assert_eq!(listed[0]["id"], called[0].object()["id"], "{name}");
    }
}

/// M-17: 400, and not the 422 of the other profiles: Stripe's libraries know the error by that.
#[tokio::test]
async fn another_body_under_a_key_raises_the_libraries_own_idempotency_error() {
    let stage = Stage::new().await;
    let stripe = Python::ready().await.localstripe().await;
    let proxy = proxy(&stage, &format!("http://{}", stripe.address())).await;
    for library in Library::all().await {
        let name = library.name();
        let other = format!("{name}-other");
        let called = library
            .create(proxy.listen, 2, &[(name, name), (name, &other)])
            .await;
        called[0].object();
        called[1].must_raise("IdempotencyError", 400, Some("mismatch"));
        must_advise(&called[1], "no", "new-key");
        assert_eq!(customers(stripe.address(), &other).await.len(), 0, "{name}");
        assert_eq!(customers(stripe.address(), name).await.len(), 1, "{name}");
    }
}

/// M-14: the answer is lost, or twice. The program sees one call that succeeds.
#[tokio::test]
async fn the_libraries_own_retries_through_a_cut_connection_create_one_customer() {
    let stage = Stage::new().await;
    let stripe = Python::ready().await.localstripe().await;
    let proxy = proxy(&stage, &format!("http://{}", stripe.address())).await;
    let relay = Relay::before(proxy.listen).await;
    let table: [(&str, &[Cut]); 2] = [
        ("lost", &[Cut::BeforeAnswer]),
        ("unlucky", &[Cut::BeforeAnswer, Cut::BeforeAnswer]),
    ];
    for library in Library::all().await {
        for (what, cuts) in table {
            let key = format!("{}-{what}", library.name());
            relay.cut(cuts.iter().copied());
            let called = &library.create(relay.address(), 3, &[(&key, &key)]).await[0];
            assert_eq!(relay.left(), 0, "{key}: every cut was made");
            assert!(called.replayed, "{key}: {called:?}");
            let listed = customers(stripe.address(), &key).await;
            assert_eq!(listed.len(), 1, "{key}: {listed:?}");
            assert_eq!(listed[0]["id"], called.object()["id"], "{key}");
        }
    }
}

/// Neither library tries again by itself when an answer breaks off after its head: Python's raises its connection
/// error, Node's says that this is no JSON.
/// The program that then repeats its call with its key gets the answer that was lost.
#[tokio::test]
async fn a_call_that_is_repeated_after_half_an_answer_creates_one_customer() {
    let stage = Stage::new().await;
    let stripe = Python::ready().await.localstripe().await;
    let proxy = proxy(&stage, &format!("http://{}", stripe.address())).await;
    let relay = Relay::before(proxy.listen).await;
    for library in Library::all().await {
        let name = library.name();
        relay.cut([Cut::BeforeEnd(40)]);
        let called = library
            .create(relay.address(), 3, &[(name, name), (name, name)])
            .await;
        assert_eq!(relay.left(), 0, "{name}: every cut was made");
        let raised = called[0].error.is_some() && called[0].status.is_none();
        assert!(raised, "{name}: {called:?}");
        assert!(called[1].replayed, "{name}: {called:?}");
        let listed = customers(stripe.address(), name).await;
        assert_eq!(listed.len(), 1, "{name}: {listed:?}");
        assert_eq!(listed[0]["id"], called[1].object()["id"], "{name}");
    }
}

/// M-16: the second call is answered 409 `idempotency_key_in_use` until the first one ends, and asks again by itself.
#[tokio::test]
async fn a_call_that_meets_its_duplicate_in_flight_ends_with_the_same_object() {
    let stage = Stage::new().await;
    let proxy = proxy(&stage, &format!("http://{}", stage.origin.address())).await;
    for library in Library::all().await {
        let name = library.name();
        let gate = Gate::default();
        stage.origin.plan(name, [Act::CreateBehind(gate.clone())]);
        let refused_before = in_flight_refusals(&proxy).await;
        let calls = [(name, name)];
        let first = library.create(proxy.listen, 10, &calls);
        let second = async {
            stage.origin.executed(name).await;
            library.create(proxy.listen, 10, &calls).await
        };
        let opened = async {
            poll_until("a refused duplicate", || async {
                (in_flight_refusals(&proxy).await > refused_before).then_some(())
            })
            .await;
            gate.open();
        };
        let (first, second, ()) = tokio::join!(first, second, opened);
        assert_eq!(second[0].object(), first[0].object(), "{name}");
        assert!(!first[0].replayed && second[0].replayed, "{name}");
        assert_eq!(stage.origin.executions(name), 1, "{name}");
    }
}

/// As Stripe documents it: the outcome is kept "regardless of whether it succeeds or fails", 500 included. The
/// library tries again by itself meanwhile, and that runs nothing either.
#[tokio::test]
async fn a_500_of_the_upstream_is_kept_and_raised_again_without_a_second_execution() {
    let stage = Stage::new().await;
    let proxy = proxy(&stage, &format!("http://{}", stage.origin.address())).await;
    for library in Library::all().await {
        let name = library.name();
        stage.origin.plan(name, [Act::bytes(FAILED)]);
        let called = library
            .create(proxy.listen, 1, &[(name, name), (name, name)])
            .await;
        for it in &called {
            it.must_raise("APIError", 500, Some("lock_broke"));
            assert!(it.replayed, "{name}: {it:?}");
        }
        assert_eq!(stage.origin.executions(name), 1, "{name}");
    }
}

/// Refusals of ours are errors of the library's own kinds, and say in their body what our own clients go by.
#[tokio::test]
async fn every_refusal_raises_one_of_the_libraries_own_errors() {
    let stage = Stage::new().await;
    let proxy = proxy(&stage, &format!("http://{}", stage.origin.address())).await;
    for library in Library::all().await {
        let name = library.name();
        let long = "k".repeat(256);
        // The connection breaks after the request was read: it may have run.
        stage.origin.plan(name, [Act::Cut]);
        let called = library
            .create(
                proxy.listen,
                0,
                &[(&long, name), (name, name), (name, name)],
            )
            .await;
        called[0].must_raise("InvalidRequestError", 400, Some("key_invalid"));
        must_advise(&called[0], "no", "fix-request");
        called[1].must_raise("APIError", 502, Some("upstream_outcome_unknown"));
        must_advise(&called[1], "maybe", "same-key");
        called[2].must_raise("APIError", 409, Some("outcome_unknown"));
        must_advise(&called[2], "maybe", "same-key");
        assert_eq!(stage.origin.executions(name), 1, "{name}");
    }
}

async fn proxy(stage: &Stage, upstream: &str) -> Proxy {
    let setup = stage.proxy_before(upstream);
    setup.flag("--profile", "stripe").start().await
}

#[track_caller]
fn must_advise(called: &Called, executed: &str, next: &str) {
    assert_eq!(called.executed.as_deref(), Some(executed), "{called:?}");
    assert_eq!(called.next.as_deref(), Some(next), "{called:?}");
}

/// How often a duplicate in flight was refused so far, as the proxy counts it.
async fn in_flight_refusals(proxy: &Proxy) -> u64 {
    let metrics = proxy.ask("/metrics").await.text();
    let line = metrics.lines().find_map(|line| {
        line.strip_prefix("oncegate_requests_total{status=\"refused\",problem=\"in-flight\"} ")
    });
    line.map_or(0, |count| count.parse().unwrap())
}

const FAILED: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n\
    Content-Length: 75\r\nConnection: close\r\n\r\n\
    {\"error\":{\"type\":\"api_error\",\"code\":\"lock_broke\",\"message\":\"it broke off\"}}";
