//! The tables, as Markdown.

use std::fmt::Write as _;

use crate::budget;
use crate::cell::{Cell, Load};
use crate::load::Body;
use crate::measure::IDLE_CONNECTIONS;
use crate::peers::Peer;
use crate::results::{Medians, Results};

/// All tables of a run.
pub fn tables(results: &Results, rate: u32) -> String {
    let mut text = String::new();
    for (peer, reason) in results.reasons() {
        let _infallible = writeln!(text, "**Failed**: {}, {}\n", peer.name(), reason.trim());
    }
    text.push_str(&budget::table(results));
    for load in [Load::Fresh, Load::Replay, Load::Unkeyed] {
        for body in [Body::Small, Body::Large] {
            text.push_str(&servers(results, load, body));
        }
    }
    text.push_str(&latencies(results, rate));
    text.push_str(&handlers(results));
    text.push_str(&pairs(results));
    text.push_str(&instructions(results));
    text.push_str(&idle(results));
    text
}

/// One load, one size of body: a row for each server, for each number of connections.
fn servers(results: &Results, load: Load, body: Body) -> String {
    let mut rows = String::new();
    for connections in CONNECTIONS {
        let cell = Cell {
            load,
            body,
            connections,
        };
        for peer in Peer::SERVERS {
            if let Some(medians) = results.medians(cell, peer) {
                rows.push_str(&server(connections, peer, &medians));
            }
        }
    }
    if rows.is_empty() {
        return rows;
    }
    format!(
        "### {}, {}\n\n| connections | | CPU us/request | by nginx's | requests/s | peak MB |\n\
         |--:|---|--:|--:|--:|--:|\n{rows}\n",
        heading(load),
        body.name()
    )
}

fn server(connections: usize, peer: Peer, medians: &Medians) -> String {
    let cpu = match medians.cpu_beside_us {
        None => format!("{:.1}", medians.cpu_us),
        Some(beside) => format!("{:.1} + {beside:.1}", medians.cpu_us),
    };
    format!(
        "| {connections} | {} | {cpu} | {} | {} | {:.0} |\n",
        peer.name(),
        ratio(medians.cpu_ratio),
        thousands(medians.throughput),
        medians.memory_peak / 1e6
    )
}

fn handlers(results: &Results) -> String {
    let mut rows = String::new();
    for load in [Load::Fresh, Load::Replay, Load::Unkeyed] {
        for connections in CONNECTIONS {
            let cell = Cell {
                load,
                body: Body::Small,
                connections,
            };
            for peer in Peer::HANDLERS {
                let Some(medians) = results.medians(cell, peer) else {
                    continue;
                };
                let _infallible = writeln!(
                    rows,
                    "| {} | {connections} | {} | {:.1} | {} | {} | {:.0} |",
                    load.name(),
                    peer.name(),
                    medians.cpu_us,
                    thousands(medians.throughput),
                    ratio(medians.throughput_ratio),
                    medians.memory_peak / 1e6
                );
            }
        }
    }
    if rows.is_empty() {
        return rows;
    }
    format!(
        "### In process, 59 B\n\n| load | connections | | CPU us/request | requests/s | by the bare handler's | peak MB |\n\
         |---|--:|---|--:|--:|--:|--:|\n{rows}\n"
    )
}

fn latencies(results: &Results, rate: u32) -> String {
    let mut rows = String::new();
    for load in [Load::Fresh, Load::Replay, Load::Unkeyed] {
        for peer in Peer::SERVERS {
            if let Some((p50, p99)) = results.latencies(load, peer) {
                let _infallible = writeln!(
                    rows,
                    "| {} | {} | {p50:.2} | {p99:.2} |",
                    load.name(),
                    peer.name()
                );
            }
        }
    }
    if rows.is_empty() {
        return rows;
    }
    format!(
        "### How long an answer takes at {rate} requests a second, 59 B, 32 connections\n\n\
         | load | | p50 ms | p99 ms |\n|---|---|--:|--:|\n{rows}\n"
    )
}

fn pairs(results: &Results) -> String {
    let mut rows = String::new();
    for (clients, pgbench, store, ratio) in results.pairs() {
        let _infallible = writeln!(
            rows,
            "| {clients} | {} | {} | {ratio:.2} |",
            thousands(pgbench),
            thousands(store)
        );
    }
    if rows.is_empty() {
        return rows;
    }
    format!(
        "### PostgreSQL without HTTP: claims and completions a second\n\n\
         | clients | pgbench | our store | by pgbench's |\n|--:|--:|--:|--:|\n{rows}\n"
    )
}

fn instructions(results: &Results) -> String {
    let mut rows = String::new();
    let bare = results.instructions(Peer::HyperProxy, Load::Unkeyed);
    for load in [Load::Unkeyed, Load::Fresh, Load::Replay] {
        for peer in Peer::SERVERS {
            let Some(count) = results.instructions(peer, load) else {
                continue;
            };
            let by_bare = bare.map(|bare| count as f64 / bare as f64);
            let _infallible = writeln!(
                rows,
                "| {} | {} | {} | {} |",
                load.name(),
                peer.name(),
                thousands(count as f64),
                ratio(by_bare)
            );
        }
    }
    if rows.is_empty() {
        return rows;
    }
    format!(
        "### Instructions of one request, without the kernel's, 59 B\n\n\
         | load | | instructions | by the bare hyper proxy's |\n|---|---|--:|--:|\n{rows}\n"
    )
}

fn idle(results: &Results) -> String {
    let mut rows = String::new();
    for peer in Peer::SERVERS {
        if let Some(idle) = results.idle(peer) {
            let _infallible = writeln!(
                rows,
                "| {} | {:.1} | {:.1} |",
                peer.name(),
                idle.started as f64 / 1e6,
                idle.connected as f64 / 1e6
            );
        }
    }
    if rows.is_empty() {
        return rows;
    }
    format!(
        "### Memory while nothing goes on\n\n| | MB after the start | MB with {} idle connections |\n|---|--:|--:|\n{rows}\n",
        thousands(IDLE_CONNECTIONS as f64)
    )
}

fn heading(load: Load) -> &'static str {
    match load {
        Load::Fresh => "Fresh: a new key with each request",
        Load::Replay => "Replay: keys that are stored",
        Load::Unkeyed => "Unkeyed",
    }
}

fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
}

/// `12,345`.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The numbers of connections that have a row, if they were measured.
const CONNECTIONS: [usize; 2] = [32, 256];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(thousands(999.4), "999");
        assert_eq!(thousands(1_000.0), "1,000");
        assert_eq!(thousands(1_234_567.0), "1,234,567");
    }
}
