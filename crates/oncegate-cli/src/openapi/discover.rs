//! `oncegate openapi discover`: the routes for the operations of a description that document a key.
//!
//! Promises: what it writes is a configuration that `oncegate config check` takes; it is loaded before it is written.
//! What cannot be a route stands there as a comment that says why.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use http::Method;
use matchit::Router;
use oncegate_openapi::{Documented, Part};
use oncegate_tower::path::normal_path;

use super::destination::Destination;
use super::spec::Spec;
use crate::command::Failed;
use crate::config::Config;

/// The arguments of `oncegate openapi discover`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The description, JSON or YAML, OpenAPI 3; - is standard input
    spec: PathBuf,
    /// Where requests go, such as http://127.0.0.1:3000
    #[arg(long, value_name = "URL")]
    upstream: String,
    /// Where the configuration goes, in place of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes the configuration.
///
/// # Errors
/// If the description is wrong or documents no key, or the URL is none.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failed> {
    let spec = Spec::read(&arguments.spec)?;
    let documented = spec
        .description
        .documented()
        .map_err(|fault| spec.failed(&fault))?;
    if documented.is_empty() {
        return Err(Failed::usage(format!(
            "{}: no operation has a header parameter Idempotency-Key, X-Idempotency-Key, Idempotence-Key or PayPal-Request-Id",
            spec.name()
        )));
    }
    let mut text = format!(
        "# What {} documents of its keys.\nupstream = {}\n",
        spec.name(),
        toml::Value::String(arguments.upstream.clone())
    );
    let mut routers = BTreeMap::new();
    for operation in &documented {
        text.push_str(&route(operation, &mut routers));
    }
    Config::from_text("what was discovered", text.clone())?;
    Destination::of(arguments.output.as_deref(), None).write(&text)
}

/// A route, or a comment that says why there is none.
fn route(operation: &Documented, routers: &mut BTreeMap<String, Router<()>>) -> String {
    let Documented { method, target, .. } = operation;
    let left_out = |why: &str| format!("\n# {method} {target} is left out: {why}.\n");
    let is_safe = |method: Method| oncegate::contract::is_safe(&method);
    if method.parse().is_ok_and(is_safe) {
        return left_out("this method is safe, and takes no keys");
    }
    let (pattern, widened) = pattern(target);
    if normal_path(&pattern).changed {
        return left_out("paths are matched without empty, `.` and `..` segments");
    }
    let router = routers.entry(method.clone()).or_default();
    if let Err(error) = router.insert(&pattern, ()) {
        return left_out(&format!("{error}"));
    }
    let mut text = "\n[[route]]\n".to_owned();
    if widened {
        text.push_str("# One segment holds several parameters: any segment is matched here.\n");
    }
    let matched = toml::Value::String(format!("{method} {pattern}"));
    text.push_str(&format!("match = {matched}\n"));
    for (name, value) in settings(operation) {
        writeln!(text, "{name} = {value}").expect("a string takes all that is written to it");
    }
    text
}

/// The path of a description as a pattern of a route, and whether that matches more.
fn pattern(target: &str) -> (String, bool) {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let mut widened = false;
    let segments = path.split('/').map(|segment| {
        if segment.matches('{').count() > 1 {
            widened = true;
            let names: String = segment
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .collect();
            return format!("{{{names}}}");
        }
        percent_encoding::percent_decode_str(segment)
            .decode_utf8_lossy()
            .into_owned()
    });
    let segments: Vec<String> = segments.collect();
    (segments.join("/"), widened)
}

/// What is said of keys, as settings. What annotating wrote there counts for more than the schema.
fn settings(operation: &Documented) -> Vec<(String, String)> {
    let key = if operation.required {
        "required"
    } else {
        "optional"
    };
    let mut settings = vec![("key".to_owned(), format!("\"{key}\""))];
    if !operation.settings.is_empty() {
        let written = operation.settings.iter();
        settings.extend(written.map(|(name, value)| (name.clone(), to_toml(value))));
        return settings;
    }
    if !operation.header.eq_ignore_ascii_case("Idempotency-Key") {
        let names = toml::Value::String(operation.header.clone());
        settings.push(("key_header".to_owned(), format!("[{names}]")));
    }
    if operation.format.as_deref() == Some("uuid") {
        settings.push(("key_format".to_owned(), "\"uuid\"".to_owned()));
    }
    if let Some(length) = operation
        .length_max
        .filter(|length| *length != LENGTH_USUAL)
    {
        let length = length.clamp(1, LENGTH_MAX);
        settings.push(("key_length_max".to_owned(), length.to_string()));
    }
    settings
}

/// Words, numbers and lists of them: what settings take that callers can see.
fn to_toml(part: &Part) -> String {
    match part {
        Part::Flag(flag) => flag.to_string(),
        Part::Number(number) => number.clone(),
        Part::Text(text) => toml::Value::String(text.clone()).to_string(),
        Part::List(items) => {
            let items: Vec<String> = items.iter().map(to_toml).collect();
            format!("[{}]", items.join(", "))
        }
        Part::Null | Part::Members(_) => "\"\"".to_owned(),
    }
}

/// What `key_length_max` is, if nobody says.
const LENGTH_USUAL: u64 = 255;
/// The most that `key_length_max` takes.
const LENGTH_MAX: u64 = 1024;
