//! Each refusal in each dialect, as the vendor's clients read it.

use serde_json::{Value, json};

use super::*;
use crate::key::{IdempotencyKey, KeyRules};
use crate::problem::PROBLEM_BASE;

const DIALECTS: [Dialect; 4] = [
    Dialect::Problem,
    Dialect::Stripe,
    Dialect::Adyen,
    Dialect::PayPal,
];

fn read(dialect: Dialect, problem: &Problem) -> Value {
    serde_json::from_slice(&dialect.document(problem, PROBLEM_BASE, None)).unwrap()
}

/// The object that the vendor's members stand in.
fn members(dialect: Dialect, document: &Value) -> &Value {
    match dialect {
        Dialect::Stripe => &document["error"],
        Dialect::Problem | Dialect::Adyen | Dialect::PayPal => document,
    }
}

#[test]
fn every_dialect_says_of_every_refusal_whether_it_ran_and_what_to_do() {
    for dialect in DIALECTS {
        for kind in ProblemKind::ALL {
            let row = kind.row();
            let document = read(dialect, &Problem::new(kind));
            let members = members(dialect, &document);
            assert_eq!(members["executed"], json!(row.executed), "{dialect:?}");
            assert_eq!(members["next"], json!(row.next), "{dialect:?}");
            let text = document.to_string();
            assert!(text.contains(row.detail), "{dialect:?}: {text}");
        }
    }
}

#[test]
fn what_is_known_of_an_answer_that_was_not_kept_is_in_every_dialect() {
    let mut problem = Problem::new(ProblemKind::ResponseNotKept);
    problem.original_status = Some(StatusCode::CREATED);
    problem.location = Some("/payments/7".to_owned());
    for dialect in DIALECTS {
        let document = read(dialect, &problem);
        let members = members(dialect, &document);
        assert_eq!(members["original_status"], 201, "{dialect:?}");
        assert_eq!(members["location"], "/payments/7", "{dialect:?}");
    }
}

/// `(refusal, type, code, Stripe-Should-Retry)`
#[test]
fn stripes_clients_are_told_in_stripes_words() {
    let table = [
        (
            ProblemKind::Mismatch,
            "idempotency_error",
            "mismatch",
            "false",
        ),
        (
            ProblemKind::InFlight,
            "invalid_request_error",
            "idempotency_key_in_use",
            "true",
        ),
        (
            ProblemKind::KeyInvalid,
            "invalid_request_error",
            "key_invalid",
            "false",
        ),
        (
            ProblemKind::ScopeMissing,
            "invalid_request_error",
            "scope_missing",
            "false",
        ),
        (
            ProblemKind::RequestIncomplete,
            "invalid_request_error",
            "request_incomplete",
            "true",
        ),
        (
            ProblemKind::QuotaReached,
            "invalid_request_error",
            "rate_limit",
            "true",
        ),
        (
            ProblemKind::StoreUnavailable,
            "api_error",
            "store_unavailable",
            "true",
        ),
        (ProblemKind::Overloaded, "api_error", "overloaded", "true"),
        (
            ProblemKind::UpstreamUnreachable,
            "api_error",
            "upstream_unreachable",
            "true",
        ),
        (
            ProblemKind::StillRunning,
            "api_error",
            "still_running",
            "true",
        ),
        (
            ProblemKind::OutcomeUnknown,
            "api_error",
            "outcome_unknown",
            "",
        ),
        (
            ProblemKind::UpstreamOutcomeUnknown,
            "api_error",
            "upstream_outcome_unknown",
            "",
        ),
        (
            ProblemKind::ResponseNotKept,
            "api_error",
            "response_not_kept",
            "false",
        ),
        (ProblemKind::KeyExpired, "api_error", "key_expired", "false"),
    ];
    for (kind, r#type, code, retry) in table {
        let error = read(Dialect::Stripe, &Problem::new(kind))["error"].clone();
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!(r#type), &json!(code))
        );
        let page = format!("{PROBLEM_BASE}{}", kind.row().slug);
        assert_eq!(error["doc_url"], page);
        assert_eq!(
            advice(Dialect::Stripe, kind),
            ("stripe-should-retry", retry.to_owned())
        );
    }
}

/// Nothing tells a client to send a request again whose key is spent.
#[test]
fn no_dialect_advises_a_retry_that_the_table_does_not() {
    for dialect in DIALECTS {
        for kind in ProblemKind::ALL {
            if let Some((_, advice)) = dialect.advice(kind)
                && advice == "true"
            {
                assert_eq!(kind.row().next, Next::SameKey, "{dialect:?} {kind:?}");
            }
        }
    }
}

/// `(refusal, errorCode, errorType, transient-error)`
#[test]
fn adyens_clients_are_told_in_adyens_words() {
    let table = [
        (ProblemKind::InFlight, "704", "validation", "true"),
        (ProblemKind::StillRunning, "704", "internal", "false"),
        (ProblemKind::StoreUnavailable, "703", "internal", "true"),
        (ProblemKind::Overloaded, "703", "internal", "true"),
        (ProblemKind::Mismatch, "mismatch", "validation", "false"),
        (
            ProblemKind::ScopeMissing,
            "scope-missing",
            "security",
            "false",
        ),
        (
            ProblemKind::OutcomeUnknown,
            "outcome-unknown",
            "validation",
            "false",
        ),
        (
            ProblemKind::UpstreamOutcomeUnknown,
            "upstream-outcome-unknown",
            "internal",
            "false",
        ),
    ];
    for (kind, code, r#type, transient) in table {
        let error = read(Dialect::Adyen, &Problem::new(kind));
        assert_eq!(error["status"], kind.row().status.as_u16());
        assert_eq!(
            (&error["errorCode"], &error["errorType"]),
            (&json!(code), &json!(r#type))
        );
        assert_eq!(
            advice(Dialect::Adyen, kind),
            ("transient-error", transient.to_owned())
        );
    }
}

#[test]
fn an_error_that_adyens_upstream_calls_transient_had_no_effect() {
    let mut headers = HeaderMap::new();
    let ask = |dialect: Dialect, status, headers: &HeaderMap| {
        dialect.declares_transient(StatusCode::from_u16(status).unwrap(), headers)
    };
    assert!(!ask(Dialect::Adyen, 500, &headers));
    headers.insert("transient-error", HeaderValue::from_static("true"));
    assert!(ask(Dialect::Adyen, 500, &headers) && ask(Dialect::Adyen, 422, &headers));
    assert!(!ask(Dialect::Adyen, 200, &headers), "a success is none");
    assert!(
        !ask(Dialect::Stripe, 500, &headers),
        "it is not Stripe's word"
    );
    headers.insert("transient-error", HeaderValue::from_static("false"));
    assert!(!ask(Dialect::Adyen, 500, &headers));
}

/// `(refusal, name, issue)`
#[test]
fn paypals_clients_are_told_in_paypals_words() {
    let table = [
        (
            ProblemKind::Mismatch,
            "UNPROCESSABLE_ENTITY",
            "DUPLICATE_REQUEST_ID",
        ),
        (
            ProblemKind::InFlight,
            "RESOURCE_CONFLICT",
            "PREVIOUS_REQUEST_IN_PROGRESS",
        ),
        (
            ProblemKind::OutcomeUnknown,
            "RESOURCE_CONFLICT",
            "OUTCOME_UNKNOWN",
        ),
        (ProblemKind::KeyInvalid, "INVALID_REQUEST", "KEY_INVALID"),
        (
            ProblemKind::ScopeMissing,
            "AUTHENTICATION_FAILURE",
            "SCOPE_MISSING",
        ),
        (
            ProblemKind::QuotaReached,
            "RATE_LIMIT_REACHED",
            "QUOTA_REACHED",
        ),
        (
            ProblemKind::KeyExpired,
            "UNPROCESSABLE_ENTITY",
            "KEY_EXPIRED",
        ),
        (
            ProblemKind::StoreUnavailable,
            "SERVICE_UNAVAILABLE",
            "STORE_UNAVAILABLE",
        ),
        (
            ProblemKind::UpstreamUnreachable,
            "INTERNAL_SERVER_ERROR",
            "UPSTREAM_UNREACHABLE",
        ),
    ];
    let key = IdempotencyKey::parse(b"order-17", &KeyRules::default()).unwrap();
    for (kind, name, issue) in table {
        let problem = Problem::new(kind);
        let document = Dialect::PayPal.document(&problem, PROBLEM_BASE, Some(key.digest()));
        let error: Value = serde_json::from_slice(&document).unwrap();
        assert_eq!(error["name"], name);
        assert_eq!(error["details"][0]["issue"], issue);
        assert_eq!(error["debug_id"], key.digest().to_string());
        let page = format!("{PROBLEM_BASE}{}", kind.row().slug);
        assert_eq!(error["links"][0]["href"], page);
        assert_eq!(Dialect::PayPal.advice(kind), None);
    }
}

#[test]
fn a_status_without_a_problem_has_a_document_in_every_dialect() {
    let table = [
        (
            Dialect::Problem,
            r#"{"type":"about:blank","title":"Bad Gateway","status":502}"#,
        ),
        (
            Dialect::Stripe,
            r#"{"error":{"type":"api_error","message":"Bad Gateway"}}"#,
        ),
        (
            Dialect::Adyen,
            r#"{"status":502,"message":"Bad Gateway","errorType":"internal"}"#,
        ),
        (
            Dialect::PayPal,
            r#"{"name":"INTERNAL_SERVER_ERROR","message":"Bad Gateway","debug_id":""}"#,
        ),
    ];
    for (dialect, expected) in table {
        let document = dialect.bare_document(StatusCode::BAD_GATEWAY);
        assert_eq!(String::from_utf8(document).unwrap(), expected);
    }
}

/// The header's name and its word; no word if there is no header.
fn advice(dialect: Dialect, kind: ProblemKind) -> (&'static str, String) {
    let name = match dialect {
        Dialect::Stripe => "stripe-should-retry",
        Dialect::Adyen => "transient-error",
        Dialect::Problem | Dialect::PayPal => "",
    };
    let Some((found, word)) = dialect.advice(kind) else {
        return (name, String::new());
    };
    assert_eq!(found.as_str(), name);
    (name, word.to_str().unwrap().to_owned())
}

#[test]
fn an_operation_that_is_known_to_have_run_is_told_so_in_each_dialect() {
    for dialect in DIALECTS {
        let problem = Problem::new(ProblemKind::Overloaded).though_executed();
        let document = dialect.document(&problem, PROBLEM_BASE, None);
        let text = String::from_utf8(document).unwrap();
        assert!(
            text.contains(r#""executed":"yes","next":"same-key""#),
            "{text}"
        );
    }
}
