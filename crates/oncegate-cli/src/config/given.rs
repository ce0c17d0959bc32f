//! Settings from the environment and from flags.
//!
//! Promises: a name that is no setting is a finding, a variable too: `ONCEGATE_LEESE` must not go
//! unnoticed. Which value wins is decided elsewhere.

use super::args::{Environment, ServeArgs};
use super::error::{Finding, Medium, Origin};
use super::file::unknown;
use super::refusal::did_you_mean;
use super::setting::{Given, PREFIX, Place, Setting};
use super::settings::{find, settings_at};
use super::value::Value;

/// What the environment gives.
pub(super) fn from_environment(
    environment: &Environment,
    findings: &mut Vec<Finding>,
) -> Vec<Given> {
    let mut given = Vec::new();
    for (name, text) in environment.iter().filter(|(name, _)| !is_no_setting(name)) {
        let origin = Origin::variable(name, text);
        match outside_setting(|setting| setting.variable() == name) {
            Some(setting) => collect(&mut given, findings, setting, text, origin),
            None => findings.push(unknown_variable(name).at(&origin)),
        }
    }
    given
}

/// What the flags give: `--set` and those that have a name of their own.
pub(super) fn from_flags(args: &ServeArgs, findings: &mut Vec<Finding>) -> Vec<Given> {
    let mut given = Vec::new();
    for (name, text) in args.settings() {
        let origin = Origin::flag(Medium::Flag, format!("--{} {text}", name.replace('_', "-")));
        if let Some(setting) = find(name) {
            collect(&mut given, findings, setting, text, origin);
        }
    }
    for written in &args.set {
        let origin = Origin::flag(Medium::Set, format!("--set {written}"));
        let Some((name, text)) = written.split_once('=') else {
            let finding = Finding::new(format!("`--set {written}` has no value"));
            findings.push(finding.with_help("write `--set NAME=VALUE`").at(&origin));
            continue;
        };
        match outside_setting(|setting| setting.name == name.trim()) {
            Some(setting) => collect(&mut given, findings, setting, text.trim(), origin),
            None => findings.push(unknown_flag(name.trim()).at(&origin)),
        }
    }
    given
}

fn collect(
    given: &mut Vec<Given>,
    findings: &mut Vec<Finding>,
    setting: &'static Setting,
    text: &str,
    origin: Origin,
) {
    if given
        .iter()
        .any(|earlier| earlier.setting.name == setting.name)
    {
        findings.push(Finding::new(format!("`{}` is given twice", setting.name)).at(&origin));
        return;
    }
    match Value::from_text(setting.shape, text) {
        Ok(value) => given.push(Given {
            setting,
            value,
            origin,
        }),
        Err(refusal) => {
            let value = Value::Text(text.to_owned());
            findings.push(
                Given {
                    setting,
                    value,
                    origin,
                }
                .refused(&refusal),
            );
        }
    }
}

/// A setting that can be given outside the file: one of a route could not say of which.
fn outside_setting(is: impl Fn(&Setting) -> bool) -> Option<&'static Setting> {
    outside_settings().find(|setting| is(setting))
}

fn outside_settings() -> impl Iterator<Item = &'static Setting> {
    settings_at(Place::Top).chain(settings_at(Place::Defaults))
}

fn unknown_variable(name: &str) -> Finding {
    let known: Vec<String> = outside_settings().map(Setting::variable).collect();
    let known = known.iter().map(String::as_str).chain(OTHER_VARIABLES);
    let plain = name
        .strip_prefix(PREFIX)
        .unwrap_or(name)
        .to_ascii_lowercase();
    // What can be said about the name alone is the same as in the file.
    match find(&plain) {
        Some(_) => unknown(&plain, Place::Defaults),
        None => {
            Finding::new(format!("unknown variable `{name}`")).with_help(&did_you_mean(name, known))
        }
    }
}

fn unknown_flag(name: &str) -> Finding {
    match find(name) {
        Some(_) => unknown(name, Place::Defaults),
        None => Finding::new(format!("unknown setting `{name}`")).with_help(&did_you_mean(
            name,
            outside_settings().map(|setting| setting.name),
        )),
    }
}

/// Variables that are read elsewhere, or that others set in our name.
fn is_no_setting(name: &str) -> bool {
    OTHER_VARIABLES.contains(&name)
        || name == KUBERNETES_PORT
        || KUBERNETES.iter().any(|prefix| name.starts_with(prefix))
}

/// Where the file is.
pub(super) const CONFIG_VARIABLE: &str = "ONCEGATE_CONFIG";
const OTHER_VARIABLES: [&str; 2] = [CONFIG_VARIABLE, "ONCEGATE_LOG"];
/// Kubernetes puts these into every container beside a service that is called `oncegate`.
const KUBERNETES_PORT: &str = "ONCEGATE_PORT";
const KUBERNETES: [&str; 2] = ["ONCEGATE_PORT_", "ONCEGATE_SERVICE_"];
