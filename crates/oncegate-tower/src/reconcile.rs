//! Asks the upstream what became of an execution whose outcome is unknown.
//!
//! This runs under a claim that was taken over, so that nobody executes meanwhile. 2xx: that is the outcome. 404,
//! twice, with a pause between: it was not executed. Anything else: it stays unknown.

use std::future::poll_fn;
use std::time::Duration;

use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use oncegate::policy::Reconcile;
use oncegate::scope::{ScopeRules, ScopeSource};
use tokio::time::sleep;

use crate::body::Body;
use crate::budget::BufferBudget;
use crate::exchange::{Exchanged, Whole, exchange};
use crate::inner::Inner;

/// What the upstream said.
pub(crate) enum Reconciled {
    /// This was the outcome.
    Found(Box<Whole>),
    /// It was not executed.
    NotExecuted,
    /// It cannot say.
    Unknown,
}

/// What to ask.
pub(crate) struct Question {
    uri: Uri,
    headers: HeaderMap,
    status: StatusCode,
}

impl Question {
    /// The question that `rule` wants asked about `request`; with the caller's own credentials, so that it learns
    /// nothing that it may not see. None if the rule does not make a path.
    pub(crate) fn about(
        request: &Request<Body>,
        key: &str,
        rule: &Reconcile,
        scope: &ScopeRules,
    ) -> Option<Self> {
        // As a path segment these two lead elsewhere, encoded or not: the answer would be about another resource.
        if matches!(key, "." | "..") {
            return None;
        }
        let path = rule.get.replace("{key}", &percent_encoded(key));
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = Some(path.parse().ok()?);
        let uri = Uri::from_parts(parts).ok()?;
        let sources = scope.sources.iter().map(ScopeSource::header_name);
        let carried = [header::HOST, header::COOKIE];
        let names = carried
            .iter()
            .chain(sources)
            .chain(&scope.credential_headers);
        let mut headers = HeaderMap::new();
        for name in names {
            if !headers.contains_key(name) {
                for value in request.headers().get_all(name) {
                    headers.append(name.clone(), value.clone());
                }
            }
        }
        Some(Self {
            uri,
            headers,
            status: rule.status,
        })
    }

    /// Asks, and asks again if nothing was found: the execution may just be ending. `inner` is ready, and is ready
    /// again if it is to execute: two at once could wait for each other's place.
    pub(crate) async fn ask<S: Inner>(
        self,
        inner: &mut S,
        response_bytes_max: u64,
        buffer: &BufferBudget,
    ) -> Reconciled {
        for look in 1..=LOOKS {
            let next = inner.clone();
            let ready = std::mem::replace(inner, next);
            match exchange(ready, self.request(), response_bytes_max, buffer).await {
                Exchanged::Whole(mut whole) if whole.parts.status.is_success() => {
                    whole.parts.status = self.status;
                    return Reconciled::Found(whole);
                }
                Exchanged::Whole(whole) if whole.parts.status == StatusCode::NOT_FOUND => {}
                Exchanged::Whole(_)
                | Exchanged::Long(_)
                | Exchanged::Failed(_)
                | Exchanged::Error(_)
                | Exchanged::Panicked => return Reconciled::Unknown,
            }
            if poll_fn(|cx| inner.poll_ready(cx)).await.is_err() {
                return Reconciled::Unknown;
            }
            if look < LOOKS {
                sleep(PAUSE).await;
            }
        }
        Reconciled::NotExecuted
    }

    fn request(&self) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

/// `text` as one path segment (RFC 3986: all but the unreserved characters encoded).
fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

const LOOKS: usize = 2;
const PAUSE: Duration = Duration::from_secs(1);
