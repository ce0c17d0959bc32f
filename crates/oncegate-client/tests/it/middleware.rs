//! The course as a middleware: one key for a request, however often the stack below is run for it.

use http::Extensions;
use oncegate_client::course::Ending;
use oncegate_client::middleware::{Ended, MiddlewareError};
use oncegate_client::{Advice, Client, Dialect, FailureKind, Last, Undone};
use reqwest::{Body, Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Middleware, Next};

use crate::origin::Deed::{self, Read, Write};
use crate::origin::{Origin, header};
use crate::wire::policy;

const PAID: Deed =
    Write("HTTP/1.1 201 Created\r\nidempotency-status: executed\r\ncontent-length: 4\r\n\r\npaid");
const DECLINED: Deed =
    Write("HTTP/1.1 402 Declined\r\nidempotency-status: executed\r\ncontent-length: 0\r\n\r\n");
const BUSY: Deed = Write(
    "HTTP/1.1 503 Busy\r\nidempotency-status: refused\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
);

/// Below the middleware: what it adds is on every attempt.
struct Signature;

#[async_trait::async_trait]
impl Middleware for Signature {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response, Error> {
        let signed = http::HeaderValue::from_static("yes");
        request.headers_mut().insert("x-signed", signed);
        next.run(request, extensions).await
    }
}

fn client(attempts: u32, dialect: Dialect) -> ClientWithMiddleware {
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .build()
        .expect("a client");
    let builder = Client::builder().policy(policy(attempts)).dialect(dialect);
    let builder = ClientBuilder::new(http).with(builder.build_middleware());
    builder.with(Signature).build()
}

fn ended(response: &Response) -> &Ended {
    let ended = response.extensions().get::<Ended>();
    ended.expect("every answer says how it ended")
}

/// What the error of the middleware holds.
fn undone(error: Error) -> MiddlewareError {
    match error {
        Error::Middleware(error) => error.downcast().expect("ours"),
        Error::Reqwest(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_request_keeps_one_key_over_all_runs_of_the_stack() {
    let origin = Origin::play([vec![Read], vec![Read, BUSY], vec![Read, PAID]]).await;
    let client = client(3, Dialect::Oncegate);
    let sent = client.post(origin.url()).body("{}").send().await;
    let response = sent.expect("an answer");
    let ended = ended(&response).clone();
    assert!(matches!(
        ended.ending,
        Ending::Yes {
            maybe_twice: false,
            ..
        }
    ));
    assert_eq!(ended.attempts, 3);
    assert_eq!(response.url().as_str(), origin.url());
    assert_eq!(response.text().await.expect("a body"), "paid");
    let requests = origin.requests();
    assert_eq!(requests.len(), 3);
    for request in &requests {
        assert_eq!(header(request, "idempotency-key"), Some(ended.key.as_str()));
        assert_eq!(header(request, "x-signed"), Some("yes"));
        assert!(request.ends_with("{}"));
    }
}

#[tokio::test]
async fn the_callers_key_is_taken_and_one_that_cannot_be_is_refused() {
    let origin = Origin::play([vec![Read, DECLINED]]).await;
    let client = client(3, Dialect::PayPal);
    let request = client
        .post(origin.url())
        .header("paypal-request-id", "invoice-42");
    let response = request.send().await.expect("an answer");
    // A definite no that has an answer is one.
    assert_eq!(response.status(), 402);
    let rotate = Ending::No {
        advice: Advice::Rotate,
    };
    assert_eq!(ended(&response).ending, rotate);
    assert_eq!(ended(&response).key.as_str(), "invoice-42");
    let requests = origin.requests();
    assert_eq!(
        header(&requests[0], "paypal-request-id"),
        Some("invoice-42")
    );

    let long = "x".repeat(109);
    let request = client.post(origin.url()).header("paypal-request-id", long);
    let error = undone(request.send().await.expect_err("too long"));
    assert!(matches!(error, MiddlewareError::Key(_)), "{error:?}");
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn what_is_not_known_is_an_error_that_carries_the_key() {
    let origin = Origin::play([vec![Read]]).await;
    let client = client(1, Dialect::Oncegate);
    let sent = client.post(origin.url()).body("{}").send().await;
    let error = undone(sent.expect_err("it broke"));
    let requests = origin.requests();
    let key = header(&requests[0], "idempotency-key").expect("a key");
    assert_eq!(error.key().map(|key| key.as_str()), Some(key));
    let MiddlewareError::Undone(undone) = error else {
        panic!("{error:?}")
    };
    assert_eq!(undone.advice(), Advice::Reuse);
    let Undone::Unknown(unknown) = undone else {
        panic!("{undone:?}")
    };
    let Last::Failure(failure) = unknown.last else {
        panic!("{unknown:?}")
    };
    assert_eq!(failure.kind, FailureKind::Broken);
}

#[tokio::test]
async fn a_yes_whose_answer_is_gone_is_not_given_as_an_empty_answer() {
    let large =
        Write("HTTP/1.1 201 Created\r\nidempotency-status: executed\r\ncontent-length: 65\r\n\r\n");
    let origin = Origin::play([vec![Read, large]]).await;
    let sent = client(3, Dialect::Oncegate).post(origin.url()).send().await;
    let error = undone(sent.expect_err("it is too large"));
    assert!(matches!(error, MiddlewareError::AnswerLost(_)), "{error:?}");
}

#[tokio::test]
async fn a_stream_is_not_sent_and_a_safe_request_passes() {
    let plain = Write("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n");
    let origin = Origin::play([vec![Read, plain]]).await;
    let client = client(3, Dialect::Oncegate);
    let stream = Body::wrap(http_body_util::Full::new(bytes::Bytes::from("{}")));
    let sent = client.post(origin.url()).body(stream).send().await;
    let error = undone(sent.expect_err("a stream"));
    assert!(matches!(error, MiddlewareError::BodyIsStream), "{error:?}");
    assert!(origin.requests().is_empty());

    let response = client.get(origin.url()).send().await.expect("an answer");
    assert_eq!(response.status(), 503);
    assert_eq!(header(&origin.requests()[0], "idempotency-key"), None);
}
