//! `oncegate serve`: loads the configuration, runs the proxy, reloads it on SIGHUP, and stops it on another signal.

use std::fmt::Write as _;

use oncegate_tower::Drained;
use tokio::signal::unix::{SignalKind, signal};

use crate::command::Failed;
use crate::config::{Config, Environment, ServeArgs};
use crate::descriptors;
use crate::logging;
use crate::notify;
use crate::reload::reload;
use crate::running::Running;

/// The flags of `oncegate serve`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    serve: ServeArgs,
}

/// Serves until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// If the configuration is wrong, or the proxy cannot start.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failed> {
    let environment = Environment::of_process();
    let config = Config::load(&arguments.serve, &environment)?;
    if arguments.serve.print_config {
        print!("{}", config.print());
        return Ok(());
    }
    let _logging = logging::start(environment.get("ONCEGATE_LOG"));
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(warning) = descriptors::raise(&config) {
        tracing::warn!("{warning}");
    }
    let mut signals = Signals::listen()?;
    let mut running = Running::start(&config).await?;
    announce(&config, &running);
    notify::ready();
    let signal = loop {
        match signals.next().await {
            Signal::Reload => {
                // A file that does not come must not keep the process from ending.
                tokio::select! {
                    () = reload(&arguments.serve, &environment, &mut running) => {}
                    signal = signals.end() => break signal,
                }
            }
            Signal::End(signal) => break signal,
        }
    };
    tracing::info!(signal, drain_timeout = ?config.drain_timeout, "draining");
    notify::stopping(config.drain_timeout);
    tokio::select! {
        drained = running.stop() => match drained {
            Drained::Finished => tracing::info!("stopped; every execution came to its end"),
            Drained::GaveUp { executions } => {
                tracing::warn!(executions, "stopped; what was left is marked unknown");
            }
        },
        signal = signals.end() => {
            tracing::warn!(signal, "stopped at once; what was under way is unknown");
        }
    }
    Ok(())
}

fn announce(config: &Config, running: &Running) {
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let mut listening = String::new();
    for address in running.listening() {
        // Writing to a string cannot fail.
        let _infallible = write!(listening, "{scheme}://{address} ");
    }
    tracing::info!(
        listening = listening.trim_end(),
        admin = running.admin().map(|address| format!("http://{address}")),
        upstream = %config.upstream,
        store = %config.store,
        "oncegate is ready"
    );
}

/// What a signal asks for.
enum Signal {
    Reload,
    /// With its name.
    End(&'static str),
}

/// The signals that are listened to.
pub(crate) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self, Failed> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Failed::unavailable("cannot listen for signals").because(error))
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Signal::End("SIGTERM"),
            _ = self.interrupt.recv() => Signal::End("SIGINT"),
            _ = self.hangup.recv() => Signal::Reload,
        }
    }

    /// The next signal that ends the process. A hang-up waits until it is asked for.
    pub(crate) async fn end(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
