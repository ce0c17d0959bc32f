//! The service: judges each request in the order of the contract, and executes keyed ones in tasks of their own.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{BoxFuture, Either, select};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use oncegate::engine::BeginRequest;
use oncegate::hash::RecordId;
use oncegate::policy::{InFlight, StoreDown};
use oncegate::record::Phase;
use oncegate::{Policy, Problem, ProblemKind, Verdict};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};
use tower_service::Service;

use crate::answer::{Asked, Refusal};
use crate::body::{Body, declared_length};
use crate::budget::NoRoom;
use crate::claiming;
use crate::execution::{self, Attempt, Told};
use crate::failure::Failure;
use crate::gate::Gate;
use crate::headers::remove_where;
use crate::inner::{AnyBody, Inner};
use crate::layer::Policies;
use crate::pages;
use crate::route::{Keyed, Route};
use crate::status::{self, Became, Status};
use crate::upload::{self, Looks, Uploaded};
use crate::waiting::Place;

/// A service with idempotency keys. Its error is the inner service's own: whatever we have to say is an answer.
#[derive(Clone, Debug)]
pub struct OncegateService<S> {
    inner: S,
    gate: Gate,
    policies: Arc<dyn Policies>,
}

impl<S> OncegateService<S> {
    pub(crate) fn new(inner: S, gate: Gate, policies: Arc<dyn Policies>) -> Self {
        Self {
            inner,
            gate,
            policies,
        }
    }
}

impl<S, A> Service<Request<A>> for OncegateService<S>
where
    S: Inner,
    A: AnyBody,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        // The one that was polled ready goes with this request; its clone may not be ready.
        let next = self.inner.clone();
        let inner = mem::replace(&mut self.inner, next);
        let (mut parts, body) = request.into_parts();
        status::scrub(&mut parts.headers);
        drop_upgrade(&mut parts);
        join_cookies(&mut parts.headers);
        let gate = self.gate.clone();
        match Route::of(&parts, &gate, &*self.policies) {
            Route::Pass => Box::pin(pass(inner, parts, body, gate)),
            Route::Ignored(asked) => Box::pin(async move {
                let answer = pass(inner, parts, body, gate.clone()).await?;
                Ok(gate
                    .answers
                    .fresh(&asked, answer, Status::new(Became::Ignored)))
            }),
            Route::Page(kind) => Box::pin(async move { Ok(pages::page(kind, &parts)) }),
            Route::Refused(asked, refusal) => {
                Box::pin(async move { Ok(gate.answers.refuse(&asked, &refusal)) })
            }
            Route::Keyed(asked, keyed) => Box::pin(serve(inner, parts, body, gate, asked, keyed)),
        }
    }
}

/// An upgrade is a GET or a CONNECT. On any other method the offer is dropped: a request that changed protocols would
/// slip past every judgement.
fn drop_upgrade(parts: &mut Parts) {
    if parts.method != Method::GET && parts.method != Method::CONNECT {
        remove_where(&mut parts.headers, |name| {
            matches!(name.as_str(), "upgrade" | "http2-settings")
        });
    }
}

/// HTTP/2 sends cookies in crumbs, HTTP/1 in one line (RFC 9113, 8.2.3): whose key it is must not hang on that.
fn join_cookies(headers: &mut HeaderMap) {
    let lines = headers.get_all(header::COOKIE);
    if lines.iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = lines.iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

/// Straight through, streaming both ways.
async fn pass<S, A>(
    mut inner: S,
    parts: Parts,
    body: A,
    gate: Gate,
) -> Result<Response<Body>, S::Error>
where
    S: Inner,
    A: AnyBody,
{
    let answer = inner
        .call(Request::from_parts(parts, Body::foreign(body)))
        .await?;
    if let Some(failure) = answer.extensions().get::<Failure>() {
        return Ok(gate.answers.unanswered(*failure));
    }
    Ok(answer.map(Body::foreign))
}

/// Takes a keyed request in, has it executed or judged, and answers.
async fn serve<S, A>(
    inner: S,
    parts: Parts,
    body: A,
    gate: Gate,
    asked: Asked,
    keyed: Box<Keyed>,
) -> Result<Response<Body>, S::Error>
where
    S: Inner,
    A: AnyBody,
{
    let Keyed {
        policy,
        id,
        key,
        about,
        key_made_at,
        subject,
    } = *keyed;
    let fingerprinter = gate.engine.fingerprinter(&parts, &policy.fingerprint);
    let looks = LooksAt {
        gate: &gate,
        policy: &policy,
        id,
    };
    // A caller that waits to be told to go on is not told so for nothing.
    if parts.headers.contains_key(header::EXPECT)
        && let Err(problem) = looks.before_spool().await
    {
        return Ok(gate.answers.refuse(&asked, &Refusal::new(problem)));
    }
    let uploaded = upload::take_in(
        body,
        declared_length(&parts.headers),
        fingerprinter,
        &policy,
        (&gate.buffer, &gate.spool),
        &looks,
    );
    let Uploaded { body, fingerprint } = match uploaded.await {
        Ok(uploaded) => uploaded,
        Err(problem) => return Ok(gate.answers.refuse(&asked, &Refusal::new(problem))),
    };
    let begin = BeginRequest::new(id, fingerprint, about).with_key_made_at(key_made_at);
    let Some(body) = body else {
        let overloaded = || Refusal::of(ProblemKind::Overloaded);
        let answer = match claiming::judge(&gate, &begin, &policy, overloaded).await {
            Ok(verdict) => judged(&gate, &asked, &policy, &verdict),
            Err(refusal) => gate.answers.refuse(&asked, &refusal),
        };
        return Ok(answer);
    };
    let request = Request::from_parts(parts, body);
    let attempt = Attempt {
        inner,
        request,
        begin,
        key,
        subject,
        waited: false,
    };
    answer(gate, policy, &asked, Box::new(attempt)).await
}

/// Has an attempt executed in a task of its own, and waits for what it tells; again, if it may wait its turn.
async fn answer<S>(
    gate: Gate,
    policy: Arc<Policy>,
    asked: &Asked,
    mut attempt: Box<Attempt<S>>,
) -> Result<Response<Body>, S::Error>
where
    S: Inner,
{
    let mut turn = Turn::default();
    loop {
        let id = attempt.begin.id;
        // Watch, then look, then await: a change in between is not missed.
        let watch = turn.is_waiting().then(|| gate.engine.store().watch(id));
        let (teller, told) = oneshot::channel();
        gate.executions.spawn(execution::run(
            gate.clone(),
            Arc::clone(&policy),
            attempt,
            teller,
        ));
        let told = match timeout(policy.answer_timeout, told).await {
            Ok(Ok(told)) => told,
            // The task ended without a word: only a bug, or a runtime that shuts down, does that.
            Ok(Err(_gone)) => {
                return Ok(unknown(&gate, asked, ProblemKind::UpstreamOutcomeUnknown));
            }
            Err(_elapsed) => return Ok(unknown(&gate, asked, ProblemKind::StillRunning)),
        };
        match told {
            Told::Judged(verdict @ Verdict::InFlight(_), mut back) => {
                if !turn.wait(&gate, &policy, id, watch).await {
                    return Ok(judged(&gate, asked, &policy, &verdict));
                }
                back.waited = true;
                attempt = back;
            }
            Told::Judged(verdict, _) | Told::Stands(verdict) => {
                return Ok(judged(&gate, asked, &policy, &verdict));
            }
            Told::Answer(answer, status) => return Ok(gate.answers.fresh(asked, answer, status)),
            Told::Refused(refusal) => return Ok(gate.answers.refuse(asked, &refusal)),
            Told::Error(error) => return Err(error),
        }
    }
}

/// A duplicate's turn: it waits for a place once, then for the record to change, until its time is up.
#[derive(Debug, Default)]
struct Turn(Option<(Place, Instant)>);

impl Turn {
    const fn is_waiting(&self) -> bool {
        self.0.is_some()
    }

    /// Waits for a change; false if the duplicate may not wait (any longer). The first time it does not wait but
    /// takes its place, so that the next look is watched.
    async fn wait(
        &mut self,
        gate: &Gate,
        policy: &Policy,
        id: RecordId,
        watch: Option<oncegate::store::BoxFuture<'static, ()>>,
    ) -> bool {
        if policy.in_flight == InFlight::Reject {
            return false;
        }
        let Some((_, until)) = &self.0 else {
            self.0 = gate
                .waiting
                .take_place(id)
                .map(|place| (place, Instant::now() + policy.wait_timeout));
            return self.is_waiting();
        };
        let now = Instant::now();
        let slow_poll = sleep_until((now + WAIT_POLL).min(*until));
        if now >= *until {
            return false;
        }
        if let Some(watch) = watch {
            match select(watch, std::pin::pin!(slow_poll)).await {
                Either::Left(_) | Either::Right(_) => {}
            }
        }
        true
    }
}

/// What stands under the key, as the caller sees it.
fn judged(gate: &Gate, asked: &Asked, policy: &Policy, verdict: &Verdict) -> Response<Body> {
    let refusal = match verdict {
        Verdict::Replay(replay) => match gate.buffer.hold_answer(replay.response.body.clone()) {
            Ok(body) => return gate.answers.replay(asked, replay, body),
            Err(NoRoom) => Refusal::no_room_to_replay(replay),
        },
        Verdict::InFlight(seen) => Refusal::in_flight(*seen),
        Verdict::Unknown(seen) => Refusal::outcome_unknown(*seen),
        Verdict::Mismatch => {
            Refusal::new(Problem::new(ProblemKind::Mismatch).with_status(policy.mismatch_status))
        }
        Verdict::Expired => Refusal::of(ProblemKind::KeyExpired),
        // These execute; a task that was told to execute never hands them here.
        Verdict::Execute(_) | Verdict::Bypass(_) => Refusal::of(ProblemKind::Overloaded),
    };
    gate.answers.refuse(asked, &refusal)
}

/// This request started something that may still be running.
fn unknown(gate: &Gate, asked: &Asked, kind: ProblemKind) -> Response<Body> {
    gate.answers.refuse(
        asked,
        &Refusal::of(kind).with_status(Status::new(Became::Unknown)),
    )
}

/// Looks at the record of a request whose body is on its way.
struct LooksAt<'a> {
    gate: &'a Gate,
    policy: &'a Policy,
    id: RecordId,
}

impl LooksAt<'_> {
    /// Where the record stands; nothing if there is none, or the store is down and the policy does not mind.
    async fn phase(&self) -> Result<Option<Phase>, Problem> {
        let looking = self.gate.engine.look(self.id);
        match timeout(self.policy.store_timeout, looking).await {
            Ok(Ok(seen)) => Ok(seen.value.map(|record| record.phase(seen.at))),
            Ok(Err(_)) | Err(_) => match self.policy.store_down {
                StoreDown::Refuse => Err(Problem::new(ProblemKind::StoreUnavailable)),
                StoreDown::Execute => Ok(None),
            },
        }
    }

    /// Whether to read on: not for a key that has expired, and by `nothing_stands` where there is no record.
    async fn read_on(&self, nothing_stands: Result<(), Problem>) -> Result<(), Problem> {
        match self.phase().await? {
            Some(Phase::Expired) => Err(Problem::new(ProblemKind::KeyExpired)),
            Some(Phase::InFlight | Phase::Unknown | Phase::Completed) => Ok(()),
            None => nothing_stands,
        }
    }
}

impl Looks for LooksAt<'_> {
    /// A large body is not taken in for a key that has expired, or while the store is down.
    fn before_spool(&self) -> BoxFuture<'_, Result<(), Problem>> {
        Box::pin(self.read_on(Ok(())))
    }

    /// Load is shed where a record would be created; what stands there already is still told.
    fn without_room(&self) -> BoxFuture<'_, Result<(), Problem>> {
        Box::pin(self.read_on(Err(Problem::new(ProblemKind::Overloaded))))
    }
}

/// How often a duplicate that waits looks for itself, in case nobody wakes it.
const WAIT_POLL: std::time::Duration = std::time::Duration::from_millis(250);
