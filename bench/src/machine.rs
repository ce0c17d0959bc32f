//! Where and with what it was measured: a figure without these is none.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::peers::Stage;

/// Machine, date, versions and command, as Markdown.
pub fn describe(stage: &Stage, reps: usize, measured: Duration) -> String {
    let rows = [
        ("date", said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
        ("machine", format!("{}, {} cores", cpu_model(), cores())),
        ("kernel", said("uname", &["-sr"])),
        ("load average at the end", load_average()),
        ("disk under the file store", disk(&stage.folder)),
        (
            "Oncegate",
            format!(
                "{}, commit {}",
                said(&stage.oncegate.display().to_string(), &["--version"]),
                commit()
            ),
        ),
        ("compiler", said("rustc", &["--version"])),
        ("nginx", said("nginx", &["-v"])),
        ("node", said("node", &["--version"])),
        ("redis", said("redis-server", &["--version"])),
        ("postgres", said("psql", &["--version"])),
        ("command", format!("`{}`", command())),
        (
            "medians of",
            format!("{reps} repetitions of {:.1} s each", measured.as_secs_f64()),
        ),
        (
            "cores",
            format!(
                "process under test on {}, load, origin, Redis and PostgreSQL on {}",
                stage.core_under_test.0, stage.core_of_load.0
            ),
        ),
    ];
    let rows = rows.map(|(name, value)| format!("| {name} | {value} |\n"));
    format!("| | |\n|---|---|\n{}", rows.concat())
}

/// What a program says of itself, in one line.
fn said(program: &str, arguments: &[&str]) -> String {
    match Command::new(program).args(arguments).output() {
        Err(error) => format!("not there ({error})"),
        Ok(output) => {
            let both = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&both);
            text.lines().next().unwrap_or_default().trim().to_owned()
        }
    }
}

fn cpu_model() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    line.map_or_else(
        || "unknown processor".to_owned(),
        |rest| rest.trim_start_matches([':', '\t', ' ']).to_owned(),
    )
}

fn cores() -> usize {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    info.lines()
        .filter(|line| line.starts_with("processor"))
        .count()
}

/// Somebody else at work on the machine spoils timings: this shows it.
fn load_average() -> String {
    let average = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    average
        .split_whitespace()
        .next()
        .unwrap_or("unknown")
        .to_owned()
}

fn disk(folder: &Path) -> String {
    let folder = folder.display().to_string();
    said("findmnt", &["-no", "FSTYPE,OPTIONS", "-T", &folder])
}

fn commit() -> String {
    said("git", &["describe", "--always", "--dirty"])
}

/// As `make bench` was called; else the arguments of this program.
fn command() -> String {
    std::env::var("BENCH_COMMAND").unwrap_or_else(|_| {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        format!("oncegate-bench {}", arguments.join(" "))
    })
}
