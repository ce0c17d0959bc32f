//! Real connections that a server ends where it should not: each is told by what it proves.

use std::sync::Arc;
use std::time::Duration;

use oncegate_client::{
    Advice, Client, FailureKind, HttpTransport, Last, Operation, Outcome, RetryPolicy,
};
use tokio::net::TcpListener;

use crate::origin::Deed::{self, Hang, Read, ReadHead, Reset, Write};
use crate::origin::{Origin, header};

const PAID: Deed =
    Write("HTTP/1.1 201 Created\r\nidempotency-status: executed\r\ncontent-length: 4\r\n\r\npaid");
const LONG: &str =
    "HTTP/1.1 201 Created\r\nidempotency-status: executed\r\ncontent-length: 9\r\n\r\n";

/// Short waits, so that a retry costs little; `attempts` in all.
pub(crate) fn policy(attempts: u32) -> RetryPolicy {
    let mut policy = RetryPolicy::default();
    policy.attempts_max = attempts;
    policy.backoff_base = Duration::from_millis(1);
    policy.response_bytes_max = 64;
    policy
}

pub(crate) fn operation(url: &str) -> Operation {
    let operation = Operation::post(url).expect("a URL");
    operation.body(r#"{"amount":1200}"#).build()
}

pub(crate) async fn run(policy: RetryPolicy, url: &str) -> Outcome {
    let client = Client::builder().policy(policy).build().expect("a client");
    client.execute(&operation(url)).await
}

/// What the only attempt at a server with this script brings.
async fn once(deeds: Vec<Deed>) -> (Outcome, Origin) {
    let origin = Origin::play([deeds]).await;
    let outcome = run(policy(1), &origin.url()).await;
    (outcome, origin)
}

/// The kind of failure by which it ended, and whether it ended as unknown.
pub(crate) fn failure(outcome: &Outcome) -> (FailureKind, bool) {
    let (last, unknown) = match outcome {
        Outcome::No(no) => (&no.last, false),
        Outcome::Unknown(unknown) => (&unknown.last, true),
        Outcome::Yes(yes) => panic!("{yes:?}"),
    };
    match last {
        Last::Failure(failure) => (failure.kind, unknown),
        Last::Answer(answer) => panic!("{answer:?}"),
    }
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("a bound socket");
    drop(listener);
    let outcome = run(policy(2), &format!("http://{address}/payments")).await;
    assert_eq!(failure(&outcome), (FailureKind::Connect, false));
    assert_eq!(outcome.attempts(), 2);
    let undone = outcome.into_result().expect_err("it never left");
    assert_eq!(undone.advice(), Advice::Reuse);
}

/// The name is too long to be looked up anywhere, so that no network decides this test.
#[tokio::test]
async fn a_name_that_nobody_knows_is_told_as_such() {
    let name = "n".repeat(64);
    let outcome = run(policy(1), &format!("http://{name}.invalid/payments")).await;
    assert_eq!(failure(&outcome), (FailureKind::NameUnknown, false));
}

#[tokio::test]
async fn an_exchange_that_breaks_anywhere_may_have_run() {
    let rows: [(&str, Vec<Deed>, FailureKind); 9] = [
        ("closed at once", vec![], FailureKind::Broken),
        ("reset at once", vec![Reset], FailureKind::Broken),
        (
            "closed behind the head",
            vec![ReadHead],
            FailureKind::Broken,
        ),
        ("closed behind the request", vec![Read], FailureKind::Broken),
        (
            "reset behind the request",
            vec![Read, Reset],
            FailureKind::Broken,
        ),
        (
            "no HTTP",
            vec![Read, Write("220 mail.example.com ESMTP\r\n")],
            FailureKind::Broken,
        ),
        (
            "half a head",
            vec![
                Read,
                Write("HTTP/1.1 201 Created\r\nidempotency-status: exec"),
            ],
            FailureKind::Broken,
        ),
        (
            "half a body of a server that knows no keys",
            vec![
                Read,
                Write("HTTP/1.1 201 Created\r\ncontent-length: 9\r\n\r\npaid"),
            ],
            FailureKind::Broken,
        ),
        (
            "half a chunk",
            vec![
                Read,
                Write("HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n9\r\npaid"),
            ],
            FailureKind::Broken,
        ),
    ];
    for (what, deeds, kind) in rows {
        let (outcome, _origin) = once(deeds).await;
        assert_eq!(failure(&outcome), (kind, true), "{what}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_in_time_may_have_run_it() {
    let rows = [
        vec![Read, Hang],
        vec![Read, Write("HTTP/1.1 201 Created\r\n"), Hang],
        vec![
            Read,
            Write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npaid"),
            Hang,
        ],
    ];
    for deeds in rows {
        let origin = Origin::play([deeds]).await;
        let mut policy = policy(1);
        policy.attempt_timeout = Duration::from_millis(300);
        let outcome = run(policy, &origin.url()).await;
        assert_eq!(failure(&outcome), (FailureKind::TimedOut, true));
    }
}

/// The whole operation ends by its deadline, whatever one attempt may take.
#[tokio::test]
async fn the_deadline_ends_an_attempt_that_may_still_take_its_time() {
    let origin = Origin::play([vec![Read, Hang]]).await;
    let mut policy = policy(3);
    policy.total_timeout = Duration::from_millis(300);
    policy.attempt_timeout = Duration::from_secs(600);
    let outcome = run(policy, &origin.url()).await;
    assert_eq!(failure(&outcome), (FailureKind::TimedOut, true));
    assert_eq!((outcome.attempts(), origin.requests().len()), (1, 1));
}

#[tokio::test]
async fn an_outcome_whose_head_says_that_it_is_recorded_is_a_yes_though_the_body_broke_off() {
    let (outcome, _origin) = once(vec![Read, Write(LONG), Write("paid")]).await;
    let Outcome::Yes(yes) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(yes.lost && !yes.maybe_twice, "{yes:?}");
}

#[tokio::test]
async fn an_answer_that_broke_off_is_asked_for_again_under_the_same_key() {
    const REPLAY: Deed = Write(
        "HTTP/1.1 201 Created\r\nidempotency-status: replayed\r\ncontent-length: 9\r\n\r\npaid 1200",
    );
    let broken = vec![Read, Write(LONG), Write("paid")];
    let origin = Origin::play([broken, vec![Read, REPLAY]]).await;
    let outcome = run(policy(3), &origin.url()).await;
    let Outcome::Yes(yes) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(yes.replayed && !yes.lost);
    assert_eq!(yes.answer.expect("an answer").body, "paid 1200");
    assert_same(&origin, 2, yes.key.as_str());
}

/// All requests, head and body, are the same bytes, and carry this key.
fn assert_same(origin: &Origin, times: usize, key: &str) {
    let requests = origin.requests();
    assert_eq!(requests.len(), times);
    for request in &requests {
        assert_eq!(request, &requests[0]);
        assert_eq!(header(request, "idempotency-key"), Some(key));
    }
}

#[tokio::test]
async fn interim_answers_are_no_answers() {
    let interim =
        Write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
    let (outcome, _origin) = once(vec![ReadHead, interim, PAID]).await;
    let Outcome::Yes(yes) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(yes.answer.expect("an answer").status, 201);
}

/// The connection was closed while it was idle: the client sees it, and takes another.
#[tokio::test]
async fn a_pooled_connection_that_the_server_closed_costs_no_attempt() {
    const LAST: Deed =
        Write("HTTP/1.1 201 Created\r\nconnection: close\r\ncontent-length: 4\r\n\r\npaid");
    let origin = Origin::play([vec![Read, LAST], vec![Read, PAID]]).await;
    let client = Client::builder()
        .policy(policy(1))
        .build()
        .expect("a client");
    for _ in 0..2 {
        let outcome = client.execute(&operation(&origin.url())).await;
        assert!(matches!(outcome, Outcome::Yes(_)), "{outcome:?}");
    }
}

/// A request that crosses the server's close cannot be told apart from one that ran.
#[tokio::test]
async fn a_request_that_crosses_the_close_of_a_pooled_connection_is_in_doubt_and_goes_on() {
    let origin = Origin::play([vec![Read, PAID, Read], vec![Read, PAID]]).await;
    let client = Client::builder()
        .policy(policy(2))
        .build()
        .expect("a client");
    let first = client.execute(&operation(&origin.url())).await;
    assert_eq!(first.attempts(), 1);
    let second = client.execute(&operation(&origin.url())).await;
    assert!(matches!(second, Outcome::Yes(_)), "{second:?}");
    assert_eq!(second.attempts(), 2);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_asked_for_again() {
    const DECLARED: &str =
        "HTTP/1.1 201 Created\r\nidempotency-status: executed\r\ncontent-length: 65\r\n\r\n";
    const CHUNKED: &str = "HTTP/1.1 201 Created\r\nidempotency-status: executed\r\n\
        transfer-encoding: chunked\r\n\r\n20\r\n................................\r\n\
        21\r\n.................................\r\n0\r\n\r\n";
    for large in [DECLARED, CHUNKED] {
        let origin = Origin::play([vec![Read, Write(large), Hang]]).await;
        let outcome = run(policy(3), &origin.url()).await;
        let Outcome::Yes(yes) = outcome else {
            panic!("{outcome:?}")
        };
        assert!(yes.lost);
        assert_eq!((yes.attempts, origin.requests().len()), (1, 1));
        assert_eq!(yes.answer.expect("its head").status, 201);
    }
    // As large as it may be.
    const FITS: &str = "HTTP/1.1 200 OK\r\ncontent-length: 64\r\n\r\n\
        ................................................................";
    let (outcome, _origin) = once(vec![Read, Write(FITS)]).await;
    assert!(
        matches!(&outcome, Outcome::Yes(yes) if !yes.lost),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_redirect_is_followed_at_its_origin_alone_and_takes_the_key_along() {
    let moved = Write("HTTP/1.1 308 Moved\r\nlocation: /v2/payments\r\ncontent-length: 0\r\n\r\n");
    let origin = Origin::play([vec![Read, moved, Read, PAID]]).await;
    let outcome = run(policy(1), &origin.url()).await;
    assert!(matches!(outcome, Outcome::Yes(_)), "{outcome:?}");
    let requests = origin.requests();
    assert!(
        requests[1].starts_with("POST /v2/payments "),
        "{requests:?}"
    );
    let key = |request: &String| header(request, "idempotency-key").map(str::to_owned);
    assert_eq!(key(&requests[0]), key(&requests[1]));
    assert!(requests[1].ends_with(r#"{"amount":1200}"#));
}

#[tokio::test]
async fn a_key_that_the_server_would_not_take_is_refused_before_anything_is_sent() {
    let origin = Origin::play([vec![Read, PAID]]).await;
    let client = Client::builder()
        .dialect(oncegate_client::Dialect::Adyen)
        .build()
        .expect("a client");
    let outcome = client.execute(&operation(&origin.url())).await;
    assert_eq!(failure(&outcome), (FailureKind::KeyUnfit, false));
    assert!(origin.requests().is_empty());

    let fitting = client.operation(http::Method::POST, &origin.url());
    let outcome = client.execute(&fitting.expect("a URL").build()).await;
    assert!(matches!(outcome, Outcome::Yes(_)), "{outcome:?}");
}

/// The client's own settings hold on a transport that the caller made.
#[tokio::test]
async fn a_transport_of_the_callers_follows_no_redirect_by_itself() {
    let moved = Write("HTTP/1.1 307 Moved\r\nlocation: /v2\r\ncontent-length: 0\r\n\r\n");
    let origin = Origin::play([vec![Read, moved]]).await;
    let mut policy = policy(1);
    policy.redirects_max = 0;
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::limited(9));
    let transport = HttpTransport::of(builder, &policy).expect("a transport");
    let client = Client::builder()
        .policy(policy)
        .transport(Arc::new(transport));
    let client = client.build().expect("a client");
    let outcome = client.execute(&operation(&origin.url())).await;
    assert!(matches!(outcome, Outcome::No(_)), "{outcome:?}");
    assert_eq!(origin.requests().len(), 1);
}
