//! APIs that look right and are not, and others that look wrong and are right: nothing may be told of them that is not so.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;
use oncegate_check::dialect::{AUTO, ONCEGATE};
use oncegate_check::operation::{Form, Operation};
use oncegate_check::report::{Finding, Report, Verdict};
use oncegate_check::wire::Peer;
use oncegate_check::{Limits, Trouble, cases, run};
use parking_lot::Mutex;
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

/// What stands in the refusal goes to a terminal, and into the logs of a CI server.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_without_secrets_and_control_bytes() {
    let api = Api::start(|headers, _| {
        let secret = headers["authorization"].to_str().unwrap();
        let body = format!("\x1b[2J\x07 {secret} is not welcome");
        (StatusCode::INTERNAL_SERVER_ERROR, body)
    })
    .await;
    let operation = api.operation();
    let cases: Vec<_> = cases::all().collect();
    let trouble = run(&operation, &AUTO, &cases, &Limits::default(), |_| {}).await;
    let Err(Trouble::Refused(_, 500, told)) = trouble else {
        panic!("{trouble:?}");
    };
    assert!(told.contains(r"\x1b[2J\x07"), "{told}");
    assert!(told.contains("is not welcome"), "{told}");
    assert!(!told.contains("of-nobody-else"), "{told}");
}

/// Whatever looks odd is answered 429, as by a limit that was reached just then.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_accused_of_what_a_rate_limit_answered() {
    let api = Api::start(|headers, _| {
        let is_plain = matches!(key(headers).len(), 0 | 36);
        let status = if is_plain {
            StatusCode::CREATED
        } else {
            StatusCode::TOO_MANY_REQUESTS
        };
        (status, String::new())
    })
    .await;
    // By a dialect that says how a malformed key is answered.
    let case = cases::named("malformed-key-answer").unwrap();
    let (operation, limits) = (api.operation(), Limits::default());
    let report = run(&operation, &ONCEGATE, &[case], &limits, |_| {})
        .await
        .unwrap();
    assert_untold(&report, "answered 429: it limits requests");
}

/// A server that takes connections and says nothing: each answer could be waited for half a minute.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_is_given_up_when_the_time_of_the_run_is_over() {
    let silent = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/payments", silent.local_addr().unwrap());
    let (peer, target) = Peer::of(&url).unwrap();
    let plain = Form {
        method: "POST".to_owned(),
        target,
        fields: Vec::new(),
        body: Vec::new(),
    };
    let operation = Operation::new(peer, plain);
    let limits = Limits {
        run_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let cases: Vec<_> = cases::all().collect();
    let checked = run(&operation, &AUTO, &cases, &limits, |_| {});
    let trouble = tokio::time::timeout(Duration::from_secs(20), checked)
        .await
        .expect("its end before that of one answer");
    let told = trouble.unwrap_err().to_string();
    assert!(told.contains("not done in 200ms"), "{told}");
}

/// A burst that does not fit is not begun.
#[tokio::test(flavor = "multi_thread")]
async fn no_case_begins_that_has_more_requests_than_are_left() {
    let api = Api::start(|_, _| (StatusCode::OK, r#"{"ok":true}"#.to_owned())).await;
    let case = cases::named("burst-is-told").unwrap();
    let limits = Limits {
        requests_max: 30,
        ..Limits::default()
    };
    let report = run(&api.operation(), &AUTO, &[case], &limits, |_| {}).await;
    let report = report.unwrap();
    assert_untold(&report, "of its 30 requests");
    assert!(report.requests <= 30, "{}", report.requests);
}

/// It finds records by the key alone, and refuses whoever is not their owner by showing what there is.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_shows_anothers_payment_is_a_leak() {
    let records: Mutex<HashMap<String, (String, u64)>> = Mutex::default();
    let last = AtomicU64::new(1_000_000);
    let api = Api::start(move |headers, _| {
        let who = headers.get("authorization");
        let who = who
            .map(|who| who.to_str().unwrap().to_owned())
            .unwrap_or_default();
        let id = last.fetch_add(1, Ordering::Relaxed);
        if key(headers).is_empty() {
            return (StatusCode::CREATED, format!(r#"{{"id":"pay_{id}"}}"#));
        }
        let mut records = records.lock();
        let record = records.entry(key(headers)).or_insert((who.clone(), id));
        if record.0 == who {
            (
                StatusCode::CREATED,
                format!(r#"{{"id":"pay_{}"}}"#, record.1),
            )
        } else {
            let existing = format!(r#"{{"error":"conflict","existing":"pay_{}"}}"#, record.1);
            (StatusCode::CONFLICT, existing)
        }
    })
    .await;
    let mut operation = api.operation();
    operation.second = Some(vec![(
        "Authorization".to_owned(),
        b"Bearer of-another".to_vec(),
    )]);
    let case = cases::named("another-principal-answer").unwrap();
    let report = run(&operation, &AUTO, &[case], &Limits::default(), |_| {}).await;
    let finding = &report.unwrap().findings[0];
    assert_eq!(finding.verdict, Verdict::Fail, "{}", finding.because);
    assert!(
        finding.because.contains("/id of the other's answer"),
        "{}",
        finding.because
    );
}
