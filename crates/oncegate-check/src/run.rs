//! A run: learns what can be seen of the operation, then tries one case after the other.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::case::Key;
use crate::case::{Case, Need, Send, Severity, Step, Variant};
use crate::dialect::Dialect;
use crate::judge::judge;
use crate::operation::{Operation, Probe};
use crate::report::{Finding, Report, Verdict};
use crate::scene::{Scene, Stage, document, play};
use crate::wire::{Outcome, Response};
use crate::witness::{Witness, growing_list, traits};

/// What a run may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Most requests of a run; cases that find none left cannot tell.
    pub requests_max: usize,
    /// Longest run; cases that find no time left cannot tell.
    pub run_timeout: Duration,
    /// Requests of a burst.
    pub burst: usize,
    /// Longest wait for one answer.
    pub answer_timeout: Duration,
    /// Longest time for which a key may be in flight after its caller or its server went away.
    pub settle_timeout: Duration,
    /// Longest run of the command that restarts the server.
    pub chaos_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_max: 1_000,
            run_timeout: Duration::from_mins(2),
            burst: 20,
            answer_timeout: Duration::from_secs(30),
            settle_timeout: Duration::from_secs(40),
            chaos_timeout: Duration::from_mins(1),
        }
    }
}

/// What a run tells while it goes on.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// A case begins; so many were done of so many.
    Began(&'static Case, usize, usize),
    /// It ended.
    Ended(&'a Finding),
}

/// Why there is nothing to report.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// Nobody listens there.
    #[error("{0} cannot be reached: {1}")]
    Unreachable(String, String),
    /// The operation is refused or fails as it was given.
    #[error("{0} was answered {1}, so there is nothing to check: {2}")]
    Refused(String, u16, String),
    /// No whole answer came.
    #[error("{0} got no whole answer: {1}")]
    Broken(String, String),
}

/// Takes an operation through cases.
///
/// # Errors
/// If the operation does not work as it was given: then no case could tell anything.
pub async fn run(
    operation: &Operation,
    dialect: &'static Dialect,
    cases: &[&'static Case],
    limits: &Limits,
    mut progress: impl FnMut(Progress<'_>),
) -> Result<Report, Trouble> {
    let began = Instant::now();
    let mut stage = Stage {
        operation,
        dialect,
        limits,
        witness: Witness {
            counter: operation.probe.clone(),
            traits: Vec::new(),
        },
        slow_for: None,
    };
    let mut requests = prepare(&mut stage).await?;
    let mut findings = Vec::with_capacity(cases.len());
    for (done, case) in cases.iter().enumerate() {
        progress(Progress::Began(case, done, cases.len()));
        let finding = match obstacle(&stage, case, requests, began.elapsed()) {
            Some(because) => Finding {
                case,
                verdict: Verdict::CannotTell,
                because,
                exchanges: Vec::new(),
                keys: Vec::new(),
            },
            None => {
                let scene = play(&stage, case).await;
                requests += scene.requests;
                found(&stage, case, scene)
            }
        };
        progress(Progress::Ended(&finding));
        findings.push(finding);
    }
    Ok(Report {
        operation: operation.clone(),
        dialect: dialect.name,
        witness: stage.witness,
        requests,
        took: began.elapsed(),
        findings,
    })
}

/// Why a case is not tried.
fn obstacle(stage: &Stage<'_>, case: &Case, requests: usize, elapsed: Duration) -> Option<String> {
    let limits = stage.limits;
    if requests >= limits.requests_max {
        return Some(format!("the run has sent its {requests} requests"));
    }
    if elapsed >= limits.run_timeout {
        return Some(format!("the run has taken its {:?}", limits.run_timeout));
    }
    let needs = case.needs.iter().copied();
    let mut lacks = needs.filter_map(|need: Need| stage.operation.lacks(need));
    lacks.next()
}

fn found(stage: &Stage<'_>, case: &'static Case, scene: Scene) -> Finding {
    let (verdict, because) = judge(stage, case, &scene);
    Finding {
        case,
        verdict,
        because,
        exchanges: scene.exchanges,
        keys: scene.keys,
    }
}

/// Two executions under two keys: does it work, and how do two executions differ?
async fn prepare(stage: &mut Stage<'_>) -> Result<usize, Trouble> {
    let target = path(stage.operation);
    let looks_for_counter = stage.witness.counter.is_none();
    let mut documents: Vec<Option<Value>> = Vec::new();
    let mut answers = Vec::new();
    for _ in 0..2 {
        if looks_for_counter {
            documents.push(document(stage, &target).await);
        }
        answers.push(succeeds(stage, &BASELINE).await?);
    }
    if looks_for_counter {
        documents.push(document(stage, &target).await);
        stage.witness.counter = counter(&documents, target);
    }
    stage.witness.traits = traits(&answers[0], &answers[1]);
    if stage.operation.forms.contains_key(&Variant::Slow) {
        let began = Instant::now();
        succeeds(stage, &SLOW_BASELINE).await?;
        stage.slow_for = Some(began.elapsed());
    }
    Ok(documents.len() + answers.len() + 1)
}

fn counter(documents: &[Option<Value>], target: String) -> Option<Probe> {
    let [Some(before), Some(between), Some(after)] = documents else {
        return None;
    };
    growing_list(before, between, after).map(|count| Probe { target, count })
}

async fn succeeds(stage: &Stage<'_>, case: &Case) -> Result<Response, Trouble> {
    let name = stage.operation.name.clone();
    let without_counter = Stage {
        witness: Witness::default(),
        ..*stage
    };
    let scene = play(&without_counter, case).await;
    match scene
        .exchanges
        .into_iter()
        .next()
        .map(|exchange| exchange.outcome)
    {
        Some(Outcome::Answered(response)) if response.is_success() => Ok(response),
        Some(Outcome::Answered(response)) => {
            let body: String = String::from_utf8_lossy(&response.body)
                .chars()
                .take(200)
                .collect();
            Err(Trouble::Refused(name, response.status, body))
        }
        Some(Outcome::Unreachable(problem)) => Err(Trouble::Unreachable(name, problem)),
        Some(Outcome::Broken(problem)) => Err(Trouble::Broken(name, problem)),
        Some(Outcome::Left) | None => Err(Trouble::Broken(name, "nothing was sent".to_owned())),
    }
}

fn path(operation: &Operation) -> String {
    let target = &operation.plain().target;
    target.split('?').next().unwrap_or_default().to_owned()
}

const BASELINE: Case = baseline(&[Step::Send(Send::new("baseline").key(Key::Plain))]);
const SLOW_BASELINE: Case = baseline(&[Step::Send(Send::new("baseline").variant(Variant::Slow))]);

const fn baseline(steps: &'static [Step]) -> Case {
    Case {
        id: "baseline",
        title: "The operation works as it was given",
        rules: &[],
        severity: Severity::Money,
        needs: &[],
        steps,
        expect: &[],
        why: "",
        fix: "",
    }
}
