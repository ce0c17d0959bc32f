//! The command line of `oncegate check`, with curl's habits where there is a habit.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::ValueParser;
use oncegate_check::case::Severity;
use oncegate_check::operation::Count;

use super::output::Output;
use crate::config::parse_duration;

/// The arguments of `oncegate check`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// The operation's URL; with --config or --openapi the server's, in place of the one written there
    #[arg(required_unless_present_any = ["list", "config", "openapi"])]
    pub(super) url: Option<String>,

    /// The method
    #[arg(long, short = 'X', value_name = "METHOD", default_value = "POST")]
    pub(super) request: String,
    /// The body; @FILE reads it from a file, @- from standard input
    #[arg(long, short = 'd', value_name = "BODY", default_value = "")]
    pub(super) data: String,
    /// A header line of every request; can be repeated
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    pub(super) headers: Vec<String>,
    /// A header line of a second principal, in place of those of its name; can be repeated
    #[arg(long = "other-header", value_name = "NAME: VALUE")]
    pub(super) other_headers: Vec<String>,
    /// Another body that is as valid; without it, one is made from the first
    #[arg(long, value_name = "BODY")]
    pub(super) other_data: Option<String>,
    /// Another form of the operation, such as slow='POST /payments?slow=1000'; can be repeated
    #[arg(long = "form", value_name = "FORM=METHOD PATH [BODY]")]
    pub(super) forms: Vec<String>,

    /// A request whose JSON answer counts effects, such as 'GET /payments'
    #[arg(long, value_name = "GET PATH")]
    pub(super) effects: Option<String>,
    /// Where the count is in it: $.length, $.data.length, $.total, or a JSON pointer
    #[arg(
        long,
        value_name = "PATH",
        default_value = "$.length",
        requires = "effects"
    )]
    pub(super) effects_count: Count,
    /// The operation refuses requests without a key
    #[arg(long, conflicts_with = "key_optional")]
    pub(super) key_required: bool,
    /// The operation takes requests without a key
    #[arg(long)]
    pub(super) key_optional: bool,
    /// A command for `sh -c` that kills the server and starts it again, and ends when it listens
    #[arg(long, value_name = "COMMAND")]
    pub(super) chaos: Option<String>,

    /// A file with several operations, their forms and credentials
    #[arg(long, value_name = "FILE", conflicts_with_all = ["request", "data", "other_data", "forms"])]
    pub(super) config: Option<PathBuf>,
    /// An OpenAPI description, YAML or JSON: its operations that document a key
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "request", "data", "other_data", "forms"])]
    pub(super) openapi: Option<PathBuf>,
    /// A parameter in the paths of the description; can be repeated
    #[arg(long = "path", value_name = "NAME=VALUE", requires = "openapi")]
    pub(super) path_parameters: Vec<String>,
    /// Only operations of this name, of those in the file; can be repeated
    #[arg(long = "operation", value_name = "NAME")]
    pub(super) operations: Vec<String>,

    /// How the API words the pattern; without it, what the file says, or `auto`
    #[arg(long, value_name = "PROFILE", value_parser = profiles())]
    pub(super) profile: Option<String>,
    /// Only these cases; can be repeated, or separated by commas
    #[arg(long, value_name = "CASE", value_delimiter = ',')]
    pub(super) only: Vec<String>,
    /// Not these cases
    #[arg(long, value_name = "CASE", value_delimiter = ',')]
    pub(super) skip: Vec<String>,
    /// List the cases, and send nothing
    #[arg(long)]
    pub(super) list: bool,
    /// Exit with 1 if a case of this severity or a worse one fails
    #[arg(long, value_name = "SEVERITY", value_parser = severities(), default_value = "contract")]
    pub(super) fail_on: Severity,
    #[command(flatten)]
    pub(super) output: Output,

    /// Requests at once
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(2..=500))]
    pub(super) burst: Option<u16>,
    /// Most requests for an operation
    #[arg(long, value_name = "COUNT")]
    pub(super) requests_max: Option<usize>,
    /// Longest time for an operation
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) timeout: Option<Duration>,
    /// The API may be tested, though it is not on this machine: it is yours
    #[arg(long)]
    pub(super) i_own_this: bool,
    /// Certificates of the authorities to trust, in PEM
    #[arg(long, value_name = "FILE")]
    pub(super) cacert: Option<PathBuf>,
    /// Trust any certificate, of a server on this machine
    #[arg(long, short = 'k', conflicts_with_all = ["cacert", "i_own_this"])]
    pub(super) insecure: bool,
}

fn severities() -> ValueParser {
    ValueParser::new(|name: &str| {
        let mut all = Severity::ALL.into_iter();
        all.find(|severity| severity.name() == name)
            .ok_or("one of money, contract and advice is needed")
    })
}

fn profiles() -> clap::builder::PossibleValuesParser {
    let names = oncegate_check::dialect::Dialect::all().iter();
    clap::builder::PossibleValuesParser::new(names.map(|dialect| dialect.name))
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|refusal| refusal.why().to_owned())
}

const AFTER_HELP: &str = "\
In paths and bodies {{uuid}} stands for something new in each logical operation, and the same in its retries.
Forms: slow, client-error, server-error, rate-limited, cookie, binary, empty, chunked, large.
Exit codes: 0 all is well, 1 a case fails, 64 the command line or a file is wrong, 69 the API cannot be reached.
docs/checking.md has examples of everything.";
