//! What vendors document of their own errors (as of November 2026): the words and headers by which an error means
//! something else than its status says.

use http::StatusCode;
use oncegate::problem::Executed;
use serde_json::Value;

use super::marks::Marks;
use super::{Advice, Reading};
use crate::dialect::Dialect;

/// What the vendor's own words mean, or `None` if the status says it all.
pub(super) fn reading(dialect: Dialect, status: StatusCode, marks: &Marks) -> Option<Reading> {
    if !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    match dialect {
        // The draft has its three answers by status: 400, 409, 422.
        Dialect::Oncegate | Dialect::Ietf => None,
        Dialect::Stripe => stripe(status, marks),
        Dialect::Adyen => adyen(status, marks),
        Dialect::PayPal => paypal(marks),
    }
}

/// `Stripe-Should-Retry` wins over the status, where it is there at all. `true` does not say that nothing ran, and
/// `false` says that another attempt has no further effect.
fn stripe(status: StatusCode, marks: &Marks) -> Option<Reading> {
    let error = marks.document.get("error");
    let member = |name| {
        error
            .and_then(|error| error.get(name))
            .and_then(Value::as_str)
    };
    if member("type") == Some("idempotency_error") {
        return Some(MISMATCH);
    }
    if member("code") == Some("idempotency_key_in_use") {
        return Some(marks.again(Executed::Maybe));
    }
    if is_about_credentials(status) {
        return None;
    }
    match marks.should_retry? {
        // Rate limits come before the keys.
        true if status == StatusCode::TOO_MANY_REQUESTS => Some(marks.again(Executed::No)),
        true => Some(marks.again(Executed::Maybe)),
        false if status == StatusCode::CONFLICT || status.is_server_error() => Some(Reading::Never),
        false => Some(marks.no()),
    }
}

/// `transient-error: true` says that nothing ran. Without it an error of Adyen's own is final: stored, and possibly
/// acted upon. An error that has none of Adyen's words comes from something in between.
fn adyen(status: StatusCode, marks: &Marks) -> Option<Reading> {
    let code = marks.document.get("errorCode").and_then(Value::as_str);
    // "Request already processed or in progress": another attempt, of which nothing is known yet.
    if code == Some("704") {
        return Some(marks.again(Executed::Maybe));
    }
    // "Required resource temporarily unavailable".
    if marks.transient == Some(true) || code == Some("703") {
        return Some(marks.again(Executed::No));
    }
    if is_about_credentials(status) || (code.is_none() && marks.transient.is_none()) {
        return None;
    }
    Some(if status.is_server_error() {
        Reading::Never
    } else {
        marks.no()
    })
}

/// PayPal says it in `name`, or in an `issue` of `details`.
fn paypal(marks: &Marks) -> Option<Reading> {
    let name = marks.document.get("name").and_then(Value::as_str);
    let details = marks.document.get("details").and_then(Value::as_array);
    let issues = details.into_iter().flatten();
    let mut words = issues
        .filter_map(|detail| detail.get("issue")?.as_str())
        .chain(name);
    words.find_map(|word| match word {
        "PAYPAL_REQUEST_ID_PREVIOUSLY_USED" | "DUPLICATE_REQUEST_ID" => Some(MISMATCH),
        "PREVIOUS_REQUEST_IN_PROGRESS" => Some(marks.again(Executed::Maybe)),
        _ => None,
    })
}

fn is_about_credentials(status: StatusCode) -> bool {
    status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN
}

/// The key belongs to another request. What became of that one is not said.
const MISMATCH: Reading = Reading::No {
    advice: Advice::Rotate,
    settles: false,
};
