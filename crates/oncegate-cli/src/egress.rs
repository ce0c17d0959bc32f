//! `oncegate egress`: a local forward for callers without a library. What is sent through it happens once.
//!
//! `/NAME/PATH` goes to the upstream of that name. A request that may change something gets a key if it has none, is
//! written into the journal, is sent by the client of `oncegate-client`, and is answered once. What an earlier process
//! left open is finished at the start. What a web page had its browser send is refused.
//!
//! Deliberately absent: routing by `Host`, tunnels (`CONNECT` names no upstream, and nothing in a tunnel has a key),
//! and credentials of its own: callers bring theirs.

mod answer;
mod arguments;
mod guard;
mod operation;
mod service;

use std::net::SocketAddr;
use std::path::Path;

use oncegate_client::journal::{Journal, JournalOptions, JournaledClient};
use oncegate_client::{Client, RetryBudget};
use tokio::net::TcpListener;

pub(crate) use arguments::Arguments;

use crate::command::Failed;
use crate::logging;
use crate::proxy::{Drained, ServerSettings, serve};
use crate::serve::Signals;
use service::Egress;

/// Forwards until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// If the command line is wrong, or the journal or the port cannot be had.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failed> {
    arguments.check()?;
    let _logging = logging::start(std::env::var("ONCEGATE_LOG").ok().as_deref());
    let client = client(&arguments)?.journaled(open(&arguments.journal)?);
    let mut signals = Signals::listen()?;
    let listener = listen(arguments.listen).await?;
    let egress = Egress::new(&arguments, client.clone());
    egress.spawn(resume(client));
    let listening = listener
        .local_addr()
        .map_err(|error| Failed::unavailable("cannot tell where it listens").because(error))?;
    tracing::info!(listening = %format_args!("http://{listening}"), "oncegate egress is ready");
    let settings = ServerSettings {
        drain_timeout: arguments.drain_timeout,
        ..ServerSettings::default()
    };
    let stop = async {
        let signal = signals.end().await;
        tracing::info!(signal, drain_timeout = ?arguments.drain_timeout, "draining");
    };
    if let Drained::TimedOut { connections_cut } =
        serve(listener, egress.clone(), settings, stop).await
    {
        tracing::warn!(connections_cut, "connections were cut at shutdown");
    }
    let left = egress.drain(arguments.drain_timeout).await;
    if left > 0 {
        tracing::warn!(left, "stopped; what was under way is open in the journal");
    } else {
        tracing::info!("stopped; every operation came to its end");
    }
    Ok(())
}

/// Finishes what an earlier process left open, and says what became of it.
async fn resume(client: JournaledClient) {
    match client.resume().await {
        Ok(resumed) => {
            for one in resumed {
                let name = one.entry.as_ref().and_then(|entry| entry.name.as_ref());
                let name = name.map(ToString::to_string);
                match one.concluded {
                    Ok(concluded) => {
                        tracing::info!(operation = name, outcome = %concluded.outcome, "resumed");
                    }
                    Err(error) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(operation = name, error, "cannot resume");
                    }
                }
            }
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "cannot resume");
        }
    }
}

/// One budget for all callers: an outage is not amplified by their number.
fn client(arguments: &Arguments) -> Result<Client, Failed> {
    Client::builder()
        .policy(arguments.policy())
        .budget(RetryBudget::default())
        .build()
        .map_err(|error| Failed::unavailable("cannot set up HTTP").because(error))
}

/// Its callers are not each other: what one was answered is not for those with other credentials.
fn open(path: &Path) -> Result<Journal, Failed> {
    let mut options = JournalOptions::default();
    options.credentials_compared = true;
    Journal::open_with(path, options)
        .map_err(|error| Failed::unavailable("cannot use the journal").because(error))
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Failed> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Failed::unavailable(format!("cannot listen on {address}")).because(error))
}
