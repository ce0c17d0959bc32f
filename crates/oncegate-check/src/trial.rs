//! One case, tried as often as it takes to be sure: what did not meet is tried again, and a counter has to convict twice.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::case::{Case, Send, Step};
use crate::judge::{Ground, Ruling, judge};
use crate::report::Verdict;
use crate::scene::{Scene, Stage, play};

/// A case that was tried.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) case: &'static Case,
    /// The last time that it was tried.
    pub(crate) scene: Scene,
    pub(crate) ruling: Ruling,
    /// The counter before it was tried the first time.
    pub(crate) before: Option<i64>,
    /// How many requests all times took.
    pub(crate) requests: usize,
}

/// Tries a case.
pub(crate) async fn try_case(stage: &mut Stage<'_>, case: &'static Case) -> Trial {
    let (mut before, mut convicted) = (None, None);
    let (mut tries, mut requests) = (0, 0);
    loop {
        tries += 1;
        let mut scene = play(stage, case.steps).await;
        requests += scene.requests;
        if tries == 1 {
            before = scene.before;
        }
        let mut ruling = judge(stage, case, &scene);
        let is_last = tries == TRIES_MAX;
        match (ruling.ground, &convicted) {
            (Ground::Missed, _) if !is_last => continue,
            (Ground::Missed, _) => ruling.because = format!("{} ({tries} tries)", ruling.because),
            (Ground::Counted, None) if !is_last => {
                convicted = Some(ruling.because);
                requests += control(stage, scene.took).await;
                if stage.witness.counter.is_some() {
                    continue;
                }
                scene.doubt.clone_from(&stage.witness.doubt);
                ruling = judge(stage, case, &scene);
            }
            (Ground::Seen, Some(before)) if ruling.verdict == Verdict::Pass => {
                ruling.verdict = Verdict::CannotTell;
                ruling.because = format!(
                    "in one try {before}, in the next it did not: others write, too, or it happens only sometimes; try again where nobody else writes"
                );
            }
            (Ground::Counted | Ground::Seen, _) => {}
        }
        return Trial {
            case,
            scene,
            ruling,
            before,
            requests,
        };
    }
}

/// Whether the counter still moves by one while one operation runs, in as much time. If not, it is believed no more.
pub(crate) async fn control(stage: &mut Stage<'_>, lasting: Duration) -> usize {
    let Some(probe) = stage.witness.counter.clone() else {
        return 0;
    };
    let until = Instant::now() + lasting;
    let mut scene = play(stage, &[Step::Send(CONTROL)]).await;
    let rest = until.saturating_duration_since(Instant::now());
    if !rest.is_zero() {
        sleep(rest).await;
        scene.after = play(stage, &[]).await.after;
    }
    let said = match scene.effects() {
        Some(1) => return scene.requests,
        Some(moved) => {
            stage.witness.surplus |= moved > 1;
            format!(
                "moved by {moved} while one operation ran: it counts what others do, or does not count all"
            )
        }
        None => "told nothing any more".to_owned(),
    };
    let target = probe.target;
    stage
        .witness
        .distrust(format!("GET {target} is not believed, as it {said}"));
    scene.requests
}

const CONTROL: Send = Send::new("control");
/// How often a case is tried.
const TRIES_MAX: usize = 3;
