//! What the origin says: problem documents, its published policy, the lines that go with each answer to a key.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::accent::{Accent, key_header};
use super::{Defect, json_answer};

/// A refusal, which says whether something ran and what to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) title: &'static str,
    pub(super) executed: &'static str,
    pub(super) next: &'static str,
}

pub(super) const MISSING: Refusal = Refusal {
    status: StatusCode::BAD_REQUEST,
    title: "a key is required",
    executed: "no",
    next: "fix-request",
};
pub(super) const MALFORMED: Refusal = Refusal {
    title: "this is no key",
    ..MISSING
};
pub(super) const MISMATCH: Refusal = Refusal {
    status: StatusCode::UNPROCESSABLE_ENTITY,
    title: "this key was used with another request",
    executed: "no",
    next: "new-key",
};
pub(super) const FOREIGN: Refusal = Refusal {
    title: "this key is somebody else's",
    ..MISMATCH
};
pub(super) const IN_FLIGHT: Refusal = Refusal {
    status: StatusCode::CONFLICT,
    title: "the first request is still running",
    executed: "maybe",
    next: "same-key",
};
pub(super) const BROKEN: Refusal = Refusal {
    status: StatusCode::INTERNAL_SERVER_ERROR,
    title: "no lock to be had",
    ..IN_FLIGHT
};
pub(super) const HALF: Refusal = Refusal {
    title: "no whole body",
    ..MISSING
};
pub(super) const UNAUTHORIZED: Refusal = Refusal {
    status: StatusCode::UNAUTHORIZED,
    title: "who is it?",
    executed: "no",
    next: "fix-request",
};

impl Refusal {
    pub(super) fn answer(self, defect: Defect) -> Response {
        let (status, body) = match Accent::of(defect) {
            Some(accent) => accent.refusal(self),
            None => (self.status, self.problem(defect)),
        };
        let mut answer = json_answer(status, &body);
        let has_problems = Accent::of(defect).is_none_or(Accent::has_problems);
        if defect != Defect::NoProblems && has_problems {
            let kind = HeaderValue::from_static("application/problem+json");
            answer.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        tell(&mut answer, "refused");
        answer
    }

    fn problem(self, defect: Defect) -> Value {
        let next = if defect == Defect::NoAdvice {
            "same-key"
        } else {
            self.next
        };
        json!({
            "type": "about:blank",
            "title": self.title,
            "status": self.status.as_u16(),
            "executed": self.executed,
            "next": next,
        })
    }
}

/// What became of the request; of an execution, for how many seconds its answer is kept.
pub(super) fn tell(answer: &mut Response, status: &'static str) {
    let status = match status {
        "executed" => "executed;ttl=86400",
        other => other,
    };
    answer
        .headers_mut()
        .insert("idempotency-status", HeaderValue::from_static(status));
}

/// The key goes back as it came, and what a defect leaves out is taken out.
pub(super) fn finish(answer: &mut Response, asked: &HeaderMap, defect: Defect) {
    let headers = answer.headers_mut();
    let name = key_header(defect);
    if let Some(key) = asked.get(name)
        && defect != Defect::NoEcho
    {
        headers.insert(name, key.clone());
    }
    if defect == Defect::NoStatus {
        headers.remove("idempotency-status");
    }
    if let Some(accent) = Accent::of(defect) {
        accent.finish(headers);
    }
}

/// The policy as it is published. Keys are required for orders, and optional elsewhere.
pub(super) fn discovery(defect: Defect) -> Value {
    let lies = defect == Defect::DocumentsLie;
    // What is not said is left to the dialect.
    let headers: &[&str] = if defect == Defect::DocumentsAnotherHeader {
        &["X-Request-Key"]
    } else {
        &[]
    };
    let policy = |pattern: &str, key: &str| {
        json!({
            "match": pattern,
            "key": key,
            "key_length_max": if lies { 300 } else { 255 },
            "key_format": "any",
            "key_header": headers,
            "retention": if lies { "48h" } else { "24h" },
            "in_flight": {"status": if lies { 425 } else { 409 }},
            "mismatch": {"status": if lies { 400 } else { 422 }},
            "on_server_error": if lies { "keep" } else { "release" },
        })
    };
    let orders = if lies { "optional" } else { "required" };
    let routes = [
        policy("POST /orders", orders),
        policy("POST /payments", "optional"),
    ];
    let version = if defect == Defect::NoVersion { 0 } else { 1 };
    json!({"version": version, "routes": routes})
}
