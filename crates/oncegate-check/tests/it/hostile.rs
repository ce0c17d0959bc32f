//! APIs that look right and are not, and others that look wrong and are right: nothing may be told of them that is not so.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;
use oncegate_check::dialect::AUTO;
use oncegate_check::operation::{Form, Operation};
use oncegate_check::report::{Finding, Report, Verdict};
use oncegate_check::wire::Peer;
use oncegate_check::{Limits, cases, run};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What an API answers to a payment.
type Answer = dyn Fn(&HeaderMap, &Bytes) -> (StatusCode, String) + Send + Sync;

/// An API that answers as a function says, and has nothing to read.
struct Api {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Api {
    async fn start(
        answer: impl Fn(&HeaderMap, &Bytes) -> (StatusCode, String) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer: Arc<Answer> = Arc::new(answer);
        let router = Router::new().fallback(move |request: Request| {
            let answer = Arc::clone(&answer);
            async move { answered(request, &*answer).await }
        });
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, server }
    }

    fn operation(&self) -> Operation {
        let (peer, target) = Peer::of(&format!("http://{}/payments", self.address)).unwrap();
        let plain = Form {
            method: "POST".to_owned(),
            target,
            fields: vec![(
                "Authorization".to_owned(),
                b"Bearer of-nobody-else".to_vec(),
            )],
            body: br#"{"amount":5000}"#.to_vec(),
        };
        Operation::new(peer, plain)
    }

    async fn check(&self, ids: &[&str]) -> Report {
        let cases: Vec<_> = ids.iter().map(|id| cases::named(id).unwrap()).collect();
        let operation = self.operation();
        run(&operation, &AUTO, &cases, &Limits::default(), |_| {})
            .await
            .unwrap()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answered(request: Request, answer: &Answer) -> Response {
    let (parts, body) = request.into_parts();
    let (status, body) = match body.collect().await {
        Ok(body) if parts.method == Method::POST => answer(&parts.headers, &body.to_bytes()),
        Ok(_) | Err(_) => (StatusCode::NOT_FOUND, String::new()),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
}

fn key(headers: &HeaderMap) -> String {
    let key = headers.get("idempotency-key");
    let key = key.map(|key| String::from_utf8_lossy(key.as_bytes()).into_owned());
    key.unwrap_or_default()
}

fn assert_untold(report: &Report, says: &str) {
    for Finding {
        case,
        verdict,
        because,
        ..
    } in &report.findings
    {
        assert_eq!(*verdict, Verdict::CannotTell, "{}: {because}", case.id);
        assert!(because.contains(says), "{}: {because}", case.id);
    }
}

/// It runs each time, and gives its payments ids that it makes from the key: a retry looks like a replay.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_made_from_the_key_acquits_nobody() {
    let api = Api::start(|headers, _| {
        let digest = key(headers).bytes().fold(7_u64, |digest, byte| {
            digest.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        (StatusCode::CREATED, format!(r#"{{"id":"p{digest}"}}"#))
    })
    .await;
    let report = api.check(&["replay-runs-once", "burst-runs-once"]).await;
    assert_untold(&report, "made from what was sent");
}

/// The same, with a part of the key itself; and it refuses requests without one.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_the_key_that_comes_back_in_capitals_acquits_nobody() {
    let api = Api::start(|headers, _| match key(headers).as_str() {
        "" => (StatusCode::BAD_REQUEST, String::new()),
        key => {
            let part = key.replace('-', "")[..10].to_uppercase();
            (StatusCode::CREATED, format!(r#"{{"id":"PAY{part}"}}"#))
        }
    })
    .await;
    let report = api.check(&["replay-runs-once", "burst-runs-once"]).await;
    assert_untold(&report, "two executions look alike");
}

/// It knows no keys; its answers are all the same.
#[tokio::test(flavor = "multi_thread")]
async fn equal_answers_acquit_nobody() {
    let api = Api::start(|_, _| (StatusCode::OK, r#"{"ok":true}"#.to_owned())).await;
    let ids = ["replay-runs-once", "mismatch-leaves-record"];
    assert_untold(&api.check(&ids).await, "two executions look alike");
}
