//! Takes a request body in whole, in memory or on disk, and fingerprints it on the way.
//!
//! There is one path for all sizes. A caller that breaks off in mid-upload leaves no trace: nothing was claimed.

use futures_util::future::BoxFuture;
use http::HeaderMap;
use http_body_util::BodyExt;
use oncegate::fingerprint::{Fingerprint, Fingerprinter};
use oncegate::{Policy, Problem, ProblemKind};

use crate::body::{Body, BoxError, declared_length};
use crate::inner::AnyBody;
use crate::spool::{Spool, SpoolError, Spooling};

/// A body that came in whole.
pub(crate) struct Uploaded {
    pub(crate) body: Body,
    pub(crate) fingerprint: Fingerprint,
}

/// Asked once, before a body is spooled: is there a reason not to read on?
pub(crate) type BeforeSpool<'a> = BoxFuture<'a, Result<(), Problem>>;

/// Refuses a body whose declared length is over the bound, before a byte of it is read.
pub(crate) fn check_declared(headers: &HeaderMap, policy: &Policy) -> Result<(), Problem> {
    match declared_length(headers) {
        Some(length) if length > policy.request_bytes_max => Err(too_large(policy)),
        Some(_) | None => Ok(()),
    }
}

/// Reads `body` to its end. If it ends before the length that was `declared` it broke off, however cleanly.
pub(crate) async fn take_in<B>(
    body: B,
    declared: Option<u64>,
    mut fingerprinter: Fingerprinter,
    policy: &Policy,
    spool: &Spool,
    before_spool: BeforeSpool<'_>,
) -> Result<Uploaded, Problem>
where
    B: AnyBody,
{
    let mut before_spool = Some(before_spool);
    let mut held = Held::Memory(Vec::with_capacity(first_buffer(&body, policy)));
    let mut trailers = None;
    let mut length: u64 = 0;
    let mut body = std::pin::pin!(body);
    while let Some(frame) = body.as_mut().frame().await {
        let frame = frame.map_err(|error| incomplete(error.into()))?;
        match frame.into_data() {
            Ok(chunk) => {
                length += chunk.len() as u64;
                if length > policy.request_bytes_max {
                    return Err(too_large(policy));
                }
                if length > policy.buffer_bytes_max
                    && let Some(before_spool) = before_spool.take()
                {
                    before_spool.await?;
                    held = held.into_spool(spool).await.map_err(spool_failed)?;
                }
                fingerprinter.update(&chunk);
                held.write(&chunk).await.map_err(spool_failed)?;
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    if declared.is_some_and(|declared| length < declared) {
        return Err(incomplete("it is shorter than declared".into()));
    }
    let body = held
        .finish()
        .await
        .map_err(spool_failed)?
        .with_trailers(trailers);
    Ok(Uploaded {
        body,
        fingerprint: fingerprinter.finish(),
    })
}

enum Held {
    Memory(Vec<u8>),
    Disk(Spooling),
}

impl Held {
    async fn into_spool(self, spool: &Spool) -> Result<Self, SpoolError> {
        match self {
            Self::Memory(bytes) => {
                let mut spooling = spool.open().await?;
                spooling.write(&bytes).await?;
                Ok(Self::Disk(spooling))
            }
            Self::Disk(spooling) => Ok(Self::Disk(spooling)),
        }
    }

    async fn write(&mut self, chunk: &[u8]) -> Result<(), SpoolError> {
        match self {
            Self::Memory(bytes) => {
                bytes.extend_from_slice(chunk);
                Ok(())
            }
            Self::Disk(spooling) => spooling.write(chunk).await,
        }
    }

    async fn finish(self) -> Result<Body, SpoolError> {
        Ok(match self {
            Self::Memory(bytes) => Body::whole(bytes),
            Self::Disk(spooling) => Body::spooled(spooling.finish().await?),
        })
    }
}

/// Room for what the body says of its length, but never more than a buffer may hold: the length is a claim.
fn first_buffer(body: &impl http_body::Body, policy: &Policy) -> usize {
    usize::try_from(body.size_hint().lower().min(policy.buffer_bytes_max)).unwrap_or(0)
}

fn too_large(policy: &Policy) -> Problem {
    let most = policy.request_bytes_max;
    Problem::new(ProblemKind::RequestTooLarge)
        .because(format_args!("the body is larger than {most} bytes"))
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
