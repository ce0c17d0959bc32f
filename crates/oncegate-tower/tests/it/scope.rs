//! Whose key it is: principals never meet, and nobody is served without proof where proof was given.

use oncegate::Policy;
use oncegate::scope::{Anonymous, ScopeRules};

use crate::handler::Handler;
use crate::harness::{Bench, pay, with_body, with_header};

fn bearer(token: &str) -> http::Request<oncegate_tower::Body> {
    with_header(pay("k"), "authorization", &format!("Bearer {token}"))
}

fn scoped(sources: &[&str]) -> Policy {
    Policy {
        scope: ScopeRules {
            sources: sources
                .iter()
                .map(|source| source.parse().unwrap())
                .collect(),
            ..ScopeRules::default()
        },
        ..Policy::default()
    }
}

/// M-33: two principals with one key never meet, and neither meets those without a credential.
#[tokio::test(start_paused = true)]
async fn two_principals_with_one_key_never_meet() {
    let bench = Bench::new(Handler::paying()).await;
    bench.send(bearer("alice")).await.is_executed("payment 1");
    bench.send(bearer("bob")).await.is_executed("payment 2");
    bench.send(pay("k")).await.is_executed("payment 3");
    bench.send(bearer("alice")).await.is_replayed("payment 1");
    bench.send(bearer("bob")).await.is_replayed("payment 2");
    bench.send(pay("k")).await.is_replayed("payment 3");
}

/// M-33: `header:authorization` is the exact credential: a refreshed token is a new scope.
#[tokio::test(start_paused = true)]
async fn a_refreshed_token_is_a_new_scope() {
    let bench = Bench::new(Handler::paying()).await;
    bench
        .send(bearer("alice.v1"))
        .await
        .is_executed("payment 1");
    bench
        .send(bearer("alice.v2"))
        .await
        .is_executed("payment 2");
}

/// M-33: a credential that changes with every request is refused, before the store is asked.
#[tokio::test(start_paused = true)]
async fn a_scheme_that_changes_with_every_request_is_refused() {
    let bench = Bench::new(Handler::paying()).await;
    for scheme in [
        "AWS4-HMAC-SHA256",
        "Digest",
        "OAuth",
        "DPoP",
        "Signature",
        "negotiate",
    ] {
        let value = format!("{scheme} abc=1");
        let answer = bench
            .send(with_header(pay("k"), "authorization", &value))
            .await;
        answer.is_refused(401, "scope-missing");
        assert!(answer.header("www-authenticate").is_some());
    }
    assert_eq!(
        (bench.handler.calls(), bench.counting.round_trips()),
        (0, 0)
    );
}

/// M-34: a credential that the scope does not cover is refused, by name, and so is the setting.
#[tokio::test(start_paused = true)]
async fn a_credential_that_the_scope_does_not_cover_is_refused_by_name() {
    let bench = Bench::new(Handler::paying()).await;
    for name in ["cookie", "x-api-key", "api-key"] {
        for request in [pay("k"), bearer("alice")] {
            let answer = bench.send(with_header(request, name, "a=secret")).await;
            answer.is_refused(401, "scope-missing");
            let document = answer.json();
            let detail = document["detail"].as_str().unwrap();
            assert!(
                detail.contains(name) && detail.contains("scope"),
                "{detail}"
            );
            assert!(!answer.text().contains("secret"));
        }
    }
    assert_eq!(
        (bench.handler.calls(), bench.counting.round_trips()),
        (0, 0)
    );
    // Without a key nobody needs to know whose it is.
    let unkeyed = with_header(crate::harness::unkeyed(), "cookie", "a=b");
    assert_eq!(bench.send(unkeyed).await.text(), "payment 1");
}

/// M-34: with `anonymous = "refuse"` a request without any credential has no key.
#[tokio::test(start_paused = true)]
async fn anonymous_requests_can_be_refused() {
    let policy = Policy {
        scope: ScopeRules {
            anonymous: Anonymous::Refuse,
            ..ScopeRules::default()
        },
        ..Policy::default()
    };
    let bench = Bench::under(policy, Handler::paying()).await;
    let answer = bench.send(pay("k")).await;
    answer.is_refused(401, "scope-missing");
    assert_eq!(answer.header("idempotency-key"), Some("k"));
    let empty = with_header(pay("k"), "authorization", "");
    bench.send(empty).await.is_refused(401, "scope-missing");
    bench.send(bearer("alice")).await.is_executed("payment 1");
}

/// M-35: all sources that are listed are joined: whoever differs in one is somebody else.
#[tokio::test(start_paused = true)]
async fn all_sources_are_joined() {
    let bench = Bench::under(
        scoped(&["header:authorization", "cookie:session"]),
        Handler::paying(),
    )
    .await;
    let as_both = |token, session: &str| {
        with_header(
            bearer(token),
            "cookie",
            &format!("theme=dark; session={session}"),
        )
    };
    bench
        .send(as_both("alice", "1"))
        .await
        .is_executed("payment 1");
    bench
        .send(as_both("alice", "2"))
        .await
        .is_executed("payment 2");
    bench
        .send(as_both("bob", "1"))
        .await
        .is_executed("payment 3");
    bench.send(bearer("alice")).await.is_executed("payment 4");
    // Other cookies are no part of it.
    let themed = with_header(bearer("alice"), "cookie", "session=1; theme=light");
    bench.send(themed).await.is_replayed("payment 1");
}

/// M-33: HTTP/2 sends cookies in crumbs and HTTP/1 in one line: both are the same principal, and the handler sees one
/// line. A retry over the other protocol was somebody else, and executed.
#[tokio::test(start_paused = true)]
async fn cookies_in_crumbs_and_in_one_line_are_the_same_principal() {
    let bench = Bench::under(scoped(&["header:cookie"]), Handler::paying()).await;
    let cookies = |lines: &[&str]| {
        let with = |request, line: &&str| with_header(request, "cookie", line);
        lines.iter().fold(pay("k"), with)
    };
    let crumbs = bench.send(cookies(&["a=1", "b=2", "c=3"])).await;
    crumbs.is_executed("payment 1");
    let seen = bench.handler.last();
    let lines: Vec<_> = seen.parts.headers.get_all("cookie").iter().collect();
    assert_eq!(lines, ["a=1; b=2; c=3"]);
    for same in [&["a=1; b=2; c=3"][..], &["a=1; b=2", "c=3"]] {
        bench.send(cookies(same)).await.is_replayed("payment 1");
    }
    let other = bench.send(cookies(&["a=1", "b=2"])).await;
    other.is_executed("payment 2");
}

/// M-35: values of one source never pass for values of another, or for more values of the same.
#[tokio::test(start_paused = true)]
async fn sources_are_told_apart_by_name_and_length() {
    let bench = Bench::under(
        scoped(&["header:x-api-key", "header:api-key"]),
        Handler::paying(),
    )
    .await;
    let with = |pairs: &[(&str, &str)]| {
        pairs.iter().fold(pay("k"), |request, (name, value)| {
            with_header(request, name, value)
        })
    };
    let principals = [
        with(&[("x-api-key", "ab")]),
        with(&[("api-key", "ab")]),
        with(&[("x-api-key", "a"), ("x-api-key", "b")]),
        with(&[("x-api-key", "a"), ("api-key", "b")]),
        with(&[("x-api-key", "b"), ("api-key", "a")]),
    ];
    for (number, principal) in principals.into_iter().enumerate() {
        let answer = bench.send(principal).await;
        answer.is_executed(&format!("payment {}", number + 1));
    }
}

/// M-36: refusals reveal nothing of another scope: what would be a mismatch, in flight or expired for its owner is a
/// first request for anybody else.
#[tokio::test(start_paused = true)]
async fn refusals_reveal_nothing_of_another_scope() {
    let (handler, gate) = Handler::gated();
    let bench = Bench::new(handler).await;
    let alice = bench.start(bearer("alice"));
    gate.entered().await;
    let bob = bench.start(with_body(bearer("bob"), "{}"));
    gate.entered().await;
    gate.open();
    gate.open();
    alice.await.unwrap().is_executed("payment 1");
    bob.await.unwrap().is_executed("payment 2");

    bench.clock.advance(bench.policy.retention);
    bench
        .send(bearer("alice"))
        .await
        .is_refused(410, "key-expired");
    let carol = bench.start(bearer("carol"));
    gate.entered().await;
    gate.open();
    carol.await.unwrap().is_executed("payment 3");
}

/// M-36: a replay is served without asking the upstream.
#[tokio::test(start_paused = true)]
async fn a_replay_does_not_ask_the_upstream() {
    let handler = Handler::answering(|call| {
        let status = if call.number == 1 { 201 } else { 401 };
        crate::handler::respond(status, "answer")
    });
    let bench = Bench::new(handler).await;
    bench.send(bearer("alice")).await.is_executed("answer");
    bench.send(bearer("alice")).await.is_replayed("answer");
    assert_eq!(bench.handler.calls(), 1);
}
