//! Which outcomes are kept, which free the key, and which leave it unknown.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderValue, Response};
use http_body::Frame;
use oncegate::policy::OnServerError;
use oncegate::record::Phase;
use oncegate::{Dialect, Policy, ProblemKind};
use oncegate_tower::{Became, Body, Failure, Keyed, Observer, Settings};
use parking_lot::Mutex;
use tower_layer::Layer;
use tower_service::Service;

use crate::handler::{Handler, frames, respond};
use crate::harness::{Answer, Bench, Setup, code, pay, seconds, with_body};

/// What became of a key after one request, as its retry shows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Left {
    Kept,
    Free,
    Unknown,
}

async fn left(bench: &Bench, key: &str) -> Left {
    match bench.phase(key).await {
        Some(Phase::Completed) => Left::Kept,
        None => Left::Free,
        Some(Phase::Unknown) => Left::Unknown,
        Some(phase @ (Phase::InFlight | Phase::Expired)) => panic!("{phase:?}"),
    }
}

/// One request, answered by `answer`; what it says of itself must agree with what became of the key.
async fn after(policy: Policy, answer: Response<Body>) -> (Answer, Left) {
    let answer = Arc::new(Mutex::new(Some(answer)));
    let taking = move |_: &_| answer.lock().take().expect("executed once");
    let bench = Bench::under(policy, Handler::answering(taking)).await;
    let answer = bench.send(pay("k")).await;
    let left = left(&bench, "k").await;
    let says = match left {
        Left::Kept => "executed",
        Left::Free => "released",
        Left::Unknown => "unknown",
    };
    assert_eq!(answer.became(), says);
    (answer, left)
}

#[track_caller]
fn check(statuses: impl IntoIterator<Item = u16>, policy: &Policy, expected: Left) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        for status in statuses {
            let (answer, left) = after(policy.clone(), respond(status, "body")).await;
            // Whatever becomes of the key: the caller sees the answer as it is.
            assert_eq!((answer.status(), answer.text()), (status, "body"));
            assert_eq!(left, expected, "{status}");
        }
    });
}

/// M-28: definitive answers are kept.
#[test]
fn definitive_answers_are_kept() {
    let kept = [200, 201, 202, 204, 206, 300, 301, 302, 303];
    check(kept, &Policy::default(), Left::Kept);
    let refused = [
        400, 402, 404, 405, 409, 410, 411, 412, 413, 415, 418, 422, 451,
    ];
    check(refused, &Policy::default(), Left::Kept);
}

/// M-28: redirects that ask for the same request elsewhere, refused credentials and "not now" free the key.
#[test]
fn answers_of_requests_that_did_not_run_free_the_key() {
    let released = [307, 308, 401, 403, 407, 408, 421, 423, 425, 429];
    check(released, &Policy::default(), Left::Free);
}

/// M-28: a server error frees the key, but for 504, whose meaning is: sent, no answer.
#[test]
fn server_errors_free_the_key_and_504_is_unknown() {
    check(
        [500, 501, 502, 503, 507, 599],
        &Policy::default(),
        Left::Free,
    );
    check([504], &Policy::default(), Left::Unknown);
}

/// M-28: settings move server errors and named statuses.
#[test]
fn settings_move_server_errors_and_named_statuses() {
    let keep = Policy {
        on_server_error: OnServerError::Keep,
        ..Policy::default()
    };
    check([500, 503], &keep, Left::Kept);
    let unknown = Policy {
        on_server_error: OnServerError::Unknown,
        ..Policy::default()
    };
    check([500, 503], &unknown, Left::Unknown);
    let named = Policy {
        transient_statuses: vec![code(409)],
        unknown_statuses: vec![code(500), code(502)],
        ..Policy::default()
    };
    check([409], &named, Left::Free);
    check([500, 502], &named, Left::Unknown);
    check([504], &named, Left::Free);
}

/// M-28: a key that was freed executes again; one that is kept or unknown does not.
#[tokio::test(start_paused = true)]
async fn only_a_key_that_is_free_executes_again() {
    let released = Bench::new(Handler::with_status(503)).await;
    for number in 1..=3 {
        let answer = released.send(pay("k")).await;
        assert_eq!(answer.text(), format!("answer {number}"));
        assert!(answer.parameter("fence").is_some());
    }
    let unknown = Bench::new(Handler::with_status(504)).await;
    assert_eq!(unknown.send(pay("k")).await.status(), 504);
    for _ in 0..2 {
        unknown
            .send(pay("k"))
            .await
            .is_refused(409, "outcome-unknown");
    }
    assert_eq!(unknown.handler.calls(), 1);
}

fn with(status: u16, lines: &[(&'static str, &str)]) -> Response<Body> {
    let mut response = respond(status, "body");
    for (name, value) in lines {
        let value = HeaderValue::try_from(*value).unwrap();
        response.headers_mut().append(*name, value);
    }
    response
}

/// M-28: the upstream's own word overrules the status, both ways, and stays between it and us.
#[tokio::test(start_paused = true)]
async fn the_upstreams_word_overrules_the_status() {
    for (status, word, expected) in [
        (503, "final", Left::Kept),
        (504, "final", Left::Kept),
        (200, "transient", Left::Free),
        (504, "transient", Left::Free),
        (200, "unknown", Left::Unknown),
        (422, "unknown", Left::Unknown),
        (200, "Final", Left::Kept),
        (503, "FINAL", Left::Free),
        (503, "nonsense", Left::Free),
    ] {
        let declared = with(status, &[("idempotency-outcome", word)]);
        let (answer, left) = after(Policy::default(), declared).await;
        assert_eq!(left, expected, "{status} {word}");
        assert_eq!(answer.header("idempotency-outcome"), None);
    }
}

#[derive(Debug, Default)]
struct Counting {
    answered: Mutex<Vec<(Became, Option<ProblemKind>)>>,
    not_understood: AtomicUsize,
}

impl Observer for Counting {
    fn answered(&self, became: Became, problem: Option<ProblemKind>) {
        self.answered.lock().push((became, problem));
    }

    fn outcome_not_understood(&self) {
        self.not_understood.fetch_add(1, Ordering::SeqCst);
    }
}

/// M-28: a declared outcome that is none of the three words is ignored, and counted.
#[tokio::test(start_paused = true)]
async fn a_word_that_is_not_understood_is_counted_and_every_answer_is_observed() {
    let observer = Arc::new(Counting::default());
    let mut settings = Settings::default();
    settings.observer = observer.clone();
    let setup = Setup {
        settings,
        ..Setup::default()
    };
    let nonsense = |_: &_| with(200, &[("idempotency-outcome", "perhaps")]);
    let bench = setup.bench(Handler::answering(nonsense)).await;
    bench.send(pay("k")).await.is_executed("body");
    bench.send(pay("k")).await.is_replayed("body");
    bench
        .send(with_body(pay("k"), "{}"))
        .await
        .is_refused(422, "mismatch");
    assert_eq!(observer.not_understood.load(Ordering::SeqCst), 1);
    let expected = [
        (Became::Executed, None),
        (Became::Replayed, None),
        (Became::Refused, Some(ProblemKind::Mismatch)),
    ];
    assert_eq!(*observer.answered.lock(), expected);
}

/// M-28: an answer of another Oncegate is read by what it says of itself, not by its status.
#[tokio::test(start_paused = true)]
async fn another_oncegates_answers_are_read_by_their_own_word() {
    for (status, word, slug, expected) in [
        (409, "refused", "in-flight", Left::Free),
        (504, "unknown", "still-running", Left::Free),
        (409, "refused", "outcome-unknown", Left::Unknown),
        (502, "unknown", "upstream-outcome-unknown", Left::Unknown),
        (
            500,
            "unknown;fence=\"1\"",
            "upstream-outcome-unknown",
            Left::Unknown,
        ),
        (422, "refused", "mismatch", Left::Free),
        (503, "refused", "store-unavailable", Left::Free),
        (201, "executed;fence=\"1\"", "", Left::Kept),
        (201, "replayed", "", Left::Kept),
        (201, "unrecorded", "", Left::Kept),
        (404, "released;fence=\"1\"", "", Left::Free),
        // The application's own link is no word of an Oncegate.
        (201, "executed;fence=\"1\"", "in-flight", Left::Kept),
        (404, "executed;fence=\"1\"", "outcome-unknown", Left::Kept),
    ] {
        let link = format!("</.well-known/idempotency/problems/{slug}>; rel=\"describedby\"");
        let answer = with(status, &[("idempotency-status", word), ("link", &link)]);
        let (_, left) = after(Policy::default(), answer).await;
        assert_eq!(left, expected, "{word} {slug}");
    }
}

/// M-28: two layers, one behind the other: what the inner one does not know the outer one does not keep, and what
/// is in flight there is in flight here.
#[tokio::test(start_paused = true)]
async fn two_layers_agree_on_what_is_known() {
    let (handler, gate) = Handler::gated();
    let inner = Bench::new(handler).await;
    let outer = Bench::new(Handler::paying()).await;
    let layered = outer
        .oncegate
        .layer(Policy::default())
        .layer(inner.service.clone());
    let send = move |request| {
        let mut service = layered.clone();
        async move { Answer::read(Service::call(&mut service, request).await.unwrap()).await }
    };
    // Somebody goes round the outer layer, and is in flight in the inner one.
    let around = inner.start(pay("k"));
    gate.entered().await;
    let behind = send(pay("k")).await;
    assert_eq!((behind.status(), behind.became()), (409, "released"));
    assert_eq!(outer.phase("k").await, None);

    gate.open();
    around.await.unwrap().is_executed("payment 1");
    send(pay("k")).await.is_executed("payment 1");
    send(pay("k")).await.is_replayed("payment 1");
    assert_eq!(inner.handler.calls(), 1);
}

/// M-28: an outcome that the inner layer frees the outer one frees too, although it would keep such an answer itself.
/// It kept it, and the key that was free inside was answered from the outer store for a day.
#[tokio::test(start_paused = true)]
async fn what_the_inner_layer_frees_the_outer_one_frees_too() {
    let policy = Policy {
        transient_statuses: vec![code(404)],
        ..Policy::default()
    };
    let handler = Handler::answering(|call| {
        let status = if call.number == 1 { 404 } else { 201 };
        respond(status, format!("payment {}", call.number))
    });
    let inner = Bench::under(policy, handler).await;
    let outer = Bench::new(Handler::paying()).await;
    let mut layered = outer
        .oncegate
        .layer(Policy::default())
        .layer(inner.service.clone());
    let first = Service::call(&mut layered, pay("k")).await.unwrap();
    let first = Answer::read(first).await;
    assert_eq!((first.status(), first.became()), (404, "released"));
    assert_eq!(left(&outer, "k").await, Left::Free);
    let retry = Service::call(&mut layered, pay("k")).await.unwrap();
    Answer::read(retry).await.is_executed("payment 2");
}

fn failing(failure: Failure) -> Handler {
    Handler::answering(move |_| {
        let mut placeholder = respond(200, "never seen");
        placeholder.extensions_mut().insert(failure);
        placeholder
    })
}

/// M-28: nothing was sent: the key is free. Anything else that broke: it may have run.
#[tokio::test(start_paused = true)]
async fn a_failed_exchange_frees_the_key_only_if_nothing_was_sent() {
    let bench = Bench::new(failing(Failure::NotSent)).await;
    let not_sent = bench.send(pay("k")).await;
    not_sent.is_refused(502, "upstream-unreachable");
    assert_eq!(not_sent.became(), "refused");
    assert!(not_sent.retry_after().is_some());
    assert_eq!(left(&bench, "k").await, Left::Free);

    for (failure, status) in [(Failure::Broken, 502), (Failure::TimedOut, 504)] {
        let bench = Bench::new(failing(failure)).await;
        let broken = bench.send(pay("k")).await;
        broken.is_refused(status, "upstream-outcome-unknown");
        assert_eq!(broken.became(), "unknown");
        assert!(broken.parameter("fence").is_some());
        assert_eq!(left(&bench, "k").await, Left::Unknown);
    }
}

/// M-29: no refusal of ours is ever kept: once its reason is gone the same key executes.
#[tokio::test(start_paused = true)]
async fn refusals_are_never_kept() {
    let policy = Policy {
        request_bytes_max: 64,
        ..Policy::default()
    };
    let bench = Bench::under(policy, Handler::paying()).await;
    let large = with_body(pay("k"), "x".repeat(65));
    bench.send(large).await.is_refused(413, "request-too-large");
    let broken = pay("k").map(|_| frames(vec![Err("cut".into())]));
    bench
        .send(broken)
        .await
        .is_refused(400, "request-incomplete");
    let cookie = crate::harness::with_header(pay("k"), "cookie", "a=b");
    bench.send(cookie).await.is_refused(401, "scope-missing");
    bench.faulty.set_down(true);
    bench
        .send(pay("k"))
        .await
        .is_refused(503, "store-unavailable");
    bench.faulty.set_down(false);
    bench.pass_time(seconds(1)).await;
    assert_eq!(bench.phase("k").await, None);
    bench.send(pay("k")).await.is_executed("payment 1");
}

/// M-30: the layer sends a keyed request once, whatever becomes of it, and tells the service behind it to do so too.
#[tokio::test(start_paused = true)]
async fn a_keyed_request_is_sent_once_and_marked_as_such() {
    for failure in [Failure::NotSent, Failure::Broken, Failure::TimedOut] {
        let bench = Bench::new(failing(failure)).await;
        bench.send(pay("k")).await;
        assert_eq!(bench.handler.calls(), 1);
        let keyed = bench
            .handler
            .last()
            .parts
            .extensions
            .get::<Keyed>()
            .copied();
        assert_eq!(keyed, Some(Keyed::new(bench.policy.keyed_idle_max)));
    }
    // A request without a key is not marked: it may be sent again as its sender likes.
    let bench = Bench::new(Handler::paying()).await;
    bench.send(crate::harness::unkeyed()).await;
    assert!(
        bench
            .handler
            .last()
            .parts
            .extensions
            .get::<Keyed>()
            .is_none()
    );
}

/// M-31: an answer that broke off is no outcome, whatever it declares itself to be.
#[tokio::test(start_paused = true)]
async fn a_truncated_answer_is_unknown_whatever_it_says() {
    for word in ["final", "transient", "unknown"] {
        let handler = Handler::answering(move |_| {
            let cut = vec![Ok(Frame::data("bod".into())), Err("cut".into())];
            let mut response = Response::new(frames(cut));
            let word = HeaderValue::from_static(word);
            response.headers_mut().insert("idempotency-outcome", word);
            response
        });
        let bench = Bench::new(handler).await;
        let answer = bench.send(pay("k")).await;
        answer.is_refused(502, "upstream-outcome-unknown");
        assert_eq!(left(&bench, "k").await, Left::Unknown);
    }
}

/// M-31: an answer that ends before the length that it announced was cut, however cleanly it ended.
#[tokio::test(start_paused = true)]
async fn an_answer_shorter_than_it_announced_is_truncated() {
    let short = || with(201, &[("content-length", "400")]);
    let bench = Bench::new(Handler::answering(move |_| short())).await;
    let answer = bench.send(pay("k")).await;
    answer.is_refused(502, "upstream-outcome-unknown");
    assert_eq!(left(&bench, "k").await, Left::Unknown);

    // The same for one that is too long to hold: its head went out, so its end never comes.
    let long = || with(201, &[("content-length", "400")]);
    let policy = Policy {
        response_bytes_max: 1,
        ..Policy::default()
    };
    let bench = Bench::under(policy, Handler::answering(move |_| long())).await;
    let answer = bench.send(pay("k")).await;
    assert!(!answer.finished);
    assert_eq!(left(&bench, "k").await, Left::Unknown);

    // An answer without a body may say how long it would have been.
    let mut unmodified = respond(304, "");
    let length = HeaderValue::from_static("400");
    unmodified.headers_mut().insert("content-length", length);
    let (_, left) = after(Policy::default(), unmodified).await;
    assert_eq!(left, Left::Kept);
}

/// The contract: what is unknown behind is unknown in front. Its upstream may call the attempt that it was asked for
/// transient; that says nothing of the execution before, which nobody knows the outcome of.
#[tokio::test]
async fn what_is_unknown_behind_is_unknown_in_front_in_the_words_of_adyen_too() {
    let transient = |became: Option<&'static str>| {
        let mut answer = respond(500, "{}");
        let headers = answer.headers_mut();
        headers.insert("transient-error", HeaderValue::from_static("true"));
        became.map(|became| headers.insert("idempotency-status", HeaderValue::from_static(became)));
        answer
    };
    let policy = || Policy {
        dialect: Dialect::Adyen,
        on_server_error: OnServerError::Keep,
        ..Policy::default()
    };
    let (_, left) = after(policy(), transient(None)).await;
    assert_eq!(left, Left::Free);
    let (_, left) = after(policy(), transient(Some("unknown;fence=\"1\""))).await;
    assert_eq!(left, Left::Unknown);
}
