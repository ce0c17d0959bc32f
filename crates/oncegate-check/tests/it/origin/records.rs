//! What the origin knows of a key, and what follows from it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::{Api, Defect, Id, Outcome, Record, answers, outcome, response, words};

impl Api {
    pub(super) async fn once(&self, id: Id, parts: &Parts, body: &Bytes) -> Response {
        let fingerprint = fingerprint(self.defect, parts, body);
        if self.defect == Defect::HoldsAny {
            self.hold(&id).await;
        }
        if let Some(answer) = self.judge(&id, &fingerprint) {
            return answer;
        }
        self.note(|journal| journal.claimed(&id));
        let outcome = self.pay(parts, body).await;
        let stored = answers::stored(self.defect, parts, &outcome);
        self.note(|journal| journal.completed(&id, &fingerprint, &stored));
        let is_kept = self.complete(&id, fingerprint, stored);
        if self.defect == Defect::KeepsHalfAnswers && outcome.body.len() > answers::SMALL {
            return answers::piecemeal(Arc::clone(&self.books), id, &outcome);
        }
        let mut answer = answers::fresh(parts, &outcome);
        words::tell(&mut answer, if is_kept { "executed" } else { "released" });
        answer
    }

    /// Whether the outcome is kept now.
    fn complete(&self, id: &Id, fingerprint: Vec<u8>, outcome: Outcome) -> bool {
        let mut books = self.books.lock();
        let refused = |record: &Record| record.outcome.is_some();
        if self.defect == Defect::KeepsRefusal && books.records.get(id).is_some_and(refused) {
            return true;
        }
        if outcome.status.is_success() {
            books.last_success = Some(outcome.clone());
        }
        let kept = if self.keeps(outcome.status) {
            Some(outcome)
        } else {
            let mixes_up = self.defect == Defect::MixesUp;
            books.last_success.clone().filter(|_| mixes_up)
        };
        let is_kept = kept.is_some();
        if is_kept {
            let record = Record {
                outcome: kept,
                ..Record::claimed(fingerprint)
            };
            books.records.insert(id.clone(), record);
        } else if self.defect != Defect::Stuck {
            books.records.remove(id);
        }
        is_kept
    }

    /// Which outcomes stay with the key.
    fn keeps(&self, status: StatusCode) -> bool {
        match status.as_u16() {
            401 => self.defect == Defect::KeepsUnauthorized,
            429 => self.defect == Defect::KeepsRateLimits,
            400..=499 => self.defect != Defect::ReleasesRefusals,
            500.. => self.defect == Defect::KeepsServerErrors,
            _ => true,
        }
    }

    /// What a record says; without one, the key is claimed.
    fn judge(&self, id: &Id, fingerprint: &[u8]) -> Option<Response> {
        let mut books = self.books.lock();
        let is_old = |record: &Record| record.made_at.elapsed() >= SOON;
        if self.defect == Defect::ForgetsSoon && books.records.get(id).is_some_and(is_old) {
            books.records.remove(id);
        }
        if books.records.contains_key(id) && books.left.remove(id) {
            books.records.remove(id);
        }
        let is_foreign = |(scope, key): &Id| *key == id.1 && *scope != id.0;
        if self.defect == Defect::ForeignKeys && books.records.keys().any(is_foreign) {
            return Some(self.refuse(words::FOREIGN));
        }
        let Some(record) = books.records.get_mut(id) else {
            if self.defect != Defect::CheckThenSet {
                let record = Record::claimed(fingerprint.to_vec());
                books.records.insert(id.clone(), record);
            }
            return None;
        };
        if self.defect == Defect::ConflictFirst && record.outcome.is_none() {
            return Some(self.in_flight());
        }
        let compares = !matches!(self.defect, Defect::IgnoresBody | Defect::HoldsAny);
        if compares && !record.fingerprint.is_empty() && record.fingerprint != fingerprint {
            if self.defect == Defect::RunsOtherBytes {
                return None;
            }
            if self.defect == Defect::MismatchForgets {
                books.records.remove(id);
            }
            return Some(self.mismatch());
        }
        match &record.outcome {
            Some(outcome) => Some(self.replay(outcome)),
            None => Some(self.duplicate(record)),
        }
    }

    fn mismatch(&self) -> Response {
        let mut refusal = words::MISMATCH;
        if self.defect == Defect::VagueMismatch {
            refusal.status = StatusCode::BAD_REQUEST;
        }
        self.refuse(refusal)
    }

    fn duplicate(&self, record: &mut Record) -> Response {
        record.crowd += 1;
        if self.defect == Defect::CrowdBreaks && record.crowd > CROWD {
            return self.refuse(words::BROKEN);
        }
        if self.defect == Defect::KeepsRefusal {
            let refusal = json!({"title": words::IN_FLIGHT.title});
            record.outcome = Some(outcome(StatusCode::CONFLICT, &refusal));
        }
        self.in_flight()
    }

    fn in_flight(&self) -> Response {
        let mut refusal = words::IN_FLIGHT;
        if self.defect == Defect::VagueInFlight {
            refusal.status = StatusCode::BAD_REQUEST;
        }
        if self.defect == Defect::BreaksInFlight {
            refusal = words::BROKEN;
        }
        let mut answer = self.refuse(refusal);
        if self.defect != Defect::NoRetryAfter {
            answer
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }

    fn replay(&self, outcome: &Outcome) -> Response {
        let mut outcome = outcome.clone();
        if self.defect == Defect::OtherStatus {
            outcome.status = StatusCode::OK;
        }
        if self.defect == Defect::ReplaysAsConflict {
            outcome.status = StatusCode::CONFLICT;
        }
        if self.defect == Defect::OtherBytes {
            let value: Value = serde_json::from_slice(&outcome.body).unwrap();
            outcome.body = serde_json::to_string_pretty(&value).unwrap().into();
        }
        if self.defect == Defect::NoLocation {
            outcome.headers.remove(header::LOCATION);
        }
        if self.defect == Defect::OtherType {
            let text = HeaderValue::from_static("text/plain");
            outcome.headers.insert(header::CONTENT_TYPE, text);
        }
        let mut answer = response(&outcome);
        words::tell(&mut answer, "replayed");
        if self.defect != Defect::Unmarked {
            let marker = HeaderValue::from_static("true");
            answer.headers_mut().insert("idempotent-replayed", marker);
        }
        answer
    }
}

/// JSON is compared as a value, everything else as bytes.
fn fingerprint(defect: Defect, parts: &Parts, body: &Bytes) -> Vec<u8> {
    let unless = |broken: Defect, part: &str| {
        let part = if defect == broken { "" } else { part };
        part.to_owned()
    };
    let framing = match parts.headers.get(header::TRANSFER_ENCODING) {
        Some(coding) if defect == Defect::ComparesFraming => coding.to_str().unwrap(),
        Some(_) | None => "",
    };
    let head = [
        unless(Defect::IgnoresMethod, parts.method.as_str()),
        unless(Defect::IgnoresPath, parts.uri.path()),
        unless(Defect::IgnoresQuery, parts.uri.query().unwrap_or_default()),
        framing.to_owned(),
    ];
    let compares_bytes = matches!(defect, Defect::ComparesBytes | Defect::RunsOtherBytes);
    let body = match serde_json::from_slice::<Value>(body) {
        _ if defect == Defect::ComparesHeads => body[..body.len().min(1024)].to_vec(),
        Ok(value) if !compares_bytes => value.to_string().into_bytes(),
        Ok(_) | Err(_) => body.to_vec(),
    };
    [head.join("\n").into_bytes(), body].concat()
}

/// So many duplicates are borne by an origin that breaks when many wait.
const CROWD: usize = 3;

/// Less than the checker waits before a later retry.
const SOON: Duration = Duration::from_millis(500);
