//! `oncegate check`: takes operations of any API through the cases of `oncegate-check`.
//!
//! What to check comes from the command line (`single`), from a file (`config`) or from a description of the API
//! (`described`); `plan` brings it into one form, and `run` runs it.

use crate::command::Failed;

mod arguments;
mod config;
mod described;
pub(crate) mod fields;
mod list;
mod output;
mod plan;
mod run;
mod single;

pub(crate) use arguments::Arguments;

/// Runs the check, and prints the report.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failed> {
    let cases = plan::cases(&arguments)?;
    if arguments.list {
        print!("{}", list::text(&cases));
        return Ok(());
    }
    let plan = plan::plan(&arguments, cases).await?;
    run::run(&plan, &arguments.output, arguments.fail_on).await
}
