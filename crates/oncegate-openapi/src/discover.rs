//! Operations that document a key, and what they say of it: from a description to settings.

use crate::description::Source;
use crate::fault::Fault;
use crate::part::Part;
use crate::plan::is_header;
use crate::shared::SETTINGS;
use crate::tree::Id;

/// An operation that documents a key.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Documented {
    /// `POST`.
    pub method: String,
    /// The path that requests have, with that of the server.
    pub target: String,
    /// The name of the header, as it is spelt there.
    pub header: String,
    /// Whether it is required.
    pub required: bool,
    /// How long a key may be.
    pub length_max: Option<u64>,
    /// The format of a key: `uuid`.
    pub format: Option<String>,
    /// Settings that annotating wrote there.
    pub settings: Vec<(String, Part)>,
}

/// # Errors
/// If a reference leads nowhere or back to itself.
pub(crate) fn documented(source: &Source) -> Result<Vec<Documented>, Fault> {
    let names = KEY_HEADERS.map(str::to_owned);
    let mut documented = Vec::new();
    for operation in source.operations()? {
        let holders = [operation.body, operation.item];
        let key = holders
            .into_iter()
            .find_map(|holder| key_of(source, holder, &names).transpose());
        if let Some(key) = key.transpose()? {
            documented.push(describe(source, operation.method, operation.target, key)?);
        }
    }
    Ok(documented)
}

fn key_of(source: &Source, holder: Id, names: &[String]) -> Result<Option<Id>, Fault> {
    let tree = &source.tree;
    let list = tree.get(holder, "parameters");
    for item in list.map(|list| tree.items(list)).unwrap_or_default() {
        if let Some(parameter) = source.resolved(*item)?
            && (is_header(source, parameter.id, names)
                || tree.get(parameter.id, SETTINGS).is_some())
        {
            return Ok(Some(parameter.id));
        }
    }
    Ok(None)
}

fn describe(source: &Source, method: String, target: String, key: Id) -> Result<Documented, Fault> {
    let tree = &source.tree;
    let schema = tree
        .get(key, "schema")
        .map(|schema| source.resolved(schema));
    let schema = schema.transpose()?.flatten().map(|schema| schema.id);
    let of_schema = |name| schema.and_then(|schema| tree.text_of(schema, name));
    let settings = tree.get(key, SETTINGS).map(|settings| tree.part(settings));
    Ok(Documented {
        method,
        target,
        header: tree.text_of(key, "name").unwrap_or_default().to_owned(),
        required: tree.is_true(key, "required"),
        length_max: of_schema("maxLength").and_then(|length| length.parse().ok()),
        format: of_schema("format").map(str::to_owned),
        settings: match settings {
            Some(Part::Members(settings)) => settings,
            Some(_) | None => Vec::new(),
        },
    })
}

/// Names of the header, as vendors document them.
const KEY_HEADERS: [&str; 4] = [
    "Idempotency-Key",
    "X-Idempotency-Key",
    "Idempotence-Key",
    "PayPal-Request-Id",
];
