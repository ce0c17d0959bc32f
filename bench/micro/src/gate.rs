//! Counts by valgrind, and the record that they are held to.
//!
//! Each bench runs twice, once for twice as long: the difference is what the bench costs, without its setting-up.
//! Counts depend on the compiler, the C library and what the processor can do; the tolerance is for that. A record is
//! for one architecture.

use std::env::consts::{ARCH, OS};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::benches::{BENCHES, Bench};

/// Fails if a bench costs more than the record allows.
pub fn hold() -> Result<(), String> {
    if (OS, ARCH) != (RECORDED_OS, RECORDED_ARCH) {
        println!(
            "instructions are recorded for {RECORDED_OS} on {RECORDED_ARCH}, not for {OS} on {ARCH}: not held"
        );
        return Ok(());
    }
    let record = fs::read_to_string(record_file()).map_err(|error| format!("{RECORD}: {error}"))?;
    let mut over = String::new();
    for bench in BENCHES {
        let recorded = recorded(&record, bench.name)
            .ok_or_else(|| format!("{RECORD} has no count for {}; {RENEW}", bench.name))?;
        let counted = count(bench)?;
        let judged = judge(recorded, counted);
        println!(
            "{:32} {counted:>9} instructions, recorded {recorded}: {}",
            bench.name,
            judged.says()
        );
        if judged == Judged::Over {
            let _infallible = writeln!(
                over,
                "{} costs {counted} instructions; the record is {recorded}",
                bench.name
            );
        }
    }
    if over.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{over}more than {TOLERANCE_PERCENT} % over is a regression; if it is worth its price, or the compiler changed: {RENEW}"
    ))
}

/// Writes the record anew.
pub fn update() -> Result<(), String> {
    let mut record = format!(
        "# Instructions for each bench of bench/micro, on {RECORDED_OS} {RECORDED_ARCH}, by {}.\n# Renew: make bench-micro UPDATE=1\n",
        compiler()?
    );
    for bench in BENCHES {
        let counted = count(bench)?;
        println!("{:32} {counted:>9} instructions", bench.name);
        let _infallible = writeln!(record, "{} {counted}", bench.name);
    }
    fs::write(record_file(), record).map_err(|error| format!("{RECORD}: {error}"))
}

/// What a count is beside its record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Judged {
    Kept,
    Under,
    Over,
}

impl Judged {
    fn says(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Under => "cheaper; renew the record, so that it stays so",
            Self::Over => "REGRESSION",
        }
    }
}

fn judge(recorded: u64, counted: u64) -> Judged {
    if counted * 100 > recorded * (100 + TOLERANCE_PERCENT) {
        Judged::Over
    } else if counted * 100 < recorded * (100 - TOLERANCE_PERCENT) {
        Judged::Under
    } else {
        Judged::Kept
    }
}

/// What the bench costs once.
fn count(bench: &Bench) -> Result<u64, String> {
    let once = instructions(bench.name, bench.times)?;
    let twice = instructions(bench.name, bench.times * 2)?;
    let cost = twice.checked_sub(once);
    let cost = cost.ok_or_else(|| format!("{}: doing it twice cost less than once", bench.name))?;
    Ok(cost / u64::from(bench.times))
}

fn instructions(name: &str, times: u32) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let run = Command::new("valgrind")
        .args([
            "--tool=cachegrind",
            "--cache-sim=no",
            "--cachegrind-out-file=/dev/null",
        ])
        .arg(program)
        .args([name, &times.to_string()])
        .output()
        .map_err(|error| format!("valgrind cannot be started (.ci/setup installs it): {error}"))?;
    let said = String::from_utf8_lossy(&run.stderr);
    if !run.status.success() {
        return Err(format!("{name} failed under valgrind:\n{said}"));
    }
    refs(&said).ok_or_else(|| format!("valgrind gave no count for {name}:\n{said}"))
}

/// The count in what cachegrind says: `==7== I   refs:      1,234`, with more or fewer spaces.
fn refs(said: &str) -> Option<u64> {
    let line = said
        .lines()
        .find(|line| line.contains(" refs:") && line.contains(" I "))?;
    let (_, number) = line.split_once("refs:")?;
    number.trim().replace(',', "").parse().ok()
}

fn recorded(record: &str, name: &str) -> Option<u64> {
    let mut lines = record.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

fn compiler() -> Result<String, String> {
    let said = Command::new("rustc").arg("--version").output();
    let said = said.map_err(|error| format!("rustc: {error}"))?;
    Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

fn record_file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(RECORD)
}

const RECORD: &str = "instructions.txt";
const RECORDED_OS: &str = "linux";
const RECORDED_ARCH: &str = "x86_64";
const RENEW: &str = "renew it by `make bench-micro UPDATE=1`";
const TOLERANCE_PERCENT: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_more_is_kept_and_more_is_a_regression() {
        assert_eq!(judge(1_000, 1_100), Judged::Kept);
        assert_eq!(judge(1_000, 1_101), Judged::Over);
        assert_eq!(judge(1_000, 900), Judged::Kept);
        assert_eq!(judge(1_000, 899), Judged::Under);
    }

    #[test]
    fn the_count_is_found_in_what_either_version_of_valgrind_says() {
        assert_eq!(refs("==1== \n==1== I   refs:      21,063\n"), Some(21_063));
        assert_eq!(refs("==1== I refs:        1,234,567\n"), Some(1_234_567));
        assert_eq!(refs("==1== Command: x\n"), None);
    }

    #[test]
    fn a_name_that_another_begins_with_is_not_taken_for_it() {
        let record = "# text\nreplay_memory_long 7\nreplay_memory 5\n";
        assert_eq!(recorded(record, "replay_memory"), Some(5));
        assert_eq!(recorded(record, "missing"), None);
    }
}
