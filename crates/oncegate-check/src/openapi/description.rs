//! A description of an API as a document: read, and followed from reference to reference.

use serde_json::{Map, Value};

/// An OpenAPI description.
#[derive(Clone, Debug)]
pub struct Description {
    pub(super) root: Value,
    name: String,
    text: String,
}

/// A description from which no operation can be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct InvalidDescription {
    /// The file, and the line where it is known.
    place: String,
    problem: String,
}

impl Description {
    /// Reads a description in JSON or YAML. The name is what errors call it.
    ///
    /// # Errors
    /// If it is neither, or no OpenAPI 3.
    pub fn parse(name: &str, text: &str) -> Result<Self, InvalidDescription> {
        let description = Self {
            root: document(name, text)?,
            name: name.to_owned(),
            text: text.to_owned(),
        };
        match description.root.get("openapi").and_then(Value::as_str) {
            Some(version) if version.starts_with("3.") => Ok(description),
            Some(version) => {
                Err(description.invalid("openapi", &format!("OpenAPI {version}: 3 is needed")))
            }
            None if description.root.get("swagger").is_some() => {
                Err(description.invalid("swagger", "this is Swagger 2: OpenAPI 3 is needed"))
            }
            None => Err(description.invalid("openapi", "this is no OpenAPI description")),
        }
    }

    /// The URL of the first server, if it is absolute and has no variables.
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        let url = self.root.pointer("/servers/0/url")?.as_str()?;
        (url.starts_with("http") && !url.contains('{')).then_some(url)
    }

    /// An error about the first line that holds this text.
    pub(super) fn invalid(&self, about: &str, problem: &str) -> InvalidDescription {
        let line = self.text.find(about).map(|at| {
            let before = self.text.as_bytes()[..at].iter();
            1 + before.filter(|byte| **byte == b'\n').count()
        });
        InvalidDescription {
            place: line.map_or_else(|| self.name.clone(), |line| format!("{}:{line}", self.name)),
            problem: problem.to_owned(),
        }
    }

    /// What a value is, once all references are followed.
    pub(super) fn resolved<'a>(
        &'a self,
        value: &'a Value,
    ) -> Result<&'a Value, InvalidDescription> {
        let mut value = value;
        for _ in 0..REFERENCES_MAX {
            let Some(reference) = reference(value) else {
                return Ok(value);
            };
            value = self.referred(reference)?;
        }
        let about = reference(value).unwrap_or_default();
        Err(self.invalid(about, &format!("{about} refers to itself")))
    }

    /// What a reference means.
    pub(super) fn referred(&self, reference: &str) -> Result<&Value, InvalidDescription> {
        let Some(pointer) = reference.strip_prefix('#') else {
            let problem =
                format!("{reference} is in another file: bundle the description into one");
            return Err(self.invalid(reference, &problem));
        };
        self.root
            .pointer(&percent_decoded(pointer))
            .ok_or_else(|| self.invalid(reference, &format!("{reference} is not there")))
    }

    /// The members of an object; none if it is another thing.
    pub(super) fn members<'a>(
        value: &'a Value,
        name: &str,
    ) -> impl Iterator<Item = (&'a String, &'a Value)> {
        value
            .get(name)
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(Map::iter)
    }

    /// The elements of an array; none if it is another thing.
    pub(super) fn elements<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
        value
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    }
}

/// The reference that a value is, if it is one.
pub(super) fn reference(value: &Value) -> Option<&str> {
    value.get("$ref")?.as_str()
}

/// JSON is read as such: it is much faster than as the YAML that it is, too.
fn document(name: &str, text: &str) -> Result<Value, InvalidDescription> {
    let invalid = |line: Option<String>, problem: String| InvalidDescription {
        place: line.map_or_else(|| name.to_owned(), |line| format!("{name}:{line}")),
        problem,
    };
    if text.trim_start().starts_with('{') {
        let parsed = serde_json::from_str(text);
        return parsed.map_err(|error| {
            invalid(
                Some(error.line().to_string()),
                format!("this is not JSON: {error}"),
            )
        });
    }
    // Bounds are for what strangers send; a description is its owner's, and large ones have millions of nodes.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_nodes: NODES_MAX, max_events: 4 * NODES_MAX },
        with_snippet: false,
    };
    let parsed = serde_saphyr::from_str_with_options(text, options);
    parsed.map_err(|error| {
        let line = error.location().map(|location| location.line().to_string());
        invalid(line, format!("this is not YAML: {error}"))
    })
}

/// References in URLs may be percent-encoded: `#/paths/~1a~1%7Bid%7D`.
fn percent_decoded(pointer: &str) -> String {
    let mut decoded = Vec::with_capacity(pointer.len());
    let mut bytes = pointer.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        match (byte, digit(ahead.next()), digit(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap_or(b'%'));
                bytes = ahead;
            }
            _ => decoded.push(byte),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Longest chain of references.
const REFERENCES_MAX: usize = 64;
/// Most nodes of a description in YAML.
const NODES_MAX: usize = 10_000_000;
