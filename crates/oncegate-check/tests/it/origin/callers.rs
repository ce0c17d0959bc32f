//! What becomes of a request whose caller leaves.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::request::Parts;
use axum::response::Response;

use super::{Api, Defect, Id, Record, keys, principal, words};

/// Claims a new key before the body is read, where that is the defect.
pub(super) fn claim_early(api: &Api, parts: &Parts) -> Option<Id> {
    let id = id(parts).filter(|_| api.defect == Defect::ClaimsBeforeBody)?;
    let mut books = api.books.lock();
    if books.records.contains_key(&id) {
        return None;
    }
    let claimed = Record::claimed(Vec::new());
    books.records.insert(id.clone(), claimed);
    Some(id)
}

/// A caller that leaves cancels nothing, as the work is done in a task of its own.
pub(super) async fn answer(
    api: Arc<Api>,
    parts: Parts,
    body: Bytes,
    early: Option<Id>,
) -> Response {
    if let Some(id) = early {
        // It is claimed anew, with all that is known of it now.
        api.books.lock().records.remove(&id);
    }
    if api.defect == Defect::StopsWithCaller {
        return api.answer(&parts, body).await;
    }
    let watch = Watch {
        api: Arc::clone(&api),
        id: id(&parts),
        heard: false,
    };
    let answer = tokio::spawn(async move { api.answer(&parts, body).await }).await;
    watch.end();
    answer.unwrap()
}

/// The body has no end.
pub(super) fn half(api: &Api) -> Response {
    if api.defect == Defect::RunsHalf {
        drop(api.book(0));
    }
    words::HALF.answer(api.defect)
}

impl Api {
    /// Waits while the first request is running, whatever it asked for.
    pub(super) async fn hold(&self, id: &Id) {
        let in_flight = |record: &Record| record.outcome.is_none();
        while self.books.lock().records.get(id).is_some_and(in_flight) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

/// Dropped before the answer was there, it knows that the caller has left.
struct Watch {
    api: Arc<Api>,
    id: Option<Id>,
    heard: bool,
}

impl Watch {
    fn end(mut self) {
        self.heard = true;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.heard || self.api.defect != Defect::ForgetsTheLeft {
            return;
        }
        if let Some(id) = self.id.take() {
            self.api.books.lock().left.insert(id);
        }
    }
}

fn id(parts: &Parts) -> Option<Id> {
    let key = keys::key(parts, Defect::None).ok().flatten()?;
    Some((principal(parts), key))
}
