//! `oncegate demo`: a sample payments API, the proxy before it, and a short story on the terminal.
//!
//! One process and no other program; only for the crash it starts itself once more, so that there is something to
//! kill with -9. Everything lives on loopback and in a temporary folder.

mod api;
mod client;
mod crash;
mod narrator;
mod story;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::command::Failed;
use crate::config::{Config, Environment, ServeArgs};
use crate::logging;
use crate::running::Running;

use api::PaymentsApi;
use narrator::Narrator;
use story::Story;

/// The flags of `oncegate demo`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// End after the story
    #[arg(long)]
    exit: bool,
    /// Where the proxy listens; another free port if this one is taken
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where operators connect; another free port if this one is taken
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    admin: SocketAddr,
}

/// Tells the story, then stays up until it is interrupted.
///
/// # Errors
/// If something that the demo needs cannot be had, or the story does not go as it must.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failed> {
    let _logging = logging::start(Some("off"));
    let folder = tempfile::tempdir()
        .map_err(|error| Failed::unavailable("no temporary folder").because(error))?;
    let api = PaymentsApi::start().await?;
    let store = format!("file:{}", folder.path().join("oncegate.db").display());
    let flags = ServeArgs {
        upstream: Some(format!("http://{}", api.address())),
        listen: Some(free(arguments.listen)?.to_string()),
        admin: Some(free(arguments.admin)?.to_string()),
        store: Some(store),
        ..ServeArgs::default()
    };
    let config = Config::load(&flags, &Environment::default())?;
    let running = Running::start(&config).await?;
    let mut story = Story::new(api, config, flags, Narrator::default());
    let running = story.tell(running).await?;
    if !arguments.exit {
        story.what_to_try(&running);
        // If signals cannot be had, the demo ends with its terminal.
        let _interrupted = tokio::signal::ctrl_c().await;
    }
    running.stop().await;
    Ok(())
}

/// `wanted` if it is free, else another port of this machine's.
fn free(wanted: SocketAddr) -> Result<SocketAddr, Failed> {
    let listener = TcpListener::bind(wanted)
        .or_else(|_taken| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .and_then(|listener| listener.local_addr());
    listener.map_err(|error| Failed::unavailable("no free port").because(error))
}
