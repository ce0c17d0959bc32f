//! `oncegate store`: looks after the store itself, not after what is in it.

use clap::Subcommand;

use crate::command::Failed;
use crate::config::{Config, Environment, ServeArgs};

/// The arguments of `oncegate store`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Bring the tables of a PostgreSQL up to date; takes the flags of `serve`
    Migrate(Box<ServeArgs>),
}

/// Does it.
///
/// # Errors
/// If the configuration is wrong, or the store cannot be reached or refuses.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failed> {
    let Action::Migrate(serve) = arguments.action;
    let config = Config::load(&serve, &Environment::of_process())?;
    let migrated = config.store.migrate().await.map_err(|error| {
        Failed::unavailable("cannot bring the tables up to date").because(error)
    })?;
    match migrated {
        Some(version) => println!("the tables have version {version}"),
        None => println!("this store has no tables to be brought up to date"),
    }
    Ok(())
}
