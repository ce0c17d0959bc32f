//! `oncegate openapi annotate`: what the configuration promises, written into a description.
//!
//! Promises: a file is replaced whole or not at all; what the author wrote stays; twice is once. An operation is judged
//! as the proxy judges a request: the most specific route for its method and path, else `[defaults]`.

use std::path::PathBuf;

use http::Method;
use oncegate_openapi::{Annotated, Operation};

use super::contract::contract;
use super::destination::{Destination, Difference};
use super::spec::Spec;
use crate::command::Failed;
use crate::config::{Config, Environment, ServeArgs};

/// The arguments of `oncegate openapi annotate`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// The description, JSON or YAML, OpenAPI 3; it is edited in place. - is standard input
    spec: PathBuf,
    /// The configuration file of the proxy [env: ONCEGATE_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What the defaults start from, as for `serve` [env: ONCEGATE_PROFILE]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Any setting, such as retention=48h; can be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// The path that requests have before those of the description, in place of its server's, such as /v1
    #[arg(long, value_name = "PATH")]
    base: Option<String>,
    /// Only operations that a [[route]] matches, and not those that get [defaults]
    #[arg(long)]
    routes_only: bool,
    /// Write nothing; exit with 1 if the description does not say what the configuration does
    #[arg(long, conflicts_with_all = ["overlay", "output"])]
    check: bool,
    /// Write nothing; print what would change
    #[arg(long, conflicts_with_all = ["overlay", "output"])]
    diff: bool,
    /// Write an OpenAPI Overlay (1.0) in place of a changed description
    #[arg(long, conflicts_with = "remove")]
    overlay: bool,
    /// Take out what was written, and leave what the author wrote
    #[arg(long)]
    remove: bool,
    /// Where the result goes, in place of the description's file; - is standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Annotates, or says what would change.
///
/// # Errors
/// If the description or the configuration is wrong, or if they have drifted and `--check` asks.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failed> {
    let spec = Spec::read(&arguments.spec)?;
    if arguments.remove {
        return finish(arguments, &spec, &spec.description.plain());
    }
    let covered = Covered::load(arguments)?;
    covered.warn(&spec)?;
    if arguments.overlay {
        return overlay(arguments, &spec, &covered);
    }
    let annotated = spec
        .description
        .annotated(|operation| covered.contract(operation));
    let annotated = annotated.map_err(|fault| spec.failed(&fault))?;
    spec.warn(&annotated.remarks);
    finish(arguments, &spec, &annotated.text)
}

fn overlay(arguments: &Arguments, spec: &Spec, covered: &Covered) -> Result<(), Failed> {
    if spec.description.is_annotated() {
        return Err(Failed::usage(format!(
            "{} is annotated already, and an overlay would add everything a second time: take it out with --remove",
            spec.name()
        )));
    }
    let json = match &arguments.output {
        Some(path) => path
            .extension()
            .is_some_and(|extension| extension == "json"),
        None => spec
            .text
            .trim_start_matches('\u{feff}')
            .trim_start()
            .starts_with('{'),
    };
    let extends = spec.path.as_ref().map(|path| path.display().to_string());
    let contract = |operation: &Operation| covered.contract(operation);
    let overlay = spec.description.overlay(extends.as_deref(), json, contract);
    let Annotated { text, remarks, .. } = overlay.map_err(|fault| spec.failed(&fault))?;
    spec.warn(&remarks);
    Destination::of(arguments.output.as_deref(), None).write(&text)
}

fn finish(arguments: &Arguments, spec: &Spec, text: &str) -> Result<(), Failed> {
    if !arguments.check && !arguments.diff {
        let usual = spec.path.as_deref();
        return Destination::of(arguments.output.as_deref(), usual).write(text);
    }
    if *text == spec.text {
        return Ok(());
    }
    let difference = Difference::between(&spec.text, text);
    if arguments.diff {
        Destination::StandardOutput.write(&difference.unified(spec.name()))?;
    }
    if !arguments.check {
        return Ok(());
    }
    let lines = difference.lines();
    for line in lines.iter().take(LINES_MAX) {
        eprintln!(
            "{}:{line}: this is not what the configuration says",
            spec.name()
        );
    }
    Err(Failed::refused(format!(
        "{} and the configuration have drifted, in {} places: run `oncegate openapi annotate` on it, or see `--diff`",
        spec.name(),
        lines.len()
    )))
}

/// The configuration, and which operations it covers.
#[derive(Debug)]
struct Covered {
    config: Config,
    /// Where the routes stand, in their order.
    places: Vec<String>,
    base: Option<String>,
    routes_only: bool,
}

/// What an operation gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Policed {
    /// The route of that number.
    Route(usize),
    Defaults,
}

impl Covered {
    fn load(arguments: &Arguments) -> Result<Self, Failed> {
        let args = ServeArgs {
            config: arguments.config.clone(),
            profile: arguments.profile.clone(),
            set: arguments.set.clone(),
            ..ServeArgs::default()
        };
        let environment = Environment::of_process();
        let config = Config::load(&args, &environment)?;
        let base = arguments.base.as_ref();
        Ok(Self {
            places: Config::route_places(&args, &environment),
            config,
            base: base.map(|base| base.trim_end_matches('/').to_owned()),
            routes_only: arguments.routes_only,
        })
    }

    fn contract(&self, operation: &Operation) -> Option<oncegate_openapi::Contract> {
        let method = method(operation)?;
        let path = self.sample(operation);
        if self.routes_only && self.policed(&method, &path) == Policed::Defaults {
            return None;
        }
        contract(
            &self.config,
            self.config.routes.policy(&method, &path),
            &method,
        )
    }

    /// A path that the operation could be asked for by: something stands for each parameter.
    fn sample(&self, operation: &Operation) -> String {
        let path = match &self.base {
            Some(base) => format!("{base}{}", operation.path),
            None => operation.target.clone(),
        };
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let mut sample = String::new();
        let mut rest = path;
        while let Some((before, after)) = rest.split_once('{') {
            sample.push_str(before);
            sample.push_str(PARAMETER);
            rest = after.split_once('}').map_or("", |(_, rest)| rest);
        }
        sample + rest
    }

    fn policed(&self, method: &Method, path: &str) -> Policed {
        let policy = self.config.routes.policy(method, path);
        let same = |route: &crate::routes::Route| std::sync::Arc::ptr_eq(&route.policy, policy);
        let route = self.config.routes.iter().position(same);
        route.map_or(Policed::Defaults, Policed::Route)
    }

    /// Says which routes match no operation, and which operations no route.
    fn warn(&self, spec: &Spec) -> Result<(), Failed> {
        let operations = spec
            .description
            .operations()
            .map_err(|fault| spec.failed(&fault))?;
        let mut unused: Vec<bool> = self.config.routes.iter().map(|_| true).collect();
        let mut unrouted = Vec::new();
        for operation in &operations {
            let Some(method) =
                method(operation).filter(|method| !oncegate::contract::is_safe(method))
            else {
                continue;
            };
            match self.policed(&method, &self.sample(operation)) {
                Policed::Route(at) => unused[at] = false,
                Policed::Defaults => unrouted.push(format!("{method} {}", operation.path)),
            }
        }
        for (at, route) in self
            .config
            .routes
            .iter()
            .enumerate()
            .filter(|(at, _)| unused[*at])
        {
            let place = self
                .places
                .get(at)
                .map_or("the configuration", String::as_str);
            eprintln!(
                "warning: {place}: the route `{route}` matches no operation of {}; compare the paths, or give --base",
                spec.name()
            );
        }
        if let Some(first) = unrouted
            .first()
            .filter(|_| self.config.routes.iter().next().is_some())
        {
            let what = if self.routes_only {
                "are left out"
            } else {
                "get [defaults]"
            };
            eprintln!(
                "warning: {}: {} operations that change something match no route, and {what}; the first is `{first}`",
                spec.name(),
                unrouted.len()
            );
        }
        Ok(())
    }
}

fn method(operation: &Operation) -> Option<Method> {
    operation.method.parse().ok()
}

/// What stands for a parameter of a path.
const PARAMETER: &str = "oncegate-parameter";
/// Most places that `--check` names.
const LINES_MAX: usize = 20;
const AFTER_HELP: &str = "\
What is written is marked by names that start with `oncegate.`, found again, and replaced: twice is once.
Exit codes: 0 all is well, 1 --check found a difference, 64 the description or the configuration is wrong.
docs/openapi.md says what is written where, and what cannot be.";
