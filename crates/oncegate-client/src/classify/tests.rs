//! The documented answers of each dialect, row by row. A wrong row here is a payment made twice, or never.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use oncegate::dialect::Dialect as Words;
use oncegate::key::{IdempotencyKey, KeyRules};
use oncegate::problem::{Executed, Problem, ProblemKind};

use super::Protection::{Absent, Shown, Unsaid};
use super::{Advice, Protection, Reading, advertised_retention, read, read_failure};
use crate::answer::{Answer, Failure, FailureKind};
use crate::dialect::Dialect::{self, Adyen, Ietf, Oncegate, PayPal, Stripe};

/// A header of an answer.
type Header = (&'static str, &'static str);

const JSON: Header = ("content-type", "application/json");
const KEY: &str = "invoice-42";
const ECHO: Header = ("idempotency-key", KEY);
const REPLAYED: Header = ("idempotent-replayed", "true");

fn key() -> IdempotencyKey {
    IdempotencyKey::parse(KEY.as_bytes(), &KeyRules::default()).expect("a key")
}

fn answer(status: u16, headers: &[Header], body: impl Into<Bytes>) -> Answer {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: HeaderName = name.parse().expect("a name");
        map.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    let status = StatusCode::from_u16(status).expect("a status");
    Answer::new(status, map, body.into())
}

const fn yes(protection: Protection) -> Reading {
    Reading::Yes {
        replayed: false,
        lost: false,
        protection,
    }
}

const fn replay() -> Reading {
    Reading::Yes {
        replayed: true,
        lost: false,
        protection: Shown,
    }
}

const LOST: Reading = Reading::Yes {
    replayed: true,
    lost: true,
    protection: Shown,
};
/// The same request does not help, and what earlier attempts did is not said.
const NO: Reading = Reading::No {
    advice: Advice::Rotate,
    settles: false,
};
/// The key's outcome is no.
const SETTLED: Reading = Reading::No {
    advice: Advice::Rotate,
    settles: true,
};
const REUSE: Reading = Reading::No {
    advice: Advice::Reuse,
    settles: false,
};
const NOTHING_RAN: Reading = again(Executed::No);
const IN_DOUBT: Reading = again(Executed::Maybe);

const fn again(executed: Executed) -> Reading {
    Reading::Again {
        executed,
        after: None,
    }
}

type Row = (u16, &'static [Header], &'static str, Reading);

fn check(dialect: Dialect, rows: &[Row]) {
    for (status, headers, body, expected) in rows {
        let reading = read(dialect, &key(), &answer(*status, headers, *body));
        assert_eq!(
            reading, *expected,
            "{dialect:?} {status} {headers:?} {body}"
        );
    }
}

#[test]
fn every_problem_of_the_table_is_read_in_every_vendors_words() {
    use ProblemKind as P;
    let rows: [(P, Reading); 17] = [
        (P::KeyMissing, NO),
        (P::KeyInvalid, NO),
        (P::PathAmbiguous, NO),
        (P::ScopeMissing, Reading::Unauthorised),
        (P::RequestTooLarge, NO),
        (P::RequestIncomplete, NOTHING_RAN),
        (P::StoreUnavailable, NOTHING_RAN),
        (P::Overloaded, NOTHING_RAN),
        (P::KeyExpired, Reading::Never),
        (P::Mismatch, NO),
        (P::ResponseNotKept, LOST),
        (P::InFlight, IN_DOUBT),
        (P::OutcomeUnknown, IN_DOUBT),
        (P::QuotaReached, NOTHING_RAN),
        (P::UpstreamUnreachable, NOTHING_RAN),
        (P::StillRunning, IN_DOUBT),
        (P::UpstreamOutcomeUnknown, IN_DOUBT),
    ];
    assert_eq!(rows.map(|(kind, _)| kind), P::ALL, "a row for each");
    let words = [
        (Oncegate, Words::Problem),
        (Ietf, Words::Problem),
        (Stripe, Words::Stripe),
        (Adyen, Words::Adyen),
        (PayPal, Words::PayPal),
    ];
    for (kind, expected) in rows {
        for (dialect, words) in words {
            let refusal = refusal(&Problem::new(kind), words);
            let reading = read(dialect, &key(), &refusal);
            assert_eq!(reading, expected, "{kind:?} in {words:?}");
            // A client that was told the wrong dialect reads our members all the same.
            assert_eq!(
                read(Oncegate, &key(), &refusal),
                expected,
                "{kind:?} in {words:?}"
            );
        }
    }
}

/// As the layer answers.
fn refusal(problem: &Problem, words: Words) -> Answer {
    let document = words.document(problem, "https://oncegate.example/problems/", None);
    let mut answer = answer(problem.status.as_u16(), &[ECHO], document);
    let headers = &mut answer.headers;
    headers.insert(
        "content-type",
        HeaderValue::from_static(words.content_type()),
    );
    headers.insert("idempotency-status", HeaderValue::from_static("refused"));
    headers.extend(words.advice(problem.kind));
    answer
}

#[test]
fn what_was_not_kept_is_what_its_status_was() {
    let mut problem = Problem::new(ProblemKind::ResponseNotKept);
    let rows = [
        (201, LOST),
        (303, LOST),
        // It ran, and its outcome was a refusal.
        (422, SETTLED),
        (500, Reading::Never),
    ];
    for (status, expected) in rows {
        problem.original_status = StatusCode::from_u16(status).ok();
        for words in [Words::Problem, Words::Stripe] {
            let reading = read(Oncegate, &key(), &refusal(&problem, words));
            assert_eq!(reading, expected, "{status} in {words:?}");
        }
    }
}

#[test]
fn a_refusal_of_what_has_run_says_so() {
    let problem = Problem::new(ProblemKind::Overloaded).though_executed();
    let reading = read(Oncegate, &key(), &refusal(&problem, Words::Problem));
    assert_eq!(reading, again(Executed::Yes));
}

#[test]
fn every_idempotency_status_is_read() {
    const EXECUTED: &[Header] = &[("idempotency-status", "executed;fence=\"7\";ttl=86400")];
    const UNRECORDED: &[Header] = &[("idempotency-status", "unrecorded")];
    const REPLAY: &[Header] = &[("idempotency-status", "replayed;age=3"), REPLAYED];
    const RELEASED: &[Header] = &[("idempotency-status", "released")];
    const REFUSED: &[Header] = &[("idempotency-status", "refused")];
    const UNKNOWN: &[Header] = &[("idempotency-status", "unknown")];
    const BYPASSED: &[Header] = &[("idempotency-status", "bypassed")];
    const IGNORED: &[Header] = &[("idempotency-status", "ignored"), ECHO];
    const NEW: &[Header] = &[("idempotency-status", "sideways")];
    check(
        Oncegate,
        &[
            (201, EXECUTED, "", yes(Shown)),
            (302, EXECUTED, "", yes(Shown)),
            (402, EXECUTED, "", SETTLED),
            (409, EXECUTED, "", SETTLED),
            (500, EXECUTED, "", Reading::Never),
            (308, EXECUTED, "", Reading::Moved),
            (201, UNRECORDED, "", yes(Shown)),
            (422, UNRECORDED, "", SETTLED),
            (201, REPLAY, "", replay()),
            (402, REPLAY, "", SETTLED),
            (500, REPLAY, "", Reading::Never),
            (201, RELEASED, "", yes(Shown)),
            (307, RELEASED, "", Reading::Moved),
            (401, RELEASED, "", Reading::Unauthorised),
            (429, RELEASED, "", NOTHING_RAN),
            (500, RELEASED, "", IN_DOUBT),
            // It was let go, so it is not the key's outcome.
            (400, RELEASED, "", NO),
            // The document that says why is missing: a gateway put its own page there.
            (201, REFUSED, "", Reading::Never),
            (302, REFUSED, "", Reading::Never),
            (400, REFUSED, "", NO),
            (401, REFUSED, "", Reading::Unauthorised),
            (409, REFUSED, "<html>", IN_DOUBT),
            (410, REFUSED, "", Reading::Never),
            (413, REFUSED, "", NO),
            (422, REFUSED, "", NO),
            (429, REFUSED, "", NOTHING_RAN),
            (503, REFUSED, "", NOTHING_RAN),
            (502, UNKNOWN, "", IN_DOUBT),
            (200, UNKNOWN, "", IN_DOUBT),
            (201, BYPASSED, "", yes(Absent)),
            (404, BYPASSED, "", NO),
            (201, IGNORED, "", yes(Absent)),
            (503, IGNORED, "", IN_DOUBT),
            (201, NEW, "", yes(Unsaid)),
        ],
    );
}

#[test]
fn an_answer_that_ran_is_nobodys_refusal_whatever_its_body_holds() {
    const EXECUTED: &[Header] = &[("idempotency-status", "executed"), JSON];
    const NONE: &[Header] = &[JSON];
    const WORDS: &str = r#"{"executed":"no","next":"same-key"}"#;
    check(
        Oncegate,
        &[
            (400, EXECUTED, WORDS, SETTLED),
            (200, NONE, WORDS, yes(Unsaid)),
            // Not ours: one member is missing, or means nothing.
            (404, NONE, r#"{"executed":"no"}"#, NO),
            (404, NONE, r#"{"executed":"perhaps","next":"same-key"}"#, NO),
            (404, NONE, r#"{"error":"not found"}"#, NO),
            (404, NONE, "{", NO),
            (404, NONE, "[]", NO),
        ],
    );
}

#[test]
fn a_status_alone_is_never_read_as_more_than_it_says() {
    const HTML: &[Header] = &[("content-type", "text/html")];
    let rows: &[Row] = &[
        (200, &[], "", yes(Unsaid)),
        // A portal's page looks like this too, which is why nothing of keys is claimed.
        (200, HTML, "<html>sign in", yes(Unsaid)),
        (202, &[], "", yes(Unsaid)),
        (204, &[], "", yes(Unsaid)),
        (303, &[], "", yes(Unsaid)),
        (200, &[REPLAYED], "", replay()),
        // A gateway's redirect to `https:` or to a login looks like a handler's.
        (300, &[], "", Reading::Never),
        (301, &[], "", Reading::Never),
        (302, &[], "", Reading::Never),
        (304, &[], "", Reading::Never),
        (307, &[], "", Reading::Moved),
        (308, &[], "", Reading::Moved),
        (400, &[], "", NO),
        (401, &[], "", Reading::Unauthorised),
        (403, &[], "", Reading::Unauthorised),
        (404, &[], "", NO),
        (407, &[], "", REUSE),
        (408, &[], "", IN_DOUBT),
        (409, &[], "", IN_DOUBT),
        (410, &[], "", NO),
        (413, &[], "", NO),
        (421, &[], "", NOTHING_RAN),
        (422, &[], "", NO),
        (423, &[], "", NOTHING_RAN),
        (425, &[], "", NOTHING_RAN),
        (429, &[], "", NOTHING_RAN),
        (500, &[], "", IN_DOUBT),
        (500, &[REPLAYED], "", Reading::Never),
        (502, HTML, "<html>", IN_DOUBT),
        (503, &[], "", IN_DOUBT),
        (504, HTML, "<html>", IN_DOUBT),
        (511, &[], "", NOTHING_RAN),
        (101, &[], "", IN_DOUBT),
    ];
    for dialect in [Oncegate, Ietf, PayPal] {
        check(dialect, rows);
    }
}

/// The draft has three answers: 400, 409 and 422, and no mark by which to tell whose they are.
#[test]
fn the_drafts_answers_are_read() {
    const PROBLEM: &[Header] = &[("content-type", "application/problem+json")];
    const BODY: &str = r#"{"type":"https://developer.example.com/idempotency","title":"..."}"#;
    check(
        Ietf,
        &[
            (400, PROBLEM, BODY, NO),
            (409, PROBLEM, BODY, IN_DOUBT),
            (422, PROBLEM, BODY, NO),
            // The draft asks for no echo, so that an echo proves nothing.
            (422, &[ECHO], "", NO),
        ],
    );
}

#[test]
fn stripes_answers_are_read() {
    const MISMATCH: &str = r#"{"error":{"type":"idempotency_error","message":"Keys ..."}}"#;
    const IN_USE: &str =
        r#"{"error":{"code":"idempotency_key_in_use","type":"invalid_request_error"}}"#;
    const DECLINED: &str = r#"{"error":{"type":"card_error","code":"card_declined"}}"#;
    const API_ERROR: &str = r#"{"error":{"type":"api_error"}}"#;
    const RETRY: Header = ("stripe-should-retry", "true");
    const DO_NOT: Header = ("stripe-should-retry", "false");
    check(
        Stripe,
        &[
            (200, &[ECHO], "", yes(Shown)),
            (200, &[ECHO, REPLAYED], "", replay()),
            (200, &[], "", yes(Unsaid)),
            (400, &[JSON, ECHO], MISMATCH, NO),
            (400, &[JSON, DO_NOT], MISMATCH, NO),
            (409, &[JSON, ECHO], IN_USE, IN_DOUBT),
            (409, &[JSON, RETRY], IN_USE, IN_DOUBT),
            (409, &[JSON, ECHO], "{}", IN_DOUBT),
            (409, &[JSON, DO_NOT], "{}", Reading::Never),
            (402, &[JSON, ECHO], DECLINED, SETTLED),
            (402, &[JSON, ECHO, REPLAYED, DO_NOT], DECLINED, SETTLED),
            (402, &[JSON], DECLINED, NO),
            (400, &[JSON, ECHO, RETRY], "{}", IN_DOUBT),
            (401, &[JSON, DO_NOT], "{}", Reading::Unauthorised),
            (429, &[JSON], "{}", NOTHING_RAN),
            (429, &[JSON, RETRY], "{}", NOTHING_RAN),
            // Rate limiters run before the keys, so this is not the key's outcome; and Stripe says not to go on.
            (429, &[JSON, DO_NOT], "{}", NO),
            // Indeterminate, and kept: the replay will not change.
            (500, &[JSON, ECHO], API_ERROR, IN_DOUBT),
            (500, &[JSON, ECHO, RETRY], API_ERROR, IN_DOUBT),
            (500, &[JSON, ECHO, DO_NOT], API_ERROR, Reading::Never),
            (500, &[JSON, ECHO, REPLAYED], API_ERROR, Reading::Never),
            (503, &[], "<html>", IN_DOUBT),
        ],
    );
}

#[test]
fn adyens_answers_are_read() {
    const TRANSIENT: Header = ("transient-error", "true");
    const FINAL: Header = ("transient-error", "false");
    const IN_PROGRESS: &str = r#"{"status":422,"errorCode":"704","errorType":"validation"}"#;
    const STORE_DOWN: &str = r#"{"status":503,"errorCode":"703","errorType":"internal"}"#;
    const INVALID: &str = r#"{"status":422,"errorCode":"130","errorType":"validation"}"#;
    const INTERNAL: &str = r#"{"status":500,"errorCode":"905","errorType":"configuration"}"#;
    check(
        Adyen,
        &[
            (200, &[ECHO], "", yes(Shown)),
            (200, &[], "", yes(Unsaid)),
            (422, &[JSON], IN_PROGRESS, IN_DOUBT),
            (409, &[JSON], IN_PROGRESS, IN_DOUBT),
            // "Or in progress" is an earlier attempt, of which this header does not speak.
            (422, &[JSON, TRANSIENT], IN_PROGRESS, IN_DOUBT),
            (503, &[JSON, TRANSIENT], STORE_DOWN, NOTHING_RAN),
            (503, &[JSON], STORE_DOWN, NOTHING_RAN),
            (500, &[JSON, TRANSIENT], INTERNAL, NOTHING_RAN),
            (422, &[JSON, ECHO], INVALID, SETTLED),
            (422, &[JSON, ECHO, FINAL], INVALID, SETTLED),
            (422, &[JSON], INVALID, NO),
            // It may have been acted upon, and is stored as the final result.
            (500, &[JSON, ECHO], INTERNAL, Reading::Never),
            (500, &[JSON, FINAL], INTERNAL, Reading::Never),
            (401, &[JSON, FINAL], INTERNAL, Reading::Unauthorised),
            // Nothing of Adyen's is on it: a gateway's.
            (502, &[], "<html>", IN_DOUBT),
            (409, &[], "", IN_DOUBT),
        ],
    );
}

#[test]
fn paypals_answers_are_read() {
    const USED: &str = r#"{"name":"UNPROCESSABLE_ENTITY",
        "details":[{"issue":"PAYPAL_REQUEST_ID_PREVIOUSLY_USED","description":"..."}]}"#;
    const DUPLICATE: &str = r#"{"name":"DUPLICATE_REQUEST_ID","message":"..."}"#;
    const IN_PROGRESS: &str = r#"{"name":"RESOURCE_CONFLICT",
        "details":[{"issue":"PREVIOUS_REQUEST_IN_PROGRESS"}]}"#;
    const DECLINED: &str =
        r#"{"name":"UNPROCESSABLE_ENTITY","details":[{"issue":"INSTRUMENT_DECLINED"}]}"#;
    const CAPTURED: &str =
        r#"{"name":"UNPROCESSABLE_ENTITY","details":[{"issue":"ORDER_ALREADY_CAPTURED"}]}"#;
    const ODD: &str = r#"{"name":7,"details":"none"}"#;
    check(
        PayPal,
        &[
            (201, &[JSON], "{}", yes(Unsaid)),
            // The latest status, and not the first answer.
            (200, &[JSON], "{}", yes(Unsaid)),
            (422, &[JSON], USED, NO),
            (400, &[JSON], DUPLICATE, NO),
            (409, &[JSON], IN_PROGRESS, IN_DOUBT),
            (422, &[JSON], DECLINED, NO),
            // After a doubt this is no definite no: it was captured, perhaps by us.
            (422, &[JSON], CAPTURED, NO),
            (400, &[JSON], ODD, NO),
            (
                500,
                &[JSON],
                r#"{"name":"INTERNAL_SERVER_ERROR"}"#,
                IN_DOUBT,
            ),
        ],
    );
}

#[test]
fn only_an_echo_of_this_key_shows_that_it_was_looked_up() {
    const QUOTED: &[Header] = &[("idempotency-key", "\"invoice-42\"")];
    const OTHER: &[Header] = &[("idempotency-key", "invoice-43")];
    for dialect in [Stripe, Adyen] {
        check(
            dialect,
            &[
                (200, &[ECHO], "", yes(Shown)),
                (200, QUOTED, "", yes(Shown)),
                (200, OTHER, "", yes(Unsaid)),
                (404, OTHER, "", NO),
            ],
        );
    }
    check(Oncegate, &[(200, &[ECHO], "", yes(Unsaid))]);
}

#[test]
fn retry_after_is_seconds_or_a_date_by_the_servers_own_clock() {
    const NOON: Header = ("date", "Tue, 01 Dec 2026 12:00:00 GMT");
    let rows: [(&'static [Header], Option<Duration>); 9] = [
        (&[("retry-after", "7")], Some(Duration::from_secs(7))),
        (&[("retry-after", " 0 ")], Some(Duration::ZERO)),
        (
            &[("retry-after", "Tue, 01 Dec 2026 12:00:30 GMT"), NOON],
            Some(Duration::from_secs(30)),
        ),
        // Over already.
        (
            &[("retry-after", "Tue, 01 Dec 2026 11:00:00 GMT"), NOON],
            Some(Duration::ZERO),
        ),
        (
            &[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")],
            Some(Duration::ZERO),
        ),
        // More than a number holds, and not the same as nothing.
        (
            &[("retry-after", "99999999999999999999999")],
            Some(Duration::MAX),
        ),
        (&[("retry-after", "-7")], None),
        (&[("retry-after", "soon")], None),
        (&[], None),
    ];
    for (headers, after) in rows {
        let reading = read(Oncegate, &key(), &answer(503, headers, ""));
        let executed = Executed::Maybe;
        assert_eq!(reading, Reading::Again { executed, after }, "{headers:?}");
    }
}

#[test]
fn a_failure_proves_what_its_kind_proves() {
    use FailureKind as K;
    let rows = [
        (K::NameUnknown, NOTHING_RAN),
        (K::Connect, NOTHING_RAN),
        (K::HandedBack, NOTHING_RAN),
        (K::Untrusted, REUSE),
        (K::Unsendable, REUSE),
        (K::KeyUnfit, NO),
        (K::BodyChanged, NO),
        (K::BodyTorn, Reading::Never),
        (K::KeyForgotten, Reading::Never),
        (K::Broken, IN_DOUBT),
        (K::TimedOut, IN_DOUBT),
        (K::TooLarge, IN_DOUBT),
    ];
    for (kind, expected) in rows {
        let failure = Failure::new(kind, None::<std::io::Error>);
        assert_eq!(
            read_failure(Oncegate, &key(), &failure),
            expected,
            "{kind:?}"
        );
    }
}

/// The status and the marks of an answer hold, whatever becomes of its body.
#[test]
fn the_head_of_an_answer_without_its_body_is_worth_what_it_says() {
    use FailureKind::{Broken, TimedOut, TooLarge};
    const RECORDED: &[Header] = &[("idempotency-status", "executed;ttl=9")];
    const STREAMED: &[Header] = &[("idempotency-status", "executed;kept=?0")];
    let lost = |protection| Reading::Yes {
        replayed: false,
        lost: true,
        protection,
    };
    let rows: [(FailureKind, Row); 9] = [
        (Broken, (201, RECORDED, "", again(Executed::Yes))),
        (TimedOut, (201, RECORDED, "", again(Executed::Yes))),
        (Broken, (402, RECORDED, "", IN_DOUBT)),
        // Recorded only once the body has ended, which it has not.
        (Broken, (200, STREAMED, "", IN_DOUBT)),
        (Broken, (200, &[], "", IN_DOUBT)),
        (TooLarge, (201, RECORDED, "", lost(Shown))),
        (TooLarge, (200, &[], "", lost(Unsaid))),
        (TooLarge, (404, &[], "", NO)),
        (TooLarge, (500, &[], "", IN_DOUBT)),
    ];
    for (kind, (status, headers, body, expected)) in rows {
        let failure = Failure::new(kind, None::<std::io::Error>);
        let failure = failure.behind(answer(status, headers, body));
        let reading = read_failure(Oncegate, &key(), &failure);
        assert_eq!(reading, expected, "{kind:?} {status} {headers:?}");
    }
}

#[test]
fn the_retention_is_what_a_fresh_execution_says() {
    let advertised =
        |status| advertised_retention(&answer(201, &[("idempotency-status", status)], ""));
    assert_eq!(
        advertised("executed;fence=\"7\";ttl=3600"),
        Some(Duration::from_secs(3600))
    );
    assert_eq!(advertised("executed"), None);
    assert_eq!(advertised("replayed;age=3000;ttl=600"), None);
}
