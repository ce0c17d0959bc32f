//! The gate on what a request costs: a few promises, each counted in instructions and held to a recorded count.
//!
//! `oncegate-micro gate` runs each bench under valgrind and fails when one costs more than the record allows.
//! `oncegate-micro gate --update` writes the record anew. `oncegate-micro NAME TIMES` is one bench by itself.
//!
//! Instructions do not depend on who else uses the machine, so they can decide a test; timings cannot. What the
//! kernel does is not in them.

mod benches;
mod engine;
mod gate;
mod layer;

use std::process::ExitCode;

use crate::benches::BENCHES;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        ["gate"] => gate::hold(),
        ["gate", "--update"] => gate::update(),
        [name, times] => run(name, times),
        _ => Err("usage: oncegate-micro gate [--update] | NAME TIMES".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, times: &str) -> Result<(), String> {
    let bench = BENCHES.iter().find(|bench| bench.name == name);
    let bench = bench.ok_or_else(|| format!("no bench is called {name}"))?;
    let times = times.parse().map_err(|_| format!("{times} is no number"))?;
    (bench.run)(times);
    Ok(())
}
