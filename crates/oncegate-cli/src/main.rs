//! The `oncegate` command: parses the command line, starts a runtime, and turns errors into exit codes.

use std::process::ExitCode;

use clap::Parser;
use oncegate_cli::command::{CommandLine, Failed};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    oncegate_cli::pages::plain();
    let arguments = match CommandLine::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let help = !error.use_stderr();
            // Nothing can be done about a terminal that is gone.
            let _printed_or_not = error.print();
            return if help {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(Failed::USAGE)
            };
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            return Failed::unavailable("cannot start the runtime")
                .because(error)
                .report();
        }
    };
    match runtime.block_on(arguments.command.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => failed.report(),
    }
}
