//! Logs: human on a terminal, JSON otherwise. To standard error, so that output can be piped.
//!
//! What is logged is chosen where it is logged: never a raw key, a credential or a body.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging. `directives` says what is logged, as `ONCEGATE_LOG` has it; what cannot be read falls back to
/// `info`.
pub(crate) fn start(directives: Option<&str>) {
    let filter = directives
        .and_then(|directives| EnvFilter::try_new(directives).ok())
        .unwrap_or_else(|| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A subscriber that is there already (in a test) stays.
    let _started_or_not = if std::io::stderr().is_terminal() {
        builder.with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
}
