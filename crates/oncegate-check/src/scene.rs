//! Takes an operation through the steps of one case, and keeps what happened.

use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::case::{Case, Refusal, Send, Step};
use crate::compose::{Keys, compose};
use crate::dialect::Dialect;
use crate::operation::{Operation, Probe};
use crate::run::Limits;
use crate::wire::{Exchange, Framing, Leave, Outcome, Request, exchange};
use crate::witness::{Witness, counted};

/// What all cases of a run share.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    pub(crate) operation: &'a Operation,
    pub(crate) dialect: &'a Dialect,
    pub(crate) limits: &'a Limits,
    pub(crate) witness: Witness,
    /// How long the slow form took, if there is one.
    pub(crate) slow_for: Option<Duration>,
}

/// What happened in one case.
#[derive(Debug)]
pub(crate) struct Scene {
    /// In the order of sending.
    pub(crate) exchanges: Vec<Exchange>,
    /// The keys that the case was played with.
    pub(crate) keys: Vec<String>,
    /// How far the counter moved, if there is one.
    pub(crate) effects: Option<i64>,
    /// Why the steps could not be taken.
    pub(crate) obstacle: Option<String>,
    /// How many requests it took, the counter's included.
    pub(crate) requests: usize,
}

struct Play<'a> {
    stage: &'a Stage<'a>,
    keys: Keys,
    began: Instant,
    started: Vec<JoinHandle<Exchange>>,
    scene: Scene,
}

/// Takes the steps of a case.
pub(crate) async fn play(stage: &Stage<'_>, case: &Case) -> Scene {
    let keys = Keys::new();
    let mut play = Play {
        stage,
        began: Instant::now(),
        started: Vec::new(),
        scene: Scene {
            exchanges: Vec::new(),
            keys: keys.all(),
            effects: None,
            obstacle: None,
            requests: 0,
        },
        keys,
    };
    let before = play.count().await;
    for step in case.steps {
        if let Err(obstacle) = play.take(step).await {
            play.scene.obstacle = Some(obstacle);
            break;
        }
    }
    play.join().await;
    let after = play.settled_count().await;
    play.scene.effects = before.zip(after).map(|(before, after)| after - before);
    play.scene.exchanges.sort_by_key(|exchange| exchange.began);
    play.scene
}

impl Play<'_> {
    async fn take(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Send(send) => {
                let exchange = self.send(send).await?;
                self.scene.exchanges.push(exchange);
            }
            Step::Burst(send) => {
                for _ in 0..self.stage.limits.burst {
                    let exchange = self.spawn(send)?;
                    self.started.push(exchange);
                }
                self.join().await;
            }
            Step::Start(send) => {
                let exchange = self.spawn(send)?;
                self.started.push(exchange);
                sleep(self.stage.slow_for.unwrap_or_default() / 4).await;
            }
            Step::Join => self.join().await,
            Step::Settle(send) => self.settle(send).await?,
            Step::Chaos => self.restart().await?,
        }
        Ok(())
    }

    fn request(&self, send: &Send) -> Result<Request, String> {
        let Stage {
            operation, dialect, ..
        } = self.stage;
        compose(operation, dialect, &self.keys, send)
            .ok_or_else(|| format!("the operation has no form {:?}", send.variant.name()))
    }

    async fn send(&mut self, send: &Send) -> Result<Exchange, String> {
        let request = self.request(send)?;
        self.scene.requests += 1;
        Ok(self.converse(send, request).await)
    }

    fn spawn(&mut self, send: &Send) -> Result<JoinHandle<Exchange>, String> {
        let request = self.request(send)?;
        self.scene.requests += 1;
        Ok(tokio::spawn(self.converse(send, request)))
    }

    fn converse(&self, send: &Send, request: Request) -> impl Future<Output = Exchange> + use<> {
        let peer = self.stage.operation.peer.clone();
        let limit = self.stage.limits.answer_timeout;
        let (label, leave, zero) = (send.label, send.leave, self.began);
        async move {
            let began = zero.elapsed();
            let outcome = exchange(&peer, &request, leave, limit).await;
            Exchange {
                label,
                request,
                outcome,
                began,
                ended: zero.elapsed(),
            }
        }
    }

    async fn join(&mut self) {
        for started in self.started.drain(..) {
            if let Ok(exchange) = started.await {
                self.scene.exchanges.push(exchange);
            }
        }
    }

    /// Asks again while it is told that the first is in flight; the last answer is kept, and the first refusal.
    async fn settle(&mut self, send: &Send) -> Result<(), String> {
        let deadline = Instant::now() + self.stage.limits.settle_timeout;
        loop {
            let exchange = self.send(send).await?;
            let in_flight = exchange.response().is_some_and(|response| {
                self.stage
                    .dialect
                    .statuses(Refusal::InFlight)
                    .contains(&response.status)
            });
            if !in_flight || Instant::now() > deadline {
                self.scene.exchanges.push(exchange);
                return Ok(());
            }
            sleep(SETTLE_PAUSE).await;
        }
    }

    async fn restart(&mut self) -> Result<(), String> {
        let Some([program, arguments @ ..]) = self.stage.operation.chaos.as_deref() else {
            return Err("there is no command that restarts the server".to_owned());
        };
        let status = tokio::process::Command::new(program)
            .args(arguments)
            .kill_on_drop(true)
            .status();
        match tokio::time::timeout(self.stage.limits.chaos_timeout, status).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!(
                "the command that restarts the server failed: {status}"
            )),
            Ok(Err(error)) => Err(format!("the command that restarts the server: {error}")),
            Err(_) => Err("the command that restarts the server did not end".to_owned()),
        }
    }

    async fn count(&mut self) -> Option<i64> {
        let probe = self.stage.witness.counter.as_ref()?;
        self.scene.requests += 1;
        count(self.stage, probe).await
    }

    /// The count once nothing that was left alone can still be running.
    async fn settled_count(&mut self) -> Option<i64> {
        let left = self
            .scene
            .exchanges
            .iter()
            .any(|exchange| exchange.response().is_none());
        if left {
            sleep(self.stage.slow_for.unwrap_or_default() * 2 + LEFT_PATIENCE).await;
        }
        self.count().await
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
    let mut fields = vec![(
        "Host".to_owned(),
        operation.peer.authority().as_bytes().to_vec(),
    )];
    let of_body = |name: &str| name.to_ascii_lowercase().starts_with("content-");
    fields.extend(
        operation
            .plain()
            .fields
            .iter()
            .filter(|(name, _)| !of_body(name))
            .cloned(),
    );
    let request = Request {
        method: "GET".to_owned(),
        target: target.to_owned(),
        fields,
        body: Vec::new(),
        framing: Framing::Length,
    };
    match exchange(
        &operation.peer,
        &request,
        Leave::Never,
        stage.limits.answer_timeout,
    )
    .await
    {
        Outcome::Answered(response) if response.is_success() => response.json(),
        Outcome::Answered(_) | Outcome::Left | Outcome::Broken(_) | Outcome::Unreachable(_) => None,
    }
}

/// Between two attempts while the first is in flight.
const SETTLE_PAUSE: Duration = Duration::from_millis(100);
/// How long a request that was left alone may still have effects.
const LEFT_PATIENCE: Duration = Duration::from_millis(300);
