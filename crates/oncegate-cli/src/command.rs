//! The command line, its subcommands, and what they have in common: an error with an exit code.

use std::error::Error;
use std::fmt;
use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Subcommand;

use crate::config::ConfigError;
use crate::running::StartError;
use crate::{
    check, completions, config_check, demo, egress, keys, man, openapi, send, serve, store,
};

/// Idempotency keys for any HTTP API: a request that is sent twice is executed once.
#[derive(Debug, clap::Parser)]
#[command(name = "oncegate", version, max_term_width = 100)]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `oncegate` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the reverse proxy: idempotency keys in front of any HTTP API
    Serve(serve::Arguments),
    /// See it work: a sample payments API, a scripted duplicate, a crash
    Demo(demo::Arguments),
    /// Is this API really idempotent, and where not?
    Check(Box<check::Arguments>),
    /// A local forward for callers without a library: what is sent through it happens once
    Egress(egress::Arguments),
    /// Send a request that happens once: from shells and cron, over crashes
    Send(Box<send::Arguments>),
    /// Look at keys, and settle unknown ones
    Keys(keys::Arguments),
    /// Look after the store itself
    Store(store::Arguments),
    /// Write what is promised into OpenAPI descriptions, or read it there
    Openapi(openapi::Arguments),
    /// Work with the configuration
    Config(config_check::Arguments),
    /// Print what a shell needs to complete this command line
    Completions(completions::Arguments),
    /// Write the manual pages into a folder
    #[command(hide = true)]
    Man(man::Arguments),
}

impl Command {
    /// Runs it to its end.
    ///
    /// # Errors
    /// With the exit code that says whose fault it was.
    pub async fn run(self) -> Result<(), Failed> {
        match self {
            Self::Serve(arguments) => serve::run(arguments).await,
            Self::Demo(arguments) => demo::run(arguments).await,
            Self::Check(arguments) => check::run(*arguments).await,
            Self::Egress(arguments) => egress::run(arguments).await,
            Self::Send(arguments) => send::run(*arguments).await,
            Self::Keys(arguments) => keys::run(arguments).await,
            Self::Store(arguments) => store::run(arguments).await,
            Self::Openapi(arguments) => openapi::run(arguments),
            Self::Config(arguments) => config_check::run(arguments),
            Self::Completions(arguments) => completions::run(&arguments),
            Self::Man(arguments) => man::run(&arguments),
        }
    }
}

/// A command that failed.
#[derive(Debug)]
pub struct Failed {
    code: u8,
    what: What,
}

#[derive(Debug)]
enum What {
    /// A sentence, and what caused it.
    Sentence(String, Option<Box<dyn Error + Send + Sync>>),
    /// Errors in a configuration, each with its place and its fix.
    Config(Box<ConfigError>),
}

impl Failed {
    /// The answer is no.
    pub const REFUSED: u8 = 1;
    /// The command line or the configuration is wrong (`EX_USAGE`).
    pub const USAGE: u8 = 64;
    /// Something that is needed cannot be had (`EX_UNAVAILABLE`).
    pub const UNAVAILABLE: u8 = 69;

    /// Nobody knows yet; the same may be asked again (`EX_TEMPFAIL`).
    pub const UNKNOWN: u8 = 75;

    /// It may have happened, and may not.
    #[must_use]
    pub fn unknown(sentence: impl Into<String>) -> Self {
        Self {
            code: Self::UNKNOWN,
            what: What::Sentence(sentence.into(), None),
        }
    }

    /// The command line or the configuration is wrong.
    #[must_use]
    pub fn usage(sentence: impl Into<String>) -> Self {
        Self {
            code: Self::USAGE,
            what: What::Sentence(sentence.into(), None),
        }
    }

    /// What was asked for was refused, by a proxy that works.
    #[must_use]
    pub fn refused(sentence: impl Into<String>) -> Self {
        Self {
            code: Self::REFUSED,
            what: What::Sentence(sentence.into(), None),
        }
    }

    /// Something that is needed cannot be had.
    #[must_use]
    pub fn unavailable(sentence: impl Into<String>) -> Self {
        Self {
            code: Self::UNAVAILABLE,
            what: What::Sentence(sentence.into(), None),
        }
    }

    /// The same with what caused it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        if let What::Sentence(_, cause) = &mut self.what {
            *cause = Some(source.into());
        }
        self
    }

    /// Prints it to standard error, and gives the exit code.
    #[must_use]
    pub fn report(self) -> ExitCode {
        let code = self.code;
        match self.what {
            What::Sentence(..) => eprintln!("oncegate: {self}"),
            What::Config(error) => {
                eprint!("{}", error.render(std::io::stderr().is_terminal()));
            }
        }
        ExitCode::from(code)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Config(error) => error.fmt(f),
            What::Sentence(sentence, cause) => {
                f.write_str(sentence)?;
                let mut cause: Option<&dyn Error> =
                    cause.as_ref().map(|cause| &**cause as &dyn Error);
                while let Some(error) = cause {
                    write!(f, ": {error}")?;
                    cause = error.source();
                }
                Ok(())
            }
        }
    }
}

impl From<ConfigError> for Failed {
    fn from(error: ConfigError) -> Self {
        Self {
            code: Self::USAGE,
            what: What::Config(Box::new(error)),
        }
    }
}

impl From<StartError> for Failed {
    fn from(error: StartError) -> Self {
        Self::unavailable("cannot start").because(error)
    }
}
