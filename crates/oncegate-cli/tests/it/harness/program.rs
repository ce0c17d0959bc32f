//! Other programs: `oncegate` for a moment, and what a test needs beside it.

use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// A program that came to its end.
#[derive(Debug)]
pub(crate) struct Ended {
    /// None if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the real binary to its end.
pub(crate) async fn oncegate(arguments: &[&str]) -> Ended {
    let mut command = program(BINARY);
    command.args(arguments);
    run(command).await
}

/// A program that dies with this one, and sees none of our own variables.
pub(crate) fn program(name: impl AsRef<Path>) -> Command {
    let name = name.as_ref();
    let mut command = if has_setpriv() {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(name);
        command
    } else {
        Command::new(name)
    };
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ONCEGATE_") {
            command.env_remove(name);
        }
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

/// Runs a program to its end.
pub(crate) async fn run(command: Command) -> Ended {
    run_for(RUN_TIMEOUT, command).await
}

/// Runs a program to its end, which may take so long.
pub(crate) async fn run_for(most: Duration, mut command: Command) -> Ended {
    let output = timeout(most, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("{command:?} hangs"));
    // Only `sh` and our own program can be counted on.
    let Output {
        status,
        stdout,
        stderr,
    } = output.unwrap_or_else(|error| panic!("cannot run {command:?}: {error}; run `make setup`"));
    Ended {
        code: status.code(),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

impl Ended {
    /// It ended with this code, and said all of this on standard error.
    #[track_caller]
    pub(crate) fn must_fail(&self, code: i32, with: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        // A report is wrapped to the width of a page: what it says does not depend on where.
        let said = words(&self.stderr);
        for part in with {
            assert!(said.contains(&words(part)), "{part:?} is not in {said:?}");
        }
    }
}

fn words(text: &str) -> String {
    let plain = text.replace(['\u{2502}', '\u{b7}'], " ");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn has_setpriv() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths).any(|path| path.join("setpriv").exists())
    })
}

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_oncegate");
const RUN_TIMEOUT: Duration = Duration::from_secs(60);
