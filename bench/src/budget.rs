//! The budgets: what was promised beforehand, held against what was measured.

use std::fmt::Write as _;

use crate::cell::{Cell, Load};
use crate::load::Body;
use crate::measure::IDLE_CONNECTIONS;
use crate::peers::Peer;
use crate::results::{Medians, Results};

/// What may be asked of a figure.
struct Budget {
    says: &'static str,
    peer: Peer,
    load: Load,
    connections: usize,
    limit: Limit,
}

/// A bound and the figure that it holds for.
#[derive(Clone, Copy, Debug)]
enum Limit {
    /// Processor time by nginx's, at most.
    CpuRatio(f64),
    /// Requests in a second, at least.
    Throughput(f64),
    /// Throughput by the bare handler's, at least.
    ThroughputRatio(f64),
}

/// All budgets with their verdicts. What was not measured in this run has no row.
pub fn table(results: &Results) -> String {
    let mut rows = String::new();
    for budget in BUDGETS {
        let cell = Cell {
            load: budget.load,
            body: Body::Small,
            connections: budget.connections,
        };
        let medians = results.medians(cell, budget.peer);
        if let Some(row) = medians.and_then(|medians| row(budget, &medians)) {
            let _infallible = writeln!(rows, "{row}");
        }
    }
    rows.push_str(&pairs(results));
    rows.push_str(&unkeyed(results).unwrap_or_default());
    rows.push_str(&idle(results).unwrap_or_default());
    rows.push_str(&many_keys(results).unwrap_or_default());
    if rows.is_empty() {
        return rows;
    }
    format!(
        "### Budgets\n\n| promise | connections | budget | measured | |\n|---|--:|--:|--:|---|\n{rows}\n"
    )
}

/// Without a key Oncegate is a proxy: by instructions, since timings this close to each other are ties.
fn unkeyed(results: &Results) -> Option<String> {
    let ours = results.instructions(Peer::OncegateMemory, Load::Unkeyed)?;
    let bare = results.instructions(Peer::HyperProxy, Load::Unkeyed)?;
    let ratio = ours as f64 / bare as f64;
    Some(format!(
        "| unkeyed: instructions by the bare hyper proxy's | 8 | <= {UNKEYED_RATIO_MAX} | {ratio:.2} | {} |\n",
        verdict(ratio <= UNKEYED_RATIO_MAX)
    ))
}

/// Batched, the store is to reach pgbench even where few wait.
fn pairs(results: &Results) -> String {
    let rows = results.pairs().map(|(clients, _pgbench, _store, ratio)| {
        format!(
            "| PostgreSQL without HTTP: claims and completions by pgbench's | {clients} | >= {PAIRS_RATIO_MIN} | {ratio:.2} | {} |\n",
            verdict(ratio >= PAIRS_RATIO_MIN)
        )
    });
    rows.collect()
}

fn idle(results: &Results) -> Option<String> {
    let connected = results.idle(Peer::OncegateMemory)?.connected as f64 / 1e6;
    Some(format!(
        "| idle connections: MB resident | {IDLE_CONNECTIONS} | < {IDLE_MB_MAX} | {connected:.1} | {} |\n",
        verdict(connected < IDLE_MB_MAX)
    ))
}

/// The budget is for ten million keys; fewer are judged by it in proportion.
fn many_keys(results: &Results) -> Option<String> {
    let many = results.many_keys()?;
    let share = many.keys as f64 / 1e7;
    let (memory_max, reopen_max) = (KEYS_MB_MAX * share, KEYS_REOPEN_SECONDS_MAX * share);
    let memory = many.filled.max(many.reopened) as f64 / 1e6;
    let reopened_in = many.reopened_in.as_secs_f64();
    Some(format!(
        "| {keys} completed keys in a file: MB resident | - | < {memory_max} | {memory:.0} | {} |\n\
         | {keys} completed keys in a file: seconds to open it again | - | < {reopen_max} | {reopened_in:.2} | {} |\n",
        verdict(memory < memory_max),
        verdict(reopened_in < reopen_max),
        keys = many.keys,
    ))
}

const fn verdict(kept: bool) -> &'static str {
    if kept { "kept" } else { "**missed**" }
}

fn row(budget: &Budget, medians: &Medians) -> Option<String> {
    let (sign, limit, measured, kept) = judge(budget.limit, medians)?;
    Some(format!(
        "| {} | {} | {sign} {limit} | {measured:.2} | {} |",
        budget.says,
        budget.connections,
        verdict(kept)
    ))
}

fn judge(limit: Limit, medians: &Medians) -> Option<(&'static str, f64, f64, bool)> {
    match limit {
        Limit::CpuRatio(most) => {
            let measured = medians.cpu_ratio?;
            Some(("<=", most, measured, measured <= most))
        }
        Limit::Throughput(least) => {
            let measured = medians.throughput;
            Some((">=", least, measured, measured >= least))
        }
        Limit::ThroughputRatio(least) => {
            let measured = medians.throughput_ratio?;
            Some((">=", least, measured, measured >= least))
        }
    }
}

const fn cpu(says: &'static str, peer: Peer, load: Load, connections: usize, most: f64) -> Budget {
    Budget {
        says,
        peer,
        load,
        connections,
        limit: Limit::CpuRatio(most),
    }
}

const PAIRS_RATIO_MIN: f64 = 0.8;
const UNKEYED_RATIO_MAX: f64 = 1.1;
const IDLE_MB_MAX: f64 = 200.0;
const KEYS_MB_MAX: f64 = 600.0;
const KEYS_REOPEN_SECONDS_MAX: f64 = 5.0;
const BUDGETS: &[Budget] = &[
    cpu(
        "fresh in memory: CPU by nginx's",
        Peer::OncegateMemory,
        Load::Fresh,
        32,
        1.6,
    ),
    cpu(
        "fresh in memory: CPU by nginx's",
        Peer::OncegateMemory,
        Load::Fresh,
        256,
        1.6,
    ),
    cpu(
        "fresh in a file, both writes durable: CPU by nginx's",
        Peer::OncegateFile,
        Load::Fresh,
        32,
        3.0,
    ),
    cpu(
        "fresh in a file, both writes durable: CPU by nginx's",
        Peer::OncegateFile,
        Load::Fresh,
        256,
        2.5,
    ),
    Budget {
        says: "fresh in a file: requests/s on one core",
        peer: Peer::OncegateFile,
        load: Load::Fresh,
        connections: 256,
        limit: Limit::Throughput(20_000.0),
    },
    cpu(
        "fresh in Redis: CPU by nginx's",
        Peer::OncegateRedis,
        Load::Fresh,
        32,
        2.2,
    ),
    cpu(
        "fresh in Redis: CPU by nginx's",
        Peer::OncegateRedis,
        Load::Fresh,
        256,
        2.2,
    ),
    cpu(
        "replay from memory: CPU by nginx's",
        Peer::OncegateMemory,
        Load::Replay,
        32,
        0.7,
    ),
    cpu(
        "replay from memory: CPU by nginx's",
        Peer::OncegateMemory,
        Load::Replay,
        256,
        0.7,
    ),
    cpu(
        "replay from a file: CPU by nginx's",
        Peer::OncegateFile,
        Load::Replay,
        32,
        0.7,
    ),
    cpu(
        "replay from a file: CPU by nginx's",
        Peer::OncegateFile,
        Load::Replay,
        256,
        0.7,
    ),
    Budget {
        says: "layer in process, fresh in memory: throughput by the bare handler's",
        peer: Peer::HandlerOncegate,
        load: Load::Fresh,
        connections: 32,
        limit: Limit::ThroughputRatio(0.8),
    },
];
