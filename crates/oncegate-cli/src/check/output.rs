//! How `oncegate check` tells what it finds: on the terminal while it goes on, and in files for others.
//!
//! A terminal gets colours and a line that says what is tried now; a pipe gets neither.

use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::{Path, PathBuf};

use oncegate_check::Progress;
use oncegate_check::operation::Operation;
use oncegate_check::report::html::html;
use oncegate_check::report::json::json;
use oncegate_check::report::junit::junit;
use oncegate_check::report::script::script;
use oncegate_check::report::{Imprint, Report, Verdict, text};

use crate::command::Failed;

/// Where the report goes beside the terminal.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Output {
    /// Write the report as JSON; - is standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report as JUnit XML, for a CI server; - is standard output
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the report as a page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write a shell script for each failure, that reproduces it, into a folder
    #[arg(long, value_name = "FOLDER")]
    scripts: Option<PathBuf>,
}

/// Tells a person what goes on.
#[derive(Debug)]
pub(super) struct Teller {
    /// Standard output belongs to a program.
    aside: bool,
    /// Whether the line of what is tried now may be written over.
    live: bool,
    width: usize,
}

impl Output {
    /// Before anything is sent.
    ///
    /// # Errors
    /// If two documents would go to one place.
    pub(super) fn teller(&self) -> Result<Teller, Failed> {
        let streams = [&self.json, &self.junit, &self.html];
        let on_stdout = streams.iter().filter(|path| is_stdout(path)).count();
        if on_stdout > 1 {
            return Err(Failed::usage("standard output takes one document"));
        }
        Ok(Teller::new(on_stdout == 1))
    }

    /// Writes all that was asked for.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(super) fn write(&self, reports: &[Report]) -> Result<(), Failed> {
        let now = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second())
            .unwrap_or_default()
            .to_string();
        let imprint = Imprint {
            tool: concat!("oncegate ", env!("CARGO_PKG_VERSION")),
            at: &now,
        };
        if let Some(path) = &self.json {
            write(path, &json(reports, imprint))?;
        }
        if let Some(path) = &self.junit {
            write(path, &junit(reports))?;
        }
        if let Some(path) = &self.html {
            write(path, &html(reports, imprint))?;
        }
        if let Some(folder) = &self.scripts {
            write_scripts(folder, reports)?;
        }
        Ok(())
    }
}

impl Teller {
    fn new(aside: bool) -> Self {
        let terminal = if aside {
            stderr().is_terminal()
        } else {
            stdout().is_terminal()
        };
        let dumb = std::env::var_os("TERM").is_none_or(|name| name == "dumb");
        let columns = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        Self {
            aside,
            live: terminal && !dumb,
            width: columns
                .filter(|_| terminal)
                .unwrap_or(PIPE_WIDTH)
                .clamp(WIDTH_MIN, WIDTH_MAX),
        }
    }

    /// A line for each case as it ends; on a terminal also what is tried now.
    pub(super) fn progress(&self, operation: &Operation, progress: Progress<'_>) {
        match progress {
            Progress::Began(case, done, of) => {
                self.live(&format!("{:>3} of {of}  {}", done + 1, case.id));
            }
            // A verdict that was revised stands below the one that it takes back.
            Progress::Ended(finding) | Progress::Revised(finding) => {
                self.live("");
                self.print(&text::line(operation, finding, self.width));
            }
        }
    }

    /// The failures, and what it comes to.
    pub(super) fn conclude(&self, reports: &[Report]) {
        for report in reports {
            self.print(&text::failures(report, self.width));
        }
        for report in reports {
            self.print(&text::summary(report, self.width));
        }
    }

    /// The last line of the terminal, in place of what stood there.
    fn live(&self, line: &str) {
        if !self.live {
            return;
        }
        let line = format!("\r\x1b[K{line}");
        // Whoever closed the terminal misses nothing but this line.
        if self.aside {
            drop(stderr().write_all(line.as_bytes()));
        } else {
            drop(stdout().write_all(line.as_bytes()));
            drop(stdout().flush());
        }
    }

    /// Without colours where there is no terminal, or where `NO_COLOR` says so.
    fn print(&self, text: &str) {
        if self.aside {
            anstream::eprint!("{text}");
        } else {
            anstream::print!("{text}");
        }
    }
}

fn is_stdout(path: &Option<PathBuf>) -> bool {
    path.as_deref() == Some(Path::new("-"))
}

fn write(path: &Path, document: &str) -> Result<(), Failed> {
    let written = if path == Path::new("-") {
        stdout().write_all(document.as_bytes())
    } else {
        std::fs::write(path, document)
    };
    written.map_err(|error| {
        Failed::unavailable(format!("{} cannot be written", path.display())).because(error)
    })
}

fn write_scripts(folder: &Path, reports: &[Report]) -> Result<(), Failed> {
    std::fs::create_dir_all(folder).map_err(|error| {
        Failed::unavailable(format!("{} cannot be made", folder.display())).because(error)
    })?;
    for (at, report) in reports.iter().enumerate() {
        let failures = report
            .findings
            .iter()
            .filter(|finding| finding.verdict == Verdict::Fail);
        for finding in failures {
            // Operations have names that no file can have.
            let of = match reports.len() {
                1 => String::new(),
                _ => format!("{}-", at + 1),
            };
            if let Some(script) = script(report, finding) {
                write(&folder.join(format!("{of}{}.sh", finding.case.id)), &script)?;
            }
        }
    }
    Ok(())
}

/// What a pipe gets, and a terminal that does not tell.
const PIPE_WIDTH: usize = 100;
/// Narrower lines are left to the terminal.
const WIDTH_MIN: usize = 40;
/// Longer lines are hard to read.
const WIDTH_MAX: usize = 120;
