//! SIGHUP: the configuration is read again, and what can change while it runs is exchanged.
//!
//! Promises: all or nothing. A configuration that is wrong, or that a running proxy cannot follow, leaves the old one
//! in force as a whole, is told in the log as it would have been at start-up, and is counted.

use crate::config::{Config, ConfigError, Environment, ServeArgs};
use crate::metrics::Reload;
use crate::running::Running;

/// Why a reload was refused.
#[derive(Debug, thiserror::Error)]
enum Refused {
    /// It would not have been a configuration at start-up either.
    #[error("{}", .0.render(false).trim_end())]
    Wrong(Box<ConfigError>),
    /// It is right, and other than what can be changed without a restart.
    #[error("a restart is needed for {}", .0.join(", "))]
    RestartNeeded(Vec<&'static str>),
}

/// Reads everything again and takes it over, or says why not. Flags and environment are those of the start.
///
/// # Cancel safety
/// Nothing has changed if it is dropped before its end.
pub(crate) async fn reload(args: &ServeArgs, environment: &Environment, running: &mut Running) {
    let result = match load(args.clone(), environment.clone()).await {
        Ok(config) => running.follow(config).map_err(Refused::RestartNeeded),
        Err(error) => Err(Refused::Wrong(Box::new(error))),
    };
    match result {
        Ok(()) => {
            running.metrics().reloaded(Reload::Applied);
            for warning in running.warnings() {
                tracing::warn!("{warning}");
            }
            tracing::info!("the new configuration is in force");
        }
        Err(refused) => {
            running.metrics().reloaded(Reload::Refused);
            tracing::error!(error = %refused, "the old configuration stays in force");
        }
    }
}

/// Reads files: not on a thread that serves.
async fn load(args: ServeArgs, environment: Environment) -> Result<Config, ConfigError> {
    match tokio::task::spawn_blocking(move || Config::load(&args, &environment)).await {
        Ok(loaded) => loaded,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}
