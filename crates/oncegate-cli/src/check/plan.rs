//! From the command line to what is done: which operations, which cases, which dialect, within which limits.

use oncegate_check::Limits;
use oncegate_check::case::Case;
use oncegate_check::cases;
use oncegate_check::dialect::{AUTO, Dialect};
use oncegate_check::operation::{Operation, Probe};
use oncegate_check::wire::{Peer, Trust};

use super::arguments::Arguments;
use super::config::File;
use super::fields::{self, Field};
use super::{described, single};
use crate::command::Failed;
use crate::config::did_you_mean;

/// What is done.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) operations: Vec<Operation>,
    pub(super) cases: Vec<&'static Case>,
    pub(super) dialect: &'static Dialect,
    pub(super) limits: Limits,
}

/// Where operations come from, and what that says of the run.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) operations: Vec<Operation>,
    pub(super) profile: Option<&'static Dialect>,
}

/// The plan, if all of it can be done and may be done.
pub(super) async fn plan(arguments: &Arguments, cases: Vec<&'static Case>) -> Result<Plan, Failed> {
    let source = source(arguments)?;
    let given = arguments.profile.as_deref().and_then(Dialect::named);
    let mut operations = chosen(arguments, source.operations)?;
    for operation in &mut operations {
        complete(operation, arguments)?;
        admit(&mut operation.peer, arguments).await?;
    }
    Ok(Plan {
        operations,
        cases,
        dialect: given.or(source.profile).unwrap_or(&AUTO),
        limits: limits(arguments),
    })
}

/// The cases that were asked for, in their own order.
pub(super) fn cases(arguments: &Arguments) -> Result<Vec<&'static Case>, Failed> {
    for id in arguments.only.iter().chain(&arguments.skip) {
        if cases::named(id).is_none() {
            let help = did_you_mean(id, cases::all().map(|case| case.id));
            return Err(Failed::usage(format!("there is no case {id:?}; {help}")));
        }
    }
    let among = |ids: &[String], case: &Case| ids.iter().any(|id| id == case.id);
    let chosen: Vec<_> = cases::all()
        .filter(|case| arguments.only.is_empty() || among(&arguments.only, case))
        .filter(|case| !among(&arguments.skip, case))
        .collect();
    if chosen.is_empty() {
        return Err(Failed::usage("no case is left"));
    }
    Ok(chosen)
}

fn source(arguments: &Arguments) -> Result<Source, Failed> {
    if let Some(file) = &arguments.config {
        return Ok(File::read(file)?.source(arguments.url.as_deref())?);
    }
    let operations = match (&arguments.openapi, &arguments.url) {
        (Some(file), _) => described::operations(arguments, file)?,
        (None, Some(url)) => vec![single::operation(arguments, url)?],
        (None, None) => return Err(Failed::usage("a URL is needed")),
    };
    Ok(Source {
        operations,
        profile: None,
    })
}

/// The operations of the names that were given.
fn chosen(arguments: &Arguments, operations: Vec<Operation>) -> Result<Vec<Operation>, Failed> {
    for name in &arguments.operations {
        if !operations.iter().any(|operation| operation.name == *name) {
            let names = operations.iter().map(|operation| operation.name.as_str());
            let help = did_you_mean(name, names);
            return Err(Failed::usage(format!(
                "there is no operation {name:?}; {help}"
            )));
        }
    }
    let asked = |operation: &Operation| {
        arguments.operations.is_empty() || arguments.operations.contains(&operation.name)
    };
    Ok(operations.into_iter().filter(asked).collect())
}

/// Adds what the command line says of every operation.
fn complete(operation: &mut Operation, arguments: &Arguments) -> Result<(), Failed> {
    let own = lines(&arguments.headers)?;
    let forms = std::mem::take(&mut operation.forms);
    operation.forms = forms
        .into_iter()
        .map(|(variant, mut form)| {
            replace(&mut form.fields, &own);
            (variant, fields::with_content_type(form))
        })
        .collect();
    let other = lines(&arguments.other_headers)?;
    if !other.is_empty() {
        replace(operation.second.get_or_insert_default(), &other);
    }
    if let Some(effects) = &arguments.effects {
        operation.probe = Some(Probe {
            target: fields::probe(effects).map_err(Failed::usage)?,
            count: arguments.effects_count.clone(),
        });
    }
    if arguments.key_required || arguments.key_optional {
        operation.key_required = Some(arguments.key_required);
    }
    if let Some(command) = &arguments.chaos {
        operation.chaos = Some(shell(command));
    }
    Ok(())
}

/// What restarts the server is a line for the shell: that is what people have at hand.
pub(super) fn shell(command: &str) -> Vec<String> {
    vec!["sh".to_owned(), "-c".to_owned(), command.to_owned()]
}

fn lines(written: &[String]) -> Result<Vec<Field>, Failed> {
    let fields: Result<_, String> = written.iter().map(|line| fields::field(line)).collect();
    fields.map_err(Failed::usage)
}

/// The nearer lines take the place of those of their names.
pub(super) fn replace(fields: &mut Vec<Field>, nearer: &[Field]) {
    let replaced = |name: &str| {
        nearer
            .iter()
            .any(|(other, _)| other.eq_ignore_ascii_case(name))
    };
    fields.retain(|(name, _)| !replaced(name));
    fields.extend(nearer.iter().cloned());
}

/// Whether that server may be tested; and how it is known to be it.
///
/// A check sends half-finished, doubled and malformed requests, and it creates things: nobody wants that by mistake.
async fn admit(peer: &mut Peer, arguments: &Arguments) -> Result<(), Failed> {
    let authority = peer.authority().to_owned();
    let resolved = peer.resolve().await;
    resolved
        .map_err(|error| Failed::unavailable(format!("{authority} has no address: {error}")))?;
    if !peer.is_loopback() && !arguments.i_own_this {
        return Err(Failed::usage(format!(
            "{authority} is not on this machine; if it is yours, say --i-own-this"
        )));
    }
    if arguments.insecure {
        *peer = peer.clone().trusting(Trust::of_anybody());
    }
    if let Some(file) = &arguments.cacert {
        let pem = fields::read(file).map_err(Failed::usage)?;
        let trust = Trust::of(&pem);
        let trust = trust.map_err(|error| Failed::usage(format!("{}: {error}", file.display())))?;
        *peer = peer.clone().trusting(trust);
    }
    Ok(())
}

fn limits(arguments: &Arguments) -> Limits {
    let defaults = Limits::default();
    Limits {
        burst: arguments.burst.map_or(defaults.burst, usize::from),
        requests_max: arguments.requests_max.unwrap_or(defaults.requests_max),
        run_timeout: arguments.timeout.unwrap_or(defaults.run_timeout),
        ..defaults
    }
}
