//! Takes a request body in whole, in memory or on disk, and fingerprints it on the way.
//!
//! There is one path for all sizes. A caller that breaks off in mid-upload leaves no trace: nothing was claimed.
//! Where there is no room for a body, in memory or on disk, it is refused; unless something stands under its key: then
//! it is read for its fingerprint alone, so that replays go on.

use futures_util::future::BoxFuture;
use http::HeaderMap;
use http_body_util::BodyExt;
use oncegate::fingerprint::{Fingerprint, Fingerprinter};
use oncegate::{Policy, Problem, ProblemKind};

use crate::body::{Body, BoxError, declared_length};
use crate::budget::{self, BufferBudget, NoRoom, Share};
use crate::inner::AnyBody;
use crate::spool::{Spool, SpoolError, Spooling};

/// A body that came in whole.
pub(crate) struct Uploaded {
    /// Nothing, if there was no room: then the request can be judged, but not executed.
    pub(crate) body: Option<Body>,
    pub(crate) fingerprint: Fingerprint,
}

/// Questions that come up on the way, each at most once: is there a reason not to read on?
pub(crate) trait Looks {
    /// The body is about to be spooled.
    fn before_spool(&self) -> BoxFuture<'_, Result<(), Problem>>;
    /// There is no room for the body.
    fn without_room(&self) -> BoxFuture<'_, Result<(), Problem>>;
}

/// Refuses a body whose declared length is over the bound, before a byte of it is read.
pub(crate) fn check_declared(headers: &HeaderMap, policy: &Policy) -> Result<(), Problem> {
    match declared_length(headers) {
        Some(length) if length > policy.request_bytes_max => {
            Err(Problem::request_too_large(policy.request_bytes_max))
        }
        Some(_) | None => Ok(()),
    }
}

/// Reads `body` to its end. If it ends before the length that was `declared` it broke off, however cleanly.
pub(crate) async fn take_in<B>(
    body: B,
    declared: Option<u64>,
    mut fingerprinter: Fingerprinter,
    policy: &Policy,
    (buffer, spool): (&BufferBudget, &Spool),
    looks: &(impl Looks + Sync),
) -> Result<Uploaded, Problem>
where
    B: AnyBody,
{
    let first = Vec::with_capacity(first_buffer(&body, policy));
    let mut held = Held::Memory(first, buffer.share(budget::Held::Request));
    let mut trailers = None;
    let mut length: u64 = 0;
    let mut body = std::pin::pin!(body);
    while let Some(frame) = body.as_mut().frame().await {
        let frame = frame.map_err(|error| incomplete(error.into()))?;
        match frame.into_data() {
            Ok(chunk) => {
                length += chunk.len() as u64;
                if length > policy.request_bytes_max {
                    return Err(Problem::request_too_large(policy.request_bytes_max));
                }
                if length > policy.buffer_bytes_max && matches!(held, Held::Memory(..)) {
                    looks.before_spool().await?;
                    held = held.into_spool(spool).await?;
                }
                fingerprinter.update(&chunk);
                held.write(&chunk).await?;
                if held.has_no_room() {
                    looks.without_room().await?;
                    held = Held::Nothing;
                }
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    if declared.is_some_and(|declared| length < declared) {
        return Err(incomplete("it is shorter than declared".into()));
    }
    let body = held.finish().await?;
    Ok(Uploaded {
        body: body.map(|body| body.with_trailers(trailers)),
        fingerprint: fingerprinter.finish(),
    })
}

enum Held {
    Memory(Vec<u8>, Share),
    Disk(Spooling),
    /// What was held is given back: there is no room for the rest.
    NoRoom,
    /// It was asked what that means, and the rest is read for the fingerprint alone.
    Nothing,
}

impl Held {
    async fn into_spool(self, spool: &Spool) -> Result<Self, Problem> {
        match self {
            Self::Memory(bytes, _share) => {
                let mut spooling = Self::Disk(spool.open().await.map_err(spool_failed)?);
                spooling.write(&bytes).await?;
                Ok(spooling)
            }
            held @ (Self::Disk(_) | Self::NoRoom | Self::Nothing) => Ok(held),
        }
    }

    async fn write(&mut self, chunk: &[u8]) -> Result<(), Problem> {
        let written = match self {
            Self::Memory(bytes, share) => share.grow(chunk.len()).map(|()| {
                bytes.extend_from_slice(chunk);
            }),
            Self::Disk(spooling) => match spooling.write(chunk).await {
                Ok(()) => Ok(()),
                Err(SpoolError::Full { .. }) => Err(NoRoom),
                Err(error @ SpoolError::File(_)) => return Err(spool_failed(error)),
            },
            Self::NoRoom | Self::Nothing => Ok(()),
        };
        if written == Err(NoRoom) {
            *self = Self::NoRoom;
        }
        Ok(())
    }

    const fn has_no_room(&self) -> bool {
        matches!(self, Self::NoRoom)
    }

    async fn finish(self) -> Result<Option<Body>, Problem> {
        Ok(match self {
            Self::Memory(bytes, share) => Some(Body::whole(share.hold(bytes))),
            Self::Disk(spooling) => {
                let spooled = spooling.finish().await.map_err(spool_failed)?;
                Some(Body::spooled(spooled))
            }
            Self::NoRoom | Self::Nothing => None,
        })
    }
}

/// Room for what the body says of its length, but not for much: the length is a claim, and is counted as it comes.
fn first_buffer(body: &impl http_body::Body, policy: &Policy) -> usize {
    let most = policy.buffer_bytes_max.min(FIRST_BUFFER_BYTES_MAX);
    usize::try_from(body.size_hint().lower().min(most)).unwrap_or(0)
}

fn incomplete(error: BoxError) -> Problem {
    tracing::debug!(%error, "a request body broke off");
    Problem::new(ProblemKind::RequestIncomplete)
}

fn spool_failed(error: SpoolError) -> Problem {
    tracing::error!(
        error = &error as &dyn std::error::Error,
        "a request body could not be spooled"
    );
    Problem::new(ProblemKind::Overloaded)
}

/// What a body may take before it has sent anything.
const FIRST_BUFFER_BYTES_MAX: u64 = 128 * 1024;
