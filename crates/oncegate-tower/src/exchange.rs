//! One exchange with the inner service: the call, and its answer up to the size that is held.
//!
//! A panic, an error, a failure or a truncated body are told apart from a whole answer here, once.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::header::{self, HeaderMap};
use http::{Request, StatusCode, response};
use http_body_util::BodyExt;

use crate::body::{Body, declared_length};
use crate::budget::{self, BufferBudget, NoRoom, StillCounted};
use crate::failure::Failure;
use crate::inner::{AnyBody, Inner};

/// What came of an exchange.
pub(crate) enum Exchanged<B, E> {
    /// The whole answer, held.
    Whole(Box<Whole>),
    /// An answer that is too long to hold, finds no room, or streams: its start, and the rest.
    Long(Box<Long<B>>),
    /// No whole answer.
    Failed(Failure),
    /// The inner service's own error: it may have run.
    Error(E),
    /// The inner service panicked: it may have run.
    Panicked,
}

pub(crate) struct Whole {
    pub(crate) parts: response::Parts,
    pub(crate) body: Bytes,
    /// For the copy of the body that goes to the store.
    pub(crate) counted: Option<StillCounted>,
    pub(crate) trailers: HeaderMap,
}

pub(crate) struct Long<B> {
    pub(crate) parts: response::Parts,
    /// What the whole body was announced to be long.
    pub(crate) length: Option<u64>,
    pub(crate) start: Bytes,
    pub(crate) rest: Pin<Box<B>>,
}

/// Calls `inner`, which is ready, and holds its answer up to `response_bytes_max` if there is room in `buffer`.
pub(crate) fn exchange<S>(
    inner: S,
    request: Request<Body>,
    response_bytes_max: u64,
    buffer: &BufferBudget,
) -> impl Future<Output = Exchanged<S::Answer, S::Error>> + Send
where
    S: Inner,
{
    AssertUnwindSafe(call(inner, request, response_bytes_max, buffer))
        .catch_unwind()
        .map(|exchanged| exchanged.unwrap_or(Exchanged::Panicked))
}

async fn call<S>(
    mut inner: S,
    request: Request<Body>,
    response_bytes_max: u64,
    buffer: &BufferBudget,
) -> Exchanged<S::Answer, S::Error>
where
    S: Inner,
{
    let (parts, body) = match inner.call(request).await {
        Ok(response) => response.into_parts(),
        Err(error) => return Exchanged::Error(error),
    };
    if let Some(failure) = parts.extensions.get::<Failure>() {
        return Exchanged::Failed(*failure);
    }
    // A keyed request is no upgrade, so a 1xx is no answer to it (M-15).
    if parts.status.is_informational() {
        return Exchanged::Failed(Failure::Broken);
    }
    hold(parts, Box::pin(body), response_bytes_max, buffer).await
}

async fn hold<B, E>(
    parts: response::Parts,
    mut body: Pin<Box<B>>,
    response_bytes_max: u64,
    buffer: &BufferBudget,
) -> Exchanged<B, E>
where
    B: AnyBody,
{
    let length = announced(&parts, &*body);
    // An answer without a body is whole with its head: that must wait for the record (M-14).
    let has_body = !body.is_end_stream() && length != Some(0) && may_have_body(parts.status);
    if has_body && (streams(&parts) || body.size_hint().lower() > response_bytes_max) {
        return Exchanged::Long(Box::new(Long {
            parts,
            length,
            start: Bytes::new(),
            rest: body,
        }));
    }
    let mut held = Held::default();
    let mut share = buffer.share(budget::Held::Answer);
    let mut trailers = HeaderMap::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Exchanged::Failed(Failure::Broken);
        };
        let mut room = Ok(());
        match frame.into_data() {
            Ok(chunk) => {
                room = share.grow(chunk.len());
                held.push(chunk);
            }
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
        // One that finds no room is as good as too large: it is passed on whole, and known to have run (M-40).
        if held.len() as u64 > response_bytes_max || room == Err(NoRoom) {
            let start = share.hold(held.into_bytes());
            return Exchanged::Long(Box::new(Long {
                parts,
                length,
                start,
                rest: body,
            }));
        }
    }
    // However cleanly it ended: shorter than announced is truncated (M-31).
    if length.is_some_and(|length| (held.len() as u64) < length) {
        return Exchanged::Failed(Failure::Broken);
    }
    let (body, counted) = share.hold_with(held.into_bytes());
    Exchanged::Whole(Box::new(Whole {
        parts,
        body,
        counted,
        trailers,
    }))
}

/// Bytes that are held: one chunk as it came, more of them joined.
#[derive(Default)]
struct Held {
    first: Bytes,
    joined: BytesMut,
}

impl Held {
    fn push(&mut self, chunk: Bytes) {
        if self.len() == 0 {
            self.first = chunk;
        } else {
            if self.joined.is_empty() {
                self.joined.extend_from_slice(&self.first);
            }
            self.joined.extend_from_slice(&chunk);
        }
    }

    fn len(&self) -> usize {
        self.joined.len().max(self.first.len())
    }

    fn into_bytes(self) -> Bytes {
        if self.joined.is_empty() {
            self.first
        } else {
            self.joined.freeze()
        }
    }
}

/// How long the body is to be. The header counts first: it is what tells the caller where the message ends.
fn announced(parts: &response::Parts, body: &impl http_body::Body) -> Option<u64> {
    if !may_have_body(parts.status) {
        return None;
    }
    declared_length(&parts.headers).or_else(|| body.size_hint().exact())
}

fn may_have_body(status: StatusCode) -> bool {
    !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Whether the answer is a stream that a caller wants to see while it comes.
fn streams(parts: &response::Parts) -> bool {
    let content_type = parts
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    content_type.is_some_and(|text| {
        let essence = text.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("text/event-stream")
    })
}
