//! Before the cases: does the operation work as it was given, and how do two executions of it differ?

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::case::{Case, Key, Need, Send, Step, Variant};
use crate::operation::{Count, Probe, path_of};
use crate::report::excerpt;
use crate::run::Trouble;
use crate::scene::{Scene, Stage, document, play};
use crate::wire::{Exchange, Outcome, Response};
use crate::witness::{counted, lists, traits};

/// A few executions under keys of their own, and one retry. Says how many requests it took.
///
/// # Errors
/// The operation does not work as it was given: then no case could tell anything.
pub(crate) async fn prepare(stage: &mut Stage<'_>, cases: &[&Case]) -> Result<usize, Trouble> {
    let mut search = Search::begin(stage).await;
    let mut executions = Vec::new();
    for done in 0..EXECUTIONS {
        let began = Instant::now();
        let executed = execute(stage).await;
        executions.push(executed.map_err(|trouble| with_advice(trouble, done))?);
        stage.usual_for = stage.usual_for.max(began.elapsed());
        search.follow(stage).await;
    }
    learn(stage, &executions);
    let mut requests = executions.len() + search.requests;
    search.end(stage);
    requests += calibrate(stage).await;
    requests += derive(stage).await;
    for variant in OTHER_FORMS {
        let needs = |case: &&Case| case.needs.contains(&Need::Variant(*variant));
        if cases.iter().any(needs) {
            requests += other_form(stage, *variant).await;
        }
    }
    Ok(requests)
}

/// One operation, which has to succeed.
async fn execute(stage: &Stage<'_>) -> Result<Exchange, Trouble> {
    let scene = play(stage, &[Step::Send(BASELINE)]).await;
    let name = stage.operation.name.clone();
    let Some(exchange) = scene.exchanges.into_iter().next() else {
        return Err(Trouble::Broken(name, "nothing was sent".to_owned()));
    };
    match &exchange.outcome {
        Outcome::Answered(response) if response.is_success() => Ok(exchange),
        Outcome::Answered(response) => {
            let body = excerpt(stage.operation, &response.body);
            Err(Trouble::Refused(name, response.status, body))
        }
        Outcome::Unreachable(problem) => Err(Trouble::Unreachable(name, problem.clone())),
        Outcome::Broken(problem) => Err(Trouble::Broken(name, problem.clone())),
        Outcome::Left => Err(Trouble::Broken(name, "nothing was awaited".to_owned())),
    }
}

/// What ran once and not again may be unique by its values.
fn with_advice(trouble: Trouble, done: usize) -> Trouble {
    match trouble {
        Trouble::Refused(name, status, body) if done > 0 => {
            let advice = "it ran before under another key; write {{uuid}} or {{n}} for values that may come once";
            Trouble::Refused(name, status, format!("{body} ({advice})"))
        }
        other @ (Trouble::Refused(..) | Trouble::Unreachable(..) | Trouble::Broken(..)) => other,
    }
}

fn learn(stage: &mut Stage<'_>, executions: &[Exchange]) {
    let pairs: Vec<_> = executions
        .iter()
        .filter_map(|exchange| Some((&exchange.request, exchange.response()?)))
        .collect();
    stage.witness.learn(traits(&pairs));
}

/// A retry whose counter stood still was answered without an execution: what differs then tells nothing.
async fn calibrate(stage: &mut Stage<'_>) -> usize {
    if stage.witness.counter.is_none() {
        return 0;
    }
    let scene = play(stage, &[Step::Send(BASELINE), Step::Send(BASELINE)]).await;
    if let (Some((first, second)), Some(1)) = (two_successes(&scene), scene.effects()) {
        stage.witness.calibrate(first, second);
    }
    scene.requests
}

/// Ids that are made from the key or the body are the same however often it runs. Where answers are the only witness,
/// two equal requests without a key show it.
async fn derive(stage: &mut Stage<'_>) -> usize {
    let requires_key = stage.operation.requires_key() == Some(true);
    if stage.witness.counter.is_some() || stage.witness.traits.is_empty() || requires_key {
        return 0;
    }
    let keyless = Step::Send(BASELINE.key(Key::Absent));
    let scene = play(stage, &[keyless, keyless]).await;
    if let Some((one, two)) = two_successes(&scene) {
        stage.witness.drop_derived(one, two);
    }
    scene.requests
}

/// The answers of a scene of two requests, if both succeeded.
fn two_successes(scene: &Scene) -> Option<(&Response, &Response)> {
    let [one, two] = scene.exchanges.as_slice() else {
        return None;
    };
    let (one, two) = (one.response()?, two.response()?);
    (one.is_success() && two.is_success()).then_some((one, two))
}

/// Another form may have answers of another shape. One that fails is found out by the cases that need it.
async fn other_form(stage: &mut Stage<'_>, variant: Variant) -> usize {
    if !stage.operation.forms.contains_key(&variant) {
        return 0;
    }
    let other = Send::new("baseline").key(Key::Another).variant(variant);
    let twice = [Step::Send(BASELINE.variant(variant)), Step::Send(other)];
    // The slow form is like the plain one: once is enough to see how slow it is.
    let steps = if variant == Variant::Slow {
        &twice[..1]
    } else {
        &twice[..]
    };
    let Scene {
        exchanges,
        requests,
        ..
    } = play(stage, steps).await;
    if variant == Variant::Slow {
        stage.slow_for = exchanges.first().map(|first| first.ended - first.began);
    }
    learn(stage, &exchanges);
    requests
}

/// The search for a counter: what grows by just one with each execution.
struct Search {
    /// Where it is looked for.
    target: String,
    /// Whether the operation's owner named it.
    given: bool,
    last: Option<Value>,
    candidates: Vec<Count>,
    /// How far the first candidate moved with the last execution.
    moved: Option<i64>,
    lag: Duration,
    requests: usize,
}

impl Search {
    async fn begin(stage: &mut Stage<'_>) -> Self {
        // Nothing is counted by it before it is known to count.
        let given = stage.witness.counter.take();
        let target = match &given {
            Some(probe) => probe.target.clone(),
            None => path_of(&stage.operation.plain().target).to_owned(),
        };
        let last = document(stage, &target).await;
        let candidates = match &given {
            Some(probe) => vec![probe.count.clone()],
            None => last.as_ref().map(lists).unwrap_or_default(),
        };
        Self {
            target,
            given: given.is_some(),
            last,
            candidates,
            moved: None,
            lag: Duration::ZERO,
            requests: 1,
        }
    }

    /// Waits until a candidate has moved by one, and drops those that have not.
    async fn follow(&mut self, stage: &Stage<'_>) {
        let began = Instant::now();
        let mut lag = Duration::ZERO;
        let patience = if self.given {
            LAG_OF_GIVEN_MAX
        } else {
            LAG_OF_FOUND_MAX
        };
        while !self.candidates.is_empty() {
            self.requests += 1;
            let now = document(stage, &self.target).await;
            let movements = self.movements(now.as_ref());
            if movements.contains(&Some(1)) || began.elapsed() >= patience {
                self.moved = movements.first().copied().flatten();
                let mut movements = movements.into_iter();
                self.candidates
                    .retain(|_| movements.next() == Some(Some(1)));
                self.last = now;
                self.lag = self.lag.max(lag);
                return;
            }
            sleep(FOLLOW_PAUSE).await;
            lag = began.elapsed();
        }
    }

    fn movements(&self, now: Option<&Value>) -> Vec<Option<i64>> {
        let moved =
            |count: &Count| Some(counted(count, now?)? - counted(count, self.last.as_ref()?)?);
        self.candidates.iter().map(moved).collect()
    }

    /// Where several have always moved by one, they count the same.
    fn end(self, stage: &mut Stage<'_>) {
        let Self { target, lag, .. } = self;
        if let Some(count) = self.candidates.into_iter().next() {
            stage.witness.counter = Some(Probe { target, count });
            stage.witness.lag = lag;
        } else if self.given {
            let because = match self.moved {
                Some(moved) => format!("moved by {moved} while one operation ran"),
                None => "has no count at the place that was given".to_owned(),
            };
            stage.witness.distrust(format!("GET {target} {because}"));
        }
    }
}

const BASELINE: Send = Send::new("baseline");
/// Executions that are compared. Three, so that a value which only says yes or no is not taken for an id.
const EXECUTIONS: usize = 3;
/// Forms whose answers may have another shape, and that succeed.
const OTHER_FORMS: &[Variant] = &[
    Variant::Slow,
    Variant::Cookie,
    Variant::Binary,
    Variant::Empty,
    Variant::Chunked,
    Variant::Large,
];
/// How long a counter that was given may take to see an execution.
const LAG_OF_GIVEN_MAX: Duration = Duration::from_secs(2);
/// The same for lists that may not count at all.
const LAG_OF_FOUND_MAX: Duration = Duration::from_millis(500);
/// Between two looks at a counter.
const FOLLOW_PAUSE: Duration = Duration::from_millis(20);
