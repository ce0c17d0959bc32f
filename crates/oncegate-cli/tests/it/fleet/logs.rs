//! The two logs: what reached the origin, and what clients were told. Plain data, kept as lines of JSON.
//!
//! All times are microseconds since the start of the run, on the one clock of the test.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::Serialize;

/// A moment of the run, or a span of it.
pub(super) type Micros = u64;

/// One line of the origin's log: a request that came in whole, and ran.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Execution {
    pub(super) key: String,
    /// Which attempt of a client's it is.
    pub(super) attempt: u64,
    pub(super) fence: u64,
    /// The request's body.
    pub(super) request: String,
    pub(super) arrived_at: Micros,
    pub(super) ended: Option<Ended>,
}

/// How an execution ended, as the origin saw it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Ended {
    pub(super) at: Micros,
    pub(super) how: How,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) enum How {
    /// This is about to be written: whoever acts on it does so later.
    Answered { status: u16, body: String },
    /// The connection was closed without a word.
    Cut,
    /// Whoever had sent the request was gone before the answer.
    Deserted,
}

/// One line of the clients' log: a request that was sent, and what came of it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Attempt {
    pub(super) number: u64,
    pub(super) key: String,
    /// The request's body.
    pub(super) request: String,
    pub(super) sent_at: Micros,
    pub(super) ended_at: Micros,
    pub(super) outcome: Outcome,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) enum Outcome {
    Answer(Told),
    /// The connection broke, or nothing came for too long.
    Broken(String),
    /// The client went away.
    Left,
}

/// An answer that came whole.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Told {
    pub(super) status: u16,
    /// The token of `Idempotency-Status`.
    pub(super) became: String,
    pub(super) fence: Option<u64>,
    /// The last segment of a problem's type; empty if this is none.
    pub(super) slug: String,
    pub(super) body: String,
}

impl Attempt {
    /// The answer, if there was one.
    pub(super) const fn told(&self) -> Option<&Told> {
        match &self.outcome {
            Outcome::Answer(told) => Some(told),
            Outcome::Broken(_) | Outcome::Left => None,
        }
    }
}

impl Told {
    /// Whether it says that the outcome is kept, and this is it.
    pub(super) fn is_recorded(&self) -> bool {
        matches!(self.became.as_str(), "executed" | "replayed")
    }
}

/// Both logs of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Logs {
    pub(super) executions: Vec<Execution>,
    pub(super) attempts: Vec<Attempt>,
}

impl Logs {
    /// Writes them into `folder`, to be looked at.
    pub(super) fn save(&self, folder: &Path) {
        save(&folder.join("origin.jsonl"), &self.executions);
        save(&folder.join("clients.jsonl"), &self.attempts);
    }
}

fn save(path: &Path, lines: &[impl Serialize]) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    for line in lines {
        serde_json::to_writer(&mut file, line).unwrap();
        file.write_all(b"\n").unwrap();
    }
    file.flush().unwrap();
}
