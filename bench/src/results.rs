//! What was measured, and the medians of it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use crate::cell::{Cell, Load};
use crate::load::Latencies;
use crate::measure::{Idle, ManyKeys, Measured};
use crate::pairs::Pairs;
use crate::peers::Peer;

/// Everything that was measured in a run.
#[derive(Debug, Default)]
pub struct Results {
    saturated: BTreeMap<(Cell, Peer), BTreeMap<usize, Measured>>,
    latencies: BTreeMap<(Load, Peer), Vec<Latencies>>,
    idle: BTreeMap<Peer, Idle>,
    many_keys: Option<ManyKeys>,
    instructions: BTreeMap<(Load, Peer), u64>,
    pairs: BTreeMap<usize, Vec<Pairs>>,
    /// Why there is no figure.
    failures: BTreeMap<Peer, Vec<String>>,
}

/// The medians of one peer in one cell.
#[derive(Clone, Copy, Debug)]
pub struct Medians {
    pub cpu_us: f64,
    pub cpu_beside_us: Option<f64>,
    pub throughput: f64,
    pub memory_peak: f64,
    /// Processor time by that of the peer's reference, in the same repetition.
    pub cpu_ratio: Option<f64>,
    /// Throughput by that of the peer's reference, in the same repetition.
    pub throughput_ratio: Option<f64>,
}

impl Results {
    /// Adds what a measurement found, or why it failed.
    pub fn add(&mut self, rep: usize, peer: Peer, cell: Cell, measured: Result<Measured>) {
        match measured {
            Ok(measured) => {
                let reps = self.saturated.entry((cell, peer)).or_default();
                reps.insert(rep, measured);
            }
            Err(error) => self.failed(peer, cell.load, &error),
        }
    }

    /// Adds latencies, or why there are none.
    pub fn add_latencies(&mut self, peer: Peer, load: Load, latencies: Result<Latencies>) {
        match latencies {
            Ok(latencies) => self
                .latencies
                .entry((load, peer))
                .or_default()
                .push(latencies),
            Err(error) => self.failed(peer, load, &error),
        }
    }

    /// Adds a peer's memory while nothing goes on, or why it is not known.
    pub fn add_idle(&mut self, peer: Peer, idle: Result<Idle>) {
        match idle {
            Ok(idle) => drop(self.idle.insert(peer, idle)),
            Err(error) => self.failed(peer, Load::Unkeyed, &error),
        }
    }

    /// Adds what many keys cost, or why it is not known.
    pub fn add_many_keys(&mut self, many_keys: Result<ManyKeys>) {
        match many_keys {
            Ok(many_keys) => self.many_keys = Some(many_keys),
            Err(error) => self.failed(Peer::OncegateFile, Load::Fresh, &error),
        }
    }

    /// What many keys cost.
    pub fn many_keys(&self) -> Option<ManyKeys> {
        self.many_keys
    }

    /// Adds the instructions of one request, or why they are not known.
    pub fn add_instructions(&mut self, peer: Peer, load: Load, instructions: Result<u64>) {
        match instructions {
            Ok(count) => drop(self.instructions.insert((load, peer), count)),
            Err(error) => self.failed(peer, load, &error),
        }
    }

    /// Adds claims and completions without HTTP, or why they are not known.
    pub fn add_pairs(&mut self, pairs: Result<Pairs>) {
        match pairs {
            Ok(pairs) => self.pairs.entry(pairs.clients).or_default().push(pairs),
            Err(error) => self.failed(Peer::OncegatePostgres, Load::Fresh, &error),
        }
    }

    /// For each number of clients: pgbench's rate, the store's, and the ratio within a repetition; medians.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, f64, f64, f64)> {
        self.pairs.iter().filter_map(|(clients, reps)| {
            let of = |figure: fn(&Pairs) -> f64| median(reps.iter().map(figure));
            Some((
                *clients,
                of(|pairs| pairs.pgbench)?,
                of(|pairs| pairs.store)?,
                of(|pairs| pairs.store / pairs.pgbench)?,
            ))
        })
    }

    /// A peer's memory while nothing goes on.
    pub fn idle(&self, peer: Peer) -> Option<Idle> {
        self.idle.get(&peer).copied()
    }

    /// The instructions of one request.
    pub fn instructions(&self, peer: Peer, load: Load) -> Option<u64> {
        self.instructions.get(&(load, peer)).copied()
    }

    /// How many measurements failed.
    pub fn failures(&self) -> usize {
        self.failures.values().map(Vec::len).sum()
    }

    /// For each peer that failed, the first reason.
    pub fn reasons(&self) -> impl Iterator<Item = (Peer, &str)> {
        let all = self.failures.iter();
        all.filter_map(|(peer, reasons)| Some((*peer, reasons.first()?.as_str())))
    }

    /// The medians of one peer in one cell, if it was measured there.
    pub fn medians(&self, cell: Cell, peer: Peer) -> Option<Medians> {
        let reps = self.saturated.get(&(cell, peer))?;
        let reference = self.saturated.get(&(cell, peer.reference()));
        let of = |figure: fn(&Measured) -> f64| median(reps.values().map(figure));
        let ratio = |figure: fn(&Measured) -> f64| {
            let pairs = reps.iter().filter_map(|(rep, measured)| {
                let beside = reference?.get(rep)?;
                Some(figure(measured) / figure(beside))
            });
            median(pairs)
        };
        let beside = reps.values().filter_map(|measured| measured.cpu_beside);
        Some(Medians {
            cpu_us: of(cpu_us)?,
            cpu_beside_us: median(beside.map(micros)),
            throughput: of(|measured| measured.throughput)?,
            memory_peak: of(memory_peak)?,
            cpu_ratio: ratio(cpu_us),
            throughput_ratio: ratio(|measured| measured.throughput),
        })
    }

    /// The medians of the percentiles, in milliseconds.
    pub fn latencies(&self, load: Load, peer: Peer) -> Option<(f64, f64)> {
        let all = self.latencies.get(&(load, peer))?;
        let millis = |latency: Duration| latency.as_secs_f64() * 1e3;
        Some((
            median(all.iter().map(|latencies| millis(latencies.p50)))?,
            median(all.iter().map(|latencies| millis(latencies.p99)))?,
        ))
    }

    fn failed(&mut self, peer: Peer, load: Load, error: &anyhow::Error) {
        eprintln!("    failed: {error:#}");
        let reasons = self.failures.entry(peer).or_default();
        reasons.push(format!("{}: {error:#}", load.name()));
    }
}

fn cpu_us(measured: &Measured) -> f64 {
    micros(measured.cpu)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn memory_peak(measured: &Measured) -> f64 {
    measured.memory_peak as f64
}

/// The figure in the middle; of an even number, the mean of the two in the middle.
fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    let upper = *figures.get(middle)?;
    if figures.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(figures[middle - 1], upper))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Body;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
    }

    /// A machine that was slow for a while was slow for both: dividing within a repetition cancels that.
    #[test]
    fn ratios_are_taken_within_a_repetition() {
        let cell = Cell {
            load: Load::Fresh,
            body: Body::Small,
            connections: 32,
        };
        let mut results = Results::default();
        for (rep, slow) in [(0, 1), (1, 10)] {
            results.add(rep, Peer::Nginx, cell, Ok(measured(10 * slow)));
            results.add(rep, Peer::OncegateMemory, cell, Ok(measured(15 * slow)));
        }
        let medians = results.medians(cell, Peer::OncegateMemory).unwrap();
        assert!((medians.cpu_ratio.unwrap() - 1.5).abs() < 1e-9);
    }

    fn measured(cpu_us: u64) -> Measured {
        Measured {
            cpu: Duration::from_micros(cpu_us),
            cpu_beside: None,
            throughput: 1.0,
            memory_peak: 1,
        }
    }
}
