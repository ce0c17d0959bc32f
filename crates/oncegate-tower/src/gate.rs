//! What all layers of one process share: the engine, the executions, and the way answers are made.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use oncegate::problem::PROBLEM_BASE;
use oncegate::{Dialect, Engine, Policy};

use crate::answer::Answers;
use crate::budget::BufferBudget;
use crate::executions::{Drained, Executions};
use crate::layer::{OncegateLayer, Policies};
use crate::observer::{Observer, Unobserved};
use crate::quota::{ClientAddress, Meters, Quotas};
use crate::spool::Spool;
use crate::token::TokenVerifier;
use crate::waiting::Waiting;

/// Idempotency for one process: makes layers, and drains what they started.
#[derive(Clone, Debug)]
pub struct Oncegate {
    gate: Gate,
}

/// How a process wants its layers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Where the problem pages are: the slug is appended. Absolute, or a path under the API's own origin.
    pub problem_base: String,
    /// Origins whose pages may read our refusals.
    pub cors_origins: Vec<HeaderValue>,
    /// In whose words it is said that a request without a key got no answer. Refusals are in their policy's.
    pub dialect: Dialect,
    /// Where large request bodies go.
    pub spool: Spool,
    /// How many new keys are taken in how long.
    pub quotas: Quotas,
    /// Where a request comes from, for [`Quotas::per_address`].
    pub client_address: ClientAddress,
    /// Who verifies tokens, where a policy's scope is a claim (`jwt:`). Without one, every request with a token is
    /// refused there.
    pub token_verifier: Option<Arc<dyn TokenVerifier>>,
    /// How much memory held bodies may take in all.
    pub buffer: BufferBudget,
    /// Who is told of every decision.
    pub observer: Arc<dyn Observer>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            problem_base: PROBLEM_BASE.to_owned(),
            cors_origins: Vec::new(),
            dialect: Dialect::Problem,
            spool: Spool::default(),
            quotas: Quotas::default(),
            client_address: |_| None,
            token_verifier: None,
            buffer: BufferBudget::default(),
            observer: Arc::new(Unobserved),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) executions: Executions,
    pub(crate) answers: Answers,
    pub(crate) spool: Spool,
    pub(crate) token_verifier: Option<Arc<dyn TokenVerifier>>,
    pub(crate) buffer: BufferBudget,
    pub(crate) waiting: Waiting,
    pub(crate) meters: Meters,
}

impl Deref for Gate {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Oncegate {
    /// Idempotency over `engine`, with default settings.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self::with(engine, Settings::default())
    }

    /// Idempotency over `engine`.
    #[must_use]
    pub fn with(engine: Engine, settings: Settings) -> Self {
        let Settings {
            problem_base,
            cors_origins,
            dialect,
            spool,
            quotas,
            client_address,
            token_verifier,
            buffer,
            observer,
        } = settings;
        let answers = Answers {
            problem_base,
            cors_origins,
            dialect,
            observer,
        };
        let executions = Executions::default();
        let waiting = Waiting::default();
        Self {
            gate: Gate(Arc::new(Shared {
                engine,
                executions,
                answers,
                spool,
                token_verifier,
                buffer,
                waiting,
                meters: Meters::new(quotas, client_address),
            })),
        }
    }

    /// A layer with one policy for every request that it sees.
    #[must_use]
    pub fn layer(&self, policy: Policy) -> OncegateLayer {
        self.layer_with(Arc::new(Arc::new(policy)))
    }

    /// A layer that asks `policies` for each request.
    #[must_use]
    pub fn layer_with(&self, policies: Arc<dyn Policies>) -> OncegateLayer {
        OncegateLayer::new(self.gate.clone(), policies)
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.gate.engine
    }

    /// How many executions are under way.
    #[must_use]
    pub fn running(&self) -> usize {
        self.gate.executions.running()
    }

    /// Refuses new keyed requests from now on, lets executions end for up to `drain_timeout`, then marks what is
    /// left unknown. Call it before the runtime ends, or executions are cut off where they stand.
    pub fn drain(&self, drain_timeout: Duration) -> impl Future<Output = Drained> + Send + 'static {
        let executions = self.gate.executions.clone();
        async move { executions.drain(drain_timeout).await }
    }
}
