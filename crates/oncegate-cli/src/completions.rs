//! `oncegate completions SHELL`: what a shell needs to complete our command line.
//!
//! Made from the definition that parses it, so that no flag can be forgotten.

use std::io::{self, Write as _};

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::command::{CommandLine, Failed};

/// The arguments of `oncegate completions`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which shell
    shell: Shell,
}

/// Prints them.
///
/// # Errors
/// If nobody takes the output.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failed> {
    let mut command = CommandLine::command();
    let name = command.get_name().to_owned();
    // The generator does not hand on a failed write: it gets a buffer, which has none.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, name, &mut script);
    io::stdout()
        .write_all(&script)
        .map_err(|error| Failed::unavailable("cannot print the completions").because(error))
}
