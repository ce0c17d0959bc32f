//! The life of one keyed attempt after its body came in: claim, execute, record, then tell the caller.
//!
//! This runs in a task of its own. The caller may go at any point: it is told through a channel, and nothing here
//! waits for it (but the relay of a long answer, for a bounded time). Order is everything: the claim is durable
//! before the inner service is called, and the outcome is durable before the caller is told.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use oncegate::classify::{Class, DeclaredOutcome, classify};
use oncegate::engine::BeginRequest;
use oncegate::policy::OnUnknown;
use oncegate::{Policy, ProblemKind, StoredResponse, Verdict};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::answer::{Refusal, outcome_unknown_problem};
use crate::body::Body;
use crate::budget::StillCounted;
use crate::claiming::begin;
use crate::exchange::{Exchanged, Whole, exchange};
use crate::failure::Failure;
use crate::gate::Gate;
use crate::headers::{remove_where, set_content_length};
use crate::holding::{Concluded, Ending, Holder, Holding, Interrupted};
use crate::inner::Inner;
use crate::quota::Subject;
use crate::reconcile::{Question, Reconciled};
use crate::relay;
use crate::status::{Became, IDEMPOTENCY_OUTCOME, Status, downstream};

/// One attempt: what to execute, with a service that is ready, if its key is free.
pub(crate) struct Attempt<S> {
    pub(crate) inner: S,
    pub(crate) request: Request<Body>,
    pub(crate) begin: BeginRequest,
    pub(crate) key: Arc<str>,
    /// Whose quotas it counts against.
    pub(crate) subject: Subject,
    /// Whether it waited for another execution before: then it claims only for a caller that is still there.
    pub(crate) waited: bool,
}

/// What the caller is told.
#[expect(
    clippy::large_enum_variant,
    reason = "moved once; a box would cost every answer an allocation"
)]
pub(crate) enum Told<S, E> {
    /// An answer of the inner service, and what became of the request.
    Answer(Response<Body>, Status),
    /// A refusal of ours.
    Refused(Box<Refusal>),
    /// Nothing was executed: what stands under the key, and the attempt back in case it may wait.
    Judged(Verdict, Box<Attempt<S>>),
    /// What stands under a key that was lost to somebody else.
    Stands(Verdict),
    /// The inner service's own error.
    Error(E),
}

impl<S, E> fmt::Debug for Told<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answer(..) => "Answer",
            Self::Refused(_) => "Refused",
            Self::Judged(..) => "Judged",
            Self::Stands(_) => "Stands",
            Self::Error(_) => "Error",
        })
    }
}

/// Tells the caller, if it is still there.
pub(crate) type Teller<S, E> = oneshot::Sender<Told<S, E>>;

/// Begins `attempt` and, if its key is free, executes it.
pub(crate) async fn run<S>(
    gate: Gate,
    policy: Arc<Policy>,
    attempt: Box<Attempt<S>>,
    teller: Teller<S, S::Error>,
) where
    S: Inner,
{
    let begun = Instant::now();
    let holder = match begin(&gate, &attempt.begin, &policy, &attempt.subject).await {
        Ok(Verdict::Execute(claim)) => Holder::Claim(claim),
        Ok(Verdict::Bypass(bypass)) => Holder::Bypass(bypass),
        Ok(
            verdict @ (Verdict::Replay(_)
            | Verdict::InFlight(_)
            | Verdict::Unknown(_)
            | Verdict::Mismatch
            | Verdict::Expired),
        ) => return tell(teller, Told::Judged(verdict, attempt)),
        Err(refusal) => return tell(teller, Told::Refused(Box::new(refusal))),
    };
    let holding = Holding::new(holder, begun, &policy, gate.executions.clone());
    let begin = attempt.begin.clone();
    let origin = attempt.request.headers().get(header::ORIGIN).cloned();
    // Boxed: whoever is awaited below takes it whole, and would make room for it once more.
    let execution = Box::new(Execution {
        gate,
        policy,
        begin,
        origin,
        holding,
        teller,
        counted: None,
    });
    if attempt.waited && execution.teller.is_closed() {
        // A waiter whose caller left never executes (M-16).
        let unexecuted = execution.holding.unexecuted();
        Box::pin(execution.holding.conclude(unexecuted)).await;
        return;
    }
    execution.start(attempt).await;
}

/// An execution under way.
struct Execution<S, E> {
    gate: Gate,
    policy: Arc<Policy>,
    begin: BeginRequest,
    /// The page that the request came from: CORS headers of the answer are valid for it.
    origin: Option<HeaderValue>,
    holding: Holding,
    teller: Teller<S, E>,
    /// What keeps the outcome in the budget while it waits for the store.
    counted: Option<StillCounted>,
}

impl<S> Execution<S, S::Error>
where
    S: Inner,
{
    async fn start(mut self: Box<Self>, mut attempt: Box<Attempt<S>>) {
        if self.holding.is_taken_over()
            && let OnUnknown::Reconcile(rule) = &self.policy.on_unknown
        {
            let question =
                Question::about(&attempt.request, &attempt.key, rule, &self.policy.scope);
            // A question that cannot be put has no answer; to execute instead would be a guess.
            let Some(question) = question else {
                return Box::pin(self.still_unknown()).await;
            };
            let most = self.policy.response_bytes_max;
            let asking = Box::pin(question.ask(&mut attempt.inner, most, &self.gate.buffer));
            match self.holding.during(asking).await {
                Ok(Reconciled::NotExecuted) => {}
                Ok(Reconciled::Found(whole)) => return Box::pin(self.whole(whole)).await,
                Ok(Reconciled::Unknown) | Err(_) => {
                    return Box::pin(self.still_unknown()).await;
                }
            }
        }
        // At the last moment: all that came before may have taken longer than the lease.
        if !self.holding.make_sure().await {
            // Nothing was executed. If somebody took over, the caller is told what stands there instead.
            let refusal = Box::new(Refusal::of(ProblemKind::Overloaded));
            let unexecuted = self.holding.unexecuted();
            return Box::pin(self.conclude(unexecuted, |_| Told::Refused(refusal))).await;
        }
        self.prepare(&mut attempt.request);
        let most = self.policy.response_bytes_max;
        let exchanged = {
            let buffer = &self.gate.buffer;
            let Attempt { inner, request, .. } = *attempt;
            // Pinned here: passed by value it would lie in this future once for every function it goes through.
            let exchange = pin!(exchange(inner, request, most, buffer));
            self.holding.during(exchange).await
        };
        match exchanged {
            Ok(Exchanged::Whole(whole)) => self.whole(whole).await,
            Ok(Exchanged::Long(long)) => {
                let class = self.class(&long.parts.status, &long.parts.headers);
                let Self {
                    gate,
                    policy,
                    begin,
                    holding,
                    teller,
                    ..
                } = *self;
                let engine = &gate.engine;
                Box::pin(relay::relay(
                    *long, class, engine, &begin, &policy, holding, teller,
                ))
                .await;
            }
            Ok(Exchanged::Failed(failure)) => Box::pin(self.failed(failure)).await,
            Ok(Exchanged::Error(error)) => {
                Box::pin(self.conclude(Ending::Unknown, |_| Told::Error(error))).await;
            }
            Ok(Exchanged::Panicked) => {
                tracing::error!(record = %self.begin.id, "the handler panicked; the outcome is unknown");
                Box::pin(self.unknown(StatusCode::INTERNAL_SERVER_ERROR)).await;
            }
            Err(Interrupted::TimedOut) => Box::pin(self.failed(Failure::TimedOut)).await,
            Err(Interrupted::GaveUp) => Box::pin(self.unknown(StatusCode::BAD_GATEWAY)).await,
        }
    }

    /// What the inner service is to see: the fence, and nothing by which a retry could not read the stored answer.
    fn prepare(&self, request: &mut Request<Body>) {
        remove_where(request.headers_mut(), is_not_for_the_inner);
        if let Some(length) = http_body::Body::size_hint(request.body()).exact() {
            set_content_length(request.headers_mut(), length);
        }
        if let Some(fence) = self.holding.fence() {
            request
                .headers_mut()
                .insert(crate::status::IDEMPOTENCY_FENCE, fence.number().into());
            request.extensions_mut().insert(fence);
        }
        request
            .extensions_mut()
            .insert(crate::failure::Keyed::new(self.policy.keyed_idle_max));
    }

    fn class(&self, status: &StatusCode, headers: &HeaderMap) -> Class {
        let declared = headers.get(IDEMPOTENCY_OUTCOME).and_then(|value| {
            let declared = DeclaredOutcome::parse(value);
            if declared.is_none() {
                self.gate.answers.observer.outcome_not_understood();
            }
            declared
        });
        let downstream = downstream(headers);
        // The upstream's own dialect may have a word for it, too; but what another Oncegate says weighs more: what is
        // unknown to it is unknown, whatever its upstream said of this one attempt.
        let declared = declared.or_else(|| {
            let dialect = self.policy.dialect;
            let transient = downstream.is_none() && dialect.declares_transient(*status, headers);
            transient.then_some(DeclaredOutcome::Transient)
        });
        match classify(*status, declared, downstream, &self.policy) {
            // A release would forget what was unknown before this execution took over.
            Class::Release if self.holding.is_taken_over() => Class::Unknown,
            class @ (Class::Keep | Class::Release | Class::Unknown) => class,
        }
    }

    /// A whole answer: recorded by its class, then told.
    async fn whole(mut self: Box<Self>, whole: Box<Whole>) {
        let Whole {
            parts,
            body,
            counted,
            trailers,
        } = *whole;
        let (ending, done) = match self.class(&parts.status, &parts.headers) {
            Class::Keep => {
                self.counted = counted;
                let origin = self.origin.as_ref();
                let response =
                    StoredResponse::kept(parts.status, &parts.headers, origin, &body, &trailers);
                let retention = self.policy.completed();
                let ttl = Some(self.policy.retention);
                let done = Status {
                    ttl,
                    ..Status::new(Became::Executed)
                };
                (
                    Ending::Complete {
                        response,
                        retention,
                    },
                    done,
                )
            }
            Class::Release => (Ending::Release, Status::new(Became::Released)),
            Class::Unknown => (Ending::Unknown, Status::new(Became::Unknown)),
        };
        let trailers = (!trailers.is_empty()).then_some(trailers);
        let answer = Response::from_parts(parts, Body::whole(body).with_trailers(trailers));
        self.conclude(ending, |became| {
            let status = became.of(done);
            Told::Answer(answer, status)
        })
        .await;
    }

    async fn failed(self: Box<Self>, failure: Failure) {
        match failure {
            Failure::NotSent => {
                let refusal = Box::new(Refusal::of(ProblemKind::UpstreamUnreachable));
                let unexecuted = self.holding.unexecuted();
                self.conclude(unexecuted, |_| Told::Refused(refusal)).await;
            }
            Failure::Broken => self.unknown(StatusCode::BAD_GATEWAY).await,
            Failure::TimedOut => self.unknown(StatusCode::GATEWAY_TIMEOUT).await,
        }
    }

    async fn unknown(self: Box<Self>, status: StatusCode) {
        let fence = self.holding.fence();
        let unknown = Status {
            fence,
            ..Status::new(Became::Unknown)
        };
        let refusal = Refusal::new(outcome_unknown_problem(status)).with_status(unknown);
        self.conclude(Ending::Unknown, |_| Told::Refused(Box::new(refusal)))
            .await;
    }

    /// The upstream could not say what became of an earlier execution: this request ran nothing.
    async fn still_unknown(self: Box<Self>) {
        let refusal = Box::new(Refusal::of(ProblemKind::OutcomeUnknown));
        self.conclude(Ending::Unknown, |_| Told::Refused(refusal))
            .await;
    }

    /// Ends the claim; tells the caller once that is durable, or after `complete_timeout` without; goes on trying.
    async fn conclude(
        self: Box<Self>,
        ending: Ending,
        told: impl FnOnce(Made) -> Told<S, S::Error>,
    ) {
        let Self {
            gate,
            policy,
            begin,
            holding,
            teller,
            // To the end of this: the store may take its time long after the caller has its answer.
            counted: _counted,
            ..
        } = *self;
        let fence = holding.fence();
        let told = |how| told(Made { fence, how });
        let concluding = holding.conclude_or_enter(&gate.engine, &begin, &policy, ending);
        let mut concluding = Box::pin(concluding);
        let told = match timeout(policy.complete_timeout, &mut concluding).await {
            Ok(Concluded::Recorded { kept: true }) => told(How::Recorded),
            Ok(Concluded::Recorded { kept: false }) => told(How::NotKept),
            Ok(Concluded::Bypassed) => told(How::Bypassed),
            Ok(Concluded::Stale { stands: None, .. } | Concluded::Failed) => told(How::Unrecorded),
            Ok(Concluded::Stale {
                stands: Some(record),
                at,
            }) => match gate.engine.verdict(record, &begin.fingerprint, at) {
                Ok(verdict) => Told::Stands(verdict),
                Err(_unjudged) => told(How::Unrecorded),
            },
            Err(_elapsed) => {
                tracing::error!(record = %begin.id, "an outcome is not recorded yet; the caller has its answer");
                tell(teller, told(How::Unrecorded));
                concluding.await;
                return;
            }
        };
        tell(teller, told);
    }
}

/// What was made of the end of a claim, for the caller's status.
pub(crate) struct Made {
    pub(crate) fence: Option<oncegate::record::Fence>,
    pub(crate) how: How,
}

pub(crate) enum How {
    Recorded,
    NotKept,
    Unrecorded,
    Bypassed,
}

impl Made {
    /// `done` if it was recorded, else what is true instead.
    pub(crate) fn of(self, done: Status) -> Status {
        let status = match self.how {
            How::Recorded => done,
            How::NotKept => Status {
                kept: Some(false),
                ..done
            },
            // An outcome that nobody knows is no less unknown for not being written.
            How::Unrecorded if done.became == Became::Unknown => done,
            How::Unrecorded => Status::new(Became::Unrecorded),
            How::Bypassed => Status::new(Became::Bypassed),
        };
        Status {
            fence: self.fence,
            ..status
        }
    }
}

/// By these a retry could not read the stored answer, or the body would be framed twice; `Connection` could name, and
/// so take away, what the request was judged by.
fn is_not_for_the_inner(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "accept-encoding" | "range" | "expect" | "transfer-encoding" | "connection"
    )
}

/// The caller may be gone: then nobody needs to be told.
pub(crate) fn tell<S, E>(teller: Teller<S, E>, told: Told<S, E>) {
    drop(teller.send(told));
}
