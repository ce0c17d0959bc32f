//! `oncegate send`: one request that happens once, for shells and cron, with curl's habits.
//!
//! Everything goes through a journal: an operation is on disk before its first byte is sent, so a script that is
//! killed and run again goes on under the same key. The exit code tells yes, no and unknown apart. Credentials and
//! bodies are never printed.

mod arguments;
mod compose;
mod journal;
mod output;

use std::sync::Arc;

use oncegate_client::journal::{Concluded, JournaledClient, NotSent};
use oncegate_client::{Client, HttpTransport, Outcome, RetryBudget};

pub(crate) use arguments::Arguments;

use crate::command::Failed;
use output::{Output, Teller};

/// Sends, resumes or lists.
///
/// # Errors
/// If it did not happen, or is not known to have happened.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failed> {
    let journal = journal::open(arguments.journal.as_deref())?;
    if arguments.list {
        return output::list(&journal, arguments.json).await;
    }
    let client = client(&arguments)?.journaled(journal);
    if arguments.resume {
        return interruptible(resume(&client, arguments.json), "--resume").await;
    }
    let operation = compose::operation(&arguments).await?;
    let name = arguments.name()?;
    if let (Some(name), Some(_)) = (&name, &arguments.key) {
        journal::agree(client.journal(), name, &operation).await?;
    }
    let output = Output::of(&arguments);
    let sending = async {
        let concluded = match &name {
            Some(name) => client.execute_named(name, &operation).await,
            None => client.execute(&operation).await,
        };
        conclude(concluded, &output)
    };
    let again = match name {
        Some(_) => "the same command again",
        None => "`oncegate send --resume`",
    };
    interruptible(sending, again).await
}

async fn resume(client: &JournaledClient, json: bool) -> Result<(), Failed> {
    let resumed = client.resume().await;
    let resumed = resumed.map_err(|error| Failed::unavailable("cannot resume").because(error))?;
    output::resumed(&resumed, json)
}

/// Prints what is known, and gives the exit code that goes with it.
fn conclude(concluded: Result<Concluded, NotSent>, output: &Output) -> Result<(), Failed> {
    let concluded = concluded.map_err(not_sent)?;
    output.print(&concluded);
    if let Some(error) = &concluded.unrecorded {
        output::warn(&format!(
            "the outcome could not be written, and is asked for again next time: {error}"
        ));
    }
    match &concluded.outcome {
        Outcome::Yes(_) => Ok(()),
        Outcome::No(no) => Err(Failed::refused(no.to_string())),
        Outcome::Unknown(unknown) => Err(Failed::unknown(unknown.to_string())),
    }
}

/// Why nothing was sent. What an earlier run sent may have happened all the same.
fn not_sent(error: NotSent) -> Failed {
    let sentence = "nothing was sent";
    match error {
        NotSent::Journal(_) => Failed::unavailable(sentence).because(error),
        NotSent::OtherRequest { .. } | NotSent::TooLarge { .. } => {
            Failed::usage(sentence).because(error)
        }
        NotSent::InUse { .. } | NotSent::Damaged { .. } | _ => {
            Failed::unknown(sentence).because(error)
        }
    }
}

/// Ctrl-C and SIGTERM leave the operation open in the journal; that is said.
async fn interruptible(
    work: impl Future<Output = Result<(), Failed>>,
    again: &str,
) -> Result<(), Failed> {
    tokio::select! {
        done = work => done,
        () = interrupted() => Err(Failed::unknown(format!(
            "interrupted: it may have happened; ask for its outcome with {again}"
        ))),
    }
}

async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminated) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
    }
}

fn client(arguments: &Arguments) -> Result<Client, Failed> {
    let policy = arguments.policy();
    let mut http = reqwest::Client::builder();
    if let Some(file) = &arguments.cacert {
        let unfit = |error: Box<dyn std::error::Error + Send + Sync>| {
            Failed::usage(format!("cannot take {}", file.display())).because(error)
        };
        let pem = std::fs::read(file).map_err(|error| unfit(error.into()))?;
        let trusted =
            reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| unfit(error.into()))?;
        http = http.tls_certs_only(trusted);
    }
    let cannot = |error| Failed::unavailable("cannot set up HTTP").because(error);
    let transport = HttpTransport::of(http, &policy).map_err(cannot)?;
    // There is one operation: it may have all the retries that were asked for.
    let mut budget = RetryBudget::default();
    budget.saved_max = budget.saved_max.max(f64::from(policy.attempts_max));
    let mut builder = Client::builder()
        .dialect(arguments.dialect)
        .policy(policy)
        .budget(budget)
        .transport(Arc::new(transport));
    if let Some(teller) = Teller::on_a_terminal(arguments) {
        builder = builder.observer(Arc::new(teller));
    }
    builder.build().map_err(cannot)
}
