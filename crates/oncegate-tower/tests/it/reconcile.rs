//! Unknown outcomes: executed again if the policy says so, or asked for at the upstream.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderValue, Method, Request};
use oncegate::Policy;
use oncegate::policy::{OnUnknown, Reconcile};
use oncegate::record::Phase;
use oncegate_tower::{Body, Failure};
use tokio::time::Instant;

use crate::handler::{Call, Handler, HandlerError, Reply, respond};
use crate::harness::{Answer, Bench, code, pay, seconds, settle, with_header};

fn reconciling(get: &str) -> Policy {
    Policy {
        on_unknown: OnUnknown::Reconcile(Reconcile {
            get: get.to_owned(),
            status: code(201),
        }),
        ..Policy::default()
    }
}

/// A handler whose POSTs answer 504 at first and `executed N` after that; GETs are answered by `look`.
fn asked(look: impl Fn(&Call) -> Reply + Clone + Send + Sync + 'static) -> Handler {
    Handler::new(move |call| {
        let answer = if call.parts.method == Method::GET {
            look(&call)
        } else if call.number == 1 {
            Ok(respond(504, "no answer"))
        } else {
            Ok(respond(201, format!("executed {}", call.number)))
        };
        async move { answer }
    })
}

fn with_credential(key: &str) -> Request<Body> {
    with_header(pay(key), "authorization", "Bearer alice")
}

/// The first request, whose outcome is unknown, and its retry.
async fn retried(bench: &Bench, key: &str) -> Answer {
    let first = bench.send(with_credential(key)).await;
    assert_eq!((first.status(), first.became()), (504, "unknown"));
    bench.send(with_credential(key)).await
}

/// M-28: by default an unknown outcome is refused until somebody settles it.
#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_refused_by_default() {
    let bench = Bench::new(Handler::with_status(504)).await;
    bench.send(pay("k")).await;
    for _ in 0..3 {
        let answer = bench.send(pay("k")).await;
        answer.is_refused(409, "outcome-unknown");
        assert!(answer.parameter("fence").is_some());
    }
    assert_eq!(bench.handler.calls(), 1);
}

/// M-28: with `on_unknown = "reexecute"` it is executed again, under a higher fence.
#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_executed_again_if_the_policy_says_so() {
    let policy = Policy {
        on_unknown: OnUnknown::Reexecute,
        ..Policy::default()
    };
    let handler = asked(|_| panic!("nobody asks"));
    let bench = Bench::under(policy, handler).await;
    let first = bench.send(pay("k")).await;
    let second = bench.send(pay("k")).await;
    second.is_executed("executed 2");
    assert!(second.parameter("fence") > first.parameter("fence"));
    bench.send(pay("k")).await.is_replayed("executed 2");
}

/// M-28: what the upstream says about an unknown outcome is the outcome. It is asked with the caller's credentials
/// and the key, and sees nothing else of the request.
#[tokio::test(start_paused = true)]
async fn an_outcome_that_the_upstream_finds_is_the_outcome() {
    let handler = asked(|call| {
        assert_eq!(call.parts.uri, "/payments/by-key/a%2Fb%20%22c%22");
        assert_eq!(call.header("authorization"), Some("Bearer alice"));
        assert!(call.body.is_empty());
        for name in ["idempotency-key", "idempotency-fence", "content-type"] {
            assert_eq!(call.header(name), None);
        }
        Ok(respond(200, "found"))
    });
    let policy = reconciling("/payments/by-key/{key}");
    let bench = Bench::under(policy, handler).await;
    let key = r#""a/b \"c\"""#;
    let retry = retried(&bench, key).await;
    assert_eq!((retry.status(), retry.text()), (201, "found"));
    let replay = bench.send(with_credential(key)).await;
    replay.is_replayed("found");
    assert_eq!(replay.status(), 201);
    assert_eq!(bench.handler.calls(), 2);
}

/// M-28: what the upstream does not find twice, a pause between, was not executed, and is executed now.
#[tokio::test(start_paused = true)]
async fn an_outcome_that_the_upstream_does_not_find_twice_is_executed() {
    let handler = asked(|_| Ok(respond(404, "")));
    let bench = Bench::under(reconciling("/payments/by-key/{key}"), handler).await;
    let begun = Instant::now();
    let retry = retried(&bench, "k").await;
    retry.is_executed("executed 4");
    assert!(begun.elapsed() >= seconds(1));
    let replay = bench.send(with_credential("k")).await;
    replay.is_replayed("executed 4");
    assert_eq!(bench.handler.calls(), 4);
}

/// M-28: an execution that was just ending is found at the second look.
#[tokio::test(start_paused = true)]
async fn an_outcome_that_appears_between_two_looks_is_the_outcome() {
    let handler = asked(|call| Ok(respond(if call.number == 2 { 404 } else { 200 }, "found")));
    let bench = Bench::under(reconciling("/payments/by-key/{key}"), handler).await;
    let retry = retried(&bench, "k").await;
    assert_eq!((retry.status(), retry.text()), (201, "found"));
    assert_eq!(bench.handler.calls(), 3);
}

/// M-28: anything else that the upstream answers leaves the outcome unknown, and executes nothing.
#[tokio::test(start_paused = true)]
async fn an_upstream_that_cannot_say_leaves_the_outcome_unknown() {
    type Look = fn(&Call) -> Reply;
    let looks: [Look; 8] = [
        |_| Ok(respond(500, "")),
        |_| Ok(respond(403, "")),
        |_| Ok(respond(302, "")),
        |_| Err(HandlerError("no database")),
        |_| panic!("the look panics"),
        |_| {
            let mut placeholder = respond(200, "");
            placeholder.extensions_mut().insert(Failure::NotSent);
            Ok(placeholder)
        },
        |_| Ok(respond(200, "x".repeat(2_000))),
        |_| {
            Ok(http::Response::new(crate::handler::frames(vec![Err(
                "cut".into(),
            )])))
        },
    ];
    for (number, look) in looks.into_iter().enumerate() {
        let policy = Policy {
            response_bytes_max: 1_000,
            ..reconciling("/payments/by-key/{key}")
        };
        let bench = Bench::under(policy, asked(look)).await;
        let retry = retried(&bench, "k").await;
        assert_eq!(retry.slug(), "outcome-unknown", "look {number}");
        assert_eq!(retry.became(), "refused");
        assert_eq!(bench.handler.calls(), 2, "look {number}");
        // It stays so, and can be asked for again.
        let again = bench.send(with_credential("k")).await;
        again.is_refused(409, "outcome-unknown");
    }
}

/// M-28: a question that cannot be put leaves the outcome unknown: to execute would be a guess.
#[tokio::test(start_paused = true)]
async fn a_question_that_cannot_be_put_executes_nothing() {
    for rule in ["/by key/{key}", "not a path"] {
        let handler = asked(|_| Ok(respond(404, "")));
        let bench = Bench::under(reconciling(rule), handler).await;
        let retry = retried(&bench, "k").await;
        assert_eq!(retry.slug(), "outcome-unknown", "{rule}");
        assert_eq!(bench.handler.calls(), 1, "{rule}");
    }
}

/// M-28: keys that lead elsewhere as a path segment are never asked about. `/payments/by-key/..` was asked for, and
/// what it answered, the list of all payments, was replayed as the outcome.
#[tokio::test(start_paused = true)]
async fn a_key_that_leads_elsewhere_is_never_asked_about() {
    for key in [".", "..", "\"..\""] {
        let handler = asked(|_| Ok(respond(200, "the list of all payments")));
        let bench = Bench::under(reconciling("/payments/by-key/{key}"), handler).await;
        let retry = retried(&bench, key).await;
        retry.is_refused(409, "outcome-unknown");
        let again = bench.send(with_credential(key)).await;
        again.is_refused(409, "outcome-unknown");
        assert_eq!(bench.handler.calls(), 1, "{key}");
    }
    // These are names like any other.
    for key in ["...", ".a", "a.."] {
        let handler = asked(|_| Ok(respond(200, "found")));
        let bench = Bench::under(reconciling("/payments/by-key/{key}"), handler).await;
        assert_eq!(retried(&bench, key).await.text(), "found", "{key}");
    }
}

/// M-28: an execution under a claim that was taken over does not free the key: the first one is as unknown as before.
/// A "not now" released it, and the next retry executed without asking what became of the first.
#[tokio::test(start_paused = true)]
async fn a_transient_answer_after_a_take_over_leaves_the_key_unknown() {
    for status in [423, 429, 500] {
        let gets = Arc::new(AtomicUsize::new(0));
        let asked = gets.clone();
        let handler = Handler::answering(move |call| {
            if call.parts.method == Method::GET {
                let seen = asked.fetch_add(1, Ordering::SeqCst);
                return respond(if seen < 2 { 404 } else { 200 }, "found");
            }
            respond(if call.number == 1 { 504 } else { status }, "not now")
        });
        let bench = Bench::under(reconciling("/payments/by-key/{key}"), handler).await;
        bench.send(pay("k")).await;
        let second = bench.send(pay("k")).await;
        assert_eq!((second.status(), second.became()), (status, "unknown"));
        assert_eq!(bench.phase("k").await, Some(Phase::Unknown), "{status}");
        assert_eq!((bench.handler.calls(), gets.load(Ordering::SeqCst)), (4, 2));

        // The next retry asks again, and finds what the first one did after all.
        let third = bench.send(pay("k")).await;
        assert_eq!((third.status(), third.text()), (201, "found"));
        assert_eq!((bench.handler.calls(), gets.load(Ordering::SeqCst)), (5, 3));
    }
}

/// M-28: the same where an unknown outcome is executed again, for an answer that is held and for one that is passed
/// on while it comes.
#[tokio::test(start_paused = true)]
async fn a_transient_answer_to_a_reexecution_leaves_the_key_unknown() {
    for (status, content_type, body) in [
        (423, "text/plain", "held"),
        (429, "text/plain", "held"),
        (500, "text/plain", "held"),
        (429, "text/plain", "longer than may be held"),
        (500, "text/event-stream", "data: 1"),
    ] {
        let handler = Handler::answering(move |call| {
            let mut answer = respond(if call.number == 1 { 504 } else { status }, body);
            let content_type = HeaderValue::from_static(content_type);
            answer.headers_mut().insert("content-type", content_type);
            answer
        });
        let policy = Policy {
            on_unknown: OnUnknown::Reexecute,
            response_bytes_max: 10,
            ..Policy::default()
        };
        let bench = Bench::under(policy, handler).await;
        bench.send(pay("k")).await;
        let second = bench.send(pay("k")).await;
        assert_eq!((second.status(), second.became()), (status, "unknown"));
        assert_eq!((second.text(), second.finished), (body, true));
        assert_eq!(
            bench.phase("k").await,
            Some(Phase::Unknown),
            "{status} {body}"
        );
        assert!(second.parameter("fence").is_some());
        assert_eq!(bench.handler.calls(), 2);
    }
}

/// M-10: while one asks, nobody else asks or executes.
#[tokio::test(start_paused = true)]
async fn one_asks_while_the_others_are_told_that_it_is_in_flight() {
    let handler = asked(|_| Ok(respond(404, "")));
    let bench = Bench::under(reconciling("/payments/by-key/{key}"), handler).await;
    bench.send(pay("k")).await;
    let asking = bench.start(pay("k"));
    settle().await;
    assert_eq!(bench.phase("k").await, Some(Phase::InFlight));
    bench.send(pay("k")).await.is_refused(409, "in-flight");
    asking.await.unwrap().is_executed("executed 4");
}

/// M-28: if the second execution reaches nobody, the first one's outcome is as unknown as before.
#[tokio::test(start_paused = true)]
async fn a_second_execution_that_was_not_sent_leaves_the_first_unknown() {
    let handler = Handler::answering(|call| {
        let mut response = respond(504, "no answer");
        if call.number > 1 {
            response.extensions_mut().insert(Failure::NotSent);
        }
        response
    });
    let policy = Policy {
        on_unknown: OnUnknown::Reexecute,
        ..Policy::default()
    };
    let bench = Bench::under(policy, handler).await;
    bench.send(pay("k")).await;
    bench
        .send(pay("k"))
        .await
        .is_refused(502, "upstream-unreachable");
    assert_eq!(bench.phase("k").await, Some(Phase::Unknown));
}
