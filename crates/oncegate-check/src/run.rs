//! A run: learns what can be seen of the operation, then tries one case after the other.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::case::{Case, Need, Step};
use crate::dialect::Dialect;
use crate::judge::{Ground, Ruling, judge};
use crate::learn::learn;
use crate::operation::Operation;
use crate::prepare::prepare;
use crate::report::{Finding, Report, Verdict};
use crate::scene::{Scene, Stage};
use crate::trial::{Trial, control, try_case};
use crate::witness::Witness;

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
    /// The counter that a verdict rested on turned out to be wrong: this is the verdict without it.
    Revised(&'a Finding),
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
    let deadline = began + limits.run_timeout;
    let too_slow = |_| {
        let problem = format!("it was not done in {:?}", limits.run_timeout);
        Trouble::Broken(operation.name.clone(), problem)
    };
    let (learned, asked) = timeout_at(deadline, learn(operation, dialect, limits))
        .await
        .map_err(too_slow)?;
    let mut stage = Stage {
        operation: &learned,
        dialect,
        limits,
        witness: Witness {
            counter: operation.probe.clone(),
            ..Witness::default()
        },
        usual_for: Duration::ZERO,
        slow_for: None,
    };
    let prepared = timeout_at(deadline, prepare(&mut stage, cases)).await;
    let mut requests = asked + prepared.map_err(too_slow)??;
    let mut trials: Vec<Trial> = Vec::with_capacity(cases.len());
    for (done, case) in cases.iter().copied().enumerate() {
        progress(Progress::Began(case, done, cases.len()));
        let mut trial = match obstacle(&stage, case, requests, began.elapsed()) {
            Some(because) => not_tried(case, because),
            None => match seen_before(&stage, case, &trials) {
                Some(trial) => trial,
                // What it has begun is left alone: each wait of it has an end of its own.
                None => timeout_at(deadline, try_case(&mut stage, case))
                    .await
                    .unwrap_or_else(|_| not_tried(case, out_of_time(limits))),
            },
        };
        requests += trial.requests;
        follow(&mut trials, trial.before);
        tell(&mut trial, |finding| progress(Progress::Ended(finding)));
        trials.push(trial);
    }
    if trials.iter().any(|trial| trial.scene.effects().is_some()) {
        requests += control(&mut stage, Duration::ZERO).await;
    }
    for trial in &mut trials {
        if revise(&stage, trial) {
            tell(trial, |finding| progress(Progress::Revised(finding)));
        }
    }
    Ok(Report {
        operation: operation.clone(),
        dialect: dialect.name,
        witness: stage.witness,
        requests,
        took: began.elapsed(),
        findings: trials.into_iter().map(Trial::finding).collect(),
    })
}

/// Why a case is not tried.
fn obstacle(stage: &Stage<'_>, case: &Case, requests: usize, elapsed: Duration) -> Option<String> {
    let limits = stage.limits;
    if requests + least_requests(case, limits) > limits.requests_max {
        return Some(format!(
            "the run has sent {requests} of its {} requests",
            limits.requests_max
        ));
    }
    if elapsed >= limits.run_timeout {
        return Some(out_of_time(limits));
    }
    let lacks = |need: Need| {
        let of_dialect = stage.dialect.lacks(need);
        of_dialect.or_else(|| stage.operation.lacks(need))
    };
    case.needs.iter().copied().find_map(lacks)
}

fn out_of_time(limits: &Limits) -> String {
    format!("the run has taken its {:?}", limits.run_timeout)
}

/// How many requests a case takes that is tried once.
fn least_requests(case: &Case, limits: &Limits) -> usize {
    let of_step = |step: &Step| match step {
        Step::Send(_) | Step::Start(_) | Step::Settle(_) => 1,
        Step::Burst(_) => limits.burst,
        Step::Join | Step::Pause | Step::Quiet | Step::Chaos => 0,
    };
    case.steps.iter().map(of_step).sum()
}

fn not_tried(case: &'static Case, because: String) -> Trial {
    Trial {
        case,
        scene: Scene::default(),
        ruling: Ruling {
            verdict: Verdict::CannotTell,
            because,
            ground: Ground::Seen,
        },
        before: None,
        requests: 0,
    }
}

/// What was sent for an earlier case shows this one, too, if its steps are the same: a run is to be gentle.
fn seen_before(stage: &Stage<'_>, case: &'static Case, trials: &[Trial]) -> Option<Trial> {
    let is_same = |trial: &&Trial| trial.requests > 0 && trial.case.steps == case.steps;
    let scene = &trials.iter().find(is_same)?.scene;
    let ruling = judge(stage, case, scene);
    // What it takes more tries to tell gets its own.
    (ruling.ground == Ground::Seen).then(|| Trial {
        case,
        scene: scene.clone(),
        ruling,
        before: None,
        requests: 0,
    })
}

/// Between two plays nothing of ours runs: if the counter moved there, others write, or an effect came late.
fn follow(trials: &mut [Trial], before: Option<i64>) {
    let Some(before) = before else {
        return;
    };
    let last = trials.iter().rposition(|trial| trial.before.is_some());
    // Those behind it rest on what was played for earlier ones.
    for trial in trials.iter_mut().skip(last.unwrap_or_default()) {
        let moved = trial.scene.after.map(|after| before - after);
        if let Some(moved @ (..=-1 | 1..)) = moved {
            trial.scene.moved_late = true;
            trial.scene.doubt = Some(format!(
                "the counter moved by {moved} after the case: others write, or effects come late"
            ));
        }
    }
}

/// Judges anew what rested on a counter that is not believed any more. Says whether the verdict is another one.
fn revise(stage: &Stage<'_>, trial: &mut Trial) -> bool {
    let Trial {
        case,
        scene,
        ruling,
        ..
    } = trial;
    let counted = scene.before.is_some() && scene.after.is_some();
    scene.doubt = scene.doubt.take().or_else(|| stage.witness.doubt.clone());
    if !counted || scene.doubt.is_none() || ruling.verdict == Verdict::CannotTell {
        return false;
    }
    let before = ruling.verdict;
    *ruling = judge(stage, case, scene);
    ruling.verdict != before
}

/// Shows a finding without a copy of its exchanges, which may be large.
fn tell(trial: &mut Trial, progress: impl FnOnce(&Finding)) {
    let finding = Finding {
        case: trial.case,
        verdict: trial.ruling.verdict,
        because: trial.ruling.because.clone(),
        exchanges: std::mem::take(&mut trial.scene.exchanges),
        keys: trial.scene.keys.clone(),
    };
    progress(&finding);
    trial.scene.exchanges = finding.exchanges;
}

impl Trial {
    fn finding(self) -> Finding {
        Finding {
            case: self.case,
            verdict: self.ruling.verdict,
            because: self.ruling.because,
            exchanges: self.scene.exchanges,
            keys: self.scene.keys,
        }
    }
}
