//! Operations that a description of the API documents: `--openapi`.

use std::collections::BTreeMap;
use std::path::Path;

use oncegate_check::openapi::{Description, DocumentedOperation};
use oncegate_check::operation::Operation;
use oncegate_check::wire::Peer;

use super::arguments::Arguments;
use super::fields;
use crate::command::Failed;
use crate::config::did_you_mean;

/// The operations of a file that document a key, with requests that its documentation permits.
pub(super) fn operations(arguments: &Arguments, file: &Path) -> Result<Vec<Operation>, Failed> {
    let bytes = fields::read(file).map_err(Failed::usage)?;
    let description = Description::parse(
        &file.display().to_string(),
        &String::from_utf8_lossy(&bytes),
    );
    let description = description.map_err(|error| Failed::usage(error.to_string()))?;
    let server = arguments.url.as_deref().or_else(|| description.server());
    let server = server.ok_or_else(|| {
        Failed::usage(
            "the description names no server: give its URL, such as http://127.0.0.1:3000/v1",
        )
    })?;
    let (peer, base) = Peer::of(server).map_err(|error| Failed::usage(error.to_string()))?;
    let parameters = parameters(&arguments.path_parameters)?;
    chosen(arguments, file, &description)?
        .iter()
        .map(|documented| description.operation(documented, &peer, &base, &parameters))
        .collect::<Result<_, _>>()
        .map_err(|error| Failed::usage(error.to_string()))
}

/// Those of the names that were given: what is wrong with another one is of no concern.
fn chosen(
    arguments: &Arguments,
    file: &Path,
    description: &Description,
) -> Result<Vec<DocumentedOperation>, Failed> {
    let documented = description.operations();
    let documented = documented.map_err(|error| Failed::usage(error.to_string()))?;
    if documented.is_empty() {
        return Err(Failed::usage(format!(
            "{}: no operation has a header parameter Idempotency-Key",
            file.display()
        )));
    }
    for name in &arguments.operations {
        if !documented.iter().any(|one| one.name == *name) {
            let help = did_you_mean(name, documented.iter().map(|one| one.name.as_str()));
            return Err(Failed::usage(format!(
                "no operation {name:?} documents a key; {help}"
            )));
        }
    }
    let asked = |one: &DocumentedOperation| {
        arguments.operations.is_empty() || arguments.operations.contains(&one.name)
    };
    Ok(documented.into_iter().filter(asked).collect())
}

fn parameters(written: &[String]) -> Result<BTreeMap<String, String>, Failed> {
    let pairs = written.iter().map(|pair| {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| Failed::usage(format!("{pair:?} is no parameter: NAME=VALUE")))?;
        Ok((name.to_owned(), value.to_owned()))
    });
    pairs.collect()
}
