//! Logs: human on a terminal, JSON otherwise. To standard error, so that output can be piped.
//!
//! What is logged is chosen where it is logged: never a raw key, a credential or a body. Lines are written by a thread
//! of their own: nobody waits for whoever reads the log. If that one is slow, up to [`LINES_MAX`] lines wait, and more
//! are dropped; if its pipe is closed, all are.

use std::io::IsTerminal;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Keeps the log going; dropped, it waits a moment until what was logged is written.
#[must_use]
#[derive(Debug)]
pub(crate) struct Logging {
    _writer: WorkerGuard,
}

/// Starts logging. `directives` says what is logged, as `ONCEGATE_LOG` has it; what cannot be read falls back to
/// `info`.
pub(crate) fn start(directives: Option<&str>) -> Logging {
    let filter = directives
        .and_then(|directives| EnvFilter::try_new(directives).ok())
        .unwrap_or_else(|| EnvFilter::new("info"));
    let (lines, writer) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_MAX)
        .thread_name("oncegate-log")
        .finish(std::io::stderr());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(lines);
    // A subscriber that is there already (in a test) stays.
    let _started_or_not = if std::io::stderr().is_terminal() {
        builder.with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    Logging { _writer: writer }
}

/// Lines that wait for the reader of the log: a few megabytes.
const LINES_MAX: usize = 8_192;
