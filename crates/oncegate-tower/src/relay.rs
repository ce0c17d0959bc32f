//! Passes on an answer that is too long to hold, or that streams, while its execution goes on.
//!
//! The caller sees it while it comes, but never its end before the end is recorded. It is completed without body:
//! a retry is told that it ran. If it breaks, or cannot be recorded, the message is left unfinished.

use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use futures_util::FutureExt;
use http::Response;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use oncegate::classify::Class;
use oncegate::engine::BeginRequest;
use oncegate::{Engine, Policy, StoredResponse};
use std::time::Duration;
use tokio::time::timeout;

use crate::body::{Body, Piece, RelaySender};
use crate::exchange::Long;
use crate::execution::{Teller, Told, tell};
use crate::holding::{Concluded, Ending, Holding, Interrupted};
use crate::inner::AnyBody;
use crate::status::{Became, Status};

/// Tells the caller the head of `long` at once, and relays the rest.
pub(crate) async fn relay<S, E, B>(
    long: Long<B>,
    class: Class,
    engine: &Engine,
    begin: &BeginRequest,
    policy: &Policy,
    mut holding: Holding,
    teller: Teller<S, E>,
) where
    B: AnyBody,
{
    let Long {
        parts,
        length,
        start,
        rest,
    } = long;
    let ending = match class {
        Class::Keep => Ending::Complete {
            response: StoredResponse::not_kept(parts.status, &parts.headers),
            retention: policy.completed(),
        },
        Class::Release => Ending::Release,
        Class::Unknown => Ending::Unknown,
    };
    let (sender, body) = Body::relayed(length.map_or_else(SizeHint::default, SizeHint::with_exact));
    tell(
        teller,
        Told::Answer(Response::from_parts(parts, body), status(class, &holding)),
    );

    let mut listener = Listener {
        sender: Some(sender),
        left: length,
        held_back: Vec::new(),
    };
    if let Err(Broken) = pass_on(start, rest, &mut listener, &mut holding).await {
        drop(listener);
        holding.conclude(Ending::Unknown).await;
        return;
    }
    let concluding = holding.conclude_or_enter(engine, begin, policy, ending);
    let mut concluding = std::pin::pin!(concluding);
    match timeout(policy.complete_timeout, &mut concluding).await {
        Ok(Concluded::Recorded { .. } | Concluded::Bypassed) => listener.finish().await,
        Ok(Concluded::Stale { .. } | Concluded::Failed) => drop(listener),
        Err(_elapsed) => {
            drop(listener);
            concluding.await;
        }
    }
}

fn status(class: Class, holding: &Holding) -> Status {
    let Some(fence) = holding.fence() else {
        return Status::new(Became::Bypassed);
    };
    let status = match class {
        Class::Keep => Status {
            kept: Some(false),
            ..Status::new(Became::Executed)
        },
        Class::Release => Status::new(Became::Released),
        Class::Unknown => Status::new(Became::Unknown),
    };
    status.with_fence(fence)
}

/// The answer broke, or its execution was interrupted.
struct Broken;

impl From<Interrupted> for Broken {
    fn from(_: Interrupted) -> Self {
        Self
    }
}

/// Reads the answer to its end, whether or not somebody listens.
async fn pass_on<B>(
    start: Bytes,
    mut rest: std::pin::Pin<Box<B>>,
    listener: &mut Listener,
    holding: &mut Holding,
) -> Result<(), Broken>
where
    B: AnyBody,
{
    if !start.is_empty() {
        listener.hear(Frame::data(start), holding).await?;
    }
    loop {
        // A body may panic like a handler may: both are an outcome that nobody knows.
        let next = AssertUnwindSafe(rest.frame()).catch_unwind();
        match holding.during(next).await? {
            Ok(Some(Ok(frame))) => listener.hear(frame, holding).await?,
            Ok(None) if listener.left.is_none_or(|left| left == 0) => return Ok(()),
            // Broken off, or ended before its time: truncated is never complete (M-31).
            Ok(None | Some(Err(_))) | Err(_) => return Err(Broken),
        }
    }
}

/// The caller's end of a relayed answer.
struct Listener {
    /// Gone once the caller has gone, or has stalled for too long.
    sender: Option<RelaySender>,
    /// What is still to come, if the length was announced.
    left: Option<u64>,
    /// What ends the message: it waits for the outcome to be recorded.
    held_back: Vec<Frame<Bytes>>,
}

impl Listener {
    /// Passes `frame` on, unless it would end the message: then it is held back. Where no length was announced
    /// only the end itself ends the message, and nothing is held back, so that events arrive when they happen.
    async fn hear(&mut self, frame: Frame<Bytes>, holding: &mut Holding) -> Result<(), Broken> {
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        if let Some(left) = &mut self.left {
            // More than was announced has no place in the message.
            *left = left.checked_sub(length).ok_or(Broken)?;
        }
        if self.left == Some(0) || frame.is_trailers() {
            self.held_back.push(frame);
            return Ok(());
        }
        let Some(sender) = &self.sender else {
            return Ok(());
        };
        let sending = timeout(STALL_TIMEOUT, sender.send(Piece::Frame(frame)));
        if !matches!(holding.while_caller(sending).await?, Ok(Ok(()))) {
            self.sender = None;
        }
        Ok(())
    }

    async fn finish(self) {
        let Some(sender) = self.sender else { return };
        let pieces = self
            .held_back
            .into_iter()
            .map(Piece::Frame)
            .chain([Piece::End]);
        for piece in pieces {
            if !matches!(timeout(STALL_TIMEOUT, sender.send(piece)).await, Ok(Ok(()))) {
                return;
            }
        }
    }
}

/// How long a caller may take no byte of a long answer before the execution goes on without it.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
