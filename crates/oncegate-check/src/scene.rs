//! Takes an operation through the steps of one case, and keeps what happened.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::case::{Refusal, Send, Step, Variant};
use crate::compose::{Keys, compose, get};
use crate::dialect::Dialect;
use crate::judge::says_unknown;
use crate::operation::{Operation, Probe};
use crate::run::Limits;
use crate::wire::{Connection, Exchange, Leave, Outcome, Peer, Request, exchange};
use crate::witness::{Witness, counted};

/// What all cases of a run share.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    pub(crate) operation: &'a Operation,
    pub(crate) dialect: &'a Dialect,
    pub(crate) limits: &'a Limits,
    pub(crate) witness: Witness,
    /// How long the operation took at most.
    pub(crate) usual_for: Duration,
    /// How long the slow form took, if there is one.
    pub(crate) slow_for: Option<Duration>,
}

/// What happened in one case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scene {
    /// In the order of sending.
    pub(crate) exchanges: Vec<Exchange>,
    /// The counter before the first step.
    pub(crate) before: Option<i64>,
    /// The counter after the last step.
    pub(crate) after: Option<i64>,
    /// Why what was counted is not believed.
    pub(crate) doubt: Option<String>,
    /// Whether the counter moved when the case was over.
    pub(crate) moved_late: bool,
    /// The keys that the case was played with.
    pub(crate) keys: Vec<String>,
    /// Why the steps could not be taken.
    pub(crate) obstacle: Option<String>,
    /// How many requests it took, the counter's included.
    pub(crate) requests: usize,
    /// How long it took.
    pub(crate) took: Duration,
}

impl Scene {
    /// Whether anything was answered with that status.
    pub(crate) fn has_answer(&self, status: u16) -> bool {
        let mut responses = self.exchanges.iter().filter_map(Exchange::response);
        responses.any(|response| response.status == status)
    }

    /// How far the counter moved, if there is one that is believed.
    pub(crate) fn effects(&self) -> Option<i64> {
        if self.doubt.is_some() {
            return None;
        }
        Some(self.after? - self.before?)
    }
}

struct Play<'a> {
    stage: &'a Stage<'a>,
    keys: Keys,
    began: Instant,
    /// When nothing that was left alone can still be running.
    quiet_at: Instant,
    /// Whether the server was killed: what breaks then is no answer, and is tried again.
    restarted: bool,
    started: Vec<(Variant, JoinHandle<Exchange>)>,
    scene: Scene,
}

/// Takes the steps of a case.
pub(crate) async fn play(stage: &Stage<'_>, steps: &[Step]) -> Scene {
    let now = Instant::now();
    let keys = Keys::new();
    let mut play = Play {
        stage,
        began: now,
        quiet_at: now,
        restarted: false,
        started: Vec::new(),
        scene: Scene {
            keys: keys.all(),
            ..Scene::default()
        },
        keys,
    };
    play.scene.before = play.count().await;
    for step in steps {
        if let Err(obstacle) = play.take(step).await {
            play.scene.obstacle = Some(obstacle);
            break;
        }
    }
    play.join().await;
    play.scene.after = play.settled_count().await;
    play.scene.exchanges.sort_by_key(|exchange| exchange.began);
    play.scene.took = play.began.elapsed();
    play.scene
}

impl Play<'_> {
    async fn take(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Send(send) => {
                let exchange = self.send(send).await?;
                self.keep(send.variant, exchange);
            }
            Step::Burst(send) => self.burst(send).await?,
            Step::Start(send) => self.start(send).await?,
            Step::Join => self.join().await,
            Step::Settle(send) => self.settle(send).await?,
            Step::Pause => sleep(SECOND_AND_MORE).await,
            Step::Quiet => sleep_until(self.quiet_at).await,
            Step::Chaos => self.restart().await?,
        }
        Ok(())
    }

    async fn send(&mut self, send: &Send) -> Result<Exchange, String> {
        let call = self.call(send)?;
        Ok(call.alone().await)
    }

    /// All connections first, then all requests: they arrive as close together as can be.
    async fn burst(&mut self, send: &Send) -> Result<(), String> {
        let connections = (0..self.stage.limits.burst).map(|_| {
            let peer = self.stage.operation.peer.clone();
            tokio::spawn(async move { Connection::open(&peer).await })
        });
        let connections: Vec<_> = connections.collect();
        let mut opened = Vec::with_capacity(connections.len());
        for connection in connections {
            opened.push(connection.await.map_err(|error| error.to_string())?);
        }
        for connection in opened {
            let call = self.call(send)?;
            let exchange = tokio::spawn(call.over(connection, || ()));
            self.started.push((send.variant, exchange));
        }
        self.join().await;
        Ok(())
    }

    /// Returns when the request should be at work: it is sent, and some of its time has passed.
    async fn start(&mut self, send: &Send) -> Result<(), String> {
        let call = self.call(send)?;
        let (sent, is_sent) = oneshot::channel();
        let exchange = tokio::spawn(async move {
            let connection = Connection::open(&call.peer).await;
            // Nobody may wait for it any more.
            let say = move || {
                let _unheard = sent.send(());
            };
            call.over(connection, say).await
        });
        self.started.push((send.variant, exchange));
        // An error says that there was no connection: the exchange tells it.
        if is_sent.await.is_ok() {
            sleep(self.stage.running_for(send.variant)).await;
        }
        Ok(())
    }

    fn call(&mut self, send: &Send) -> Result<Call, String> {
        let Stage {
            operation, dialect, ..
        } = self.stage;
        let request = compose(operation, dialect, &self.keys, send)
            .ok_or_else(|| format!("the operation has no form {:?}", send.variant.name()))?;
        self.scene.requests += 1;
        let limit = if send.leave == Leave::WhileRunning {
            self.stage.running_for(send.variant)
        } else {
            self.stage.limits.answer_timeout
        };
        Ok(Call {
            label: send.label,
            request,
            leave: send.leave,
            limit,
            peer: operation.peer.clone(),
            zero: self.began,
        })
    }

    async fn join(&mut self) {
        for (variant, started) in std::mem::take(&mut self.started) {
            if let Ok(exchange) = started.await {
                self.keep(variant, exchange);
            }
        }
    }

    /// What nobody heard of may run on for a while.
    fn keep(&mut self, variant: Variant, exchange: Exchange) {
        if exchange.response().is_none() {
            let patience = self.stage.whole_of(variant) * 2 + LEFT_PATIENCE;
            self.quiet_at = self.quiet_at.max(Instant::now() + patience);
        }
        self.scene.exchanges.push(exchange);
    }

    /// Asks again while it is told that the first is in flight; the last answer is kept.
    async fn settle(&mut self, send: &Send) -> Result<(), String> {
        let deadline = Instant::now() + self.stage.limits.settle_timeout;
        let mut pause = SETTLE_PAUSE_MIN;
        loop {
            let exchange = self.send(send).await?;
            let is_broken = self.restarted && exchange.response().is_none();
            let goes_on =
                is_broken || self.is_in_flight(&exchange) || self.is_early_failure(&exchange);
            if !goes_on || Instant::now() > deadline {
                self.keep(send.variant, exchange);
                return Ok(());
            }
            sleep(pause).await;
            pause = (pause * 2).min(SETTLE_PAUSE_MAX);
        }
    }

    fn is_in_flight(&self, exchange: &Exchange) -> bool {
        let in_flight = self.stage.dialect.statuses(Refusal::InFlight);
        exchange.response().is_some_and(|response| {
            in_flight.contains(&response.status)
                && !says_unknown(response)
                && !self.stage.witness.names(response)
        })
    }

    /// Some say with a 500 that the first is in flight. Clients come back after it, so it counts once the first has ended.
    fn is_early_failure(&self, exchange: &Exchange) -> bool {
        let failed = exchange
            .response()
            .is_some_and(|response| response.status >= 500);
        failed && Instant::now() < self.quiet_at
    }

    async fn restart(&mut self) -> Result<(), String> {
        let Some([program, arguments @ ..]) = self.stage.operation.chaos.as_deref() else {
            return Err("there is no command that restarts the server".to_owned());
        };
        let status = tokio::process::Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .status();
        let deadline = Instant::now() + self.stage.limits.chaos_timeout;
        match timeout_at(deadline, status).await {
            Ok(Ok(status)) if status.success() => {}
            Ok(Ok(status)) => {
                return Err(format!(
                    "the command that restarts the server failed: {status}"
                ));
            }
            Ok(Err(error)) => {
                return Err(format!("the command that restarts the server: {error}"));
            }
            Err(_) => return Err("the command that restarts the server did not end".to_owned()),
        }
        self.restarted = true;
        timeout_at(deadline, self.is_back())
            .await
            .map_err(|_| "the server did not come back after its restart".to_owned())
    }

    async fn is_back(&self) {
        while Connection::open(&self.stage.operation.peer).await.is_err() {
            sleep(BACK_PAUSE).await;
        }
    }

    async fn count(&mut self) -> Option<i64> {
        let probe = self.stage.witness.counter.as_ref()?;
        self.scene.requests += 1;
        count(self.stage, probe).await
    }

    /// The count once nothing that was left alone can still be running, and the counter has had time to see it.
    async fn settled_count(&mut self) -> Option<i64> {
        let Witness { counter, lag, .. } = &self.stage.witness;
        counter.as_ref()?;
        sleep_until(self.quiet_at).await;
        sleep(*lag * 2).await;
        self.count().await
    }
}

impl Stage<'_> {
    /// After this time a request is at work, and not yet at its end.
    fn running_for(&self, variant: Variant) -> Duration {
        self.whole_of(variant) / 4
    }

    /// How long a request of this form takes.
    fn whole_of(&self, variant: Variant) -> Duration {
        let slow_for = self.slow_for.filter(|_| variant == Variant::Slow);
        slow_for.unwrap_or(self.usual_for)
    }
}

/// One request that is to be sent.
struct Call {
    label: &'static str,
    request: Request,
    leave: Leave,
    limit: Duration,
    peer: Peer,
    /// When the case began.
    zero: Instant,
}

impl Call {
    async fn alone(self) -> Exchange {
        let began = self.zero.elapsed();
        let outcome = exchange(&self.peer, &self.request, self.leave, self.limit).await;
        self.ended(began, outcome)
    }

    async fn over(
        self,
        connection: Result<Connection, Outcome>,
        sent: impl FnOnce() + std::marker::Send,
    ) -> Exchange {
        let began = self.zero.elapsed();
        let outcome = match connection {
            Ok(connection) => {
                connection
                    .exchange(&self.request, self.leave, self.limit, sent)
                    .await
            }
            Err(unreachable) => unreachable,
        };
        self.ended(began, outcome)
    }

    fn ended(self, began: Duration, outcome: Outcome) -> Exchange {
        Exchange {
            label: self.label,
            request: self.request,
            outcome,
            began,
            ended: self.zero.elapsed(),
        }
    }
}

/// What the counter says now.
pub(crate) async fn count(stage: &Stage<'_>, probe: &Probe) -> Option<i64> {
    let document = document(stage, &probe.target).await?;
    counted(&probe.count, &document)
}

/// The JSON document at a path, by a `GET` with the operation's header lines.
pub(crate) async fn document(stage: &Stage<'_>, target: &str) -> Option<Value> {
    let operation = stage.operation;
    let mut request = get(operation, target);
    request
        .fields
        .push(("Cache-Control".to_owned(), b"no-cache".to_vec()));
    let limit = stage.limits.answer_timeout;
    let outcome = exchange(&operation.peer, &request, Leave::Never, limit).await;
    outcome.success()?.json()
}

/// Between two attempts while the first is in flight: first this long, then twice as long each time.
const SETTLE_PAUSE_MIN: Duration = Duration::from_millis(50);
/// And never longer.
const SETTLE_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Between two looks whether the server is back.
const BACK_PAUSE: Duration = Duration::from_millis(50);
/// How long a request that was left alone may still have effects, beside twice its usual time.
const LEFT_PATIENCE: Duration = Duration::from_millis(300);
/// A second of a clock, wherever in it one begins.
const SECOND_AND_MORE: Duration = Duration::from_millis(1_100);
