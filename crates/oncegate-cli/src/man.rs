//! `oncegate man DIRECTORY`: the manual pages, one for each subcommand, for those who package Oncegate.
//!
//! Made from the definition that parses the command line, so that no flag can be forgotten. What clap does not know
//! (files, variables, exit codes) stands here.

use std::io;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::command::{CommandLine, Failed};

/// The arguments of `oncegate man`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder that the pages are written to; it has to be there
    directory: PathBuf,
}

/// Writes them.
///
/// # Errors
/// If they cannot be written.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failed> {
    let mut command = CommandLine::command().disable_help_subcommand(true);
    command.build();
    write(&command, &arguments.directory).map_err(|error| {
        let directory = arguments.directory.display();
        Failed::unavailable(format!("cannot write to `{directory}`")).because(error)
    })
}

/// The page of this command, and those of all below it.
fn write(command: &clap::Command, directory: &Path) -> io::Result<()> {
    for below in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        write(below, directory)?;
    }
    let man = Man::new(command.clone()).manual("Oncegate");
    let mut page = Vec::new();
    man.render(&mut page)?;
    page.extend_from_slice(MORE.as_bytes());
    std::fs::write(directory.join(man.get_filename()), page)
}

/// Behind every page.
const MORE: &str = r".SH ENVIRONMENT
.TP
\fBONCEGATE_CONFIG\fR
The configuration file, where no flag names one.
.TP
\fBONCEGATE_LOG\fR
What is logged, such as \fBinfo\fR or \fBoncegate=debug\fR.
.TP
\fBONCEGATE_\fINAME\fR
Any setting of the server or of \fB[defaults]\fR, its name in capital letters.
.SH FILES
.TP
\fI/etc/oncegate/oncegate.toml\fR
The configuration file of the packaged service. The program itself reads no file that it is not told of.
.TP
\fIoncegate.db\fR
The records, in the working directory unless the setting \fBstore\fR says otherwise; the service has them in
\fI/var/lib/oncegate\fR.
.SH EXIT STATUS
.TP
\fB0\fR
It was done.
.TP
\fB1\fR
The answer is no: a check failed, or a proxy refused what was asked for.
.TP
\fB64\fR
The command line or the configuration is wrong.
.TP
\fB69\fR
Something that is needed cannot be had.
.TP
\fB70\fR
A bug in Oncegate.
.TP
\fB75\fR
It may have happened, and may not; the same command can be run again.
.SH SEE ALSO
\fBoncegate\fR(1), \fBoncegate-serve\fR(1), \fBoncegate-keys\fR(1), \fBoncegate-config\fR(1), \fBoncegate-demo\fR(1)
";
