//! From file, environment and flags to a [`Config`].
//!
//! Promises: nothing is half done. Either everything is right, or every error is in the result;
//! one that follows from another is left out where that can be told.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oncegate::Policy;
use oncegate_tower::BufferBudget;

use super::args::{Environment, ServeArgs};
use super::bounded;
use super::check::{Origins, finish};
use super::error::{ConfigError, Finding};
use super::file::{FileSettings, RouteTable};
use super::given::{CONFIG_VARIABLE, from_environment, from_flags};
use super::in_force::Config;
use super::secret::{Secret, SecretError};
use super::setting::{Access, Given, Match, PolicyDraft};
use super::tls;
use super::tokens::{self, Tokens};
use super::units::show_size;
use super::warnings::warnings;
use crate::routes::{Route, Routes};

impl Config {
    /// Reads everything: the file that the flags or the environment name, the environment, the
    /// flags.
    ///
    /// # Errors
    /// All that is wrong, with its place and what to do.
    pub fn load(args: &ServeArgs, environment: &Environment) -> Result<Self, ConfigError> {
        let mut findings = Vec::new();
        let file = read_file(args, environment, &mut findings);
        Self::put_together(file, args, environment, findings)
    }

    /// What a file with this text makes of the built-in configuration. Errors call the file `name`.
    ///
    /// # Errors
    /// All that is wrong, with its place and what to do.
    pub fn from_text(name: &str, text: String) -> Result<Self, ConfigError> {
        let mut findings = Vec::new();
        let file = FileSettings::read(name, text, &mut findings);
        let (args, environment) = (ServeArgs::default(), Environment::default());
        Self::put_together(file, &args, &environment, findings)
    }

    /// Where the routes stand, in their order: `oncegate.toml:12`. Of a configuration that can be loaded.
    pub(crate) fn route_places(args: &ServeArgs, environment: &Environment) -> Vec<String> {
        let file = read_file(args, environment, &mut Vec::new());
        file.routes
            .iter()
            .map(|table| table.place().to_owned())
            .collect()
    }

    fn put_together(
        file: FileSettings,
        args: &ServeArgs,
        environment: &Environment,
        mut findings: Vec<Finding>,
    ) -> Result<Self, ConfigError> {
        // Later ones win, and a setting is never one of both the server and a policy.
        let mut given = file.given;
        given.extend(from_environment(environment, &mut findings));
        given.extend(from_flags(args, &mut findings));

        let mut loading = Loading {
            config: Self::default(),
            origins: Origins::new(),
            findings,
        };
        loading.server(&given);
        let draft = loading.defaults(&given);
        loading.routes(&draft, file.routes);
        loading.finish()
    }
}

struct Loading {
    config: Config,
    /// Of the settings outside routes.
    origins: Origins,
    findings: Vec<Finding>,
}

impl Loading {
    fn server(&mut self, given: &[Given]) {
        for it in given {
            let Access::Config { read, .. } = it.setting.access else {
                continue;
            };
            match read(&mut self.config, &it.value) {
                Ok(()) => self.remember(it),
                Err(refusal) => self.findings.push(it.refused(&refusal)),
            }
        }
        let taken = self
            .config
            .admin
            // Port 0 is another free port each time.
            .filter(|admin| admin.port() != 0 && self.config.listen.contains(admin));
        if let Some(admin) = taken {
            let finding = Finding::new(format!("`admin` and `listen` cannot both be {admin}"));
            self.report(
                ["admin", "listen"],
                finding.with_help("give `admin` a port of its own"),
            );
        }
    }

    /// The profile is known by now: it comes before all that is given.
    fn defaults(&mut self, given: &[Given]) -> PolicyDraft {
        let mut draft = PolicyDraft::new(Policy::default());
        self.config.profile.apply(&mut draft.policy);
        for it in given {
            let Access::Policy { read, .. } = it.setting.access else {
                continue;
            };
            match read(&mut draft, &it.value) {
                Ok(()) => self.remember(it),
                Err(refusal) => self.findings.push(it.refused(&refusal)),
            }
        }
        draft
    }

    fn routes(&mut self, draft: &PolicyDraft, tables: Vec<RouteTable>) {
        let (defaults, findings) = finish(draft.clone(), &self.origins);
        self.findings.extend(findings);
        let mut origins = Vec::new();
        let mut routes = Vec::new();
        for table in tables {
            if let Some(route) = self.route(draft.clone(), &table) {
                origins.push(table.best_origin().clone());
                routes.push(route);
            }
        }
        match Routes::new(Arc::new(defaults), routes) {
            Ok(routes) => self.config.routes = Arc::new(routes),
            Err(conflicts) => self.findings.extend(conflicts.iter().map(|conflict| {
                let finding = Finding::new(conflict.to_string());
                let help = "both match the same paths, and neither is more specific";
                finding.with_help(help).at(&origins[conflict.index])
            })),
        }
    }

    /// One route, or nothing if it is not known what it matches.
    fn route(&mut self, mut draft: PolicyDraft, table: &RouteTable) -> Option<Route> {
        let mut matched = None;
        let mut has_match = false;
        let mut given = Origins::new();
        for it in &table.given {
            let read = match it.setting.access {
                Access::Config { .. } => continue,
                Access::Policy { read, .. } => read(&mut draft, &it.value),
                Access::Match { read, .. } => {
                    has_match = true;
                    read(&it.value).map(|it| matched = Some(it))
                }
            };
            match read {
                Ok(()) => drop(given.insert(it.setting.name, it.origin.clone())),
                Err(refusal) => self.findings.push(it.refused(&refusal)),
            }
        }
        let (mut policy, findings) = finish(draft, &given);
        self.findings.extend(findings);
        if !has_match {
            let finding = Finding::new("the route does not say what it is for".to_owned());
            let help = "add `match = \"POST /payments\"`";
            self.findings
                .push(finding.with_help(help).at(&table.origin));
        }
        let Match { methods, pattern } = matched?;
        policy.methods = methods.unwrap_or(policy.methods);
        if policy.methods.is_empty() {
            let finding = Finding::new(format!("the route `{pattern}` is for no method"));
            let help = "name them in `match`, such as `POST /payments`";
            self.findings
                .push(finding.with_help(help).at(&table.origin));
        }
        Some(Route {
            pattern,
            policy: Arc::new(policy),
        })
    }

    fn finish(mut self) -> Result<Config, ConfigError> {
        let world_readable = self.secret();
        let files = tls::load(&mut self.config);
        for (setting, finding) in files.findings {
            self.report([setting], finding);
        }
        let tokens = self.tokens();
        self.bodies_fit();
        if let Some(error) = ConfigError::of(self.findings) {
            return Err(error);
        }
        self.config.warnings = warnings(&self.config, world_readable);
        self.config.warnings.extend(files.warnings);
        self.config.warnings.extend(tokens.warnings);
        self.config.jwt_keys = tokens.keys;
        Ok(self.config)
    }

    /// A body that may be held by itself must not be too large for all that is held together.
    fn bodies_fit(&mut self) {
        let total = self.config.buffer_bytes_total_max;
        let requests_max = BufferBudget::new(total).requests_max();
        let largest = self
            .config
            .routes
            .policies()
            .fold((0, 0), |(body, answer), policy| {
                let Policy {
                    buffer_bytes_max,
                    response_bytes_max,
                    ..
                } = *policy;
                (body.max(buffer_bytes_max), answer.max(response_bytes_max))
            });
        let clashes = [
            ("buffer_bytes_max", largest.0, requests_max),
            ("response_bytes_max", largest.1, total),
        ];
        for (name, largest, most) in clashes {
            if largest > most {
                let (largest, total) = (show_size(largest), show_size(total));
                let finding = Finding::new(format!(
                    "`{name}` ({largest}) does not fit into `buffer_bytes_total_max` ({total})"
                ));
                let help = "requests have three quarters of it, answers all";
                self.report(["buffer_bytes_total_max", name], finding.with_help(help));
            }
        }
    }

    /// Reads the secret, and says whether everybody else can as well.
    fn secret(&mut self) -> bool {
        let Some(path) = self.config.secret_file.clone() else {
            return false;
        };
        match Secret::read(&path) {
            Ok(file) => {
                self.config.secret = Some(file.secret);
                file.world_readable
            }
            Err(error) => {
                self.report(["secret_file"], no_secret(&path, &error));
                false
            }
        }
    }

    fn tokens(&mut self) -> Tokens {
        tokens::read(&self.config, &self.origins).unwrap_or_else(|finding| {
            self.findings.push(*finding);
            Tokens::default()
        })
    }

    fn remember(&mut self, given: &Given) {
        self.origins
            .insert(given.setting.name, given.origin.clone());
    }

    /// Reports at the first of these settings that was given.
    fn report<const N: usize>(&mut self, settings: [&str; N], finding: Finding) {
        let origin = settings.iter().find_map(|name| self.origins.get(name));
        self.findings.push(match origin {
            Some(origin) => finding.at(origin),
            None => finding,
        });
    }
}

fn no_secret(path: &Path, error: &SecretError) -> Finding {
    let path = path.display();
    let (cause, help) = match error {
        SecretError::Unreadable(cause) => (format!(": {cause}"), String::new()),
        SecretError::TooShort { .. } | SecretError::TooLong => (
            String::new(),
            format!("for a new one: `(umask 077; head -c 32 /dev/urandom | base64 > {path})`"),
        ),
    };
    Finding::new(format!("there is no secret in `{path}`: {error}{cause}")).with_help(&help)
}

fn read_file(
    args: &ServeArgs,
    environment: &Environment,
    findings: &mut Vec<Finding>,
) -> FileSettings {
    let named = environment.get(CONFIG_VARIABLE).map(PathBuf::from);
    let Some(path) = args.config.clone().or(named) else {
        return FileSettings::default();
    };
    match read_text(&path) {
        Ok(text) => FileSettings::read(&path.to_string_lossy(), text, findings),
        Err(error) => {
            let finding = Finding::new(format!("cannot read `{}`: {error}", path.display()));
            findings.push(finding.with_help("`--config` or ONCEGATE_CONFIG names the file"));
            FileSettings::default()
        }
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let bytes = bounded::read(path, FILE_MEBIBYTES_MAX)?;
    String::from_utf8(bytes).map_err(|_| {
        let why = "stream did not contain valid UTF-8";
        io::Error::new(io::ErrorKind::InvalidData, why)
    })
}

/// Thousands of routes fit.
const FILE_MEBIBYTES_MAX: u64 = 4;
