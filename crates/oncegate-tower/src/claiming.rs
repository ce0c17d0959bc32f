//! Asks for a claim, and undoes what is left of one that was not got.
//!
//! The store may be slow, down, or die in mid-answer. What is promised: the caller is answered within `store_timeout`,
//! and a claim that was taken without our knowing it does not stand in anybody's way for longer than its lease.

use std::time::Duration;

use oncegate::engine::BeginRequest;
use oncegate::policy::OnUnknown;
use oncegate::{Policy, ProblemKind, Verdict};
use tokio::time::{sleep, timeout};

use crate::answer::Refusal;
use crate::gate::Gate;
use crate::quota::Subject;

/// Asks for a claim. Only a request that would create a record is held up by a drain, by load and by quotas.
pub(crate) async fn begin(
    gate: &Gate,
    request: &BeginRequest,
    policy: &Policy,
    subject: &Subject,
) -> Result<Verdict, Refusal> {
    if gate.executions.takes_no_more() {
        return judge(gate, request, policy, || {
            Refusal::of(ProblemKind::Overloaded)
        })
        .await;
    }
    let taken = match gate.meters.take(subject) {
        Ok(taken) => taken,
        Err(wait) => {
            return match judge(gate, request, policy, || Refusal::quota_reached(wait)).await {
                // A take-over creates no record. Should this one vanish meanwhile, the quota is over by one.
                Ok(Verdict::Unknown(_)) if policy.on_unknown != OnUnknown::Refuse => {
                    ask(gate, request, policy).await
                }
                judged => judged,
            };
        }
    };
    let begun = ask(gate, request, policy).await;
    if creates_a_record(&begun) {
        taken.spend();
    }
    begun
}

/// One that runs without a claim counts as well: it may yet be recorded.
fn creates_a_record(begun: &Result<Verdict, Refusal>) -> bool {
    match begun {
        Ok(Verdict::Execute(claim)) => !claim.is_taken_over(),
        Ok(Verdict::Bypass(_)) => true,
        Ok(
            Verdict::Replay(_)
            | Verdict::InFlight(_)
            | Verdict::Unknown(_)
            | Verdict::Mismatch
            | Verdict::Expired,
        )
        | Err(_) => false,
    }
}

/// Asks the engine, for as long as the policy lets the store take. A begin whose effect is not known is disowned.
async fn ask(gate: &Gate, request: &BeginRequest, policy: &Policy) -> Result<Verdict, Refusal> {
    let error = match timeout(policy.store_timeout, gate.engine.begin(request, policy)).await {
        Ok(Ok(verdict)) => return Ok(verdict),
        Ok(Err(error)) => error,
        Err(_elapsed) => {
            if let Some(bypass) = gate.engine.bypass(request, policy) {
                return Ok(bypass);
            }
            disown(gate, request, policy.lease, policy.store_timeout);
            tracing::error!("the store did not answer in time");
            return Err(Refusal::of(ProblemKind::StoreUnavailable));
        }
    };
    if error.may_have_taken_effect() {
        disown(gate, request, policy.lease, policy.store_timeout);
    }
    tracing::error!(
        error = &error as &dyn std::error::Error,
        "a request could not be judged"
    );
    Err(Refusal::of(error.problem()))
}

/// Where nothing new may begin, protected or not, what was executed before is still answered.
pub(crate) async fn judge(
    gate: &Gate,
    request: &BeginRequest,
    policy: &Policy,
    nothing_stands: impl FnOnce() -> Refusal,
) -> Result<Verdict, Refusal> {
    match timeout(policy.store_timeout, gate.engine.judge(request)).await {
        Ok(Ok(Some(verdict))) => Ok(verdict),
        Ok(Ok(None)) => Err(nothing_stands()),
        Ok(Err(error)) => Err(Refusal::of(error.problem())),
        Err(_elapsed) => Err(Refusal::of(ProblemKind::StoreUnavailable)),
    }
}

/// Releases an owner whose insert may or may not have taken effect, until the store gives a definite answer or the
/// lease would have lapsed anyway.
fn disown(gate: &Gate, request: &BeginRequest, lease: Duration, store_timeout: Duration) {
    let (engine, id, owner) = (gate.engine.clone(), request.id, request.owner);
    let executions = gate.executions.clone();
    gate.executions.spawn(async move {
        let disowning = async {
            let mut patience = store_timeout;
            loop {
                match timeout(patience, engine.disown(id, owner)).await {
                    Ok(Ok(())) => return,
                    Ok(Err(_failed)) => {}
                    // A store that hangs may still hold what it was asked, and each try adds to that.
                    Err(_elapsed) => patience = patience.saturating_mul(2),
                }
                sleep(DISOWN_PAUSE).await;
            }
        };
        tokio::select! {
            () = disowning => return,
            () = sleep(lease) => {}
            () = executions.draining() => {}
        }
        tracing::warn!(record = %id, "a begin whose effect is not known could not be undone");
    });
}

const DISOWN_PAUSE: Duration = Duration::from_millis(200);
