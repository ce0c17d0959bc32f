//! What the origin answers: each kind of answer, what of it is stored, and how it goes out the first time.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::stream;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{Books, Defect, Id, Outcome, response};

/// The answer to an order that was paid, of the kind that the query asks for.
pub(super) fn outcome(defect: Defect, query: &str, payment: &Value) -> Outcome {
    if defect.hides_ids() {
        return super::outcome(StatusCode::CREATED, &json!({"ok": true}));
    }
    let id = payment["id"].as_str().unwrap();
    let mut outcome = super::outcome(StatusCode::CREATED, payment);
    let mut set = |name, value: &str| {
        outcome
            .headers
            .insert(name, HeaderValue::from_str(value).unwrap())
    };
    set(header::LOCATION, &format!("/payments/{id}"));
    set(header::CONNECTION, HOP);
    set(header::HeaderName::from_static(HOP), "1");
    if defect == Defect::OldDate {
        set(header::DATE, "Tue, 24 Nov 2026 10:00:00 GMT");
    }
    match query.strip_prefix("kind=") {
        Some("cookie") => drop(set(header::SET_COOKIE, "session=1")),
        Some("binary") => {
            set(header::CONTENT_TYPE, "application/octet-stream");
            outcome.body = [b"\xff\xfe\x00", id.as_bytes()].concat().into();
        }
        Some("empty") => {
            outcome.status = StatusCode::NO_CONTENT;
            outcome.headers.remove(header::CONTENT_TYPE);
            outcome.body = Bytes::new();
        }
        Some("large") => {
            let receipt = json!({"id": id, "receipt": "x".repeat(LARGE)});
            outcome.body = receipt.to_string().into();
        }
        Some(_) | None => {}
    }
    outcome
}

/// What a record keeps of it.
pub(super) fn stored(defect: Defect, parts: &Parts, outcome: &Outcome) -> Outcome {
    let mut stored = outcome.clone();
    stored.headers.remove(header::CONNECTION);
    if defect != Defect::HopByHop {
        stored.headers.remove(HOP);
    }
    if defect != Defect::OldCookie {
        stored.headers.remove(header::SET_COOKIE);
    }
    if defect == Defect::LossyText {
        stored.body = String::from_utf8_lossy(&stored.body).into_owned().into();
    }
    if defect == Defect::EmptyAsNull && stored.body.is_empty() {
        stored.status = StatusCode::OK;
        stored.body = Bytes::from_static(b"null");
    }
    if defect == Defect::FirstChunk && is_chunked(parts) {
        stored.body.truncate(chunk_bytes(&stored.body));
    }
    if defect == Defect::CutBody {
        stored.body.truncate(SMALL);
    }
    stored
}

/// The answer as it goes out the first time: in chunks, if the query says so.
pub(super) fn fresh(parts: &Parts, outcome: &Outcome) -> Response {
    let whole = response(outcome);
    if !is_chunked(parts) {
        return whole;
    }
    let chunks: Vec<_> = outcome
        .body
        .chunks(chunk_bytes(&outcome.body))
        .map(|chunk| Ok::<_, Infallible>(Bytes::copy_from_slice(chunk)))
        .collect();
    whole.map(|_| Body::from_stream(stream::iter(chunks)))
}

/// An answer that is written slowly. If its caller leaves, what it had is what the record keeps.
pub(super) fn piecemeal(books: Arc<Mutex<Books>>, id: Id, outcome: &Outcome) -> Response {
    let writer = Writer {
        books,
        id,
        body: outcome.body.clone(),
        sent: 0,
    };
    let pieces = stream::unfold(writer, |mut writer| async move {
        let piece = writer.next().await?;
        Some((Ok::<_, Infallible>(piece), writer))
    });
    response(outcome).map(|_| Body::from_stream(pieces))
}

struct Writer {
    books: Arc<Mutex<Books>>,
    id: Id,
    body: Bytes,
    sent: usize,
}

impl Writer {
    async fn next(&mut self) -> Option<Bytes> {
        if self.sent == self.body.len() {
            return None;
        }
        if self.sent > 0 {
            tokio::time::sleep(BETWEEN_PIECES).await;
        }
        let end = self.body.len().min(self.sent + LARGE / 4);
        let piece = self.body.slice(self.sent..end);
        self.sent = end;
        Some(piece)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(record) = self.books.lock().records.get_mut(&self.id)
            && let Some(outcome) = &mut record.outcome
        {
            outcome.body.truncate(self.sent);
        }
    }
}

fn is_chunked(parts: &Parts) -> bool {
    parts.uri.query() == Some("kind=chunked")
}

/// Of three chunks.
fn chunk_bytes(body: &Bytes) -> usize {
    body.len().div_ceil(3)
}

/// A line that `Connection` names.
const HOP: &str = "x-hop";
/// A body that any store takes.
pub(super) const SMALL: usize = 32 * 1024;
const LARGE: usize = 256 * 1024;
/// Long enough for a caller to be gone.
const BETWEEN_PIECES: Duration = Duration::from_millis(200);
