//! The simulation: clients, engines, an operator and a purger over one store, on one thread and under one seed.
//!
//! Each engine reaches the store over a link of its own that fails, loses replies and delays. Tasks are polled in
//! random order, so that they interleave at every await; holders crash at any of them; time leaps past leases and
//! retention. A checker sees what a client and an upstream would see, and finds fault with it: see [`Violation`].
//!
//! What it does not do: sleep, or run in parallel. The same seed and plan give the same run on every machine.
//!
//! ```
//! use oncegate::testing::sim::{Plan, run};
//!
//! let report = run(42, &Plan::default(), |store| store).expect("no rule is broken");
//! assert!(report.executions > 0);
//! ```

mod checker;
mod client;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use self::checker::Checker;
use super::{FaultRates, FaultyStore, SplitMix64};
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::engine::Engine;
use crate::memory::{MEMORY_BYTES_MAX, MemoryStore};
use crate::policy::Policy;
use crate::store::Store;

/// What is simulated.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "plain data: built with `..Plan::default()`"
)]
pub struct Plan {
    /// Tasks at a time: most are clients, a few operators and purgers.
    pub tasks: usize,
    /// Engines, as so many proxies would have.
    pub engines: usize,
    /// Keys that the clients share. Few, so that they meet.
    pub keys: usize,
    /// Polls and events in all.
    pub steps: usize,
    /// The policy of all engines.
    pub policy: Policy,
    /// How each engine's link misbehaves.
    pub faults: FaultRates,
    /// Crashes of a task, in steps of a thousand.
    pub crashes: u32,
    /// Leaps of time, in steps of a thousand.
    pub leaps: u32,
    /// Whether holders execute even if they cannot believe in their lease any more. They must not: with this
    /// the checker is seen to fail.
    pub reckless: bool,
}

/// What happened, so that a test can see that it was not nothing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// Requests that reached the upstream.
    pub executions: u64,
    /// Answers from a stored response.
    pub replays: u64,
    /// Verdicts: the first is in flight.
    pub in_flight: u64,
    /// Verdicts: the outcome is unknown.
    pub unknown: u64,
    /// Verdicts: same key, different request.
    pub mismatches: u64,
    /// Verdicts: retention has ended.
    pub expired: u64,
    /// Begins that failed.
    pub failed: u64,
    /// Claims that were taken over.
    pub take_overs: u64,
    /// Writes of holders that were not the owner any more.
    pub stale: u64,
    /// Outcomes that the store took.
    pub completions: u64,
    /// Unknown records that the operator decided.
    pub settlements: u64,
    /// Tasks that were dropped at some await.
    pub crashes: u64,
}

/// A broken rule, and the seed that shows it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("SEED={seed} step {step}: {broken}")]
#[non_exhaustive]
pub struct Violation {
    /// The seed to run again.
    pub seed: u64,
    /// The step at which it came out.
    pub step: usize,
    /// Which rule, and how.
    pub broken: String,
}

/// Runs the plan under `seed`. `wrap` is put between the links and the memory store.
///
/// # Errors
/// With the first rule that was broken.
pub fn run(
    seed: u64,
    plan: &Plan,
    wrap: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>,
) -> Result<Report, Violation> {
    let step = Cell::new(0);
    // A panic of an assertion in the engine is a broken rule too, and worth its seed.
    let ran = catch_unwind(AssertUnwindSafe(|| {
        Simulation::new(seed, plan, wrap).run(&step)
    }));
    let broken = match ran {
        Ok(Ok(report)) => return Ok(report),
        Ok(Err(broken)) => broken,
        Err(panic) => panic_message(&*panic),
    };
    Err(Violation {
        seed,
        step: step.get(),
        broken,
    })
}

impl Default for Plan {
    /// Four engines' worth of trouble under the policy `refuse`, with times short enough to run out.
    fn default() -> Self {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        let policy = Policy {
            retention: minutes(60),
            tombstones: minutes(120),
            unknown_retention: minutes(180),
            ..Policy::default()
        };
        Self {
            tasks: 12,
            engines: 3,
            keys: 3,
            steps: 3000,
            policy,
            faults: FaultRates {
                fail_before: 30,
                lose_reply: 40,
                delay: 600,
            },
            crashes: 6,
            leaps: 12,
            reckless: false,
        }
    }
}

/// All that the tasks of a run share.
struct World {
    random: RefCell<SplitMix64>,
    clock: Arc<ManualClock>,
    checker: RefCell<Checker>,
    engines: Vec<Engine>,
    /// The operator's link fails and loses replies, but never delays: what an operator does is done at one step.
    desk: Engine,
    plan: Plan,
}

impl World {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn chance(&self, per_mille: u32) -> bool {
        self.random.borrow_mut().chance(per_mille)
    }

    fn index(&self, length: usize) -> usize {
        self.random.borrow_mut().index(length)
    }

    fn engine(&self) -> Engine {
        self.engines[self.index(self.engines.len())].clone()
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("checker", &self.checker)
            .finish_non_exhaustive()
    }
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

struct Simulation {
    world: Rc<World>,
    tasks: Vec<Task>,
}

impl Simulation {
    fn new(seed: u64, plan: &Plan, wrap: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>) -> Self {
        let mut random = SplitMix64::new(seed);
        let clock = Arc::new(ManualClock::at(START));
        let store = wrap(Arc::new(MemoryStore::with(clock.clone(), MEMORY_BYTES_MAX)));
        let mut link = |faults| {
            open(Arc::new(FaultyStore::seeded(
                Arc::clone(&store),
                random.next_u64(),
                faults,
            )))
        };
        let engines = (0..plan.engines).map(|_| link(plan.faults)).collect();
        let desk = link(FaultRates {
            delay: 0,
            ..plan.faults
        });
        let checker = RefCell::new(Checker::new(plan.keys, &plan.policy));
        let (random, plan) = (RefCell::new(random), plan.clone());
        let world = Rc::new(World {
            random,
            clock,
            checker,
            engines,
            desk,
            plan,
        });
        let tasks = (0..world.plan.tasks)
            .map(|_| client::task(&world))
            .collect();
        Self { world, tasks }
    }

    fn run(mut self, step: &Cell<usize>) -> Result<Report, String> {
        for at in 0..self.world.plan.steps {
            step.set(at);
            self.step();
            if let Some(broken) = self.world.checker.borrow_mut().broken.take() {
                return Err(broken);
            }
        }
        Ok(self.world.checker.borrow().report)
    }

    fn step(&mut self) {
        let plan = &self.world.plan;
        if self.world.chance(plan.leaps) {
            self.leap();
        }
        let at = self.world.index(self.tasks.len());
        let crashed = self.world.chance(plan.crashes);
        let ended = self.tasks[at]
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        if crashed {
            self.world.checker.borrow_mut().report.crashes += 1;
        }
        if crashed || ended.is_ready() {
            self.tasks[at] = client::task(&self.world);
        }
    }

    /// Mostly seconds or past a lease, sometimes past the time of a tombstone.
    fn leap(&self) {
        let policy = &self.world.plan.policy;
        let by = match self.world.index(20) {
            0..8 => policy.lease / 5,
            8..14 => policy.lease + Duration::from_micros(1),
            14..16 => policy.retention / 3,
            16 => policy.retention + Duration::from_micros(1),
            _ => policy.unknown_retention + policy.tombstones + policy.lease,
        };
        self.world.clock.advance(by);
    }
}

/// Opens an engine over a link that may fail at the first.
fn open(link: Arc<dyn Store>) -> Engine {
    for _try in 0..OPEN_TRIES_MAX {
        if let Ok(engine) = run_alone(Engine::open(Arc::clone(&link), None)) {
            return engine;
        }
    }
    panic!("an engine could not be opened within {OPEN_TRIES_MAX} tries")
}

/// Runs a future that waits for nobody but itself.
fn run_alone<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    for _poll in 0..POLLS_MAX {
        let polled = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(value) = polled {
            return value;
        }
    }
    panic!("a future waits for somebody else")
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panic: {}", text.as_deref().unwrap_or("without a text"))
}

/// Some day in November 2026.
const START: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);
const OPEN_TRIES_MAX: usize = 1000;
const POLLS_MAX: usize = 1000;
