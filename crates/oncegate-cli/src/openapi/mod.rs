//! `oncegate openapi`: what the configuration promises, in OpenAPI descriptions.
//!
//! `annotate` writes it there, `discover` reads it from there. `spec` is the file that both read, `contract` says what
//! a policy means to callers, `destination` is where the result goes.

mod annotate;
mod contract;
mod destination;
mod discover;
mod spec;

use clap::Subcommand;

use crate::command::Failed;

/// The arguments of `oncegate openapi`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write what callers can meet into an OpenAPI description, and nothing else
    Annotate(Box<annotate::Arguments>),
    /// Write the routes for the operations of an OpenAPI description that document a key
    Discover(discover::Arguments),
}

/// Does it.
///
/// # Errors
/// If the description or the configuration is wrong, or `--check` finds that they have drifted.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failed> {
    match arguments.action {
        Action::Annotate(arguments) => annotate::run(&arguments),
        Action::Discover(arguments) => discover::run(&arguments),
    }
}
