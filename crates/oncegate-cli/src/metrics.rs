//! Counts what the layer and the store do, and writes it in Prometheus' text format.
//!
//! One front, atomics behind it. No label ever holds a key, a path or a credential.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oncegate::hash::RecordId;
use oncegate::store::{
    BoxFuture, Change, Expect, Insert, NewRecord, Purged, StoreInfo, StoreResult, Update,
};
use oncegate::{ProblemKind, Store};
use oncegate_tower::{Became, Observer};
use tokio::time::Instant;

/// All counters of one process.
#[derive(Debug, Default)]
pub struct Metrics {
    /// By what became of a request, then by problem; the first column is "no problem".
    requests: [[AtomicU64; PROBLEMS + 1]; STATUSES.len()],
    outcomes_not_understood: AtomicU64,
    store: [Histogram; METHODS.len()],
    store_errors: AtomicU64,
    reloads: [AtomicU64; RELOADS.len()],
}

/// What became of a reload.
#[derive(Clone, Copy, Debug)]
pub enum Reload {
    /// The new configuration is in force.
    Applied,
    /// The old one stays.
    Refused,
}

#[derive(Debug, Default)]
struct Histogram {
    /// Observations in each bucket alone; they are summed up when they are written.
    buckets: [AtomicU64; BUCKETS.len() + 1],
    micros: AtomicU64,
}

impl Metrics {
    /// Everything in Prometheus' text format. `running` is how many executions are under way.
    #[must_use]
    pub fn render(&self, running: usize) -> String {
        let mut out = String::with_capacity(4096);
        self.render_requests(&mut out);
        let not_understood = self.outcomes_not_understood.load(Ordering::Relaxed);
        let errors = self.store_errors.load(Ordering::Relaxed);
        counter(
            &mut out,
            "oncegate_outcomes_not_understood_total",
            "Idempotency-Outcome values ignored",
            not_understood,
        );
        counter(
            &mut out,
            "oncegate_store_errors_total",
            "store steps that failed",
            errors,
        );
        gauge(
            &mut out,
            "oncegate_executions_running",
            "executions under way",
            running as u64,
        );
        self.render_reloads(&mut out);
        self.render_store(&mut out);
        out
    }

    /// A reload came to its end.
    pub fn reloaded(&self, result: Reload) {
        self.reloads[result as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn render_reloads(&self, out: &mut String) {
        header(
            out,
            "oncegate_reloads_total",
            "counter",
            "configurations read again on SIGHUP",
        );
        for (result, count) in RELOADS.iter().zip(&self.reloads) {
            let count = count.load(Ordering::Relaxed);
            line(
                out,
                format_args!("oncegate_reloads_total{{result=\"{result}\"}} {count}"),
            );
        }
    }

    fn render_requests(&self, out: &mut String) {
        header(
            out,
            "oncegate_requests_total",
            "counter",
            "answers to unsafe requests with a key",
        );
        for (status, row) in STATUSES.iter().zip(&self.requests) {
            let problems = std::iter::once("").chain(ProblemKind::ALL.map(|kind| kind.row().slug));
            for (problem, count) in problems.zip(row) {
                let count = count.load(Ordering::Relaxed);
                // The plain answers are always there, so that a rate can be made of them from the start.
                if count > 0 || problem.is_empty() {
                    line(
                        out,
                        format_args!(
                            "oncegate_requests_total{{status=\"{}\",problem=\"{problem}\"}} {count}",
                            status.name()
                        ),
                    );
                }
            }
        }
    }

    fn render_store(&self, out: &mut String) {
        header(
            out,
            "oncegate_store_seconds",
            "histogram",
            "how long steps of the store took",
        );
        for (method, histogram) in METHODS.iter().zip(&self.store) {
            let mut sum = 0;
            for (bound, bucket) in BUCKETS.iter().zip(&histogram.buckets) {
                sum += bucket.load(Ordering::Relaxed);
                let bound = Duration::from_micros(*bound).as_secs_f64();
                line(
                    out,
                    format_args!(
                        "oncegate_store_seconds_bucket{{method=\"{method}\",le=\"{bound}\"}} {sum}"
                    ),
                );
            }
            sum += histogram.buckets[BUCKETS.len()].load(Ordering::Relaxed);
            let seconds =
                Duration::from_micros(histogram.micros.load(Ordering::Relaxed)).as_secs_f64();
            line(
                out,
                format_args!(
                    "oncegate_store_seconds_bucket{{method=\"{method}\",le=\"+Inf\"}} {sum}"
                ),
            );
            line(
                out,
                format_args!("oncegate_store_seconds_sum{{method=\"{method}\"}} {seconds}"),
            );
            line(
                out,
                format_args!("oncegate_store_seconds_count{{method=\"{method}\"}} {sum}"),
            );
        }
    }

    fn observe(&self, method: Method, took: Duration, failed: bool) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.partition_point(|bound| *bound < micros);
        let histogram = &self.store[method as usize];
        histogram.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        histogram.micros.fetch_add(micros, Ordering::Relaxed);
        if failed {
            self.store_errors.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Observer for Metrics {
    fn answered(&self, became: Became, problem: Option<ProblemKind>) {
        let row = STATUSES.iter().position(|status| *status == became);
        let column = problem
            .and_then(|problem| ProblemKind::ALL.iter().position(|kind| *kind == problem))
            .map_or(0, |at| at + 1);
        if let Some(row) = row {
            self.requests[row][column].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn outcome_not_understood(&self) {
        self.outcomes_not_understood.fetch_add(1, Ordering::Relaxed);
    }
}

/// A store whose steps are timed.
#[derive(Debug)]
pub struct TimedStore {
    inner: Arc<dyn Store>,
    metrics: Arc<Metrics>,
}

impl TimedStore {
    /// Times the steps of `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics }
    }

    fn timed<'a, T: Send + 'a>(
        &'a self,
        method: Method,
        step: BoxFuture<'a, StoreResult<T>>,
    ) -> BoxFuture<'a, StoreResult<T>> {
        Box::pin(async move {
            let started = Instant::now();
            let answer = step.await;
            self.metrics
                .observe(method, started.elapsed(), answer.is_err());
            answer
        })
    }
}

#[deny(clippy::missing_trait_methods)]
impl Store for TimedStore {
    fn insert(&self, new: NewRecord) -> BoxFuture<'_, StoreResult<Insert>> {
        self.timed(Method::Insert, self.inner.insert(new))
    }

    fn update(
        &self,
        id: RecordId,
        expect: Expect,
        change: Change,
    ) -> BoxFuture<'_, StoreResult<Update>> {
        self.timed(Method::Update, self.inner.update(id, expect, change))
    }

    fn get(&self, id: RecordId) -> BoxFuture<'_, StoreResult<Option<oncegate::record::Record>>> {
        self.timed(Method::Get, self.inner.get(id))
    }

    fn purge(&self, limit: usize) -> BoxFuture<'_, StoreResult<Purged>> {
        self.timed(Method::Purge, self.inner.purge(limit))
    }

    fn watch(&self, id: RecordId) -> BoxFuture<'static, ()> {
        self.inner.watch(id)
    }

    fn ping(&self) -> BoxFuture<'_, StoreResult<()>> {
        self.timed(Method::Ping, self.inner.ping())
    }

    fn info(&self) -> BoxFuture<'_, StoreResult<StoreInfo>> {
        self.inner.info()
    }
}

#[derive(Clone, Copy, Debug)]
enum Method {
    Insert,
    Update,
    Get,
    Purge,
    Ping,
}

fn header(out: &mut String, name: &str, kind: &str, help: &str) {
    line(
        out,
        format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"),
    );
}

fn counter(out: &mut String, name: &str, help: &str, count: u64) {
    header(out, name, "counter", help);
    line(out, format_args!("{name} {count}"));
}

fn gauge(out: &mut String, name: &str, help: &str, value: u64) {
    header(out, name, "gauge", help);
    line(out, format_args!("{name} {value}"));
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _infallible = writeln!(out, "{text}");
}

/// In the order of [`Reload`].
const RELOADS: [&str; 2] = ["applied", "refused"];
/// In the order of [`Method`].
const METHODS: [&str; 5] = ["insert", "update", "get", "purge", "ping"];
const STATUSES: [Became; 8] = [
    Became::Executed,
    Became::Released,
    Became::Unrecorded,
    Became::Replayed,
    Became::Refused,
    Became::Unknown,
    Became::Bypassed,
    Became::Ignored,
];
const PROBLEMS: usize = ProblemKind::ALL.len();
/// Upper bounds in microseconds.
const BUCKETS: [u64; 12] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 100_000, 500_000, 5_000_000,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_counted_under_its_status_and_problem() {
        let metrics = Metrics::default();
        metrics.answered(Became::Executed, None);
        metrics.answered(Became::Refused, Some(ProblemKind::Mismatch));
        metrics.answered(Became::Refused, Some(ProblemKind::Mismatch));
        let text = metrics.render(3);
        for expected in [
            "oncegate_requests_total{status=\"executed\",problem=\"\"} 1\n",
            "oncegate_requests_total{status=\"refused\",problem=\"mismatch\"} 2\n",
            "oncegate_executions_running 3\n",
        ] {
            assert!(text.contains(expected), "{expected:?} in {text}");
        }
    }

    #[test]
    fn a_step_lands_in_its_bucket_and_in_all_larger_ones() {
        let metrics = Metrics::default();
        metrics.observe(Method::Update, Duration::from_micros(300), true);
        let text = metrics.render(0);
        for expected in [
            "oncegate_store_seconds_bucket{method=\"update\",le=\"0.00025\"} 0\n",
            "oncegate_store_seconds_bucket{method=\"update\",le=\"0.0005\"} 1\n",
            "oncegate_store_seconds_bucket{method=\"update\",le=\"+Inf\"} 1\n",
            "oncegate_store_errors_total 1\n",
        ] {
            assert!(text.contains(expected), "{expected:?} in {text}");
        }
    }
}
