//! The configuration: one table of settings, read from a file, the environment and flags.
//!
//! [`Config::load`] promises a configuration that is whole and checked, or a [`ConfigError`] that
//! holds every error with its place and its fix. Each setting is defined once, in `settings`: how
//! it is read, shown and documented all come from there. Later ones win:
//!
//! * what stands above the first table: built in, file, environment, flags;
//! * what stands in `[defaults]`: built in, profile, file, environment, flags, `[[route]]`.
//!
//! It reads files and nothing else: no port is bound and no store is opened here.

mod args;
mod bounded;
mod check;
mod error;
mod file;
mod given;
mod in_force;
mod load;
mod profile;
mod read;
mod refusal;
mod reload;
mod route_match;
mod secret;
mod setting;
mod settings;
mod tls;
mod tokens;
mod units;
mod value;
mod warnings;

pub use args::{Environment, ServeArgs};
pub(crate) use error::Origin;
pub use error::{ConfigError, Finding};
pub use in_force::Config;
pub use profile::Profile;
pub(crate) use read::show_header;
pub(crate) use refusal::did_you_mean;
pub use secret::Secret;
pub(crate) use units::parse_duration;

#[cfg(test)]
mod tests;
