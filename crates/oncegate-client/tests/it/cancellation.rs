//! `execute` is dropped at each of its awaits: the operation stays the caller's, and goes on with the same key and
//! bytes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderName, HeaderValue};
use oncegate_client::transport::{Attempt, BoxFuture};
use oncegate_client::{
    Answer, Client, Credentials, Failure, FailureKind, Operation, Outcome, Transport,
};

use crate::scripted::{Line, Script, answer};

/// A future that is dropped behind so many polls; `None` if it was.
struct DroppedAfter<F> {
    future: Pin<Box<F>>,
    polls: u32,
}

impl<F: Future> Future for DroppedAfter<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        let polled = self.future.as_mut().poll(cx);
        // The last poll was it: do not wait for somebody to wake what is dropped anyway.
        if polled.is_pending() && self.polls == 0 {
            return Poll::Ready(None);
        }
        polled.map(Some)
    }
}

/// A transport that lets others run before it answers, as a network does.
#[derive(Clone, Debug)]
struct Slow(Script);

impl Transport for Slow {
    fn send(&self, attempt: Attempt) -> BoxFuture<'_, Result<Answer, Failure>> {
        let sent = self.0.send(attempt);
        Box::pin(async move {
            tokio::task::yield_now().await;
            sent.await
        })
    }
}

#[derive(Debug)]
struct Fresh;

impl Credentials for Fresh {
    fn refresh(&self) -> BoxFuture<'_, Option<(HeaderName, HeaderValue)>> {
        Box::pin(async {
            tokio::task::yield_now().await;
            let value = HeaderValue::from_static("Bearer fresh");
            Some((http::header::AUTHORIZATION, value))
        })
    }
}

/// An operation that meets all that there is to wait for: two attempts, a refresh, a redirect and two pauses.
fn long_way() -> [Line; 5] {
    [
        answer(401, &[], ""),
        answer(503, &[("idempotency-status", "refused")], ""),
        answer(307, &[("location", "/v2/payments")], ""),
        Line::Failure(FailureKind::Broken),
        answer(201, &[("idempotency-status", "executed")], "paid"),
    ]
}

fn client(script: &Script) -> Client {
    let mut policy = oncegate_client::RetryPolicy::default();
    policy.attempts_max = 5;
    let builder = Client::builder()
        .policy(policy)
        .credentials(Arc::new(Fresh));
    let builder = builder.transport(Arc::new(Slow(script.clone())));
    builder.build().expect("a client")
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_was_dropped_at_any_await_goes_on_with_the_same_key_and_bytes() {
    let operation = Operation::post("http://127.0.0.1/payments").expect("a URL");
    let operation = operation.body(r#"{"amount":1200}"#).build();
    for polls in 0..=POLLS_MAX {
        let script = Script::of(long_way());
        let client = client(&script);
        let future = Box::pin(client.execute(&operation));
        let ended = DroppedAfter { future, polls }.await;
        // Exactly what was begun was sent: no task goes on behind the caller's back.
        let before = script.sent().len();
        tokio::time::sleep(std::time::Duration::from_secs(600)).await;
        assert_eq!(script.sent().len(), before, "{polls}");
        if let Some(outcome) = ended {
            assert!(matches!(outcome, Outcome::Yes(_)), "{outcome:?}");
            assert!(polls > 8, "it waits in many places: {polls}");
            return;
        }
        script.follow(long_way());
        let outcome = client.execute(&operation).await;
        assert!(matches!(outcome, Outcome::Yes(_)), "{polls}: {outcome:?}");
        for attempt in script.sent() {
            assert_eq!(attempt.headers["idempotency-key"], operation.key().as_str());
            assert_eq!(&attempt.body, operation.body());
        }
    }
    panic!("it never ends");
}

const POLLS_MAX: u32 = 100;
