//! `oncegate config check`: says whether a configuration is right, without starting anything.

use clap::Subcommand;

use crate::command::Failed;
use crate::config::{Config, Environment, ServeArgs};

/// The arguments of `oncegate config`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say whether the configuration is right; takes the flags of `serve`
    Check(Box<ServeArgs>),
}

/// Checks, and prints what is worth knowing.
///
/// # Errors
/// If the configuration is wrong.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failed> {
    let Action::Check(serve) = arguments.action;
    let config = Config::load(&serve, &Environment::of_process())?;
    for warning in &config.warnings {
        eprintln!("warning: {warning}");
    }
    println!("the configuration is right");
    Ok(())
}
