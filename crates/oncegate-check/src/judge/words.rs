//! What answers say of themselves, and whether it is what documents say.

use serde_json::Value;

use super::Judgement::{Broken, Holds, Unclear};
use super::{Court, Judgement};
use crate::case::{Advice, Refusal};
use crate::policy::{DISCOVERY_PATH, KeyPolicy, Policy, discovered};
use crate::wire::Response;

impl Court<'_> {
    pub(super) fn echoed(&self, label: &str) -> Judgement {
        let response = match self.response(label) {
            Ok(response) => response,
            Err(judgement) => return judgement,
        };
        let header = self.stage.operation.key_header(self.stage.dialect);
        let sent = self.all(label).next();
        let sent = sent.and_then(|exchange| exchange.request.field(header));
        match (sent, response.field(header)) {
            (Some(sent), Some(echo)) if sent == echo => Holds,
            (Some(_), Some(_)) => Broken(format!("{label}: {header} is another key")),
            (Some(_), None) => Broken(format!("{label}: no {header} in the answer")),
            (None, _) => Unclear(format!("{label}: no key was sent")),
        }
    }

    pub(super) fn status(&self, label: &str, token: &str) -> Judgement {
        let response = match self.response(label) {
            Ok(response) => response,
            Err(judgement) => return judgement,
        };
        let status = response.text("idempotency-status").unwrap_or_default();
        match status.split(';').next().unwrap_or_default().trim() {
            given if given == token => Holds,
            "" => Broken(format!("{label}: no Idempotency-Status")),
            given => Broken(format!(
                "{label}: Idempotency-Status is {given}, where {token} is true"
            )),
        }
    }

    pub(super) fn advice(&self, label: &str, advice: Advice) -> Judgement {
        let response = match self.response(label) {
            Ok(response) if response.is_success() => {
                return Unclear(format!("{label}: it was not refused"));
            }
            Ok(response) => response,
            Err(judgement) => return judgement,
        };
        let body = response.json().unwrap_or_default();
        for (name, expected) in [("executed", advice.executed), ("next", advice.next)] {
            match body.get(name).and_then(Value::as_str) {
                Some(given) if given == expected => {}
                Some(given) => {
                    return Broken(format!("{label}: `{name}` is {given:?}, not {expected:?}"));
                }
                None => return Broken(format!("{label}: the refusal has no `{name}`")),
            }
        }
        Holds
    }

    pub(super) fn as_documented(&self, label: &str, refusal: Refusal) -> Judgement {
        let Some(documented) = self.documented_status(refusal) else {
            return Unclear("no document says how that is answered".to_owned());
        };
        match self.response(label) {
            Ok(response) if response.status == documented => Holds,
            // Whoever waits for the first answer was never refused.
            Ok(response) if refusal == Refusal::InFlight && response.is_success() => {
                Unclear(format!("{label}: it was not refused"))
            }
            Ok(response) => Broken(format!(
                "{label}: answered {}, where {documented} is documented",
                response.status
            )),
            Err(judgement) => judgement,
        }
    }

    fn documented_status(&self, refusal: Refusal) -> Option<u16> {
        let policy = self.stage.operation.documented.as_ref()?;
        match refusal {
            Refusal::Mismatch => policy.mismatch,
            Refusal::InFlight => policy.in_flight,
            Refusal::Missing | Refusal::Malformed => None,
        }
    }

    pub(super) fn discovery(&self, label: &str, first: &str, again: &str) -> Judgement {
        let response = match self.response(label) {
            Ok(response) if response.is_success() => response,
            Ok(response) => {
                return Unclear(format!(
                    "there is no document at {DISCOVERY_PATH}: {}",
                    response.status
                ));
            }
            Err(judgement) => return judgement,
        };
        if !is_json(response) {
            return Broken(format!("{DISCOVERY_PATH} is not sent as JSON"));
        }
        let operation = self.stage.operation;
        let plain = operation.plain();
        match discovered(&response.body, &plain.method, &plain.target) {
            Err(problem) => Broken(format!("{DISCOVERY_PATH} is not valid: {problem}")),
            Ok(None) => Unclear(format!("{DISCOVERY_PATH} says nothing of the operation")),
            Ok(Some(found)) => {
                let documented = operation.documented.clone().unwrap_or_default();
                match documented.contradiction(&found) {
                    Some(what) => Broken(format!(
                        "{DISCOVERY_PATH} and another document differ on {what}"
                    )),
                    None => self.as_published(&found, first, again),
                }
            }
        }
    }

    /// The header that is published is the one that counts, and an answer that says how long it is kept says the same.
    fn as_published(&self, found: &Policy, first: &str, again: &str) -> Judgement {
        let (Ok(first), Ok(again)) = (self.response(first), self.response(again)) else {
            return Holds;
        };
        if found.key == Some(KeyPolicy::Ignored) || !first.is_success() {
            return Holds;
        }
        if again.is_success() && again.body != first.body {
            return Broken(format!(
                "{DISCOVERY_PATH} names a header for keys, and a retry with the key in it ran again"
            ));
        }
        match (found.retention, seconds_kept(first)) {
            (Some(said), Some(kept)) if said.as_secs() != kept => Broken(format!(
                "{DISCOVERY_PATH} says that answers are kept for {} s, and the answer says {kept} s",
                said.as_secs()
            )),
            (Some(_) | None, Some(_) | None) => Holds,
        }
    }
}

/// What an answer says of its own retention: `ttl` in `Idempotency-Status`.
fn seconds_kept(response: &Response) -> Option<u64> {
    let status = response.text("idempotency-status")?;
    let mut parameters = status.split(';').skip(1);
    parameters.find_map(|parameter| parameter.trim().strip_prefix("ttl=")?.parse().ok())
}

fn is_json(response: &Response) -> bool {
    let kind = response.text("content-type").unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence == "application/json" || essence.ends_with("+json")
}
