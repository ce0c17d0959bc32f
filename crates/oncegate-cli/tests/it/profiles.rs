//! The profiles, line by line of `docs/profiles.md`: the real binary under each, and what its clients see.
//!
//! What counts is the origin's own book. Stripe's own client libraries have their say in `stripe_sdk.rs`.

use serde_json::Value;

use crate::harness::{Act, Answer, Gate, Proxy, Request, Stage, poll_until, post};

/// What a client of each profile sends.
#[derive(Clone, Copy)]
struct Client {
    profile: &'static str,
    key_header: &'static str,
    credential: (&'static str, &'static str),
    length_max: usize,
}

const CLIENTS: [Client; 4] = [
    Client {
        profile: "ietf",
        key_header: "Idempotency-Key",
        credential: ("Authorization", "Bearer a"),
        length_max: 255,
    },
    Client {
        profile: "stripe",
        key_header: "Idempotency-Key",
        credential: ("Authorization", "Bearer sk_test_12345"),
        length_max: 255,
    },
    Client {
        profile: "adyen",
        key_header: "idempotency-key",
        credential: ("X-API-Key", "AQE..."),
        length_max: 64,
    },
    Client {
        profile: "paypal",
        key_header: "PayPal-Request-Id",
        credential: ("Authorization", "Bearer A21AA..."),
        length_max: 108,
    },
];

impl Client {
    async fn proxy(self, stage: &Stage) -> Proxy {
        let setup = stage.proxy().flag("--profile", self.profile);
        let store = format!("file:{}.db", self.profile);
        setup.flag("--store", &store).start().await
    }

    fn pay(self, key: &str) -> Request {
        let (name, value) = self.credential;
        let quoted = format!("\"{key}\"");
        let key = if self.profile == "ietf" { &quoted } else { key };
        post("/payments", r#"{"amount":100}"#)
            .header(self.key_header, key)
            .header(name, value)
    }
}

fn client(profile: &str) -> Client {
    CLIENTS
        .into_iter()
        .find(|it| it.profile == profile)
        .unwrap()
}

#[tokio::test]
async fn each_profile_finds_its_key_executes_once_and_echoes_it() {
    let stage = Stage::new().await;
    for (at, client) in CLIENTS.into_iter().enumerate() {
        let proxy = client.proxy(&stage).await;
        let first = proxy.send(&client.pay("one")).await;
        first.must_be_executed();
        let again = proxy.send(&client.pay("one")).await;
        again.must_replay(&first);
        assert_eq!(stage.origin.book().len(), at + 1, "{}", client.profile);
        let echoed = again.header(&client.key_header.to_ascii_lowercase());
        assert_eq!(echoed.map(|key| key.trim_matches('"')), Some("one"));
        drop(proxy.kill().await);
    }
}

#[tokio::test]
async fn each_profile_takes_keys_up_to_the_documented_length_and_not_one_byte_more() {
    let stage = Stage::new().await;
    for (at, client) in CLIENTS.into_iter().enumerate() {
        let proxy = client.proxy(&stage).await;
        let longest = "k".repeat(client.length_max);
        proxy.send(&client.pay(&longest)).await.must_be_executed();
        let refused = proxy.send(&client.pay(&(longest + "k"))).await;
        assert_eq!(
            (refused.code(), slug(&refused)),
            (400, "key-invalid".to_owned())
        );
        assert_eq!(stage.origin.book().len(), at + 1, "{}", client.profile);
        drop(proxy.kill().await);
    }
}

/// Stripe: "has no effect" on other methods; Adyen and PayPal: POST. A PATCH runs each time, and is told so.
#[tokio::test]
async fn the_vendors_profiles_take_keys_on_post_alone() {
    let stage = Stage::new().await;
    for (profile, became) in [
        ("ietf", "executed"),
        ("stripe", "ignored"),
        ("adyen", "ignored"),
        ("paypal", "ignored"),
    ] {
        let client = client(profile);
        let proxy = client.proxy(&stage).await;
        let patched = proxy.send(&client.pay("patched").method("PATCH")).await;
        assert_eq!(patched.became(), became, "{profile}: {patched:?}");
        drop(proxy.kill().await);
    }
}

/// `(profile, what, status, (where in the body, what stands there), (header, its word))`
type Line = (
    &'static str,
    &'static str,
    u16,
    &'static [(&'static str, &'static str)],
    (&'static str, Option<&'static str>),
);

const REFUSALS: [Line; 16] = [
    (
        "ietf",
        "in-flight",
        409,
        &[("/executed", "maybe"), ("/next", "same-key")],
        ("stripe-should-retry", None),
    ),
    (
        "ietf",
        "mismatch",
        422,
        &[("/executed", "no"), ("/next", "new-key")],
        ("transient-error", None),
    ),
    (
        "ietf",
        "key-invalid",
        400,
        &[("/title", "The idempotency key cannot be read")],
        ("transient-error", None),
    ),
    (
        "ietf",
        "outcome-unknown",
        409,
        &[("/executed", "maybe")],
        ("stripe-should-retry", None),
    ),
    (
        "stripe",
        "in-flight",
        409,
        &[
            ("/error/type", "invalid_request_error"),
            ("/error/code", "idempotency_key_in_use"),
            ("/error/executed", "maybe"),
            ("/error/next", "same-key"),
        ],
        ("stripe-should-retry", Some("true")),
    ),
    (
        "stripe",
        "mismatch",
        400,
        &[
            ("/error/type", "idempotency_error"),
            (
                "/error/doc_url",
                "/.well-known/idempotency/problems/mismatch",
            ),
            ("/error/executed", "no"),
            ("/error/next", "new-key"),
        ],
        ("stripe-should-retry", Some("false")),
    ),
    (
        "stripe",
        "key-invalid",
        400,
        &[
            ("/error/type", "invalid_request_error"),
            ("/error/next", "fix-request"),
        ],
        ("stripe-should-retry", Some("false")),
    ),
    (
        "stripe",
        "outcome-unknown",
        409,
        &[("/error/type", "api_error"), ("/error/executed", "maybe")],
        ("stripe-should-retry", None),
    ),
    (
        "adyen",
        "in-flight",
        409,
        &[
            ("/errorCode", "704"),
            ("/executed", "maybe"),
            ("/next", "same-key"),
        ],
        ("transient-error", Some("true")),
    ),
    (
        "adyen",
        "mismatch",
        422,
        &[
            ("/errorType", "validation"),
            ("/executed", "no"),
            ("/next", "new-key"),
        ],
        ("transient-error", Some("false")),
    ),
    (
        "adyen",
        "key-invalid",
        400,
        &[("/errorCode", "key-invalid")],
        ("transient-error", Some("false")),
    ),
    (
        "adyen",
        "outcome-unknown",
        409,
        &[("/errorCode", "outcome-unknown"), ("/executed", "maybe")],
        ("transient-error", Some("false")),
    ),
    (
        "paypal",
        "in-flight",
        409,
        &[
            ("/name", "RESOURCE_CONFLICT"),
            ("/details/0/issue", "PREVIOUS_REQUEST_IN_PROGRESS"),
            ("/next", "same-key"),
        ],
        ("transient-error", None),
    ),
    (
        "paypal",
        "mismatch",
        422,
        &[
            ("/name", "UNPROCESSABLE_ENTITY"),
            ("/details/0/issue", "DUPLICATE_REQUEST_ID"),
            (
                "/links/0/href",
                "/.well-known/idempotency/problems/mismatch",
            ),
            ("/next", "new-key"),
        ],
        ("transient-error", None),
    ),
    (
        "paypal",
        "key-invalid",
        400,
        &[("/name", "INVALID_REQUEST")],
        ("transient-error", None),
    ),
    (
        "paypal",
        "outcome-unknown",
        409,
        &[
            ("/details/0/issue", "OUTCOME_UNKNOWN"),
            ("/executed", "maybe"),
        ],
        ("transient-error", None),
    ),
];

/// The status of each is the table of problems', and the page is linked, whatever the dialect.
#[tokio::test]
async fn each_profile_refuses_in_its_vendors_words() {
    let stage = Stage::new().await;
    for client in CLIENTS {
        let proxy = client.proxy(&stage).await;
        let refused = one_of_each(&stage, &proxy, client).await;
        let lines: Vec<&Line> = REFUSALS
            .iter()
            .filter(|line| line.0 == client.profile)
            .collect();
        assert_eq!(lines.len(), refused.len());
        for (_, what, status, members, (header, word)) in lines {
            let answer = refused.iter().find(|answer| slug(answer) == *what);
            let answer =
                answer.unwrap_or_else(|| panic!("{}: no {what}: {refused:?}", client.profile));
            assert_eq!(answer.code(), *status, "{answer:?}");
            assert_eq!(answer.became(), "refused", "{answer:?}");
            let body = answer.json();
            for (pointer, expected) in *members {
                let found = body.pointer(pointer).and_then(Value::as_str);
                assert_eq!(found, Some(*expected), "{pointer}: {answer:?}");
            }
            assert_eq!(answer.header(header), *word, "{answer:?}");
        }
        drop(proxy.kill().await);
    }
}

/// Executes two operations, one of which breaks off, and nothing else.
async fn one_of_each(stage: &Stage, proxy: &Proxy, client: Client) -> Vec<Answer> {
    let before = stage.origin.book().len();
    let gate = Gate::default();
    let held = client.pay("held");
    stage.origin.plan_next(Act::CreateBehind(gate.clone()));
    let first = async { proxy.send(&held).await };
    let rest = async {
        stage.origin.executed_in_all(before + 1).await;
        let in_flight = proxy.send(&held).await;
        gate.open();
        in_flight
    };
    let (first, in_flight) = tokio::join!(first, rest);
    first.must_be_executed();
    let mismatch = proxy.send(&client.pay("held").body("{}")).await;
    let invalid = proxy.send(&client.pay("two words")).await;
    let invalid = if client.profile == "ietf" {
        // Between quotes two words are a key.
        invalid.must_be_executed();
        proxy.send(&client.pay("two\\words")).await
    } else {
        invalid
    };
    stage.origin.plan_next(Act::Cut);
    let broken = proxy.send(&client.pay("broken")).await;
    assert_eq!(
        (broken.code(), broken.became()),
        (502, "unknown"),
        "{broken:?}"
    );
    let unknown = proxy.send(&client.pay("broken")).await;
    let executed = stage.origin.book().len() - before;
    assert_eq!(executed, if client.profile == "ietf" { 3 } else { 2 });
    vec![in_flight, mismatch, invalid, unknown]
}

/// `(profile, the upstream's answer, how often the operation runs when it is sent twice)`
#[tokio::test]
async fn each_profile_keeps_the_upstreams_errors_as_documented() {
    let stage = Stage::new().await;
    const TRANSIENT: &str = "500 Internal Server Error\r\ntransient-error: true";
    let table = [
        ("ietf", "500 Internal Server Error", 2),
        ("stripe", "500 Internal Server Error", 1),
        ("stripe", "503 Service Unavailable", 1),
        ("stripe", "402 Payment Required", 1),
        ("stripe", "409 Conflict", 2),
        ("stripe", "429 Too Many Requests", 2),
        ("stripe", TRANSIENT, 1),
        ("adyen", "500 Internal Server Error", 1),
        ("adyen", TRANSIENT, 2),
        (
            "adyen",
            "422 Unprocessable Entity\r\ntransient-error: true",
            2,
        ),
        (
            "adyen",
            "422 Unprocessable Entity\r\ntransient-error: false",
            1,
        ),
        ("paypal", "500 Internal Server Error", 2),
        ("paypal", "422 Unprocessable Entity", 1),
    ];
    for client in CLIENTS {
        let proxy = client.proxy(&stage).await;
        for (at, (profile, line, executions)) in table.iter().enumerate() {
            if *profile != client.profile {
                continue;
            }
            let before = stage.origin.book().len();
            let key = format!("key-{at}");
            stage.origin.plan_next(Act::status(line));
            let first = proxy.send(&client.pay(&key)).await;
            assert!(line.starts_with(&first.code().to_string()), "{first:?}");
            let again = proxy.send(&client.pay(&key)).await;
            let replayed = again.header("idempotent-replayed") == Some("true");
            assert_eq!(replayed, *executions == 1, "{profile} {line}: {again:?}");
            assert_eq!(
                stage.origin.book().len() - before,
                *executions,
                "{profile} {line}"
            );
        }
        drop(proxy.kill().await);
    }
}

/// Stripe: "we generate a new request". The others refuse for as long as the tombstone stands.
#[tokio::test]
async fn a_key_executes_anew_after_retention_in_stripes_profile_alone() {
    let stage = Stage::new().await;
    for client in CLIENTS {
        let setup = stage.proxy().flag("--profile", client.profile);
        let store = format!("file:{}.db", client.profile);
        let proxy = setup
            .flag("--store", &store)
            .set("retention=1s")
            .start()
            .await;
        let before = stage.origin.book().len();
        proxy.send(&client.pay("old")).await.must_be_executed();
        let later = poll_until("the end of retention", || async {
            let answer = proxy.send(&client.pay("old")).await;
            (answer.became() != "replayed").then_some(answer)
        })
        .await;
        let executed = stage.origin.book().len() - before;
        if client.profile == "stripe" {
            later.must_be_executed();
            assert_eq!(executed, 2);
        } else {
            assert_eq!(
                (later.code(), slug(&later)),
                (410, "key-expired".to_owned())
            );
            assert_eq!(executed, 1, "{}", client.profile);
        }
        drop(proxy.kill().await);
    }
}

/// A platform acts for many accounts with one secret key: the same key for two of them is two operations.
#[tokio::test]
async fn a_key_in_stripes_profile_belongs_to_the_account_that_it_was_sent_for() {
    let stage = Stage::new().await;
    let client = client("stripe");
    let proxy = client.proxy(&stage).await;
    let table = [
        ("Stripe-Account", "acct_1"),
        ("Stripe-Account", "acct_2"),
        ("Stripe-Context", "acct_1/acct_2"),
    ];
    for (header, account) in table {
        let request = client.pay("same").header(header, account);
        let first = proxy.send(&request).await;
        first.must_be_executed();
        proxy.send(&request).await.must_replay(&first);
    }
    assert_eq!(stage.origin.executions("same"), table.len());
}

/// What is set is what counts, and a route may speak another dialect than the rest.
#[tokio::test]
async fn a_route_overrules_its_profile() {
    let stage = Stage::new().await;
    let file = stage.write(
        "oncegate.toml",
        "profile = 'stripe'\n[[route]]\nmatch = 'POST /payments'\ndialect = 'problem'\nmismatch_status = 422",
    );
    let setup = stage.proxy().flag("--config", file.to_str().unwrap());
    let proxy = setup.start().await;
    let client = client("stripe");
    proxy.send(&client.pay("one")).await.must_be_executed();
    let other = proxy.send(&client.pay("one").body("{}")).await;
    other.must_be_problem(422, "mismatch", "no", "new-key");
}

/// No key, no page to explain it: but the words are the vendor's, so that its libraries can read them.
#[tokio::test]
async fn a_request_without_a_key_that_gets_no_answer_is_told_so_in_the_vendors_words() {
    let stage = Stage::new().await;
    let table = [
        ("ietf", "/type", "about:blank"),
        ("stripe", "/error/type", "api_error"),
        ("adyen", "/errorType", "internal"),
        ("paypal", "/name", "INTERNAL_SERVER_ERROR"),
    ];
    for (profile, pointer, expected) in table {
        let proxy = client(profile).proxy(&stage).await;
        stage.origin.plan_next(Act::Cut);
        let answer = proxy.send(&post("/payments", "{}")).await;
        assert_eq!(answer.code(), 502, "{answer:?}");
        let found = answer.json();
        assert_eq!(
            found.pointer(pointer).and_then(Value::as_str),
            Some(expected)
        );
        drop(proxy.kill().await);
    }
}

/// The last segment of the page that the answer links to, whatever its dialect.
fn slug(answer: &Answer) -> String {
    let link = answer.header("link").unwrap_or_default();
    let page = link.split('>').next().unwrap_or_default();
    page.rsplit('/').next().unwrap_or_default().to_owned()
}
