//! The command line of `oncegate send`, with curl's habits where there is a habit.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use oncegate_client::journal::OperationName;
use oncegate_client::{Dialect, RetryPolicy};

use crate::command::Failed;
use crate::config::parse_duration;

/// The arguments of `oncegate send`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Where it is sent
    #[arg(required_unless_present_any = ["list", "resume"])]
    pub(super) url: Option<String>,
    /// The method
    #[arg(long, short = 'X', value_name = "METHOD", default_value = "POST")]
    pub(super) request: String,
    /// The body, byte for byte; @FILE reads it from a file, @- from standard input
    #[arg(
        long,
        short = 'd',
        alias = "data-binary",
        value_name = "BODY",
        default_value = ""
    )]
    pub(super) data: String,
    /// A header line; @FILE reads lines from a file, which keeps credentials out of lists of processes; can be repeated
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    pub(super) headers: Vec<String>,

    /// Your name for the operation, such as invoice-42: until its outcome is known it is never sent under a second key
    #[arg(long, value_name = "NAME")]
    pub(super) operation: Option<String>,
    /// The idempotency key, in place of one that is made
    #[arg(long, value_name = "KEY")]
    pub(super) key: Option<String>,
    /// Whose pattern the server follows
    #[arg(long, value_name = "NAME", default_value = "oncegate", value_parser = dialects())]
    pub(super) dialect: Dialect,

    /// How often it is sent again at the most
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    pub(super) retries: u16,
    /// How long one attempt may take
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse)]
    pub(super) timeout: Duration,
    /// How long all of it may take
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = parse)]
    pub(super) total_timeout: Duration,
    /// How long the server remembers keys, where it differs from what its dialect documents
    #[arg(long, value_name = "DURATION", value_parser = parse)]
    pub(super) retention: Option<Duration>,
    /// Send with the headers of this command even if it may have been sent with others: where keys belong to the account
    #[arg(long)]
    pub(super) refresh_in_doubt: bool,
    /// Certificates of the authorities to trust, in PEM, in place of the machine's
    #[arg(long, value_name = "FILE")]
    pub(super) cacert: Option<PathBuf>,

    /// Write the answer's body to a file
    #[arg(long, short = 'o', value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Print the answer's status and headers before its body
    #[arg(long, short = 'i', conflicts_with = "json")]
    pub(super) include: bool,
    /// Print what became of it as JSON
    #[arg(long)]
    pub(super) json: bool,

    /// Finish what earlier runs left open: the same keys, the same bytes
    #[arg(long, conflicts_with_all = ["url", "list", "operation", "key"])]
    pub(super) resume: bool,
    /// List what is in the journal
    #[arg(long, conflicts_with_all = ["url", "operation", "key"])]
    pub(super) list: bool,
    /// The journal; by default oncegate/send.journal in the user's folder for state
    #[arg(long, value_name = "FILE", env = "ONCEGATE_JOURNAL")]
    pub(super) journal: Option<PathBuf>,
}

impl Arguments {
    /// The operation's name, if it has one.
    pub(super) fn name(&self) -> Result<Option<OperationName>, Failed> {
        let name = self.operation.as_deref().map(OperationName::new);
        name.transpose()
            .map_err(|error| Failed::usage("--operation cannot be used").because(error))
    }

    /// How often and how long it tries.
    pub(super) fn policy(&self) -> RetryPolicy {
        let mut policy = RetryPolicy::default();
        policy.attempts_max = u32::from(self.retries) + 1;
        policy.attempt_timeout = self.timeout;
        policy.connect_timeout = policy.connect_timeout.min(self.timeout);
        policy.total_timeout = self.total_timeout;
        policy.retention = self.retention;
        policy.refresh_in_doubt = self.refresh_in_doubt;
        policy
    }
}

fn dialects() -> impl TypedValueParser<Value = Dialect> {
    let names = PossibleValuesParser::new(Dialect::ALL.map(Dialect::name));
    names.try_map(|name| Dialect::named(&name).ok_or("no such dialect"))
}

fn parse(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|refusal| refusal.why().to_owned())
}

const AFTER_HELP: &str = "\
Exit codes: 0 it happened, 1 it did not happen, 75 it may have happened (run the same command again, or --resume),
64 the command line is wrong and nothing was sent, 69 the journal cannot be used and nothing was sent.
Credentials and bodies of open operations lie in the journal until their outcome is known. docs/clients.md has more.";
