//! The flags of `oncegate serve`, and the environment as a plain value.
//!
//! clap does not read the environment itself: that would be a second way in, without the place in
//! errors, and tests could not choose what it is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::setting::PREFIX;

/// The flags of `oncegate serve`.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct ServeArgs {
    /// The configuration file [env: ONCEGATE_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where requests go, such as http://127.0.0.1:3000 [env: ONCEGATE_UPSTREAM]
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
    /// Where clients connect, such as 127.0.0.1:8080; several with commas [env: ONCEGATE_LISTEN]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Where operators connect, or `off` [env: ONCEGATE_ADMIN]
    #[arg(long, value_name = "ADDRESS")]
    pub admin: Option<String>,
    /// Where records live, such as file:oncegate.db [env: ONCEGATE_STORE]
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// What the defaults start from: oncegate or ietf [env: ONCEGATE_PROFILE]
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// The file with the secret that keys the hashes [env: ONCEGATE_SECRET_FILE]
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<String>,
    /// Any setting, such as lease=10s; can be repeated [env: ONCEGATE_LEASE and so on]
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Print the configuration that is in force, and exit
    #[arg(long)]
    pub print_config: bool,
}

/// The variables that start with `ONCEGATE_`.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, String>);

impl ServeArgs {
    /// The flags that are a setting each, with the name of the setting.
    pub(super) fn settings(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let flags = [
            ("upstream", &self.upstream),
            ("listen", &self.listen),
            ("admin", &self.admin),
            ("store", &self.store),
            ("profile", &self.profile),
            ("secret_file", &self.secret_file),
        ];
        flags
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }
}

impl Environment {
    /// What this process was started with. A value that is not Unicode is read as well as it can.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        std::env::vars_os()
            .map(|(name, value)| (text(name), text(value)))
            .collect()
    }

    /// One variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Keeps the variables that are ours.
impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(
            variables
                .into_iter()
                .filter(|(name, _)| name.starts_with(PREFIX))
                .collect(),
        )
    }
}
